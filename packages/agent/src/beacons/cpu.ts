/**
 * The `cpu` beacon: one event when the load of all cores has been over a threshold for a time, one when that is over.
 */
import { availableParallelism } from "node:os";
import type { CpuBeacon, CpuEventData } from "@needfire/shared/beacon";
import { durationMs } from "@needfire/shared/duration";
import type { BeaconContext, RunningBeacon } from "./beacon.ts";
import { loadBetween, readTicks, type Ticks } from "./cpu-ticks.ts";
import { calm, step, type Thresholds } from "./hysteresis.ts";

export function startCpu(definition: CpuBeacon, context: BeaconContext): RunningBeacon {
  const thresholds = { above: definition.above, clearBelow: definition.clear_below ?? definition.above, forMs: durationMs(definition.for) };
  const intervalMs = durationMs(definition.interval);
  const stop = new AbortController();
  const first = firstReading();
  const running = first.then((ticks) => watchLoad(thresholds, { from: ticks, intervalMs, context, signal: stop.signal }));
  running.catch((error: unknown) => context.fail(error));
  return {
    ready: first.then(() => undefined),
    stop: async () => {
      stop.abort();
      await running.catch(() => undefined); // told through `fail`
    },
  };
}

/** A promise, so that a host on which it fails is told like any later failure. */
async function firstReading(): Promise<Ticks> {
  return readTicks();
}

interface Watch {
  from: Ticks;
  intervalMs: number;
  context: BeaconContext;
  signal: AbortSignal;
}

async function watchLoad(thresholds: Thresholds, { from, intervalMs, context, signal }: Watch): Promise<void> {
  let level = calm;
  let before = from;
  while (await pause(intervalMs, signal)) {
    const ticks = readTicks();
    const percent = loadBetween(before, ticks);
    before = ticks;
    // Held by the monotonic clock: a stepped time of day neither raises nor clears.
    const stepped = step(level, { value: percent, now: performance.now() }, thresholds);
    level = stepped.level;
    if (stepped.crossing === undefined) continue;
    const { turned, lastedMs } = stepped.crossing;
    const data: CpuEventData = {
      percent: Math.round(percent * 10) / 10,
      above: thresholds.above,
      clear_below: thresholds.clearBelow,
      lasted_ms: Math.round(lastedMs),
      cores: availableParallelism(),
    };
    context.emit({ type: `cpu.${turned}`, data });
  }
}

/** True after `ms`; false as soon as the signal comes. */
function pause(ms: number, signal: AbortSignal): Promise<boolean> {
  if (signal.aborted) return Promise.resolve(false);
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const end = () => {
    clearTimeout(timer);
    resolve(false);
  };
  const timer = setTimeout(() => {
    signal.removeEventListener("abort", end);
    resolve(true);
  }, ms);
  signal.addEventListener("abort", end, { once: true });
  return promise;
}
