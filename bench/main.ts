/**
 * `npm run bench -- NAME [--json] [--count N] [--types A,B]`: every performance figure that we quote comes from here.
 */
import { cpus } from "node:os";
import { parseArgs } from "node:util";
import type { Figure } from "./figure.ts";
import { agents } from "./agents.ts";
import { beacons } from "./beacons.ts";
import { dispatch } from "./dispatch.ts";
import { flood } from "./flood.ts";
import { footprint } from "./footprint.ts";
import { history } from "./history.ts";
import { ingest } from "./ingest.ts";
import { latency } from "./latency.ts";
import { replay } from "./replay.ts";
import { rules } from "./rules.ts";

const benches = { agents, beacons, dispatch, flood, footprint, history, ingest, latency, replay, rules } satisfies Record<
  string,
  (options: { count?: number | undefined; types?: string[] | undefined }) => Promise<Figure[]>
>;

const { values: flags, positionals } = parseArgs({
  allowPositionals: true,
  options: { json: { type: "boolean" }, count: { type: "string" }, types: { type: "string" } },
});
const [name = ""] = positionals;
if (!Object.hasOwn(benches, name)) {
  console.error(`usage: npm run bench -- NAME [--json] [--count N] [--types A,B: of beacons]\nbenches: ${Object.keys(benches).join(", ")}`);
  process.exit(2);
}
const figures = await benches[name as keyof typeof benches]({
  count: flags.count === undefined ? undefined : Number(flags.count),
  types: flags.types?.split(","),
});
if (flags.json === true) {
  for (const figure of figures)
    console.log(JSON.stringify({ ...figure, value: rounded(figure.value), aim: figure.aim ?? null, met: met(figure) }));
} else {
  console.log(`${name}: Node ${process.versions.node}, ${cpus().length} x ${cpus()[0]?.model}`);
  console.log(
    `  ${Object.entries(figures[0]?.settings ?? {})
      .map(([key, value]) => `${key} ${String(value)}`)
      .join(", ")}`,
  );
  for (const figure of figures) {
    const sign = figure.better === "more" ? ">=" : "<";
    const verdict =
      figure.aim === undefined ? "" : `   aim ${sign} ${figure.aim} ${figure.unit}: ${met(figure) === true ? "met" : "not met"}`;
    console.log(
      `  ${figure.metric.padEnd(22)} ${String(rounded(figure.value)).padStart(9)} ${figure.unit}${verdict}${figure.note === undefined ? "" : `   (${figure.note})`}`,
    );
  }
}

function met({ aim, value, better }: Figure): boolean | null {
  if (aim === undefined) return null;
  return better === "more" ? value >= aim : value < aim;
}

function rounded(value: number): number {
  return Math.round(value * 100) / 100;
}
