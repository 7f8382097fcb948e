/**
 * The `cpu` beacon: one event when the load of all cores has been over a threshold for a time, one when that is over.
 */
import { availableParallelism } from "node:os";
import type { CpuBeacon, CpuEventData } from "@needfire/shared/beacon";
import { durationMs } from "@needfire/shared/duration";
import type { BeaconContext, RunningBeacon } from "./beacon.ts";
import { calm, step, type Thresholds } from "./hysteresis.ts";

export function startCpu(definition: CpuBeacon, context: BeaconContext): RunningBeacon {
  const thresholds = { above: definition.above, clearBelow: definition.clear_below ?? definition.above, forMs: durationMs(definition.for) };
  const intervalMs = durationMs(definition.interval);
  const stop = new AbortController();
  // The first reading is the load since the machine started; it only sets the mark for the next.
  // Loaded here and not at the top: it is large, and not every host watches its load.
  const first = import("systeminformation").then(({ currentLoad }) => currentLoad());
  const running = first.then(() => watchLoad(thresholds, { intervalMs, context, signal: stop.signal }));
  running.catch((error: unknown) => context.fail(error));
  return {
    ready: first.then(() => undefined),
    stop: async () => {
      stop.abort();
      await running.catch(() => undefined); // told through `fail`
    },
  };
}

async function watchLoad(
  thresholds: Thresholds,
  { intervalMs, context, signal }: { intervalMs: number; context: BeaconContext; signal: AbortSignal },
): Promise<void> {
  const { currentLoad } = await import("systeminformation");
  let level = calm;
  while (await pause(intervalMs, signal)) {
    const { currentLoad: percent } = await currentLoad();
    if (signal.aborted) return;
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
