import assert from "node:assert/strict";
import { test } from "node:test";
import { MemoryGuard } from "./memory-guard.ts";

function setting() {
  const process = { resident: 100, drops: 0, held: 0 };
  const told: { resident: number; freed: number }[] = [];
  const guard = new MemoryGuard({
    limit: 1_000,
    resident: () => process.resident + process.held,
    drop: async () => {
      process.drops++;
      process.held = 0;
    },
    tell: ({ resident, freed }) => told.push({ resident, freed }),
  });
  return { guard, process, told };
}

test("below the limit nothing happens; above it connections are dropped once, and what that freed is told", async () => {
  const { guard, process, told } = setting();
  process.held = 900;
  await guard.check(0);
  assert.equal(process.drops, 0);
  process.held = 901;
  await guard.check(1_000);
  await guard.check(2_000);
  assert.equal(process.drops, 1);
  assert.deepEqual(told, []);
  await guard.check(3_000);
  assert.deepEqual(told, [{ resident: 1_001, freed: 901 }]);
  process.held = 2_000;
  await guard.check(4_000);
  assert.equal(process.drops, 2);
});

test("when it was not the connections that filled the memory, they are left alone for a while", async () => {
  const { guard, process, told } = setting();
  process.resident = 5_000;
  for (let second = 0; second < 500; second++) await guard.check(second * 1_000);
  assert.equal(process.drops, 1);
  assert.deepEqual(told, [{ resident: 5_000, freed: 0 }]);
  for (let second = 500; second < 700; second++) await guard.check(second * 1_000);
  assert.equal(process.drops, 2);
});
