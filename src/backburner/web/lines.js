/**
 * How many lines to the server this browser holds, all its tabs together.
 *
 * HTTP/1.1 gives it six connections to one server. Were all of them lines that stay open, no page could load any more;
 * so when they get many, tabs that nobody looks at let theirs go, and resume when they are seen.
 */

const MANY = 4;
const NAME = "backburner-line";

/** Counts a line as held. @returns {() => void} when it is let go */
export function holdLine() {
  let release = () => {};
  const held = new Promise((resolve) => (release = resolve));
  // Without locks (a page that is neither https nor local) nobody counts.
  globalThis.navigator?.locks?.request(`${NAME} ${crypto.randomUUID()}`, () => held);
  return release;
}

/** Whether more lines are held than leave room for anything else. */
export async function isCrowded() {
  const locks = await globalThis.navigator?.locks?.query();
  return (locks?.held ?? []).filter(({ name }) => name.startsWith(NAME)).length > MANY;
}

/** Asks the tabs in the background to make room. */
export function askForRoom() {
  const channel = new BroadcastChannel(NAME);
  channel.postMessage("room");
  channel.close();
}

/** Calls ``listener`` when another tab asks for room. @param {() => void} listener @returns {() => void} stops it */
export function onAskedForRoom(listener) {
  const channel = new BroadcastChannel(NAME);
  channel.onmessage = listener;
  return () => channel.close();
}
