/** One connection a job, however many elements of the page show it. */

import { isFinished, RequestError } from "./client.js";
import { emptyJobState, withOutlook } from "./fold.js";

/** @typedef {import("./client.js").Client} Client */

/** @type {Map<string, JobFeed>} */
const jobs = new Map();
/** @type {Map<string, OwnerFeed>} */
const owners = new Map();

/** @param {Client} client @param {string} id @returns {JobFeed} */
export function jobFeed(client, id) {
  const key = `${client.base} ${id}`;
  if (!jobs.has(key)) jobs.set(key, new JobFeed(client, id, () => jobs.delete(key)));
  return jobs.get(key);
}

/** @param {Client} client @returns {OwnerFeed} */
export function ownerFeed(client) {
  if (!owners.has(client.base)) owners.set(client.base, new OwnerFeed(client, () => owners.delete(client.base)));
  return owners.get(client.base);
}

class Feed {
  constructor(client, forget) {
    this.client = client;
    this.line = true;
    /** @type {Error|null} why there is nothing to show */
    this.problem = null;
    this._forget = forget;
    this._listeners = new Set();
    this._stopping = null;
  }

  /**
   * Call ``listener(feed, name, data)`` at each change, now too when something is known; ``name`` is the event's, or
   * undefined. The connection lives as long as somebody listens.
   *
   * @returns {() => void} stops it
   */
  subscribe(listener) {
    this._listeners.add(listener);
    if (!this._stopping) this._start();
    if (this.known || this.problem) listener(this);
    return () => {
      this._listeners.delete(listener);
      // An element that is only moved within the page is back before the next task.
      setTimeout(() => this._listeners.size || this._end());
    };
  }

  _start() {
    this.problem = null;
    this._stopping = new AbortController();
    this._run(this._stopping.signal);
  }

  _end() {
    this._stopping?.abort();
    this._stopping = null;
    this._forget();
  }

  _setLine(open) {
    if (open === this.line) return;
    this.line = open;
    this._tell();
  }

  _tell(name, data) {
    for (const listener of [...this._listeners]) {
      try {
        listener(this, name, data);
      } catch (error) {
        reportError(error); // one listener's mistake must not cut the others, or the line, off
      }
    }
  }
}

class JobFeed extends Feed {
  constructor(client, id, forget) {
    super(client, forget);
    this.id = id;
    this.state = emptyJobState();
    /** Whether more is to come; false only when the job has ended and its record is complete. */
    this.following = false;
  }

  get known() {
    return this.state.job !== null;
  }

  async cancel() {
    const job = await this.client.cancel(this.id);
    // The stream may have told of the end before the answer came.
    if (!isFinished(this.state.job)) this._adopt(job);
  }

  async retry() {
    const job = await this.client.retry(this.id);
    if (isFinished(this.state.job)) this._adopt(job);
    this.wake();
  }

  /** Goes on listening to a job that had ended and was sent round again. */
  wake() {
    if (!this._listeners.size || this.following) return;
    this._stopping?.abort();
    this._start();
  }

  _adopt(job) {
    this.state = { ...this.state, job };
    this._tell();
  }

  async _run(signal) {
    this.following = true;
    try {
      await this.client.follow(this.id, {
        signal,
        from: this.state,
        onLine: (open) => this._setLine(open),
        onEvent: (name, data, state) => {
          this.state = state;
          this._tell(name, data);
        },
        onChange: (state) => {
          if (state === this.state) return;
          this.state = state;
          this._tell();
        },
      });
    } catch (error) {
      if (signal.aborted) return;
      this.problem = error instanceof RequestError ? error : new RequestError(0, { detail: String(error) });
    }
    this.following = false;
    this._tell();
  }

  _end() {
    this.following = false;
    super._end();
  }
}

const AGAIN = new Set(["job.retrying", "job.started", "job.submitted"]);

class OwnerFeed extends Feed {
  constructor(client, forget) {
    super(client, forget);
    /** @type {import("./fold.js").OwnerState|null} */
    this.state = null;
    this.unread = 0;
    this._told = null;
    /** @type {Map<string, import("./fold.js").Job>} */
    this._expected = new Map();
  }

  get known() {
    return this.state !== null;
  }

  _run(signal) {
    this.client.watch({
      signal,
      onLine: (open) => this._setLine(open),
      onEvent: (name, data, state) => {
        if (name === "snapshot") this.unread = state.unread;
        else if (state.newest !== this.state?.newest) this.unread += 1;
        this._told = state;
        this.state = this._expecting(state);
        if (AGAIN.has(name)) this._wake(data.job);
        this._tell(name, data);
      },
      onChange: (state) => {
        if (state === this._told) return;
        this._told = state;
        this.state = this._expecting(state);
        this._tell();
      },
    });
  }

  /** What the server said after something was read; the stream does not tell. @param {number} unread */
  setUnread(unread) {
    this.unread = unread;
    this._tell();
  }

  /** Position and time left of jobs, as somebody has just read them. @param {import("./fold.js").Job[]} jobs */
  expect(jobs) {
    this._expected = new Map(jobs.map((job) => [job.id, job]));
    if (!this.state) return;
    this.state = this._expecting(this.state);
    this._tell();
  }

  /** The events know nothing of it. */
  _expecting(state) {
    const told = {};
    for (const [id, job] of this._expected) {
      const known = state.jobs[id];
      if (known?.status === job.status) told[id] = withOutlook(known, job);
    }
    return { ...state, jobs: { ...state.jobs, ...told } };
  }

  _wake(id) {
    const feed = jobs.get(`${this.client.base} ${id}`);
    if (feed && isFinished(feed.state.job)) feed.wake();
  }
}
