import assert from "node:assert/strict";
import { test } from "node:test";
import type { EventDraft } from "@needfire/shared/event";
import { BudgetedPace, processUsage } from "./pace.ts";

function budgeted() {
  const told: EventDraft[] = [];
  const usage = { cpuMs: 0, memoryBytes: 50 };
  let now = 0;
  const pace = new BudgetedPace({
    budget: { cpuPercent: 10, memoryBytes: 100 },
    usage: () => usage,
    clock: { now: () => now },
    monotonic: { now: () => now },
    emit: (draft) => told.push(draft),
  });
  pace.measure();
  /** Ten seconds in which so much of a core is taken. */
  const pass = (cpuPercent: number, memoryBytes = 50) => {
    now += 10_000;
    usage.cpuMs += cpuPercent * 100;
    usage.memoryBytes = memoryBytes;
    pace.measure();
  };
  return { pace, told, pass };
}

test("over the budget it slows down step by step and says so; well within it goes back, and says when that is over", () => {
  const { pace, told, pass } = budgeted();
  pass(9.9);
  assert.deepEqual([pace.factor, told.length], [1, 0]);
  pass(25);
  pass(12);
  assert.equal(pace.factor, 4);
  // Within the budget, but what it takes now it would take twice at twice the pace.
  pass(8);
  assert.equal(pace.factor, 4);
  pass(3);
  pass(3);
  assert.equal(pace.factor, 1);
  assert.deepEqual(
    told.map(({ type, data }) => [type, data["factor"], data["cpu_percent"], data["cpu_budget_percent"]]),
    [
      ["beacon.slowed", 2, 25, 10],
      ["beacon.slowed", 4, 12, 10],
      ["beacon.resumed", 1, 3, 10],
    ],
  );
});

test("memory over the budget slows down as well, and never without end", () => {
  const { pace, told, pass } = budgeted();
  for (let i = 0; i < 10; i++) pass(0, 101);
  assert.deepEqual([pace.factor, told.length, told[0]!.data["memory_bytes"]], [32, 5, 101]);
  for (let i = 0; i < 5; i++) pass(0, 100);
  assert.deepEqual([pace.factor, told.at(-1)!.type], [1, "beacon.resumed"]);
});

test("what the process takes is read from the kernel", () => {
  const before = processUsage();
  const until = performance.now() + 20;
  while (performance.now() < until);
  const after = processUsage();
  assert.ok(after.cpuMs > before.cpuMs && after.memoryBytes > 1_000_000);
});
