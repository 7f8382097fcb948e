/**
 * `npm run test:chaos -- [--rounds N] [--seed S] [--from R] [--only FAULT,...] [--without FAULT,...] [--short] [--json]`: rounds of faults,
 * each counted. One line a round on stderr; what did not fit with the seed, the faults and the exact ids; a summary, and exit code 1 when
 * anything did not fit.
 */
import { parseArgs } from "node:util";
import { type FaultName, faultNames } from "./faults/faults.ts";
import { meansHere } from "./means.ts";
import { paces } from "./plan.ts";
import { type RoundReport, runRound } from "./round.ts";
import { faultText, lineOf, summaryOf } from "./tell.ts";

const usage = "usage: npm run test:chaos -- [--rounds N] [--seed S] [--from R] [--only FAULT,...] [--without FAULT,...] [--short] [--json]";

const { values: flags } = parseArgs({
  options: {
    rounds: { type: "string", default: "50" },
    seed: { type: "string", default: String(Date.now() % 1_000_000) },
    from: { type: "string", default: "0" },
    only: { type: "string" },
    without: { type: "string" },
    short: { type: "boolean", default: false },
    json: { type: "boolean", default: false },
  },
});
const stop = new AbortController();
/** For what is still on its way to a pipe. */
const exitAfterMs = 1_000;
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => stop.abort());
const code = await main();
process.exitCode = code;
// A round that broke off may have left something open that would keep this process.
setTimeout(() => process.exit(code), exitAfterMs);

async function main(): Promise<number> {
  const [rounds, seed, from] = [Number(flags.rounds), Number(flags.seed), Number(flags.from)];
  const [only, without] = [named(flags.only), named(flags.without)];
  if (![rounds, seed, from].every((value) => Number.isSafeInteger(value) && value >= 0) || only === undefined || without === undefined) {
    console.error(`${usage}\nfaults: ${faultNames.join(", ")}`);
    return 2;
  }
  const kinds = faultNames.filter((name) => (only.length === 0 || only.includes(name)) && !without.includes(name));
  const means = meansHere();
  const pace = flags.short ? paces.short : paces.long;
  const choice = [
    `--seed ${seed}`,
    ...(flags.only === undefined ? [] : [`--only ${flags.only}`]),
    ...(flags.without === undefined ? [] : [`--without ${flags.without}`]),
    ...(flags.short ? ["--short"] : []),
  ].join(" ");
  console.error(`chaos: ${rounds} rounds, ${choice}`);
  for (const [what, why] of Object.entries(means)) if (why !== undefined) console.error(`  without ${what}: ${why}`);
  const reports: RoundReport[] = [];
  for (let round = from; round < from + rounds && !stop.signal.aborted; round++) {
    const report = await runRound({ seed, round, pace, means, kinds, signal: stop.signal });
    if (stop.signal.aborted) break;
    reports.push(report);
    console.error(lineOf(report));
    if (report.mismatches.length === 0) continue;
    for (const text of report.mismatches) console.error(`    ${text}`);
    for (const fault of report.faults) console.error(`    fault: ${faultText(fault)}`);
    console.error(`    kept: ${report.directory}\n    again: npm run test:chaos -- --rounds 1 --from ${round} ${choice}`);
  }
  const { text, ...summary } = summaryOf(reports);
  console.log(flags.json ? JSON.stringify({ seed, ...summary, rounds: reports }) : text);
  if (stop.signal.aborted) return 130;
  return summary.mismatches > 0 ? 1 : 0;
}

/** Undefined when one of them is none. */
function named(list: string | undefined): FaultName[] | undefined {
  const names = (list?.split(",") ?? []) as FaultName[];
  return names.every((name) => faultNames.includes(name)) ? names : undefined;
}
