/** What backburner's own pages share: the header. */

import { fill, h } from "../dom.js";
import { markDocument } from "../language.js";
import { words } from "../strings.js";
import "../elements.js";
import { openDoor } from "./signin.js";

/** @param {string} title of the page */
export function openPage(title) {
  const reading = openDoor();
  markDocument();
  document.title = `${title} · backburner`;
  const home = new URL("../jobs", import.meta.url).pathname;
  const icon = h("img", { src: new URL("../icon.svg", import.meta.url).pathname, alt: "", width: 26, height: 26 });
  const header = document.querySelector("body > header");
  fill(header, h("a.brand", { href: home }, icon, "backburner"), reading ? null : h("bb-inbox"));
  return document.querySelector("main");
}
