/** The list of the caller's jobs. */

import { fill, h } from "../dom.js";
import { words } from "../strings.js";
import { openPage } from "./shell.js";

const main = openPage(words.jobs);
const status = new URLSearchParams(location.search).get("status");
const list = h("bb-jobs", { status });
fill(main, h("h1", {}, words.jobs), list);

new MutationObserver(() => {
  const chosen = list.getAttribute("status");
  history.replaceState(null, "", chosen ? `?status=${chosen}` : location.pathname);
}).observe(list, { attributeFilter: ["status"] });
