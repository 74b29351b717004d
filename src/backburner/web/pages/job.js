/** A job's own page; the id is the last part of the address. */

import { Client } from "../client.js";
import { reason } from "../describe.js";
import { fill, h, setText } from "../dom.js";
import { jobFeed } from "../feeds.js";
import { isFinished } from "../fold.js";
import { duration, moment, number } from "../format.js";
import { words } from "../strings.js";
import { openPage } from "./shell.js";

const id = decodeURIComponent(location.pathname.replace(/\/$/, "").split("/").pop());
const client = new Client();
const main = openPage(words.job);

const title = h("h1", {}, words.job);
const facts = h("dl.facts");
const leave = h("p.note", { hidden: true }, words.leaveNote);
const texts = h("section", { hidden: true });
const result = h("section", { hidden: true });
const args = h("details", { hidden: true }, h("summary", {}, words.arguments));
/** @type {Map<string, HTMLElement>} channel → its part of the page */
const channels = new Map();
let shownArgs = false;

const card = h("div.card", {}, h("bb-job", { "job-id": id }), leave);
const crumbs = h("p.crumbs", {}, h("a", { href: `${client.base}/ui/jobs` }, words.allJobs));
const about = h("section", { hidden: true }, facts, args);
fill(main, crumbs, title, card, texts, result, about);

jobFeed(client, id).subscribe(({ state, problem, following }) => {
  if (problem || !state.job) return;
  const { job } = state;
  setText(title, job.task);
  document.title = `${job.task} · backburner`;
  leave.hidden = isFinished(job);
  about.hidden = false;
  showFacts(job);
  showTexts(Object.keys(state.text));
  showArgs(job);
  if (job.status === "completed" && !following) showResult(job);
  else result.hidden = job.status !== "completed";
});

function showFacts(job) {
  const { input_tokens: input = 0, output_tokens: output = 0 } = job.usage ?? {};
  const rows = [
    [words.id, idWithCopy(job.id)],
    [words.task, job.task],
    [words.queue, words.queueOf(job.queue, job.priority)],
    [words.created, moment(job.created_at)],
    [words.started, moment(job.started_at)],
    [words.finished, moment(job.finished_at)],
    [words.took, duration(job.duration_seconds)],
    [words.tokens, input || output ? words.tokensOf(number(input), number(output)) : "–"],
    [words.attempts, words.triesOf(job.attempt, job.tries, job.max_tries)],
  ];
  if (facts.childElementCount === 0) {
    fill(facts, rows.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
    return;
  }
  rows.forEach(([, value], row) => {
    if (typeof value === "string") setText(facts.children[row].lastElementChild, value);
  });
}

function idWithCopy(text) {
  const button = h("button.small", { type: "button" }, words.copy);
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(text);
    setText(button, words.copied);
    setTimeout(() => setText(button, words.copy), 2000);
  });
  return [h("code", {}, text), button];
}

function showTexts(names) {
  for (const name of names.filter((each) => !channels.has(each))) {
    const heading = name === "main" ? words.text : `${words.text}: ${name}`;
    const part = h("div", {}, h("h2", {}, heading), h("bb-text.prose", { "job-id": id, channel: name, follow: true, lang: "" }));
    channels.set(name, part);
    texts.append(part);
  }
  texts.hidden = channels.size === 0;
}

function showArgs(job) {
  if (shownArgs || job.args === undefined || job.args === null) return;
  shownArgs = true;
  args.hidden = false;
  args.append(h("pre", {}, JSON.stringify(job.args, null, 2)));
}

async function showResult(job) {
  const value = job.result !== undefined ? job.result : await client.result(id).catch((error) => reason(error));
  const text = JSON.stringify(value, null, 2);
  const file = new Blob([text], { type: "application/json" });
  const download = h("a.button", { href: URL.createObjectURL(file), download: `${id}.json` }, words.download);
  result.hidden = false;
  fill(result, h("div.headline", {}, h("h2", {}, words.result), download), h("pre", { tabindex: 0 }, text));
}
