import { reason, sentence, statusWord } from "../describe.js";
import { fill, h, setText } from "../dom.js";
import { ownerFeed } from "../feeds.js";
import { isFinished, withOutlook } from "../fold.js";
import { age, moment } from "../format.js";
import { words } from "../strings.js";
import { BackburnerElement, sheet } from "./base.js";

const PAGE = 25;
const LOOK_AHEAD_MS = 5_000;
const STATUSES = ["running", "pending", "completed", "failed", "cancelled"];

const styles = sheet(`
  .filters { display: flex; flex-wrap: wrap; gap: .4rem; margin-bottom: 1rem; }
  .filters button[aria-pressed="true"] { background: var(--accent); border-color: var(--accent); color: var(--on-accent); }
  ul { list-style: none; margin: 0; padding: 0; border: 1px solid var(--line); border-radius: var(--radius); background: var(--surface); overflow: hidden; }
  li + li { border-top: 1px solid var(--line); }
  li a { display: grid; grid-template-columns: 7.5rem minmax(0, 1fr) auto; gap: .15rem 1rem; align-items: baseline; padding: .8rem 1rem; color: inherit; text-decoration: none; }
  li a:hover { background: color-mix(in srgb, var(--sunken) 50%, transparent); }
  li a:focus-visible { outline-offset: -3px; }
  .task { font-weight: 600; overflow-wrap: anywhere; }
  .task small { font-weight: 400; color: var(--muted); margin-inline-start: .6em; font-family: ui-monospace, monospace; font-size: .75rem; }
  time { color: var(--muted); font-size: .8125rem; white-space: nowrap; }
  .sentence { grid-column: 2 / -1; color: var(--muted); font-size: .875rem; overflow-wrap: anywhere; }
  .sentence:empty { display: none; }
  .bar { grid-column: 2 / -1; height: 4px; margin-top: .35rem; border-radius: 2px; background: var(--sunken); overflow: hidden; }
  .bar > div { height: 100%; background: var(--tone); }
  .note { color: var(--muted); padding: 2.5rem 1rem; text-align: center; }
  .more { display: block; margin: 1rem auto 0; }
  @media (max-width: 36rem) {
    li a { grid-template-columns: minmax(0, 1fr) auto; }
    .task { grid-column: 1 / -1; grid-row: 1; }
    .sentence, .bar { grid-column: 1 / -1; }
  }
`);

/** The caller's jobs, newest first, with a filter by status, kept up to date. Attributes: `status`, `base`. */
export class JobsElement extends BackburnerElement {
  static observedAttributes = ["base", "status"];

  constructor() {
    super(styles);
    this._filters = h("div.filters", { role: "group", "aria-label": words.filter }, [null, ...STATUSES].map((each) => this._filter(each)));
    this._list = h("ul", { hidden: true });
    this._note = h("p.note", { role: "status" }, words.loading);
    this._more = h("button.more", { type: "button", hidden: true, onclick: () => this._load() }, words.more);
    this.root.append(this._filters, this._list, this._note, this._more);
    this._rows = new Map();
  }

  start() {
    this._rows.clear();
    this._list.replaceChildren();
    this._next = null;
    for (const button of this._filters.children) button.ariaPressed = String(button.value === (this.getAttribute("status") ?? ""));
    this._load();
    const stop = ownerFeed(this.client).subscribe((feed) => this._update(feed.state));
    const timer = setInterval(() => this._lookAhead(), LOOK_AHEAD_MS);
    return () => {
      clearInterval(timer);
      stop();
    };
  }

  /** What those who wait or run may expect changes with every other job: no event tells it. */
  async _lookAhead() {
    const live = [...this._rows.values()].some(({ job }) => !isFinished(job));
    if (!live || document.hidden) return;
    const { jobs } = await this.client.list({ status: this.getAttribute("status"), limit: PAGE }).catch(() => ({ jobs: [] }));
    ownerFeed(this.client).expect(jobs.filter((job) => !isFinished(job)));
    for (const job of jobs) {
      const known = this._rows.get(job.id);
      if (known && known.job.status === job.status) this._put(withOutlook(known.job, job), "append");
    }
  }

  _filter(status) {
    const choose = () => (status ? this.setAttribute("status", status) : this.removeAttribute("status"));
    return h("button", { type: "button", value: status ?? "", onclick: choose }, status ? words.status[status] : words.all);
  }

  async _load() {
    const status = this.getAttribute("status");
    this._more.disabled = true;
    try {
      const { jobs, next } = await this.client.list({ status, limit: PAGE, cursor: this._next });
      if (status !== this.getAttribute("status")) return;
      this._next = next;
      for (const job of jobs) this._put(job, "append");
      setText(this._note, words.noJobs);
    } catch (error) {
      setText(this._note, reason(error));
    }
    this._more.disabled = false;
    this._more.hidden = !this._next;
    this._showNote();
  }

  _update(state) {
    const status = this.getAttribute("status");
    if (!state) return;
    for (const job of Object.values(state.jobs)) {
      const fits = !status || job.status === status;
      if (fits && (this._rows.has(job.id) || this._isNewest(job))) this._put(job, "prepend");
      else if (!fits && this._rows.has(job.id)) this._remove(job.id);
    }
    this._showNote();
  }

  /** Older ones come with their page, in their place. */
  _isNewest(job) {
    const first = this._rows.get(this._list.firstElementChild?.dataset.id)?.job;
    return first ? job.created_at >= first.created_at : !this._next && this._more.disabled === false;
  }

  _put(job, where) {
    const known = this._rows.get(job.id);
    if (known?.job === job) return;
    const row = known?.row ?? h("li", { "data-id": job.id });
    this._rows.set(job.id, { job, row });
    fill(row, this._content(job));
    if (!known) this._list[where](row);
  }

  _remove(id) {
    this._rows.get(id).row.remove();
    this._rows.delete(id);
  }

  _showNote() {
    this._list.hidden = this._rows.size === 0;
    this._note.hidden = this._rows.size > 0;
  }

  _content(job) {
    const percent = Math.round(job.progress?.percent ?? 0);
    const bar = h("div.bar", { role: "progressbar", "aria-label": words.progress, "aria-valuemin": 0, "aria-valuemax": 100, "aria-valuenow": percent }, h("div"));
    bar.firstChild.style.width = `${percent}%`;
    return h(
      "a",
      { href: `${this.client.base}/ui/jobs/${encodeURIComponent(job.id)}`, "data-status": job.status },
      h("span.status", {}, statusWord(job)),
      h("span.task", {}, job.task, h("small", {}, job.id)),
      h("time", { datetime: job.created_at, title: moment(job.created_at) }, age(job.created_at)),
      h("span.sentence", {}, sentence(job)),
      job.status === "running" && bar,
    );
  }
}
