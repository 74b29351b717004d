/**
 * backburner in a browser: submit jobs, watch them, read the inbox.
 *
 *     import { Client } from "/backburner/ui/client.js";
 *     const client = new Client();
 *     const job = await client.submit("summarize", { text });
 *     const { job: ended, text } = await client.follow(job.id, { onChange: ({ text }) => show(text.main) });
 */

import { applyToJob, applyToOwner, emptyJobState, emptyOwnerState, isFinished, withRecord } from "./fold.js";
import { request, RequestError } from "./requests.js";
import { EventStream } from "./stream.js";

export { isFinished, RequestError };

/**
 * @typedef {import("./fold.js").Job} Job
 * @typedef {import("./fold.js").JobState} JobState
 * @typedef {import("./fold.js").OwnerState} OwnerState
 * @typedef {string|null|((options: {renew: boolean}) => string|null|Promise<string|null>)} Token
 */

/** This file is served as `<prefix>/ui/client.js`. */
const HOME = new URL("..", import.meta.url).href.replace(/\/$/, "");

/** @type {Token} */
let everybodys = null;

/**
 * Says who is looking, for every client and element of this page that is told nothing of its own.
 *
 * @param {Token} token
 */
export function signIn(token) {
  everybodys = token;
}

export class Client {
  /**
   * ``base``: where backburner's routes are, by default where this file came from. ``token``: a JSON Web Token or a read
   * token, or a function that answers one; it is called for each request, and with ``{ renew: true }`` when the server
   * refuses the last one or an open line is about to end with it.
   *
   * @param {{base?: string, token?: Token}} [options]
   */
  constructor({ base = HOME, token = undefined } = {}) {
    this.base = base.replace(/\/$/, "");
    this._given = token;
    this._token = (renew) => resolveToken(this._given === undefined ? everybodys : this._given, renew);
  }

  /**
   * Submit a job of a public task.
   *
   * @param {string} task
   * @param {Record<string, any>} args
   * @param {{priority?: number, delay?: number, key?: string, signal?: AbortSignal}} [options]
   * @returns {Promise<Job>}
   */
  submit(task, args, { signal, ...options } = {}) {
    return this._request("/jobs", { method: "POST", body: { task, args, ...options }, signal });
  }

  /** @param {string} id @param {{signal?: AbortSignal}} [options] @returns {Promise<Job>} */
  get(id, options) {
    return this._request(`/jobs/${encodeURIComponent(id)}`, options);
  }

  /** @param {string} id @returns {Promise<Job>} */
  cancel(id) {
    return this._request(`/jobs/${encodeURIComponent(id)}/cancel`, { method: "POST", repeatable: true });
  }

  /** @param {string} id @returns {Promise<Job>} */
  retry(id) {
    return this._request(`/jobs/${encodeURIComponent(id)}/retry`, { method: "POST" });
  }

  /** @param {string} id @param {{signal?: AbortSignal}} [options] @returns {Promise<any>} what the task returned */
  result(id, options) {
    return this._request(`/jobs/${encodeURIComponent(id)}/result`, options);
  }

  /**
   * A page of the caller's jobs, newest first; ``next`` is the cursor of the page behind.
   *
   * @param {{status?: string, task?: string, queue?: string, limit?: number, cursor?: string, signal?: AbortSignal}} [filters]
   * @returns {Promise<{jobs: Job[], next: string|null}>}
   */
  list({ signal, ...filters } = {}) {
    return this._request(`/jobs${query(filters)}`, { signal });
  }

  /**
   * @param {{unread_only?: boolean, limit?: number, cursor?: string, signal?: AbortSignal}} [filters]
   * @returns {Promise<{notifications: any[], unread: number, next: string|null}>}
   */
  inbox({ signal, ...filters } = {}) {
    return this._request(`/inbox${query(filters)}`, { signal });
  }

  /** @param {number} id @returns {Promise<{unread: number}>} */
  markRead(id) {
    return this._request(`/inbox/${encodeURIComponent(id)}/read`, { method: "POST", repeatable: true });
  }

  /** @returns {Promise<{unread: number}>} */
  markAllRead() {
    return this._request("/inbox/read-all", { method: "POST", repeatable: true });
  }

