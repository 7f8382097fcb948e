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
const forTen = "for ten of the reactors, however many there are: the same events and the same work";

export async function rules({ count: seconds = secondsDefault }: { count?: number | undefined }): Promise<Figure[]> {
  const same = speeds("even", counts, { seconds, concerned: () => 10 });
  const few = speeds("few", [10, 10_000], { seconds, concerned: (count) => count });
  const even = speeds("even", [10, 10_000], { seconds, concerned: (count) => count });
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
    ...counts.map((count) => figure(`events_per_s_${count}`, same(count), "events/s", { better: "more", ...spread(forTen) })),
    figure("slowdown_10000_vs_10", same(10) / same(10_000), "x", { aim: 1.5, ...spread(forTen) }),
    figure("slowdown_few", few(10) / few(10_000), "x", spread("for all reactors, a few of which have most of them (Zipf)")),
    figure("slowdown_even", even(10) / even(10_000), "x", spread("for all reactors alike: hardly any is in the processor's cache")),
    figure("bytes_per_key", bytesPerKey, "B", { settings: { keys: keysDefault, correlation: "count by two values" } }),
    figure("compile_10000_s", Math.min(...times.map((time) => time.seconds)), "s", { aim: 3 }),
    figure("index_10000_s", Math.min(...times.map((time) => time.indexSeconds)), "s"),
  ];
}

/** Round by round, so that what else the machine does meets all of them; the best of each, since others only ever take time away. */
function speeds(
  spread: Spread,
  reactors: readonly number[],
  { seconds, concerned }: { seconds: number; concerned(count: number): number },
): (count: number) => number {
  const best = new Map<number, number>();
  for (let round = 0; round < rounds; round++)
    for (const count of reactors) {
      const { perSecond } = run<{ perSecond: number }>("speed", [count, concerned(count), seconds], spread);
      best.set(count, Math.max(perSecond, best.get(count) ?? 0));
    }
  return (count) => best.get(count)!;
}

function run<T>(what: string, numbers: readonly number[], ...more: string[]): T {
  const program = fileURLToPath(new URL("rules-run.ts", import.meta.url));
  return JSON.parse(execFileSync(process.execPath, [program, what, ...numbers.map(String), ...more], { encoding: "utf8" })) as T;
}
