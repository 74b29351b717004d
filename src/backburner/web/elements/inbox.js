import { reason } from "../describe.js";
import { fill, h, setText } from "../dom.js";
import { ownerFeed } from "../feeds.js";
import { age, moment } from "../format.js";
import { words } from "../strings.js";
import { BackburnerElement, sheet } from "./base.js";

const PAGE = 20;
const EDGE = 8;
const SVG = "http://www.w3.org/2000/svg";
const BELL = "M12 3a6 6 0 0 0-6 6v4l-1.6 3.2a.6.6 0 0 0 .5.8h14.2a.6.6 0 0 0 .5-.8L18 13V9a6 6 0 0 0-6-6Zm-2.5 16a2.6 2.6 0 0 0 5 0";

const styles = sheet(`
  :host { display: inline-block; }
  .bell { position: relative; display: grid; place-items: center; width: 2.5rem; min-height: 2.5rem; padding: 0; border-color: transparent; background: none; }
  .bell:hover, .bell[aria-expanded="true"] { background: var(--sunken); border-color: transparent; }
  .bell svg { width: 1.375rem; height: 1.375rem; fill: none; stroke: currentColor; stroke-width: 1.6; stroke-linecap: round; stroke-linejoin: round; }
  .count {
    position: absolute; inset-block-start: .1rem; inset-inline-end: .05rem; min-width: 1.15rem; padding: 0 .3rem; border-radius: 1rem;
    background: var(--bad); color: var(--surface); font-size: .6875rem; font-weight: 700; line-height: 1.15rem; text-align: center;
  }
  .panel {
    position: fixed; inset: auto; margin: 0; width: min(25rem, calc(100vw - 1rem)); max-height: min(34rem, calc(100dvh - 5rem));
    padding: 0; overflow: auto; overscroll-behavior: contain; border: 1px solid var(--line); border-radius: calc(var(--radius) + 4px);
    background: var(--surface); color: var(--ink); box-shadow: 0 12px 40px rgb(0 0 0 / .18);
  }
  header { position: sticky; top: 0; display: flex; align-items: center; justify-content: space-between; gap: 1rem;
    padding: .6rem .5rem .6rem 1rem; background: inherit; border-bottom: 1px solid var(--line); }
  h2 { margin: 0; font-size: 1rem; }
  ul { list-style: none; margin: 0; padding: 0; }
  li { display: flex; align-items: flex-start; gap: .25rem; padding: .75rem .5rem .75rem 1rem; border-bottom: 1px solid var(--line); }
  li:last-child { border-bottom: 0; }
  li.unread { background: color-mix(in srgb, var(--accent) 7%, transparent); }
  .what { flex: 1; min-width: 0; }
  .what a { color: var(--ink); font-weight: 600; font-size: .9375rem; text-decoration: none; overflow-wrap: anywhere; }
  .what a:hover { text-decoration: underline; }
  .what p { margin: .15rem 0 0; font-size: .875rem; color: var(--muted); overflow-wrap: anywhere;
    display: -webkit-box; -webkit-line-clamp: 3; -webkit-box-orient: vertical; overflow: hidden; }
  time { font-size: .75rem; color: var(--muted); }
  .mark { min-width: 2rem; min-height: 2rem; border: 0; background: none; padding: 0; display: grid; place-items: center; }
  .mark::before { content: ""; width: .6rem; height: .6rem; border-radius: 50%; background: var(--accent); }
  .mark:hover::before { outline: 4px solid color-mix(in srgb, var(--accent) 25%, transparent); }
  .note { margin: 0; padding: 1.75rem 1.25rem; text-align: center; color: var(--muted); font-size: .9375rem; }
`);

/**
 * A bell with the number of unread notifications, and the inbox behind it.
 *
 * Attributes: `base`. Event: `bb-open` (cancelable) with the notification in `detail` when one is chosen; unless a
 * listener prevents it, its job's page opens.
 */
export class InboxElement extends BackburnerElement {
  static observedAttributes = ["base"];

  constructor() {
    super(styles);
    this._items = [];
    this._build();
  }

  start() {
    // Other tabs of the same browser learn of what was read here.
    this._tabs = new BroadcastChannel("backburner-inbox");
    this._tabs.onmessage = ({ data }) => this._wasRead(data);
    this._owner = ownerFeed(this.client);
    const stop = this._owner.subscribe((feed, name, data) => this._follow(feed, name, data));
    const place = () => this._panel.matches(":popover-open") && this._place();
    window.addEventListener("resize", place);
    return () => {
      stop();
      this._tabs.close();
      window.removeEventListener("resize", place);
    };
  }