  /**
   * Watch a job until it ends. Rejects with a `RequestError` when there is no such job, and when ``signal`` aborts.
   *
   * @param {string} id
   * @param {Object} [options]
   * @param {(state: JobState) => void} [options.onChange]
   * @param {(name: string, data: any, state: JobState) => void} [options.onEvent]
   * @param {(open: boolean) => void} [options.onLine] the connection came up, or went down and is being restored
   * @param {JobState} [options.from] a state of earlier, to go on from there
   * @param {AbortSignal} [options.signal]
   * @returns {Promise<JobState>} the state at the end, with the full record of the job
   */
  follow(id, { onChange = ignore, onEvent = ignore, onLine, from = emptyJobState(), signal } = {}) {
    let state = from;
    return new Promise((resolve, reject) => {
      const stop = (settle, value) => {
        stream.close();
        signal?.removeEventListener("abort", abort);
        settle(value);
      };
      const abort = () => stop(reject, signal.reason);
      const end = async () => {
        stream.close();
        const job = await this.get(id, { signal }).catch(() => state.job);
        // A retry that came meanwhile is for the next `follow` to tell.
        state = { ...state, job: isFinished(job) ? job : state.job };
        onChange(state);
        stop(resolve, state);
      };
      const stream = new EventStream({
        url: `${this.base}/jobs/${encodeURIComponent(id)}/events`,
        ticket: (renew) => this._ticket(id, renew),
        cursor: from.cursor,
        onLine,
        onEvent: (name, data, cursor) => {
          const next = applyToJob(state, name, data, cursor);
          if (next.gap) {
            stream.cursor = null;
            stream.reopen();
            return;
          }
          if (next === state) return;
          state = next;
          onEvent(name, data, state);
          onChange(state);
          if (isFinished(state.job) && (name === "snapshot" || name.startsWith("job."))) end();
        },
        onRefused: async () => {
          try {
            const job = await this.get(id, { signal });
            // What ended while the line was down is told by a snapshot; behind the end the server says nothing.
            if (isFinished(job)) stream.cursor = null;
          } catch (error) {
            if (error instanceof RequestError && [401, 403, 404].includes(error.status)) stop(reject, error);
          }
        },
      });
      if (signal?.aborted) return abort();
      signal?.addEventListener("abort", abort);
      stream.start();
    });
  }

  /**
   * The events of a job, each with the state it leads to, until the job ends.
   *
   * @param {string} id
   * @param {{from?: JobState, signal?: AbortSignal}} [options]
   * @returns {AsyncGenerator<{name: string, data: any, state: JobState}, void, void>}
   */
  async *events(id, { from, signal } = {}) {
    const waiting = [];
    let wake = ignore;
    let over = false;
    const stopping = new AbortController();
    const following = this.follow(id, {
      from,
      signal: signal ? AbortSignal.any([signal, stopping.signal]) : stopping.signal,
      onEvent: (name, data, state) => {
        waiting.push({ name, data, state });
        wake();
      },
    });
    const ended = following.finally(() => {
      over = true;
      wake();
    });
    ended.catch(ignore);
    try {
      while (!over || waiting.length) {
        while (waiting.length) yield waiting.shift();
        if (!over) await new Promise((resolve) => (wake = resolve));
      }
      await following;
    } finally {
      stopping.abort();
    }
  }

  /**
   * Watch all of the caller's jobs and the inbox until ``signal`` aborts.
   *
   * @param {Object} [options]
   * @param {(state: OwnerState) => void} [options.onChange]
   * @param {(name: string, data: any, state: OwnerState) => void} [options.onEvent]
   * @param {(open: boolean) => void} [options.onLine]
   * @param {AbortSignal} [options.signal]
   * @returns {Promise<void>} resolves when aborted
   */
  watch({ onChange = ignore, onEvent = ignore, onLine, signal } = {}) {
    let state = emptyOwnerState();
    const fetchUnknown = async () => {
      for (const id of state.unknown) {
        state = { ...state, unknown: state.unknown.filter((each) => each !== id) };
        const job = await this.get(id, { signal }).catch(() => null);
        if (job) onChange((state = withRecord(state, job)));
      }
    };
    return new Promise((resolve) => {
      const stream = new EventStream({
        url: `${this.base}/events`,
        ticket: (renew) => this._ticket(null, renew),
        onLine,
        onEvent: (name, data, cursor) => {
          state = applyToOwner(state, name, data, cursor);
          onEvent(name, data, state);
          if (name !== "text.delta") onChange(state);
          if (state.unknown.length) fetchUnknown();
        },
      });
      const stop = () => {
        stream.close();
        resolve();
      };
      if (signal?.aborted) return stop();
      signal?.addEventListener("abort", stop, { once: true });
      stream.start();
    });
  }

  /** An `EventSource` sends no token: a ticket opens its line, once. Null where nobody has a token (cookies do). */
  async _ticket(job, renew) {
    if (!(await this._token(renew))) return null;
    const { ticket } = await this._request("/tickets", { method: "POST", body: job ? { job } : {}, repeatable: true });
    return ticket;
  }

  _request(path, options) {
    return request(this.base + path, { token: this._token, ...options });
  }
}

/** @param {Token} token @param {boolean} renew @returns {Promise<string|null>} */
async function resolveToken(token, renew) {
  return typeof token === "function" ? ((await token({ renew })) ?? null) : token;
}

function ignore() {}

/** @param {Record<string, any>} values */
function query(values) {
  const given = Object.entries(values).filter(([, value]) => value !== undefined && value !== null && value !== "");
  return given.length ? `?${new URLSearchParams(given.map(([name, value]) => [name, String(value)]))}` : "";
}
