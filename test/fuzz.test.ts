/**
 * Frames under attack, a few thousand of what `npm run fuzz` throws in millions: no crash, no hang, no growth, and a good agent is served
 * beside it. NEEDFIRE_TEST_SEED has a run again.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { fuzzDoors } from "./fuzz/decode.ts";
import { fuzzMaster } from "./fuzz/wire.ts";

const seed = Number(process.env["NEEDFIRE_TEST_SEED"] ?? Date.now() % 1_000_000);

test(`a mutated frame is refused or taken, and never thrown at anybody (seed ${seed})`, (context) => {
  const { breaches, frames_per_s } = fuzzDoors(seed, 20_000);
  context.diagnostic(`${frames_per_s} frames/s`);
  assert.deepEqual(breaches, []);
});

test(`a master under mutated frames from joined, waiting and unbound peers serves its agent (seed ${seed})`, async (context) => {
  const { breaches, ...figures } = await fuzzMaster(seed, 20_000, context.signal);
  context.diagnostic(JSON.stringify(figures));
  assert.deepEqual(breaches, []);
  assert.ok(figures.served >= 1, `the good agent was served ${figures.served} times`);
});
