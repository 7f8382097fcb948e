/**
 * What reactors cost: events a second with ten, a thousand and ten thousand of them, memory for a key that is being waited for, and the time
 * to compile them from YAML.
 */
import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { Figure } from "./figure.ts";
import type { Spread } from "./rule-set.ts";

const counts = [10, 1_000, 10_000];
const secondsDefault = 2;
const rounds = 2;
const keysDefault = 1_000_000;
const compiled = 10_000;

export async function rules({ count: seconds = secondsDefault }: { count?: number | undefined }): Promise<Figure[]> {
  const few = speeds("few", counts, seconds);
  const even = speeds("even", [10, 10_000], seconds);
  const { bytesPerKey } = run<{ bytesPerKey: number }>("keys", [keysDefault]);
  const times = Array.from({ length: rounds }, () => run<{ seconds: number; indexSeconds: number }>("compile", [compiled]));
  const settings = {
    seconds,
    rounds,
    candidates: "one reactor an event",
    fulfilled: "1 event in 10",
    events: "made of their packed bytes, then heard",
  };
  const figure = (metric: string, value: number, unit: string, more: Partial<Figure> = {}): Figure => ({
    bench: "rules",
    metric,
    value,
    unit,
    settings,
    ...more,
  });
  const spread = (what: string) => ({ settings: { ...settings, spread: what } });
  return [
    ...counts.map((count) =>
      figure(`events_per_s_${count}`, few(count), "events/s", { better: "more", ...spread("a few reactors have most events (Zipf)") }),
    ),
    figure("slowdown_10000_vs_10", few(10) / few(10_000), "x", { aim: 1.5, ...spread("a few reactors have most events (Zipf)") }),
    figure("slowdown_even", even(10) / even(10_000), "x", spread("all reactors have as many events: none is in the processor's cache")),
    figure("bytes_per_key", bytesPerKey, "B", { settings: { keys: keysDefault, correlation: "count by two values" } }),
    figure("compile_10000_s", Math.min(...times.map((time) => time.seconds)), "s", { aim: 3 }),
    figure("index_10000_s", Math.min(...times.map((time) => time.indexSeconds)), "s"),
  ];
}

/** Round by round, so that what else the machine does meets all of them; the best of each, since others only ever take time away. */
function speeds(spread: Spread, reactors: readonly number[], seconds: number): (count: number) => number {
  const best = new Map<number, number>();
  for (let round = 0; round < rounds; round++)
    for (const count of reactors) {
      const { perSecond } = run<{ perSecond: number }>("speed", [count, seconds], spread);
      best.set(count, Math.max(perSecond, best.get(count) ?? 0));
    }
  return (count) => best.get(count)!;
}

function run<T>(what: string, numbers: readonly number[], ...more: string[]): T {
  const program = fileURLToPath(new URL("rules-run.ts", import.meta.url));
  return JSON.parse(execFileSync(process.execPath, [program, what, ...numbers.map(String), ...more], { encoding: "utf8" })) as T;
}
