import assert from "node:assert/strict";
import { test } from "node:test";
import { RecentLoad } from "./recent-load.ts";

test("what was done counts less and less, whether it came at once or bit by bit", () => {
  let now = 1_000;
  const load = new RecentLoad(() => now);
  assert.equal(load.amount, 0);
  load.add(300);
  assert.equal(load.amount, 300);
  now += 50;
  assert.ok(load.amount > 100 && load.amount < 120, String(load.amount));
  now += 1_000;
  assert.ok(load.amount < 1);
  for (let turn = 0; turn < 500; turn++) {
    now += 1;
    load.add(10);
  }
  assert.ok(load.amount > 450 && load.amount < 550, String(load.amount));
});
