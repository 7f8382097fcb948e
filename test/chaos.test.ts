/**
 * Nothing lost, nothing doubled (P1, P2, P3) under kill, pause, cut links, full disks, torn logs and stepped clocks: a few short rounds of
 * what `npm run test:chaos` does for longer. NEEDFIRE_TEST_SEED has a run again.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { faultNames } from "./chaos/faults/faults.ts";
import { meansHere } from "./chaos/means.ts";
import { paces } from "./chaos/plan.ts";
import { runRound } from "./chaos/round.ts";
import { faultText, lineOf } from "./chaos/tell.ts";

const seed = Number(process.env["NEEDFIRE_TEST_SEED"] ?? Date.now() % 1_000_000);
const rounds = 2;
// What a round made (namespaces, mounts, processes) is taken away also when the test is ended from outside.
const ended = new AbortController();
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.once(signal, () => ended.abort());

test(`events, reactions and commands are counted after faults: ${rounds} rounds of seed ${seed}`, async (context) => {
  const means = meansHere();
  for (const [what, why] of Object.entries(means)) if (why !== undefined) context.diagnostic(`without ${what}: ${why}`);
  for (let round = 0; round < rounds; round++) {
    const report = await runRound({
      seed,
      round,
      pace: paces.short,
      means,
      kinds: faultNames,
      signal: AbortSignal.any([context.signal, ended.signal]),
    });
    context.diagnostic(lineOf(report));
    assert.equal(ended.signal.aborted, false, "ended from outside");
    assert.deepEqual(report.mismatches, [], `kept in ${report.directory}; ${report.faults.map(faultText).join("; ")}`);
  }
});
