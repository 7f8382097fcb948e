import assert from "node:assert/strict";
import { test } from "node:test";
import type { Decision, Reactor, Reason } from "@needfire/shared/rules/types";
import { RecordLoss } from "./record-loss.ts";
import { Tally } from "./tally.ts";

const decided = (reason: Reason, at: number): Decision => ({
  reactor: { name: "r" } as Reactor,
  event: "web1:e1:1",
  at,
  reason,
  detail: "",
});

test("firings of every mode count, with the last; so does what a flow left out", () => {
  const tally = new Tally();
  for (const [at, reason] of (["fired", "waiting", "throttled", "shadow", "overflowed", "planned"] as const).entries())
    tally.decided(decided(reason, at));
  assert.deepEqual(tally.take(), [{ reactor: "r", firings: 3, throttled: 2, unrecorded: 0, last: 5, sampled: 0, sampledMs: 0 }]);
  assert.deepEqual(tally.take(), []);
});

test("one event in many is timed, each reactor by itself", () => {
  let now = 0;
  const tally = new Tally(() => now);
  const timer = tally.timer()!;
  timer();
  for (const [reactor, ms] of [
    ["a", 3],
    ["b", 4],
  ] as const) {
    now += ms;
    timer(reactor);
  }
  assert.deepEqual(
    tally.take().map(({ reactor, sampled, sampledMs }) => [reactor, sampled, sampledMs]),
    [
      ["a", 1, 3],
      ["b", 1, 4],
    ],
  );
  const timed = Array.from({ length: 640 }, () => tally.timer()).filter((each) => each !== undefined);
  assert.equal(timed.length, 10);
});

test("P4: decisions without room are told with their number, at most every ten minutes", () => {
  const loss = new RecordLoss();
  assert.deepEqual(loss.take(0), []);
  const counts = { reactor: "r", firings: 0, throttled: 0, unrecorded: 5, last: undefined, sampled: 0, sampledMs: 0 };
  loss.count([counts], 2);
  loss.count([{ ...counts, reactor: "s", unrecorded: 7 }], 0);
  assert.deepEqual(
    loss.take(0).map(({ data }) => data),
    [{ unrecorded: 12, reactors: { s: 7, r: 5 }, dropped: 2 }],
  );
  loss.count([counts], 0);
  assert.deepEqual(loss.take(599_999), []);
  assert.equal(loss.take(600_000)[0]!.data["unrecorded"], 5);
});
