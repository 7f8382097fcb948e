import assert from "node:assert/strict";
import { test } from "node:test";
import { Clones } from "./clones.ts";

test("two machines that take the session from each other are told of once an hour; a host that changes its numbering is none of them", () => {
  const clones = new Clones();
  const told = (agent: string, ...times: number[]) => times.filter((now) => clones.tookOver(agent, now));
  assert.deepEqual(told("put-back", 0, 300_000, 600_000, 900_000, 1_200_000), []);
  assert.deepEqual(told("twice", 0, 5_000, 10_000, 15_000, 20_000, 3_600_000, 3_605_000, 3_610_000, 3_615_000), [15_000, 3_615_000]);
});
