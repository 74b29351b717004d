// The line to the server stays up: dead lines, refusals, hidden pages. Run by test_fold.py: node --test

import assert from "node:assert/strict";
import { beforeEach, mock, test } from "node:test";
import { EventStream } from "../../src/backburner/web/stream.js";

let sources;
let events;
let visibility;

class FakeEventSource extends EventTarget {
  static CLOSED = 2;

  constructor(url) {
    super();
    this.url = url;
    this.readyState = 0;
    sources.push(this);
  }

  close() {
    this.readyState = 2;
  }

  say(name, data, id = "") {
    this.dispatchEvent(Object.assign(new Event(name), { data: JSON.stringify(data), lastEventId: id }));
  }

  refuse() {
    this.readyState = 2;
    this.onerror();
  }
}

function open(options = {}) {
  return new EventStream({ url: "/events", onEvent: (name, data, cursor) => events.push([name, cursor]), ...options }).start();
}

async function pass(ms) {
  mock.timers.tick(ms);
  await Promise.resolve();
  await Promise.resolve();
}

async function setHidden(hidden) {
  globalThis.document.hidden = hidden;
  visibility();
}

beforeEach(() => {
  sources = [];
  events = [];
  mock.timers.reset();
  mock.timers.enable({ apis: ["setTimeout"] });
  globalThis.EventSource = FakeEventSource;
  globalThis.document = { hidden: false, addEventListener: (_, listener) => (visibility = listener), removeEventListener: () => {} };
});

test("a line that says nothing for 45 seconds is opened anew behind the last cursor", async () => {
  const stream = open();
  sources[0].say("snapshot", {}, "j-3");
  await pass(44_000);
  sources[0].say("heartbeat", {});
  await pass(44_000);
  assert.equal(sources.length, 1);
  await pass(1_000);
  await pass(1_000);
  assert.equal(sources.length, 2);
  assert.equal(sources[0].readyState, 2);
  assert.equal(sources[1].url, "/events?after=j-3");
  assert.deepEqual(events, [["snapshot", "j-3"]]);
  stream.close();
});

test("a refused line is tried again after longer and longer, 30 seconds at most", async () => {
  const stream = open();
  for (const longest of [1, 2, 4, 8, 16, 30, 30]) {
    const before = sources.length;
    sources.at(-1).refuse();
    await pass(0);
    await pass(longest * 500 - 1);
    assert.equal(sources.length, before, `not before ${longest / 2} s`);
    await pass(longest * 500 + 1);
    assert.equal(sources.length, before + 1, `within ${longest} s`);
  }
  stream.close();
});

test("a drop that EventSource mends itself is left to it", async () => {
  const stream = open();
  sources[0].onerror();
  await pass(10_000);
  assert.equal(sources.length, 1);
  stream.close();
});

test("what a closed line still says is not heard", async () => {
  const stream = open();
  stream.close();
  sources[0].say("snapshot", {}, "j-1");
  await pass(120_000);
  assert.deepEqual(events, []);
  assert.equal(sources.length, 1);
});

test("a page hidden for five minutes lets its line go and takes it up when it is seen again", async () => {
  const stream = open();
  sources[0].say("snapshot", {}, "j-8");
  setHidden(true);
  for (let minute = 0; minute < 10; minute += 1) {
    await pass(30_000);
    if (sources[0].readyState !== 2) sources[0].say("heartbeat", {});
  }
  assert.equal(sources[0].readyState, 2);
  await pass(600_000);
  assert.equal(sources.length, 1);
  setHidden(false);
  assert.equal(sources.length, 2);
  assert.equal(sources[1].url, "/events?after=j-8");
  stream.close();
});

test("who learns from a refusal that there is nothing more closes the line for good", async () => {
  const stream = open({ onRefused: async () => stream.close() });
  sources[0].refuse();
  await pass(60_000);
  assert.equal(sources.length, 1);
});
