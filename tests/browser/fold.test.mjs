// What the events of a log make of a job in the browser. Run by test_fold.py: node --test

import assert from "node:assert/strict";
import { test } from "node:test";
import { applyToJob, applyToOwner, countCodePoints, emptyJobState, emptyOwnerState, firstCodePoints } from "../../src/backburner/web/fold.js";

const JOB = { id: "a", status: "running", attempt: 1, tries: 0, progress: { percent: 0, message: "" }, error: null };

function folded(events, state = emptyJobState()) {
  return events.reduce((before, [name, data, cursor]) => applyToJob(before, name, data, cursor), state);
}

function snapshot(text = {}, job = JOB) {
  return ["snapshot", { job, text, cursor: "j-3" }, "j-3"];
}

function delta(seq, offset, text, channel = "main") {
  return ["text.delta", { seq, channel, attempt: 1, offset, delta: text }, `j-${seq}`];
}

test("deltas append to the text of a snapshot", () => {
  const state = folded([snapshot({ main: "雨" }), delta(4, 1, "停"), delta(5, 2, "了。")]);
  assert.equal(state.text.main, "雨停了。");
  assert.equal(state.cursor, "j-5");
});

test("offsets count code points where characters take two units", () => {
  const state = folded([snapshot({ main: "𠮷祥😀" }), delta(4, 3, "𝄞!"), delta(5, 5, "?")]);
  assert.equal(state.text.main, "𠮷祥😀𝄞!?");
  assert.equal(state.lengths.main, 6);
});

test("a delta at an earlier offset replaces what stood behind it, between characters", () => {
  const state = folded([snapshot({ main: "a😀bc" }), delta(4, 2, "😎d")]);
  assert.equal(state.text.main, "a😀😎d");
  assert.equal(state.lengths.main, 4);
});

test("an event that comes again changes nothing", () => {
  const before = folded([snapshot(), delta(4, 0, "one "), delta(5, 4, "two ")]);
  assert.equal(applyToJob(before, ...delta(4, 0, "one ")), before);
  assert.equal(applyToJob(before, ...delta(5, 4, "two ")), before);
  assert.equal(before.text.main, "one two ");
});

test("a delta beyond the end is a gap and leaves the text alone", () => {
  const state = folded([snapshot({ main: "ab" }), delta(9, 3, "d")]);
  assert.equal(state.gap, true);
  assert.equal(state.text.main, "ab");
});

test("a snapshot fills a gap and replaces everything", () => {
  const state = folded([snapshot({ main: "ab" }), delta(9, 3, "d"), ["snapshot", { job: JOB, text: { main: "abcd" }, cursor: "j-9", reset: true }]]);
  assert.equal(state.gap, false);
  assert.equal(state.text.main, "abcd");
});

test("a reset voids the text behind the offset in each channel it names", () => {
  const reset = ["attempt.reset", { seq: 7, attempt: 2, channels: { main: 2, notes: 0 } }, "j-7"];
  const state = folded([snapshot({ main: "😀😀rest", notes: "x", other: "kept" }), reset, delta(8, 2, "new")]);
  assert.deepEqual(state.text, { main: "😀😀new", notes: "", other: "kept" });
  assert.equal(state.job.attempt, 2);
});

test("a reset behind the end voids nothing", () => {
  const state = folded([snapshot({ main: "ab" }), ["attempt.reset", { seq: 7, attempt: 2, channels: { main: 5 } }]]);
  assert.equal(state.text.main, "ab");
  assert.equal(state.lengths.main, 2);
});

test("channels are kept apart", () => {
  const state = folded([snapshot(), delta(4, 0, "left", "a"), delta(5, 0, "right", "b")]);
  assert.deepEqual(state.text, { a: "left", b: "right" });
});

