/** A novel's page: its chapters, what is being written, the next chapter, and the novel as it stands. */

import { Client } from "/backburner/ui/client.js";
import { fill, h } from "/backburner/ui/dom.js";
import { ownerFeed } from "/backburner/ui/feeds.js";
import { language } from "/backburner/ui/language.js";
import { api } from "./api.js";
import { composer } from "./composer.js";
import { itemList } from "./items.js";
import { address, failure, gathered, loading, maker } from "./parts.js";
import { words } from "./strings.js";

const WORTH_A_LOOK = new Set(["job.submitted", "job.completed", "job.failed", "job.cancelled", "step.completed"]);
/** Chapters that are watched live at once: each holds a connection, and a browser has six. */
const MOST_LIVE = 2;
const client = new Client();

/** @param {import("./studio.js").View} view */
export async function showNovel(view) {
  const id = view.query.get("novel");
  fill(view.main, loading());
  try {
    const [novel, state] = await Promise.all([api.novel(id), api.state(id)]);
    if (view.signal.aborted) return;
    build(view, novel, state);
  } catch (error) {
    if (!view.signal.aborted) fill(view.main, failure(error, () => showNovel(view)));
  }
}

function build(view, novel, state) {
  view.setTitle(novel.title);
  const compose = composer(view, novel);
  const chapters = h("div");
  const underway = h("div.underway-list");
  const standing = h("div");
  fill(
    view.main,
    h("p.crumbs", {}, h("a", { href: "./" }, words.back)),
    h(
      "div.columns",
      {},
      h(
        "div",
        {},
        h(
          "div.novel-head",
          { lang: novel.language },
          h("h1", {}, novel.title),
          novel.author && h("p.author", { lang: language }, words.by(novel.author)),
          novel.premise && h("p.lead", {}, novel.premise),
        ),
        h("section", { "aria-label": words.tableOfChapters }, h("h2", {}, words.tableOfChapters), chapters, underway),
        compose,
      ),
      h("aside", { "aria-label": words.asItStands }, h("h2", {}, words.asItStands), standing),
    ),
  );
  const show = (newest, found) => {
    fill(chapters, table(newest));
    showUnderway(underway, newest);
    fill(standing, standingOf(found, newest.language));
  };
  show(novel, state);
  if (location.hash === "#write") {
    compose.scrollIntoView();
    compose.elements.instructions.focus({ preventScroll: true });
  }
  refreshOnEvents(view, novel.id, show);
}

function refreshOnEvents(view, id, show) {
  const refresh = gathered(async () => {
    const news = await Promise.all([api.novel(id), api.state(id)]).catch(() => null);
    if (news && !view.signal.aborted) show(...news);
  });
  const stop = ownerFeed(client).subscribe((_, name) => WORTH_A_LOOK.has(name) && refresh());
  view.signal.addEventListener("abort", stop);
}

function table(novel) {
  if (!novel.chapters.length) return h("p.state", {}, words.noChapters);
  return h("ol.chapters", {}, novel.chapters.map((chapter) => entry(novel, chapter)));
}

function entry(novel, chapter) {
  const status = chapter.analysis?.status;
  return h(
    "li",
    {},
    h(
      "a",
      { href: address(novel.id, { chapter: chapter.number }) },
      h("span.number", { "aria-hidden": "true" }, chapter.number),
      h(
        "span.what",
        {},
        h("strong", { lang: novel.language }, chapter.title || words.chapter(chapter.number)),
        chapter.summary && h("span.summary", { lang: novel.language }, chapter.summary),
        h(
          "span.tags",
          {},
          chapter.mode && h("span.tag", {}, words.modes[chapter.mode] ?? chapter.mode),
          maker(chapter.method, chapter.model),
          status && h(`span.tag.${status}`, {}, status === "completed" ? words.analysed : (words.analysisIs[status] ?? status)),
        ),
      ),
    ),
  );
}

/** Keeps the cards of jobs that are still there: their text goes on without a break. */
function showUnderway(list, novel) {
  const analyses = new Set(novel.chapters.map((chapter) => chapter.analysis?.job_id));
  const jobs = novel.running.filter((job) => !analyses.has(job));
  for (const card of [...list.children]) if (!jobs.includes(card.dataset.job) && !mayBeRetried(card)) card.remove();
  const shown = new Set([...list.children].map((card) => card.dataset.job));
  for (const job of jobs.filter((each) => !shown.has(each))) list.append(underwayCard(novel, job, list.children.length < MOST_LIVE));
}

/** What failed or was cancelled stays, with its words and its button. */
function mayBeRetried(card) {
  return card.querySelector("bb-job")?.state?.job?.can_retry === true;
}

function underwayCard(novel, job, live) {
  const head = h("div.headline", {}, h("h3", {}, words.underway), h("a.button", { href: address(novel.id, { job }) }, words.open));
  if (!live) return h("article.card", { "data-job": job }, head);
  const text = h("div.preview", { tabindex: 0 }, h("bb-text.prose", { "job-id": job, follow: true, quiet: true, lang: novel.language }));
  return h(
    "article.card",
    { "data-job": job },
    head,
    h("bb-job", { "job-id": job }),
    text,
  );
}

function standingOf(state, language) {
  const parts = Object.keys(words.state).filter((name) => state[name]?.length);
  if (!parts.length) return h("p.note", {}, words.stateEmpty);
  return parts.map((name) =>
    h("section", {}, h("h3", {}, words.state[name], h("span.how-many", {}, state[name].length)), itemList(state[name], language)),
  );
}
