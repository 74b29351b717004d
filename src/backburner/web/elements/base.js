/** What backburner's elements share: a shadow root with styles, and a client. */

import { Client } from "../client.js";

/** @type {Map<string, Client>} */
const clients = new Map();

/**
 * A style sheet for shadow roots. Built by script, which a strict Content-Security-Policy allows.
 *
 * @param {string} css
 */
export function sheet(css) {
  const made = new CSSStyleSheet();
  made.replaceSync(css);
  return made;
}

/**
 * Colours come from the page's `--bb-…` variables. The fallbacks follow its `color-scheme`, so that the elements are
 * never dark on a page that is only light.
 */
const common = sheet(`
  :host {
    --ink: var(--bb-ink, light-dark(#24211c, #e8e3d9));
    --muted: var(--bb-muted, light-dark(#6a645a, #a29b8e));
    --surface: var(--bb-surface, light-dark(#ffffff, #212224));
    --sunken: var(--bb-sunken, light-dark(#f0ece4, #2b2c2e));
    --line: var(--bb-line, light-dark(#e2dcd0, #38393b));
    --accent: var(--bb-accent, light-dark(#2c6560, #86c0b6));
    --on-accent: var(--bb-on-accent, light-dark(#ffffff, #10201e));
    --good: var(--bb-good, light-dark(#2f6b3c, #8cc79a));
    --warn: var(--bb-warn, light-dark(#8a5a12, #dcb46c));
    --bad: var(--bb-bad, light-dark(#a2352b, #eb9a8f));
    --radius: var(--bb-radius, 10px);
    display: block;
    color: var(--ink);
    font-family: var(--bb-font, system-ui, -apple-system, "Segoe UI", "PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", sans-serif);
  }
  :host([hidden]), [hidden] { display: none !important; }
  *, ::before, ::after { box-sizing: border-box; }
  button {
    font: inherit; font-size: .875rem; font-weight: 550; color: var(--ink); cursor: pointer;
    min-height: 2.25rem; padding: .3rem .9rem; border: 1px solid var(--line); border-radius: 999px; background: var(--surface);
  }
  button:hover { border-color: var(--muted); }
  button:disabled { opacity: .55; cursor: default; }
  button.plain { border: 0; background: none; padding: .3rem .5rem; color: var(--accent); }
  button.plain:hover { text-decoration: underline; text-underline-offset: .2em; }
  :focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; border-radius: 4px; }
  button:focus-visible { border-radius: 999px; }
  a { color: var(--accent); text-underline-offset: .2em; }
  .silent {
    position: absolute; width: 1px; height: 1px; margin: -1px; padding: 0; overflow: hidden;
    clip-path: inset(50%); white-space: nowrap; border: 0;
  }
  .status {
    display: inline-flex; align-items: center; gap: .45em; font-size: .8125rem; font-weight: 600; white-space: nowrap;
    color: var(--tone);
  }
  .status::before { content: ""; flex: none; width: .55em; height: .55em; border-radius: 50%; background: currentColor; }
  [data-status] { --tone: var(--muted); }
  [data-status="running"] { --tone: var(--accent); }
  [data-status="completed"] { --tone: var(--good); }
  [data-status="failed"] { --tone: var(--bad); }
  [data-status="pending"] { --tone: var(--warn); }
  @media (prefers-reduced-motion: no-preference) {
    [data-status="running"] .status::before, .status[data-status="running"]::before { animation: breathe 1.6s ease-in-out infinite; }
  }
  @keyframes breathe { 50% { opacity: .3; } }
`);

export class BackburnerElement extends HTMLElement {
  /** @param {CSSStyleSheet} styles */
  constructor(styles) {
    super();
    this.root = this.attachShadow({ mode: "open" });
    this.root.adoptedStyleSheets = [common, styles];
    this._stop = null;
  }

  /** The attribute `base` says where backburner's routes are; by default where this file came from. */
  get client() {
    const base = this.getAttribute("base") ?? "";
    if (!clients.has(base)) clients.set(base, new Client(base ? { base } : {}));
    return clients.get(base);
  }

  connectedCallback() {
    this.restart();
  }

  disconnectedCallback() {
    this._stop?.();
    this._stop = null;
  }

  attributeChangedCallback(name, before, after) {
    if (this.isConnected && this._stop && before !== after) this.restart();
  }

  restart() {
    this._stop?.();
    this._stop = this.start() ?? (() => {});
  }

  /** Subscribes to what the element shows. @returns {(() => void)|void} stops it */
  start() {}
}
