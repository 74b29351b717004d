/**
 * One line to the server that stays up: `EventSource`, and what it lacks.
 *
 * `EventSource` reconnects by itself after a drop, and sends the last cursor in `Last-Event-ID`. It gives up for good on
 * an HTTP error, and never notices a dead line. So: a heartbeat is missed after 45 s; after a final close this opens a
 * new one with `?after=`, waiting longer each time; a page that stays hidden lets its line go. Where somebody is signed
 * in by a token, each line needs a ticket of its own, and is renewed before the token expires.
 */

import { askForRoom, holdLine, isCrowded, onAskedForRoom } from "./lines.js";

export const EVENT_NAMES = [
  "snapshot",
  "job.submitted",
  "job.started",
  "job.progress",
  "job.outlook",
  "text.delta",
  "attempt.reset",
  "step.completed",
  "job.retrying",
  "job.completed",
  "job.failed",
  "job.cancelled",
  "notification",
  "token.expiring",
  "heartbeat",
];

const SILENCE_MS = 45_000;
const HIDDEN_MS = 5 * 60_000;
const FIRST_WAIT_MS = 1_000;
const LONGEST_WAIT_MS = 30_000;

export class EventStream {
  /**
   * @param {Object} options
   * @param {string} options.url
   * @param {string|null} [options.cursor] where to resume; null for a snapshot first
   * @param {(name: string, data: any, cursor: string|null) => void} options.onEvent
   * @param {(open: boolean) => void} [options.onLine] the line came up, or went down
   * @param {(renew: boolean) => Promise<string|null>} [options.ticket] opens one line; null where none is needed
   * @param {() => Promise<void>} [options.onRefused] after a final close, before the next try; it may `close` this
   */
  constructor({ url, cursor = null, onEvent, onLine, ticket, onRefused }) {
    this.url = url;
    this.cursor = cursor;
    this._onEvent = onEvent;
    this._onLine = onLine ?? (() => {});
    this._ticket = ticket ?? null;
    this._expiring = false;
    this._opening = 0;
    this._onRefused = onRefused ?? (async () => {});
    this._failures = 0;
    this._closed = false;
    this._suspended = false;
    this._timers = new Map();
    this._source = null;
    this._release = () => {};
    this._deafen = () => {};
    this._onVisibility = () => this._followVisibility();
    this._onPageHide = () => this._suspend();
    this._onPageShow = () => this._resume();
    this._onOnline = () => this._source || this._resumeNow();
  }

  start() {
    globalThis.document?.addEventListener("visibilitychange", this._onVisibility);
    globalThis.addEventListener?.("pagehide", this._onPageHide);
    globalThis.addEventListener?.("pageshow", this._onPageShow);
    globalThis.addEventListener?.("online", this._onOnline);
    this._deafen = onAskedForRoom(() => globalThis.document?.hidden && this._suspend());
    this._open();
    this._followVisibility();
    return this;
  }

  /** Lets the line go and takes it up again, from the cursor, or with a new snapshot when it is set to null. */
  reopen() {
    if (this._closed || this._suspended) return;
    this._drop();
    this._open();
  }

  close() {
    this._closed = true;
    this._drop();
    this._deafen();
    for (const name of [...this._timers.keys()]) this._cancel(name);
    globalThis.document?.removeEventListener("visibilitychange", this._onVisibility);
    globalThis.removeEventListener?.("pagehide", this._onPageHide);
    globalThis.removeEventListener?.("pageshow", this._onPageShow);
    globalThis.removeEventListener?.("online", this._onOnline);
  }

  _open() {
    if (this._closed || this._suspended || this._source) return;
    this._cancel("retry");
    if (!this._ticket) return this._connect(null);
    const turn = (this._opening += 1);
    const renew = this._expiring;
    this._expiring = false;
    this._ticket(renew).then(
      (ticket) => turn === this._opening && !this._source && this._connect(ticket),
      () => turn === this._opening && !this._closed && this._retry(),
    );
  }

  _connect(ticket) {
    if (this._closed || this._suspended) return;
    const parameters = new URLSearchParams();
    if (this.cursor !== null) parameters.set("after", this.cursor);
    if (ticket !== null) parameters.set("ticket", ticket);
    const join = this.url.includes("?") ? "&" : "?";
    const query = String(parameters);
    const source = new EventSource(query ? this.url + join + query : this.url);
    this._source = source;
    this._used = ticket !== null;
    this._release = holdLine();
    isCrowded().then((crowded) => crowded && askForRoom());
    source.onopen = () => this._heard(source);
    source.onerror = () => this._lost(source);
    for (const name of EVENT_NAMES) source.addEventListener(name, (event) => this._receive(source, name, event));
    this._arm("silence", SILENCE_MS, () => this._retry());
  }

  _receive(source, name, event) {
    if (source !== this._source) return;
    this._heard(source);
    if (name === "heartbeat") return;
    const data = JSON.parse(event.data);
    if (name === "token.expiring") return this._renew(data.expires_in);
    const cursor = event.lastEventId || data.cursor || this.cursor;
    this.cursor = cursor;
    this._onEvent(name, data, cursor);
  }

  _heard(source) {
    if (source !== this._source) return;
    this._failures = 0;
    this._arm("silence", SILENCE_MS, () => this._retry());
    this._onLine(true);
  }

  _lost(source) {
    if (source !== this._source) return;
    this._onLine(false);
    // The browser would come back with a ticket that is used up.
    if (this._used || source.readyState === EventSource.CLOSED) this._retry();
  }

  /** The line ends in ``seconds``: half of that is time enough for a new token and a new line. */
  _renew(seconds) {
    this._arm("renew", (seconds * 1000) / 2, () => {
      this._expiring = true;
      this.reopen();
    });
  }

  async _retry() {
    this._drop();
    this._onLine(false);
    const wait = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** this._failures) * (0.5 + Math.random() / 2);
    this._failures += 1;
    await this._onRefused();
    if (!this._closed && !this._source) this._arm("retry", wait, () => this._open());
  }

  _resumeNow() {
    this._failures = 0;
    this._open();
  }

  _followVisibility() {
    if (globalThis.document?.hidden) {
      this._arm("hidden", HIDDEN_MS, () => this._suspend());
      isCrowded().then((crowded) => crowded && globalThis.document.hidden && this._suspend());
      return;
    }
    this._cancel("hidden");
    this._resume();
  }

  _suspend() {
    this._suspended = true;
    this._drop();
  }

  _resume() {
    if (!this._suspended) return;
    this._suspended = false;
    this._resumeNow();
  }

  _drop() {
    this._opening += 1;
    this._cancel("renew");
    this._cancel("silence");
    this._cancel("retry");
    this._release();
    this._source?.close();
    this._source = null;
  }

  _arm(name, ms, action) {
    this._cancel(name);
    this._timers.set(
      name,
      setTimeout(() => {
        this._timers.delete(name);
        action();
      }, ms),
    );
  }

  _cancel(name) {
    clearTimeout(this._timers.get(name));
    this._timers.delete(name);
  }
}
