/**
 * What reactors cost: events a second with ten, a thousand and ten thousand of them, memory for a key that is being waited for, and the time
 * to compile them from YAML.
 */
import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { Figure } from "./figure.ts";

const counts = [10, 1_000, 10_000];
const secondsDefault = 3;
const rounds = 3;
const keysDefault = 1_000_000;
const compiled = 10_000;

export async function rules({ count: seconds = secondsDefault }: { count?: number | undefined }): Promise<Figure[]> {
  // Round by round, so that what else the machine does meets all of them.
  const speeds = new Map<number, number[]>(counts.map((count) => [count, []]));
  let share = { decisions: 0, firings: 0 };
  for (let round = 0; round < rounds; round++) {
    for (const count of counts) {
      const { perSecond, ...rest } = run<{ perSecond: number; decisions: number; firings: number }>("speed", count, seconds);
      speeds.get(count)!.push(perSecond);
      share = rest;
    }
  }
  const { bytesPerKey } = run<{ bytesPerKey: number }>("keys", keysDefault);
  const times = Array.from({ length: rounds }, () => run<{ seconds: number; indexSeconds: number }>("compile", compiled));
  const settings = { seconds, rounds, fulfilled: "1 event in 10", decisions_per_event: share.decisions, firings_per_event: share.firings };
  const figure = (metric: string, value: number, unit: string, more: Partial<Figure> = {}): Figure => ({
    bench: "rules",
    metric,
    value,
    unit,
    settings,
    ...more,
  });
  const speedOf = (count: number) => median(speeds.get(count)!);
  return [
    ...counts.map((count) => figure(`events_per_s_${count}`, speedOf(count), "events/s", { better: "more" })),
    figure("slowdown_10000_vs_10", speedOf(10) / speedOf(10_000), "x", { aim: 1.5 }),
    figure("bytes_per_key", bytesPerKey, "B", { settings: { ...settings, keys: keysDefault, correlation: "count by two values" } }),
    figure("compile_10000_s", median(times.map((time) => time.seconds)), "s", { aim: 3 }),
    figure("index_10000_s", median(times.map((time) => time.indexSeconds)), "s"),
  ];
}

function run<T>(what: string, ...numbers: number[]): T {
  const program = fileURLToPath(new URL("rules-run.ts", import.meta.url));
  return JSON.parse(execFileSync(process.execPath, [program, what, ...numbers.map(String)], { encoding: "utf8" })) as T;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;
}
