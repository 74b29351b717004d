/** A chapter to read, with its summary and its analysis. */

import { fill, h } from "/backburner/ui/dom.js";
import { moment, number } from "/backburner/ui/format.js";
import { analysisPanel } from "./analysis.js";
import { api } from "./api.js";
import { address, crumbs, failure, loading, maker, prose } from "./parts.js";
import { words } from "./strings.js";

/** A title that says no more than the line above it would. */
const ONLY_A_NUMBER = /^(Chapter \d+|第 ?\d+ ?章)$/;

/** @param {import("./studio.js").View} view */
export async function showChapter(view) {
  const [id, wanted] = [view.query.get("novel"), view.query.get("chapter")];
  // Coming from the writing, the text stays on the screen until the chapter takes its place.
  if (!view.main.querySelector(".writing")) fill(view.main, loading());
  try {
    const [novel, chapter] = await Promise.all([api.novel(id), api.chapter(id, wanted)]);
    if (!view.signal.aborted) build(view, novel, chapter);
  } catch (error) {
    if (!view.signal.aborted) fill(view.main, failure(error, () => showChapter(view)));
  }
}

function build(view, novel, chapter) {
  const summaryBox = h("div", {}, chapter.summary && summary(novel, chapter));
  // A chapter that came without a summary gets one with its analysis.
  const addSummary = async () => {
    if (summaryBox.firstChild) return;
    const newer = await api.chapter(novel.id, chapter.number).catch(() => null);
    if (newer?.summary) fill(summaryBox, summary(novel, newer));
  };
  view.setTitle(`${chapter.title} · ${novel.title}`);
  fill(
    view.main,
    h(
      "div.columns.chapter",
      {},
      h(
        "article.reading",
        {},
        crumbs(novel),
        head(novel, chapter),
        prose(chapter.text, novel.language),
        neighbours(novel, chapter),
      ),
      h("div.rail", {}, summaryBox, analysisPanel(view, novel, chapter, addSummary)),
    ),
  );
}

function head(novel, chapter) {
  return h(
    "header.chapter-head",
    {},
    !ONLY_A_NUMBER.test(chapter.title) && h("p.eyebrow", {}, words.chapter(chapter.number)),
    h("h1", { lang: novel.language }, chapter.title),
    h(
      "p.byline",
      {},
      maker(chapter.method, chapter.model),
      h("span", {}, words.characters(number([...chapter.text].length))),
      h("time", { datetime: chapter.created_at }, moment(chapter.created_at)),
      chapter.job_id && h("a", { href: `/backburner/ui/jobs/${encodeURIComponent(chapter.job_id)}` }, words.jobPage),
    ),
  );
}

function summary(novel, chapter) {
  return h(
    "aside.summary-box",
    { "aria-label": words.summary },
    h("div.label", {}, words.summary, maker(chapter.summary_method, chapter.summary_model ?? chapter.model)),
    h("p", { lang: novel.language }, chapter.summary),
  );
}

function neighbours(novel, chapter) {
  const link = (step, word) => {
    const other = novel.chapters.find((each) => each.number === chapter.number + step);
    return other
      ? h("a", { href: address(novel.id, { chapter: other.number }) }, h("small", {}, word), h("span", { lang: novel.language }, other.title))
      : h("span");
  };
  const last = chapter.number === Math.max(...novel.chapters.map((each) => each.number));
  const write = h("a.to-write", { href: `${address(novel.id)}#write` }, h("small", {}, words.next), words.writeNext);
  return h("nav.neighbours", {}, link(-1, words.previous), last ? write : link(1, words.next));
}
