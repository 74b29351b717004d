import { reason, sentence, statusWord } from "../describe.js";
import { h, setText } from "../dom.js";
import { jobFeed } from "../feeds.js";
import { isFinished } from "../fold.js";
import { words } from "../strings.js";
import { BackburnerElement, sheet } from "./base.js";

const styles = sheet(`
  :host { container-type: inline-size; }
  .head { display: grid; grid-template-columns: auto minmax(0, 1fr) auto auto; align-items: center; gap: .25rem .9rem; min-height: 2.25rem; }
  .sentence { font-size: .9375rem; overflow-wrap: anywhere; }
  .actions { display: flex; gap: .5rem; align-items: center; }
  .percent { font-size: .8125rem; color: var(--muted); font-variant-numeric: tabular-nums; }
  .bar { height: 6px; margin-top: .5rem; border-radius: 3px; background: var(--sunken); overflow: hidden; }
  .bar > div { height: 100%; width: 0; border-radius: 3px; background: var(--tone, var(--accent)); }
  [data-status="completed"] .bar > div { background: var(--good); }
  .error { margin: .75rem 0 0; padding: .65rem .9rem; border-radius: var(--radius); border: 1px solid var(--line);
    border-inline-start: 3px solid var(--bad); background: var(--surface); font-size: .9375rem; }
  .error.mild { border-inline-start-color: var(--warn); }
  .error p { margin: 0; } .error .detail { margin-top: .25rem; color: var(--muted); font-size: .8125rem; overflow-wrap: anywhere; white-space: pre-line; }
  .note { margin: .5rem 0 0; color: var(--muted); font-size: .8125rem; }
  @container (max-width: 26rem) {
    .head { grid-template-columns: minmax(0, 1fr) auto auto; }
    .sentence { grid-row: 2; grid-column: 1 / -1; }
    .sentence:empty { display: none; }
  }
  @media (prefers-reduced-motion: no-preference) {
    .bar > div { transition: width .3s ease-out; }
    [data-status="running"] .bar.unknown > div { width: 30% !important; animation: slide 1.4s ease-in-out infinite; }
  }
  @keyframes slide { from { margin-inline-start: -30%; } to { margin-inline-start: 100%; } }
`);

/**
 * A job's progress, its state in words, its error, and the buttons to cancel it and to try again.
 *
 * Attributes: `job-id`, `base`. Events: `bb-change` at every change and `bb-end` when it has ended, with the
 * `JobState` in `detail`.
 */
export class JobElement extends BackburnerElement {
  static observedAttributes = ["job-id", "base"];

  constructor() {
    super(styles);
    this._build();
  }

  /** @returns {import("../fold.js").JobState|null} */
  get state() {
    return this._feed?.state ?? null;
  }

  start() {
    const id = this.getAttribute("job-id");
    this._feed = id ? jobFeed(this.client, id) : null;
    this._ended = false;
    this._box.hidden = true;
    return this._feed?.subscribe(() => this._render());
  }

  _build() {
    this._status = h("span.status");
    this._sentence = h("span.sentence");
    this._percent = h("span.percent", { "aria-hidden": "true" });
    this._cancel = h("button", { type: "button", part: "cancel", onclick: () => this._act(this._feed.cancel()) }, words.cancel);
    this._retry = h("button", { type: "button", part: "retry", onclick: () => this._act(this._feed.retry()) }, words.retry);
    this._fill = h("div");
    this._bar = h(
      "div.bar",
      { role: "progressbar", "aria-label": words.progress, "aria-valuemin": 0, "aria-valuemax": 100, part: "bar" },
      this._fill,
    );
    this._errorTitle = h("p");
    this._errorDetail = h("p.detail");
    this._error = h("div.error", { role: "alert", part: "error", hidden: true }, this._errorTitle, this._errorDetail);
    this._note = h("p.note", { role: "status" });
    this._box = h(
      "div",
      { part: "box" },
      h("div.head", {}, this._status, this._sentence, this._percent, h("div.actions", {}, this._cancel, this._retry)),
      this._bar,
    );
    this.root.append(this._box, this._error, this._note);
  }

  _render() {
    const { state, problem, line } = this._feed;
    if (problem) {
      this._showError({ title: reason(problem) });
      setText(this._note, "");
      return;
    }
    const job = state.job;
    setText(this._note, line || isFinished(job) ? "" : words.reconnecting);
    if (!job) return;
    this._box.hidden = false;
    this._box.dataset.status = job.status;
    setText(this._status, statusWord(job));
    setText(this._sentence, sentence(job));
    this._renderBar(job);
    this._renderError(job);
    this._cancel.hidden = isFinished(job);
    this._cancel.disabled = job.cancel_requested;
    this._retry.hidden = !job.can_retry;
    this._tell(state);
  }

  _renderBar(job) {
    const percent = Math.round(job.status === "completed" ? 100 : (job.progress?.percent ?? 0));
    const unknown = job.status === "running" && percent === 0;
    this._bar.hidden = job.status === "cancelled" || job.status === "failed";
    this._bar.classList.toggle("unknown", unknown);
    this._bar.setAttribute("aria-valuetext", sentence(job) || statusWord(job));
    if (unknown) this._bar.removeAttribute("aria-valuenow");
    else this._bar.setAttribute("aria-valuenow", String(percent));
    this._fill.style.width = `${percent}%`;
    setText(this._percent, job.status === "running" && percent > 0 ? `${percent} %` : "");
  }

  _renderError(job) {
    if (!job.error) {
      this._error.hidden = true;
      return;
    }
    const { detail } = job.error;
    const title = job.status === "failed" ? null : words.errorTitle(job.error);
    this._showError({ title, detail, mild: job.status !== "failed" });
  }

  _showError({ title, detail = "", mild = false }) {
    this._error.hidden = !title && !detail;
    this._error.classList.toggle("mild", mild);
    this._errorTitle.hidden = !title;
    setText(this._errorTitle, title ?? "");
    setText(this._errorDetail, detail);
  }

  _tell(state) {
    const detail = state;
    this.dispatchEvent(new CustomEvent("bb-change", { detail, bubbles: true, composed: true }));
    if (!isFinished(state.job)) {
      this._ended = false;
    } else if (!this._ended && !this._feed.following) {
      this._ended = true;
      this.dispatchEvent(new CustomEvent("bb-end", { detail, bubbles: true, composed: true }));
    }
  }

  async _act(asking) {
    try {
      await asking;
    } catch (error) {
      setText(this._note, words.actionFailed(reason(error)));
    }
  }
}
