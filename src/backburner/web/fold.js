/**
 * What the events of a log make of a job: pure functions, the browser's counterpart of `backburner.domain.events`.
 *
 * Offsets of text count Unicode code points, while JavaScript counts UTF-16 units: a character beyond the basic plane
 * (an emoji, a rare Chinese character) is one of the former and two of the latter.
 *
 * @typedef {{type: string, title: string, detail: string, retrying?: boolean}} JobError
 * @typedef {Object} Job
 * @property {string} id
 * @property {string} task
 * @property {string} queue
 * @property {"pending"|"running"|"completed"|"failed"|"cancelled"} status
 * @property {string|null} waiting_for turn, time, limit, budget, answer or child
 * @property {number} priority
 * @property {number} attempt
 * @property {boolean} cancel_requested
 * @property {{percent: number, message: string}} progress
 * @property {number|null} position
 * @property {number|null} eta_seconds
 * @property {number} tries
 * @property {number} max_tries
 * @property {boolean} can_retry
 * @property {string|null} created_at
 * @property {string|null} started_at
 * @property {string|null} finished_at
 * @property {number|null} duration_seconds
 * @property {{input_tokens: number, output_tokens: number}} usage
 * @property {any} [args]
 * @property {any} [result]
 * @property {JobError|null} error
 *
 * @typedef {Object} JobState
 * @property {Job|null} job null until the first snapshot
 * @property {Record<string, string>} text the text of each channel
 * @property {Record<string, number>} lengths how many code points each channel has
 * @property {number} seq the last entry of the log that was applied, 0 when not known
 * @property {string|null} cursor where to resume
 * @property {boolean} gap an entry is missing: only a new snapshot helps
 *
 * @typedef {Object} OwnerState
 * @property {Record<string, Job>} jobs
 * @property {Record<string, number>} seqs
 * @property {number} unread
 * @property {number} newest the largest id of a notification seen
 * @property {string|null} cursor
 * @property {boolean} ready whether a snapshot has come
 * @property {string[]} unknown jobs of which only events were seen: their records are to be fetched
 */

const TERMINAL = { "job.completed": "completed", "job.failed": "failed", "job.cancelled": "cancelled" };
const FINISHED = new Set(Object.values(TERMINAL));

/** @returns {JobState} */
export function emptyJobState() {
  return { job: null, text: {}, lengths: {}, seq: 0, cursor: null, gap: false };
}

/** @returns {OwnerState} */
export function emptyOwnerState() {
  return { jobs: {}, seqs: {}, unread: 0, newest: 0, cursor: null, ready: false, unknown: [] };
}

/** @param {Job|null|undefined} job */
export function isFinished(job) {
  return job != null && FINISHED.has(job.status);
}

/**
 * The state after one event of a single job's stream. Events that were applied before change nothing.
 *
 * @param {JobState} state
 * @param {string} name
 * @param {any} data
 * @param {string|null} [cursor] the event's id
 * @returns {JobState}
 */
export function applyToJob(state, name, data, cursor = null) {
  if (name === "snapshot") return jobFromSnapshot(state, data, cursor);
  if (name === "job.outlook") return state.job ? { ...state, job: withOutlook(state.job, data) } : state;
  if (data.seq != null && data.seq <= state.seq) return state;
  const next = { ...state, seq: data.seq ?? state.seq, cursor: cursor ?? state.cursor };
  if (name === "text.delta") return withDelta(next, data);
  if (name === "attempt.reset") return withReset(next, data);
  return next.job ? { ...next, job: advance(next.job, name, data) } : next;
}

/**
 * The state after one event of an owner's stream; the text of jobs is left to their own streams.
 *
 * @param {OwnerState} state
 * @param {string} name
 * @param {any} data
 * @param {string|null} [cursor]
 * @returns {OwnerState}
 */
export function applyToOwner(state, name, data, cursor = null) {
  if (name === "snapshot") return ownerFromSnapshot(state, data, cursor);
  const next = { ...state, cursor: cursor ?? state.cursor };
  if (name === "notification") return withNotification(next, data);
  const id = data.job;
  if (name === "text.delta" || id == null || data.seq <= (state.seqs[id] ?? 0)) return next;
  next.seqs = { ...state.seqs, [id]: data.seq };
  const known = state.jobs[id];
  if (known) next.jobs = { ...state.jobs, [id]: advance(known, name, data) };
  else if (!state.unknown.includes(id)) next.unknown = [...state.unknown, id];
  return next;
}

/**
 * A job with what is to be expected of it now; one that has ended expects nothing.
 *
 * @param {Job} job
 * @param {{position: number|null, eta_seconds: number|null}} outlook
 * @returns {Job}
 */
