import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type Breaker, breakerKey, judged, strikeOf, strikeOfRollout, struck, trip, tripAll } from "./breaker.ts";
import type { Rollout } from "../rollout/types.ts";
import type { Task } from "./types.ts";

const limits = { repeats: 3, withinMs: 1_000, keys: 2 };

test("a task is held against its remedy when it escalated after it was tried, or was verified and its problem comes back", () => {
  const some = { id: "t-1", branch: "do", attempts: 1, updated: 7 };
  const struckBy = (given: object) => strikeOf({ ...some, ...given } as unknown as Task);
  assert.deepEqual(struckBy({ status: { state: "resolved", verified: true } })?.at, 7);
  assert.match(struckBy({ status: { state: "escalated", reason: "exit code 1" } })!.how, /^escalated: exit code 1$/);
  const free = [
    { status: { state: "resolved", verified: false } },
    { status: { state: "cancelled", reason: "no", by: "ann" } },
    { status: { state: "running", execution: "" } },
    { status: { state: "escalated", reason: "nobody approved it" }, attempts: 0 },
    { status: { state: "resolved", verified: true }, branch: "on_clear" },
  ];
  for (const given of free) assert.equal(struckBy(given), undefined, JSON.stringify(given));
});

test("a rollout is held against it as a whole when it failed on a host, or was verified on all; not when nothing was tried, or a person ended it", () => {
  const some = {
    id: "r-0000000000000001",
    branch: "do",
    hosts: 4,
    failed: 0,
    resolved: 4,
    verified: 4,
    updated: 7,
    status: { state: "done" },
  };
  const struckBy = (given: object) => strikeOfRollout({ ...some, ...given } as unknown as Rollout);
  assert.deepEqual(struckBy({}), { task: some.id, at: 7, how: "was verified on its hosts, and the problem came back" });
  const stopped = { failed: 2, status: { state: "stopped", reason: "it failed" } };
  assert.equal(struckBy(stopped)?.how, "failed on 2 of 4 hosts");
  assert.equal(struckBy({ failed: 1, verified: 3 })?.how, "failed on 1 of 4 hosts");
  const free = [
    { verified: 3 },
    { resolved: 0, verified: 0 },
    { ...stopped, failed: 0, resolved: 0, verified: 0 },
    { failed: 1, status: { state: "cancelled", reason: "no", by: "ann" } },
    { failed: 1, status: { state: "running" } },
    { failed: 1, branch: "on_clear" },
  ];
  for (const given of free) assert.equal(struckBy(given), undefined, JSON.stringify(given));
  const strikes = [1, 2, 3].map((at) => ({ task: some.id, at, how: "failed on 1 of 4 hosts" }));
  assert.match(trip({ strikes }, limits, 4).why, /: 3 rollouts for this key within/);
});

test("without a key of the task, the agent and the subject are one", () => {
  assert.deepEqual(breakerKey({ agent: "web1", subject: "nginx", joinKey: ["a", 1] }), ["a", 1]);
  assert.deepEqual(breakerKey({ agent: "web1", subject: "nginx" }), ["web1", "nginx"]);
  assert.deepEqual(breakerKey({ agent: "web1", subject: undefined }), ["web1"]);
});

test("it trips with the firing after so many strikes within the time, and names them; a tripped key stays so", () => {
  let breaker: Breaker = { strikes: [] };
  for (const [index, at] of [0, 900, 1_000, 1_100].entries()) {
    assert.equal(judged(breaker, limits, at), "closed");
    breaker = struck(breaker, { task: `t-${index}`, at, how: "escalated: no" }, limits);
  }
  assert.equal(judged(breaker, limits, 1_899), "trips");
  assert.equal(judged(breaker, limits, 1_900), "closed", "the oldest does not count any more");
  const tripped = trip(breaker, limits, 1_200);
  assert.deepEqual(tripped.tasks, ["t-1", "t-2", "t-3"]);
  assert.match(tripped.why, /^the remedy did not hold: 3 tasks for this key within 1s; the last one escalated: no$/);
  assert.equal(judged({ strikes: [], trip: tripped }, limits, 1e12), "open");
  assert.equal(tripAll([tripped], limits, 1_200), undefined);
  assert.deepEqual(tripAll([tripped, tripped], limits, 1_200)?.tasks, ["t-3", "t-3"]);
});

test("whatever the order of tasks and time: it trips exactly when the newest of so many strikes lie within the time, and keeps no more of them", () => {
  const step = fc.record({ after: fc.integer({ min: 0, max: 700 }), strikes: fc.boolean() });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), fc.integer({ min: 1, max: 5 }), (steps, repeats) => {
      const wanted = { ...limits, repeats };
      const all: number[] = [];
      let now = 10_000;
      let breaker: Breaker = { strikes: [] };
      for (const [index, { after, strikes }] of steps.entries()) {
        now += after;
        const trips = all.filter((at) => at > now - wanted.withinMs).length >= repeats;
        assert.equal(judged(breaker, wanted, now), trips ? "trips" : "closed");
        if (!strikes) continue;
        all.push(now);
        breaker = struck(JSON.parse(JSON.stringify(breaker)) as Breaker, { task: String(index), at: now, how: "" }, wanted);
        assert.ok(breaker.strikes.length <= repeats);
      }
    }),
  );
});