test("a job goes from waiting to its end", () => {
  const job = { ...JOB, status: "pending", waiting_for: "turn", position: 3 };
  const started = folded([snapshot({}, job), ["job.started", { seq: 4, attempt: 1, at: "2026-01-01T00:00:00Z" }]]);
  assert.equal(started.job.status, "running");
  assert.equal(started.job.waiting_for, null);
  assert.equal(started.job.position, null);
  const ended = folded([["job.progress", { seq: 5, percent: 40, message: "half" }], ["job.completed", { seq: 6, at: "2026-01-01T00:00:09Z" }]], started);
  assert.equal(ended.job.status, "completed");
  assert.deepEqual(ended.job.progress, { percent: 100, message: "half" });
  assert.equal(ended.job.can_retry, false);
});

test("a failed try is told as one that is tried again", () => {
  const error = { type: "timeout", title: "The job took too long", detail: "…", retrying: true };
  const state = folded([snapshot(), ["job.retrying", { seq: 4, reason: "failure", error }]]);
  assert.equal(state.job.status, "pending");
  assert.equal(state.job.waiting_for, "time");
  assert.equal(state.job.tries, 1);
  assert.equal(state.job.error.retrying, true);
  assert.equal(folded([["job.started", { seq: 5, attempt: 2 }]], state).job.error, null);
});

test("a rescue costs no try", () => {
  const state = folded([snapshot(), ["job.retrying", { seq: 4, reason: "rescue" }]]);
  assert.equal(state.job.tries, 0);
  assert.equal(state.job.waiting_for, "turn");
});

test("failed and cancelled jobs may be sent round again, with fresh tries", () => {
  const failed = folded([snapshot(), ["job.failed", { seq: 4, error: { type: "x", title: "t", detail: "d" } }]]);
  assert.equal(failed.job.can_retry, true);
  assert.equal(failed.job.error.title, "t");
  const again = folded([["job.retrying", { seq: 5, reason: "manual" }]], failed);
  assert.equal(again.job.status, "pending");
  assert.equal(again.job.tries, 0);
  assert.equal(again.job.error, null);
});

test("code points are counted and cut whole", () => {
  assert.equal(countCodePoints("a😀𠮷"), 3);
  assert.equal(firstCodePoints("a😀𠮷b", 2), "a😀");
  assert.equal(firstCodePoints("ab", 9), "ab");
  assert.equal(firstCodePoints("ab", 0), "");
});

test("an owner's stream keeps jobs and counts what is unread once", () => {
  const start = applyToOwner(emptyOwnerState(), "snapshot", { jobs: [JOB], unread: 2, cursor: "o-5" });
  const note = { id: 7, kind: "completed", title: "Done", job: "a" };
  const once = applyToOwner(start, "notification", note, "o-6");
  const twice = applyToOwner(once, "notification", note, "o-6");
  assert.equal(once.unread, 3);
  assert.equal(twice.unread, 3);
  const ended = applyToOwner(twice, "job.completed", { job: "a", seq: 9, at: "now" }, "o-7");
  assert.equal(ended.jobs.a.status, "completed");
  assert.equal(applyToOwner(ended, "job.progress", { job: "a", seq: 8, percent: 1 }).jobs.a.status, "completed");
});

test("a job that an owner's stream does not know yet is to be fetched", () => {
  const start = applyToOwner(emptyOwnerState(), "snapshot", { jobs: [], unread: 0, cursor: "o-5" });
  const state = applyToOwner(start, "job.submitted", { job: "new", seq: 1 }, "o-6");
  assert.deepEqual(state.unknown, ["new"]);
});

test("what is to be expected is told beside the log, and ends with the job", () => {
  let state = applyToJob(emptyJobState(), "snapshot", { job: { id: "1", status: "pending", position: 6, eta_seconds: 19 }, text: {} }, "j-1");
  state = applyToJob(state, "job.outlook", { job: "1", position: 2, eta_seconds: 7.5 });
  assert.deepEqual([state.job.position, state.job.eta_seconds, state.cursor], [2, 7.5, "j-1"]);
  state = applyToJob(state, "job.started", { seq: 2, attempt: 1 }, "j-2");
  assert.deepEqual([state.job.position, state.job.eta_seconds], [null, null]);
  state = applyToJob(state, "job.completed", { seq: 3 }, "j-3");
  state = applyToJob(state, "job.outlook", { job: "1", position: 1, eta_seconds: 3 });
  assert.deepEqual([state.job.position, state.job.eta_seconds], [null, null]);
});
