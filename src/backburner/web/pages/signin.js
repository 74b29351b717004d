/** Signing in on backburner's own pages: a token from the address (`#token=…`) or pasted, kept as long as the tab. */

import { signIn } from "../client.js";
import { h } from "../dom.js";
import { words } from "../strings.js";

const KEPT = "backburner-token";

/**
 * What stands behind `#` is never sent to a server; it does not stay in the address either.
 *
 * @returns {boolean} whether the token shows a single job, and nothing like an inbox
 */
export function openDoor() {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (given) {
    sessionStorage.setItem(KEPT, given);
    history.replaceState(null, "", location.pathname + location.search);
  }
  signIn(({ renew }) => {
    if (renew) askForToken();
    return sessionStorage.getItem(KEPT);
  });
  return sessionStorage.getItem(KEPT)?.startsWith("bbr_") ?? false;
}

function askForToken() {
  if (document.querySelector("form.signin")) return;
  const known = sessionStorage.getItem(KEPT) !== null;
  const field = h("input", { type: "password", id: "token", autocomplete: "off", spellcheck: "false", required: true });
  const form = h(
    "form.card.signin",
    { onsubmit: (event) => enter(event, field) },
    h("h2", {}, known ? words.tokenOver : words.tokenWanted),
    h("label", { for: "token" }, words.tokenLabel),
    h("div.row", {}, field, h("button", { type: "submit" }, words.signIn)),
    h("p.note", {}, words.tokenNote),
  );
  document.querySelector("main").before(form);
  field.focus();
}

function enter(event, field) {
  event.preventDefault();
  sessionStorage.setItem(KEPT, field.value.trim().replace(/^Bearer\s+/i, ""));
  location.reload();
}
