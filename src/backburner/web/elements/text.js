import { h, setText } from "../dom.js";
import { jobFeed } from "../feeds.js";
import { isFinished } from "../fold.js";
import { number } from "../format.js";
import { Prose } from "../prose.js";
import { words } from "../strings.js";
import { BackburnerElement, sheet } from "./base.js";

/** How near its end, in pixels, a reader counts as following the text. */
const NEAR = 120;

const styles = sheet(`
  :host { font-family: var(--bb-prose-font, inherit); font-size: var(--bb-prose-size, 1rem); line-height: var(--bb-prose-leading, 1.7); }
  p { margin: 0 0 var(--bb-prose-gap, .9em); overflow-wrap: break-word; text-indent: var(--bb-prose-indent, 0); }
  .writing > p:last-of-type::after {
    content: ""; display: inline-block; width: .5em; height: 1.05em; margin-inline-start: .15em; vertical-align: -.15em;
    background: var(--accent); border-radius: 1px; opacity: .75;
  }
  .none { color: var(--muted); font-style: italic; text-indent: 0; }
  @media (prefers-reduced-motion: no-preference) {
    .writing > p:last-of-type::after { animation: blink 1.1s steps(2, jump-none) infinite; }
  }
  @keyframes blink { to { opacity: 0; } }
`);

/**
 * The text that a job streams, as paragraphs.
 *
 * Attributes: `job-id`, `channel` (`main`), `follow` (keeps the end in view while the reader is there), `quiet` (says
 * nothing where there is no text yet), `base`. The property `text` is the text to the letter. A screen reader hears that
 * text is being written and that it is finished, not every word.
 */
export class TextElement extends BackburnerElement {
  static observedAttributes = ["job-id", "channel", "base"];

  constructor() {
    super(styles);
    this._body = h("div", { part: "text" });
    this._none = h("p.none", { hidden: true }, words.textNone);
    this._voice = h("div.silent", { "aria-live": "polite" });
    this.root.append(this._body, this._none, this._voice);
    this._prose = new Prose(this._body);
  }

  get text() {
    return this._prose.text;
  }

  start() {
    const id = this.getAttribute("job-id");
    this._wasWriting = false;
    return id ? jobFeed(this.client, id).subscribe((feed, name) => this._render(feed.state, name)) : undefined;
  }

  _render(state, name) {
    if (!state.job) return;
    const text = state.text[this.getAttribute("channel") ?? "main"] ?? "";
    const writing = state.job.status === "running";
    const following = this.hasAttribute("follow") && writing && this._endIsInView();
    this._prose.show(text);
    this._body.classList.toggle("writing", writing);
    this._none.hidden = text !== "" || writing || this.hasAttribute("quiet");
    if (following) this._keepEndInView();
    this._speak(state, text, name);
  }

  _speak(state, text, name) {
    const writing = state.job.status === "running" && text !== "";
    if (name === "attempt.reset") setText(this._voice, words.textReset);
    else if (writing && !this._wasWriting) setText(this._voice, words.textRunning);
    else if (this._wasWriting && isFinished(state.job)) setText(this._voice, words.textDone(number([...text].length)));
    this._wasWriting = writing;
  }

  _endIsInView() {
    return this.getBoundingClientRect().bottom <= this._viewBottom() + NEAR;
  }

  _keepEndInView() {
    const beyond = this.getBoundingClientRect().bottom - this._viewBottom();
    if (beyond > -NEAR / 2) this._scroller().scrollBy({ top: beyond + NEAR / 2, behavior: "instant" });
  }

  _viewBottom() {
    const scroller = this._scroller();
    return scroller === document.scrollingElement ? window.innerHeight : scroller.getBoundingClientRect().bottom;
  }

  /** The nearest ancestor that scrolls, or the page. */
  _scroller() {
    for (let each = this.parentElement; each; each = each.parentElement) {
      const scrolls = /auto|scroll/.test(getComputedStyle(each).overflowY);
      if (scrolls && each.scrollHeight > each.clientHeight && each !== document.body) return each;
    }
    return document.scrollingElement;
  }
}
