// The line to the server stays up: dead lines, refusals, hidden pages. Run by test_fold.py: node --test

import assert from "node:assert/strict";
import { beforeEach, mock, test } from "node:test";
import { EventStream } from "../../src/backburner/web/stream.js";

let sources;
let events;
let visibility;

class FakeEventSource extends EventTarget {
  static CLOSED = 2;

  constructor(url) {
    super();
    this.url = url;
    this.readyState = 0;
    sources.push(this);
  }

  close() {
    this.readyState = 2;
  }

  say(name, data, id = "") {
    this.dispatchEvent(Object.assign(new Event(name), { data: JSON.stringify(data), lastEventId: id }));
  }

  refuse() {
    this.readyState = 2;
    this.onerror();
  }
}

function open(options = {}) {
  return new EventStream({ url: "/events", onEvent: (name, data, cursor) => events.push([name, cursor]), ...options }).start();
}

async function pass(ms) {
  mock.timers.tick(ms);
  await Promise.resolve();
  await Promise.resolve();
}

async function setHidden(hidden) {
  globalThis.document.hidden = hidden;
  visibility();
}

beforeEach(() => {
  sources = [];
  events = [];
  mock.timers.reset();
  mock.timers.enable({ apis: ["setTimeout"] });
  globalThis.EventSource = FakeEventSource;
  globalThis.document = { hidden: false, addEventListener: (_, listener) => (visibility = listener), removeEventListener: () => {} };
});

test("a line that says nothing for 45 seconds is opened anew behind the last cursor", async () => {
  const stream = open();
  sources[0].say("snapshot", {}, "j-3");
  await pass(44_000);
  sources[0].say("heartbeat", {});
  await pass(44_000);
  assert.equal(sources.length, 1);
  await pass(1_000);
  await pass(1_000);
  assert.equal(sources.length, 2);
  assert.equal(sources[0].readyState, 2);
  assert.equal(sources[1].url, "/events?after=j-3");
  assert.deepEqual(events, [["snapshot", "j-3"]]);
  stream.close();
});

test("a refused line is tried again after longer and longer, 30 seconds at most", async () => {
  const stream = open();
  for (const longest of [1, 2, 4, 8, 16, 30, 30]) {
    const before = sources.length;
    sources.at(-1).refuse();
    await pass(0);
    await pass(longest * 500 - 1);
    assert.equal(sources.length, before, `not before ${longest / 2} s`);
    await pass(longest * 500 + 1);
    assert.equal(sources.length, before + 1, `within ${longest} s`);
  }
  stream.close();
});

test("a drop that EventSource mends itself is left to it", async () => {
  const stream = open();
  sources[0].onerror();
  await pass(10_000);
  assert.equal(sources.length, 1);
  stream.close();
});

test("what a closed line still says is not heard", async () => {
  const stream = open();
  stream.close();
  sources[0].say("snapshot", {}, "j-1");
  await pass(120_000);
  assert.deepEqual(events, []);
  assert.equal(sources.length, 1);
});

test("a page hidden for five minutes lets its line go and takes it up when it is seen again", async () => {
  const stream = open();
  sources[0].say("snapshot", {}, "j-8");
  setHidden(true);
  for (let minute = 0; minute < 10; minute += 1) {
    await pass(30_000);
    if (sources[0].readyState !== 2) sources[0].say("heartbeat", {});
  }
  assert.equal(sources[0].readyState, 2);
  await pass(600_000);
  assert.equal(sources.length, 1);
  setHidden(false);
  assert.equal(sources.length, 2);
  assert.equal(sources[1].url, "/events?after=j-8");
  stream.close();
});

test("who learns from a refusal that there is nothing more closes the line for good", async () => {
  const stream = open({ onRefused: async () => stream.close() });
  sources[0].refuse();
  await pass(60_000);
  assert.equal(sources.length, 1);
});

function tickets() {
  const asked = [];
  return { asked, ticket: async (renew) => `t${asked.push(renew)}` };
}

async function settle() {
  for (let turn = 0; turn < 10; turn += 1) await Promise.resolve();
}

test("each line has a ticket of its own, also when the browser would come back with the used one", async () => {
  const { asked, ticket } = tickets();
  const stream = open({ ticket });
  await settle();
  assert.equal(sources[0].url, "/events?ticket=t1");
  sources[0].say("snapshot", {}, "o-4");
  sources[0].onerror();
  assert.equal(sources[0].readyState, FakeEventSource.CLOSED);
  await pass(1000);
  await settle();
  mock.timers.tick(1000);
  await settle();
  assert.deepEqual(sources.map(({ url }) => url), ["/events?ticket=t1", "/events?after=o-4&ticket=t2"]);
  assert.deepEqual(asked, [false, false]);
  stream.close();
});

test("a line that ends with its token is renewed at half time, behind the last cursor", async () => {
  const { asked, ticket } = tickets();
  const stream = open({ ticket });
  await settle();
  sources[0].say("snapshot", {}, "o-4");
  sources[0].say("token.expiring", { expires_in: 10 });
  mock.timers.tick(4999);
  await settle();
  assert.equal(sources.length, 1);
  mock.timers.tick(1);
  await settle();
  assert.equal(sources[1].url, "/events?after=o-4&ticket=t2");
  assert.equal(sources[0].readyState, FakeEventSource.CLOSED);
  assert.deepEqual(asked, [false, true]);
  assert.deepEqual(events, [["snapshot", "o-4"]]);
  stream.close();
});

test("a ticket that cannot be had is asked for again, and later each time", async () => {
  let asked = 0;
  const stream = open({ ticket: async () => Promise.reject(new Error(`refused ${(asked += 1)}`)) });
  await settle();
  for (let round = 0; round < 4; round += 1) {
    await settle();
    mock.timers.tick(1000 * 2 ** round);
    await settle();
  }
  assert.equal(sources.length, 0);
  assert.ok(asked >= 4, `asked ${asked} times`);
  stream.close();
});

test("a ticket that comes after the line was closed opens nothing", async () => {
  let give;
  const stream = open({ ticket: () => new Promise((resolve) => (give = resolve)) });
  stream.close();
  give("late");
  await settle();
  assert.equal(sources.length, 0);
});

test("without a ticket the address stays as it is", async () => {
  const stream = open({ ticket: async () => null });
  await settle();
  assert.equal(sources[0].url, "/events");
  stream.close();
});
