import assert from "node:assert/strict";
import { test } from "node:test";
import { loadBetween, parseTicks, readTicks } from "./cpu-ticks.ts";

test("busy is all that the cores did, and waiting for a disk is not", () => {
  const stat = "cpu  10 20 30 4000 500 6 7 8 9 9\ncpu0 1 2 3 4 5 6 7 8 9 9\nintr 5\n";
  assert.deepEqual(parseTicks(stat), { busy: 10 + 20 + 30 + 6 + 7 + 8, idle: 4_500 });
});

test("the load is that of the time between two readings", () => {
  const before = { busy: 1_000, idle: 1_000 };
  assert.equal(loadBetween(before, { busy: 1_030, idle: 1_010 }), 75);
  assert.equal(loadBetween(before, { busy: 1_010, idle: 998 }), 100, "a count of waiting that went back");
  assert.equal(loadBetween(before, before), 0);
});

test("what is not a count of ticks is refused, and this machine's is one", () => {
  assert.throws(() => parseTicks("cpu  1 2 3\n"), /does not begin with/);
  const { busy, idle } = readTicks();
  assert.ok(busy > 0 && idle >= 0);
});