  _build() {
    const icon = document.createElementNS(SVG, "svg");
    icon.setAttribute("viewBox", "0 0 24 24");
    icon.setAttribute("aria-hidden", "true");
    icon.append(document.createElementNS(SVG, "path"));
    icon.firstChild.setAttribute("d", BELL);
    this._count = h("span.count", { "aria-hidden": "true", hidden: true, part: "count" });
    this._bell = h("button.bell", { type: "button", "aria-haspopup": "dialog", "aria-expanded": "false", part: "bell" }, icon, this._count);
    this._all = h("button.plain", { type: "button", onclick: () => this._readAll() }, words.markAllRead);
    this._list = h("div");
    this._panel = h(
      "div.panel",
      { popover: "auto", role: "dialog", "aria-label": words.inbox, part: "panel" },
      h("header", {}, h("h2", {}, words.inbox), this._all),
      this._list,
    );
    this._voice = h("div.silent", { "aria-live": "polite" });
    this._bell.popoverTargetElement = this._panel;
    this._panel.addEventListener("beforetoggle", (event) => event.newState === "open" && this._load());
    this._panel.addEventListener("toggle", (event) => {
      const open = event.newState === "open";
      this._bell.setAttribute("aria-expanded", String(open));
      if (open) this._place();
    });
    this.root.append(this._bell, this._panel, this._voice);
    this._showCount(0);
  }

  _follow(feed, name, data) {
    if (!feed.state) return;
    this._showCount(feed.unread);
    if (name !== "notification") return;
    setText(this._voice, data.title);
    if (this._panel.matches(":popover-open")) this._load();
  }

  async _load() {
    if (!this._items.length) fill(this._list, h("p.note", {}, words.inboxLoading));
    try {
      const { notifications, unread } = await this.client.inbox({ limit: PAGE });
      this._items = notifications;
      this._owner.setUnread(unread);
      this._renderList();
    } catch (error) {
      fill(this._list, h("p.note", { role: "alert" }, words.inboxFailed, " ", reason(error)));
    }
  }

  /** Builds the rows anew only when they differ, and keeps the keyboard where it was. */
  _renderList() {
    const content = JSON.stringify(this._items);
    if (content === this._shown && this._list.querySelector("ul")) return;
    this._shown = content;
    const focused = this.root.activeElement?.closest("li")?.dataset.id;
    if (!this._items.length) fill(this._list, h("p.note", {}, words.inboxEmpty));
    else fill(this._list, h("ul", {}, this._items.map((item) => this._row(item))));
    if (focused) this._list.querySelector(`li[data-id="${CSS.escape(focused)}"] a`)?.focus();
  }

  _row(item) {
    const { id, job, title, message, created_at: at, read } = item;
    const page = job ? `${this.client.base}/ui/jobs/${encodeURIComponent(job)}` : "#";
    const mark = h("button.mark", { type: "button", title: words.markRead, "aria-label": `${words.markRead}: ${title}`, onclick: () => this._read(item) });
    return h(
      read ? "li" : "li.unread",
      { "data-id": id },
      h(
        "div.what",
        {},
        h("a", { href: page, onclick: (event) => this._choose(event, item) }, title),
        !read && h("span.silent", {}, ` (${words.unreadMark})`),
        message && h("p", {}, message),
        h("time", { datetime: at, title: moment(at) }, age(at)),
      ),
      !read && mark,
    );
  }

  _choose(event, item) {
    const chosen = new CustomEvent("bb-open", { detail: item, bubbles: true, composed: true, cancelable: true });
    if (!this.dispatchEvent(chosen) || !item.job) event.preventDefault();
    if (chosen.defaultPrevented) this._panel.hidePopover();
    if (!item.read) this._read(item);
  }

  async _read(item) {
    const { unread } = await this.client.markRead(item.id);
    this._announceRead({ id: item.id, unread });
  }

  async _readAll() {
    const { unread } = await this.client.markAllRead();
    this._announceRead({ id: null, unread });
  }

  _announceRead(change) {
    this._wasRead(change);
    this._tabs?.postMessage(change);
  }

  _wasRead({ id, unread }) {
    this._items = this._items.map((item) => (id === null || item.id === id ? { ...item, read: true } : item));
    this._owner.setUnread(unread);
    this._renderList();
  }

  _showCount(unread) {
    this._count.hidden = unread === 0;
    setText(this._count, unread > 99 ? "99+" : String(unread));
    this._bell.setAttribute("aria-label", words.inboxUnread(unread));
    this._all.hidden = unread === 0;
  }

  /** Below the bell, and within the window. */
  _place() {
    const bell = this._bell.getBoundingClientRect();
    const width = this._panel.offsetWidth;
    const left = Math.max(EDGE, Math.min(bell.right - width, document.documentElement.clientWidth - width - EDGE));
    this._panel.style.left = `${left}px`;
    this._panel.style.top = `${bell.bottom + EDGE}px`;
  }
}
