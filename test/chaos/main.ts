/**
 * `npm run test:chaos -- [--rounds N] [--seed S] [--from R] [--short] [--json]`: rounds of faults, each counted. One line a round on
 * stderr; what did not fit with the seed, the faults and the exact ids; a summary, and exit code 1 when anything did not fit.
 */
import { parseArgs } from "node:util";
import { meansHere } from "./means.ts";
import { paces } from "./plan.ts";
import { type RoundReport, runRound } from "./round.ts";
import { faultText, lineOf, summaryOf } from "./tell.ts";

const { values: flags } = parseArgs({
  options: {
    rounds: { type: "string", default: "50" },
    seed: { type: "string", default: String(Date.now() % 1_000_000) },
    from: { type: "string", default: "0" },
    short: { type: "boolean", default: false },
    json: { type: "boolean", default: false },
  },
});
const stop = new AbortController();
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => stop.abort());
process.exitCode = await main();

async function main(): Promise<number> {
  const [rounds, seed, from] = [Number(flags.rounds), Number(flags.seed), Number(flags.from)];
  if (![rounds, seed, from].every((value) => Number.isSafeInteger(value) && value >= 0)) {
    console.error("usage: npm run test:chaos -- [--rounds N] [--seed S] [--from R] [--short] [--json]");
    return 2;
  }
  const means = meansHere();
  const pace = flags.short ? paces.short : paces.long;
  const again = (round: number) => `npm run test:chaos -- --rounds 1 --seed ${seed} --from ${round}${flags.short ? " --short" : ""}`;
  console.error(`chaos: ${rounds} rounds, --seed ${seed}${flags.short ? " --short" : ""}`);
  for (const [what, why] of Object.entries(means)) if (why !== undefined) console.error(`  without ${what}: ${why}`);
  const reports: RoundReport[] = [];
  for (let round = from; round < from + rounds && !stop.signal.aborted; round++) {
    const report = await runRound({ seed, round, pace, means, signal: stop.signal });
    if (stop.signal.aborted) break;
    reports.push(report);
    console.error(lineOf(report));
    if (report.mismatches.length === 0) continue;
    for (const text of report.mismatches) console.error(`    ${text}`);
    for (const fault of report.faults) console.error(`    fault: ${faultText(fault)}`);
    console.error(`    kept: ${report.directory}\n    again: ${again(round)}`);
  }
  const summary = summaryOf(reports);
  console.log(flags.json ? JSON.stringify({ seed, ...summary, rounds: reports }) : summary.text);
  if (stop.signal.aborted) return 130;
  return reports.some(({ mismatches }) => mismatches.length > 0) ? 1 : 0;
}
