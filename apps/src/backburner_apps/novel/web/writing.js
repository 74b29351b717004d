/** A chapter while it is being written; once it is, its own page takes over in the same place. */

import { fill, h, setText } from "/backburner/ui/dom.js";
import { api } from "./api.js";
import { address, crumbs, failure, loading } from "./parts.js";
import { words } from "./strings.js";

/** @param {import("./studio.js").View} view */
export async function showWriting(view) {
  const [id, job] = [view.query.get("novel"), view.query.get("job")];
  fill(view.main, loading());
  try {
    const novel = await api.novel(id);
    if (view.signal.aborted) return;
    const written = novel.chapters.find((chapter) => chapter.job_id === job);
    if (written) view.replace(address(id, { chapter: written.number }));
    else build(view, novel, job);
  } catch (error) {
    if (!view.signal.aborted) fill(view.main, failure(error, () => showWriting(view)));
  }
}

function build(view, novel, job) {
  view.setTitle(words.writing);
  const progress = h("bb-job", { "job-id": job });
  progress.addEventListener("bb-end", ({ detail }) => {
    if (detail.job.status === "completed") toChapter(view, novel.id, job);
  });
  const heading = h("h1", {}, words.writing);
  const eyebrow = h("p.eyebrow", {}, words.underway);
  const leave = h("p.note", {}, words.leave);
  progress.addEventListener("bb-change", ({ detail }) => {
    const { status } = detail.job;
    const stopped = status === "failed" || status === "cancelled";
    setText(heading, stopped ? words.notWritten[status] : words.writing);
    eyebrow.hidden = leave.hidden = stopped;
  });
  const page = `/backburner/ui/jobs/${encodeURIComponent(job)}`;
  fill(
    view.main,
    h(
      "div.columns.chapter",
      {},
      h(
        "article.reading.writing",
        {},
        crumbs(novel),
        h("header.chapter-head", {}, eyebrow, heading),
        h("div.card", {}, progress),
        h("bb-text.prose", { "job-id": job, follow: true, quiet: true, lang: novel.language }),
      ),
      h("div.rail", {}, leave, h("p.note", {}, h("a", { href: page }, words.jobPage))),
    ),
  );
}

async function toChapter(view, id, job) {
  const novel = await api.novel(id).catch(() => null);
  const written = novel?.chapters.find((chapter) => chapter.job_id === job);
  if (written && !view.signal.aborted) view.replace(address(id, { chapter: written.number }), { keepPlace: true });
}
