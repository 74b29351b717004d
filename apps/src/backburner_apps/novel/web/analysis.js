/** The analysis of a chapter, arriving part by part. */

import { Client } from "/backburner/ui/client.js";
import { reason } from "/backburner/ui/describe.js";
import { fill, h } from "/backburner/ui/dom.js";
import { jobFeed } from "/backburner/ui/feeds.js";
import { isFinished } from "/backburner/ui/fold.js";
import { api } from "./api.js";
import { itemList } from "./items.js";
import { gathered, maker } from "./parts.js";
import { words } from "./strings.js";

const client = new Client();

/**
 * @param {import("./studio.js").View} view
 * @param {any} novel
 * @param {any} chapter
 * @param {() => void} onLanded called when something new may be there
 */
export function analysisPanel(view, novel, chapter, onLanded) {
  const content = h("div");
  const panel = h("aside.analysis", { "aria-label": words.analysis }, h("h2", {}, words.analysis), content);
  if (chapter.analysis_job_id) follow(chapter.analysis_job_id);
  else fill(content, h("p.note", {}, words.notAnalysed), askButton(words.analyse));
  return panel;

  function askButton(label) {
    const note = h("p.note", { role: "alert" });
    const button = h("button", { type: "button" }, label);
    button.addEventListener("click", async () => {
      button.disabled = true;
      try {
        const { job } = await api.analyse(novel.id, chapter.number);
        follow(job.id);
      } catch (error) {
        fill(note, reason(error));
        button.disabled = false;
      }
    });
    return h("div", {}, h("p", {}, button), note);
  }

  function follow(job) {
    const parts = h("div.parts");
    const status = h("div.card", {}, h("bb-job", { "job-id": job }));
    const again = h("div", { hidden: true }, askButton(words.analyseAgain));
    const jobLink = h("p.note", {}, h("a", { href: `/backburner/ui/jobs/${encodeURIComponent(job)}` }, words.jobPage));
    fill(content, status, parts, again, jobLink);
    let finished = false;
    const load = gathered(async () => {
      onLanded();
      const analysis = await api.analysis(novel.id, chapter.number).catch(() => null);
      if (!view.signal.aborted) fill(parts, partsOf(analysis?.parts ?? {}, finished, novel.language));
    }, 50);
    load();
    const stop = jobFeed(client, job).subscribe(({ state }, name) => {
      finished = isFinished(state.job);
      // A finished analysis speaks for itself; what failed needs its words and its buttons.
      status.hidden = state.job?.status === "completed";
      again.hidden = !finished;
      if (finished || name === "step.completed" || name === "attempt.reset") load();
    });
    view.signal.addEventListener("abort", stop);
  }
}

function partsOf(parts, finished, language) {
  return Object.entries(words.parts).map(([name, title]) => {
    const part = parts[name];
    return h(
      part ? "section.part" : "section.part.coming",
      { "data-part": name },
      h("div.label", {}, h("h3", {}, title), part && maker(part.method, part.model)),
      contentOf(part, finished, language),
    );
  });
}

function contentOf(part, finished, language) {
  if (!part) return finished ? h("p.note", {}, words.partComing) : h("div.skeleton", { role: "status", "aria-label": words.partComing });
  if (part.items?.length) return itemList(part.items, language);
  return h("p.note", {}, part.method === "none" ? words.partNone : words.partEmpty);
}