export function withOutlook(job, { position, eta_seconds }) {
  return isFinished(job) ? job : { ...job, position, eta_seconds };
}

/**
 * An owner's state with the record of a job put in.
 *
 * @param {OwnerState} state
 * @param {Job} job
 * @returns {OwnerState}
 */
export function withRecord(state, job) {
  return {
    ...state,
    jobs: { ...state.jobs, [job.id]: job },
    unknown: state.unknown.filter((id) => id !== job.id),
  };
}

/**
 * The first ``count`` code points of a text.
 *
 * @param {string} text
 * @param {number} count
 */
export function firstCodePoints(text, count) {
  let units = 0;
  for (let left = count; left > 0 && units < text.length; left -= 1) {
    units += text.codePointAt(units) > 0xffff ? 2 : 1;
  }
  return text.slice(0, units);
}

/** @param {string} text */
export function countCodePoints(text) {
  let count = 0;
  for (let units = 0; units < text.length; units += text.codePointAt(units) > 0xffff ? 2 : 1) count += 1;
  return count;
}

function jobFromSnapshot(state, data, cursor) {
  const text = { ...data.text };
  const lengths = Object.fromEntries(Object.entries(text).map(([name, each]) => [name, countCodePoints(each)]));
  const seq = data.seq ?? data.job?.seq ?? (data.reset ? 0 : state.seq);
  return { job: data.job, text, lengths, seq, cursor: cursor ?? data.cursor ?? null, gap: false };
}

function ownerFromSnapshot(state, data, cursor) {
  const jobs = Object.fromEntries((data.jobs ?? []).map((job) => [job.id, job]));
  const read = { unread: data.unread ?? 0, cursor: cursor ?? data.cursor ?? null };
  return { ...state, ...read, jobs, seqs: data.reset ? {} : state.seqs, ready: true, unknown: [] };
}

function withNotification(state, data) {
  if (data.id != null && data.id <= state.newest) return state;
  return { ...state, unread: state.unread + 1, newest: data.id ?? state.newest };
}

function withDelta(state, { channel, offset, delta }) {
  const length = state.lengths[channel] ?? 0;
  if (offset > length) return { ...state, gap: true };
  const text = state.text[channel] ?? "";
  const kept = offset === length ? text : firstCodePoints(text, offset);
  return {
    ...state,
    text: { ...state.text, [channel]: kept + delta },
    lengths: { ...state.lengths, [channel]: offset + countCodePoints(delta) },
  };
}

function withReset(state, { attempt, channels }) {
  const text = { ...state.text };
  const lengths = { ...state.lengths };
  for (const [channel, offset] of Object.entries(channels)) {
    text[channel] = firstCodePoints(text[channel] ?? "", offset);
    lengths[channel] = Math.min(lengths[channel] ?? 0, offset);
  }
  const job = state.job && { ...state.job, attempt: attempt ?? state.job.attempt };
  return { ...state, job, text, lengths };
}

/**
 * A job's record after an event of its log.
 *
 * @param {Job} job
 * @param {string} name
 * @param {any} data
 * @returns {Job}
 */
function advance(job, name, data) {
  const next = { ...job, updated_at: data.at ?? job.updated_at };
  if (TERMINAL[name]) return ended(next, name, data);
  switch (name) {
    case "job.submitted":
      return { ...next, status: "pending" };
    case "job.started":
      return started(next, data);
    case "job.progress":
      return { ...next, progress: { percent: data.percent, message: data.message ?? "" } };
    case "job.retrying":
      return retrying(next, data);
    default:
      return next;
  }
}

function started(job, data) {
  return {
    ...job,
    status: "running",
    attempt: data.attempt ?? job.attempt,
    waiting_for: null,
    position: null,
    eta_seconds: null,
    started_at: job.started_at ?? data.at ?? null,
    finished_at: null,
    can_retry: false,
    error: null,
  };
}

function retrying(job, data) {
  const failure = data.reason === "failure";
  return {
    ...job,
    status: "pending",
    waiting_for: failure ? "time" : "turn",
    tries: failure ? (job.tries ?? 0) + 1 : data.reason === "manual" ? 0 : job.tries,
    finished_at: null,
    can_retry: false,
    cancel_requested: false,
    error: data.error ? { ...data.error, retrying: true } : null,
  };
}

function ended(job, name, data) {
  const status = TERMINAL[name];
  return {
    ...job,
    status,
    waiting_for: null,
    position: null,
    eta_seconds: null,
    finished_at: data.at ?? null,
    can_retry: status !== "completed",
    error: status === "failed" ? (data.error ?? null) : null,
    progress: status === "completed" ? { percent: 100, message: job.progress?.message ?? "" } : job.progress,
  };
}
