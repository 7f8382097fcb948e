/**
 * `npm run soak -- [--minutes N] [--types A,B] [--json]`: the whole set of beacons under change. Lines of how it goes on stderr, a table at the
 * end; exit code 1 when an event was missed or doubled, or the agent grew.
 */
import { parseArgs } from "node:util";
import type { BeaconType } from "@needfire/shared/beacons/types";
import { everyType, soak, type SoakReport } from "./soak.ts";

const usage = "usage: npm run soak -- [--minutes N] [--types A,B] [--json]";
/** Shorter, and a half has not enough samples to say anything. */
const minutesMin = 1;

const { values: flags } = parseArgs({
  options: { minutes: { type: "string", default: "10" }, types: { type: "string" }, json: { type: "boolean", default: false } },
});
const stop = new AbortController();
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => stop.abort());
process.exitCode = await main();

async function main(): Promise<number> {
  const minutes = Number(flags.minutes);
  const types = (flags.types?.split(",") ?? everyType) as BeaconType[];
  if (!(minutes >= minutesMin) || types.some((type) => !everyType.includes(type))) {
    console.error(`${usage}\nminutes: ${minutesMin} at least\ntypes: ${everyType.join(", ")}`);
    return 2;
  }
  const report = await soak({ minutes, types, signal: stop.signal, say: (line) => console.error(`  ${line}`) });
  // What was cut short says nothing.
  if (stop.signal.aborted) return 130;
  console.log(flags.json ? JSON.stringify(report) : tableOf(report));
  return report.mismatches.length > 0 ? 1 : 0;
}

function tableOf({ counted, undriven, growth, samples, mismatches, tookMs }: SoakReport): string {
  const head = ["beacon", "changes", "expected", "told", ""];
  const rows = counted.map((each) => [each.name, each.changes, each.expected, each.told, each.mismatches.length === 0 ? "ok" : "MISMATCH"]);
  const use = growth.map(({ what, first, second, limit, grew }) => [
    ...[what, short(first), short(second), limit === undefined ? "" : short(limit)],
    limit === undefined ? "not judged" : grew ? "GREW" : "ok",
  ]);
  return [
    ...columns([head, ...rows]),
    "",
    ...columns([["at rest, median", "first half", "second half", "limit", `${samples.length} samples`], ...use]),
    "",
    ...Object.entries(undriven).map(([type, why]) => `not driven: ${type}: ${why}`),
    ...mismatches.map((text) => `MISMATCH ${text}`),
    `${mismatches.length === 0 ? "nothing missed, nothing doubled, nothing grew" : `${mismatches.length} MISMATCHES`} (${(tookMs / 1_000).toFixed(0)} s)`,
  ].join("\n");
}

function columns(rows: (string | number)[][]): string[] {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => String(row[column]).length)));
  return rows.map((row) =>
    row
      .map((cell, column) => (column === 0 ? String(cell).padEnd(widths[0]!) : String(cell).padStart(widths[column]!)))
      .join("  ")
      .trimEnd(),
  );
}

function short(value: number): string {
  return Number.isInteger(value) ? String(value) : value.toFixed(1);
}
