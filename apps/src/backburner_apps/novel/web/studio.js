/** The studio: which view the address asks for, and what stands above all of them. */

import "/backburner/ui/elements.js";
import { fill, h } from "/backburner/ui/dom.js";
import { language, markDocument } from "/backburner/ui/language.js";
import { api } from "./api.js";
import { showChapter } from "./chapter.js";
import { showLibrary } from "./library.js";
import { showNovel } from "./novel.js";
import { address } from "./parts.js";
import { words } from "./strings.js";
import { showWriting } from "./writing.js";

/**
 * What a view gets to work with.
 *
 * @typedef {Object} View
 * @property {HTMLElement} main where it shows itself
 * @property {URLSearchParams} query
 * @property {AbortSignal} signal aborts when another view takes its place
 * @property {(title: string) => void} setTitle
 * @property {(address: string) => void} go
 * @property {(address: string, options?: {keepPlace?: boolean}) => void} replace goes there, and back skips this view
 */

const main = document.querySelector("main");
let leaving = new AbortController();

markDocument();
buildHeader();
showModelNotice();
addEventListener("popstate", () => open());
addEventListener("click", followLink);
open();

function open({ keepPlace = false } = {}) {
  leaving.abort();
  leaving = new AbortController();
  const query = new URLSearchParams(location.search);
  setTitle("");
  if (!keepPlace) scrollTo({ top: 0, behavior: "instant" });
  viewFor(query)({ main, query, signal: leaving.signal, setTitle, go, replace });
}

function viewFor(query) {
  if (!query.has("novel")) return showLibrary;
  if (query.has("chapter")) return showChapter;
  return query.has("job") ? showWriting : showNovel;
}

function go(to) {
  history.pushState(null, "", to);
  open();
  main.focus({ preventScroll: true });
}

function replace(to, options) {
  history.replaceState(null, "", to);
  open(options);
}

function setTitle(title) {
  document.title = title ? `${title} · ${words.studio}` : words.studio;
}

/** Links within the studio change the view without loading the page anew. */
function followLink(event) {
  const link = event.composedPath().find((node) => node instanceof HTMLAnchorElement);
  const plain = event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey && !event.altKey;
  if (!link || !plain || event.defaultPrevented || link.origin !== location.origin || link.pathname !== location.pathname) return;
  if (link.target || link.hasAttribute("download")) return;
  event.preventDefault();
  go(link.href);
}

function buildHeader() {
  const inbox = h("bb-inbox");
  inbox.addEventListener("bb-open", openNotification);
  fill(
    document.querySelector("body > header"),
    h("a.brand", { href: "./" }, h("img", { src: "/backburner/ui/icon.svg", alt: "", width: 26, height: 26 }), words.studio),
    h("div.tools", {}, h("a", { href: "/backburner/ui/jobs" }, words.jobs), inbox),
  );
}

/** A notification of a novel leads to its chapter. */
function openNotification(event) {
  const { data, job } = event.detail;
  if (!data?.novel_id) return;
  event.preventDefault();
  go(address(data.novel_id, data.chapter_number ? { chapter: data.chapter_number } : { job }));
}

async function showModelNotice() {
  const notice = (await api.model().catch(() => null))?.notice;
  if (notice) main.before(h("p.model-notice", { role: "note" }, notice[language] ?? notice.en));
}
