import assert from "node:assert/strict";
import { test } from "node:test";
import { type JudgeRules, passOver, type Standing, step, type UnitSeen, unknownStanding } from "./service-judge.ts";

const rules: JudgeRules = { downWhen: "stopped", forMs: 1_000, restartsMax: 4, windowMs: 60_000 };
const runs: UnitSeen = { verdict: "runs" };
const stopped: UnitSeen = { verdict: "stopped" };
const failed: UnitSeen = { verdict: "failed" };

/** Looks at points in time, in ms; what was said at which. */
function timeline(
  looks: [number, UnitSeen][],
  { named = true, ...own }: Partial<JudgeRules> & { named?: boolean } = {},
  from = unknownStanding,
) {
  let standing: Standing = from;
  const said: string[] = [];
  const look = (now: number, seen: UnitSeen): number => {
    const judged = step(standing, seen, { now, named, rules: { ...rules, ...own } });
    standing = judged.standing;
    if (judged.say !== undefined) said.push(`${now} ${judged.say}`);
    return judged.dueAt ?? Infinity;
  };
  for (const [i, [at, seen]] of looks.entries()) {
    const until = looks[i + 1]?.[0] ?? Infinity;
    let steps = 0;
    for (let due = look(at, seen); due < until && steps < 100; steps++) due = look(due, seen);
  }
  return said;
}

test("a named unit that does not run is down after `for`, and up once it runs", () => {
  assert.deepEqual(timeline([[0, stopped], [5_000, stopped], [9_000, runs], [9_500, runs]]), ["1000 down", "9000 up"]); // prettier-ignore
});

test("a short stop is nothing, whatever comes between", () => {
  assert.deepEqual(timeline([[0, runs], [100, stopped], [900, { verdict: "changing" }], [5_000, runs]]), []); // prettier-ignore
});

test("one that failed is down almost at once; systemd's failed moment before it starts a unit again is not", () => {
  assert.deepEqual(timeline([[0, failed]]), ["50 down"]);
  assert.deepEqual(timeline([[0, runs], [10, failed], [10.2, { verdict: "stopped", returns: true }], [500, runs]]), []); // prettier-ignore
});

test("what only a glob fits must have run to be down", () => {
  assert.deepEqual(timeline([[0, stopped]], { named: false }), []);
  assert.deepEqual(timeline([[0, runs], [100, stopped]], { named: false }), ["1100 down"]); // prettier-ignore
  assert.deepEqual(timeline([[0, { verdict: "stopped", returns: true }]], { named: false }), ["1000 down"]);
});

test("for `failed`, stopping is no matter, and ends being down", () => {
  assert.deepEqual(timeline([[0, stopped], [100, failed], [5_000, stopped]], { downWhen: "failed" }), ["150 down", "5000 up"]); // prettier-ignore
});

const crashes = (count: number, everyMs: number): [number, UnitSeen][] =>
  Array.from({ length: count }, (_, i) => [i * everyMs, { verdict: "runs", life: `life ${i}` }]);

test("restarts within the window are flapping, told once, and over when half as many are left in it", () => {
  // The first life is the baseline: restarts at 1, 2, 3 and 4 s; with two of them left at 62 s it is steady.
  assert.deepEqual(timeline(crashes(5, 1_000)), ["4000 flapping", "62000 up"]);
  assert.deepEqual(timeline(crashes(20, 1_000)), ["4000 flapping", "77000 up"]);
  assert.deepEqual(timeline(crashes(20, 20_000)), [], "further apart than counts");
});

test("one that flaps and then fails for good is down at once, and flaps no more until it is up", () => {
  assert.deepEqual(timeline([...crashes(5, 1_000), [5_000, failed], [200_000, runs]]), ["4000 flapping", "5050 down", "200000 up"]);
});

test("one that was told as down and comes up only to go again is flapping, too", () => {
  const bad: [number, UnitSeen][] = crashes(5, 5_000).flatMap(([at, seen]) => [[at, seen] as [number, UnitSeen], [at + 2_000, stopped]]);
  const said = timeline(bad, { restartsMax: 3 });
  assert.deepEqual(said.slice(0, 6), ["3000 down", "5000 up", "8000 down", "10000 up", "13000 down", "15000 flapping"]);
  assert.equal(said.at(-1)?.split(" ")[1], "down", "in the end it does not run");
});

test("restarts during a remedy do not count", () => {
  const standing = passOver(passOver({ ...unknownStanding, life: "1" }, { verdict: "runs", life: "2" }), { verdict: "runs", life: "3" });
  assert.deepEqual(step(standing, { verdict: "runs", life: "3" }, { now: 1, named: true, rules }).standing.restarts, []);
});
