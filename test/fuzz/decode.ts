/** Mutants against every door, in this process: none throws, none takes long, and memory stays where it was. */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { Chance } from "../chance.ts";
import { doors, examples } from "./doors.ts";
import { mutant, sourceOf } from "./mutate.ts";

/** For one frame, at every door. */
const frameMsMax = 250;
/** What the process may have grown by at the end, when everything that can be collected was. */
const grownBytesMax = 64 * 1024 * 1024;
const warmUpFrames = 2_000;
const breachesMax = 10;
/** From so many on, every kind must have come through at least once. */
const everyKindFrames = 20_000;

export interface DecodeReport {
  seed: number;
  frames: number;
  frames_per_s: number;
  taken: Record<string, number>;
  refused: Record<string, number>;
  mutations: Record<string, number>;
  slowest_ms: number;
  rss_before_mb: number;
  rss_after_mb: number;
  breaches: string[];
}

export function fuzzDoors(seed: number, frames: number): DecodeReport {
  const chance = new Chance(seed);
  const sources = examples().map(sourceOf);
  const tally = { taken: {}, refused: {}, mutations: {} } as Pick<DecodeReport, "taken" | "refused" | "mutations">;
  const breaches: string[] = [];
  let slowestMs = 0;
  let rssBefore = 0;
  let heapBefore = 0;
  const begun = performance.now();
  for (let count = 0; count < frames && breaches.length < breachesMax; count++) {
    if (count === Math.min(warmUpFrames, frames >> 1)) [rssBefore, heapBefore] = memory();
    const { frame, kinds } = mutant(sources, chance);
    for (const kind of kinds) add(tally.mutations, kind);
    const from = performance.now();
    for (const door of doors) {
      try {
        const verdict = door.judge(frame);
        if ("taken" in verdict) add(tally.taken, `${door.name}: ${verdict.taken}`);
        else add(tally.refused, shortened(verdict.refused));
      } catch (error) {
        breaches.push(`${door.name} threw ${String(error)} at frame ${count} (${kinds.join(", ")}): ${hexOf(frame)}`);
      }
    }
    const tookMs = performance.now() - from;
    slowestMs = Math.max(slowestMs, tookMs);
    // Once may be the machine's doing.
    if (tookMs > frameMsMax && judgedMs(frame) > frameMsMax)
      breaches.push(`frame ${count} (${kinds.join(", ")}) took ${Math.round(tookMs)} ms: ${hexOf(frame)}`);
    if (Object.hasOwn(Object.prototype, "polluted") || ({} as Record<string, unknown>)["a"] !== undefined)
      breaches.push(`frame ${count} changed the prototype of all objects: ${hexOf(frame)}`);
  }
  const seconds = (performance.now() - begun) / 1_000;
  const [rssAfter, heapAfter] = memory();
  const silent = doors
    .flatMap(({ name, kinds }) => kinds.map((kind) => `${name}: ${kind}`))
    .filter((what) => tally.taken[what] === undefined);
  if (silent.length > 0 && frames >= everyKindFrames)
    breaches.push(`no mutant was taken as ${silent.join(", ")}: the fuzzer is blind there`);
  if (heapAfter - heapBefore > grownBytesMax) breaches.push(`the heap grew from ${megabytes(heapBefore)} to ${megabytes(heapAfter)} MB`);
  return {
    seed,
    frames,
    frames_per_s: Math.round(frames / seconds),
    ...tally,
    slowest_ms: Math.round(slowestMs * 10) / 10,
    rss_before_mb: megabytes(rssBefore),
    rss_after_mb: megabytes(rssAfter),
    breaches,
  };
}

function judgedMs(frame: Buffer): number {
  const from = performance.now();
  for (const door of doors) door.judge(frame);
  return performance.now() - from;
}

/** The collector, which Node hides from programs: growth is only told from garbage after it has run. */
function collect(): void {
  setFlagsFromString("--expose-gc");
  (runInNewContext("gc") as () => void)();
}

/** RSS, and what is alive on the heap and beside it: RSS alone also tells what the allocator keeps for later. */
function memory(): [rss: number, alive: number] {
  collect();
  const { rss, heapUsed, external } = process.memoryUsage();
  return [rss, heapUsed + external];
}

function add(tally: Record<string, number>, name: string): void {
  tally[name] = (tally[name] ?? 0) + 1;
}

/** The sort of a reason, without what is particular about it. */
function shortened(reason: string): string {
  return reason.replaceAll(/\d+/g, "N").split(/[:("]/)[0]!.trim().slice(0, 50);
}

function hexOf(frame: Buffer): string {
  return frame.length > 400 ? `${frame.subarray(0, 400).toString("hex")}... (${frame.length} bytes)` : frame.toString("hex");
}

function megabytes(bytes: number): number {
  return Math.round(bytes / 1024 / 102.4) / 10;
}
