/** A job's state in words. */

import { duration } from "./format.js";
import { words } from "./strings.js";

/** @typedef {import("./fold.js").Job} Job */

/** The one word for where a job stands. @param {Job} job */
export function statusWord(job) {
  return job.cancel_requested && job.status === "running" ? words.cancelling : words.status[job.status];
}

/** A sentence on what a job is doing, or how it ended. @param {Job} job */
export function sentence(job) {
  switch (job.status) {
    case "pending":
      return job.error?.retrying ? words.isRetrying : joined(waiting(job));
    case "running":
      return joined([job.progress?.message || words.working, job.attempt > 1 && words.attempt(job.attempt), remaining(job)]);
    case "completed":
      return job.duration_seconds == null ? "" : words.doneIn(duration(job.duration_seconds));
    case "failed":
      return job.error ? words.errorTitle(job.error) : "";
    default:
      return words.wasCancelled;
  }
}

/** Why a request did not work. @param {any} error a `RequestError` */
export function reason(error) {
  if (error.status === 0) return words.unreachable;
  if (error.status === 401) return words.notSignedIn;
  if (error.status === 404) return words.noJob;
  return error.message;
}

function waiting(job) {
  return [words.waitingFor[job.waiting_for] ?? words.waitingFor.turn, job.position && words.position(job.position), remaining(job)];
}

function remaining(job) {
  return job.eta_seconds ? words.eta(duration(Math.round(job.eta_seconds))) : null;
}

function joined(parts) {
  return parts.filter(Boolean).join(" · ");
}
