/** The `load` beacon: one event when the load average has been over a threshold for a time, one when that is over. */
import { readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import type { BeaconContext, DefinitionOf, RunningBeacon } from "../beacon.ts";
import { startThreshold } from "../threshold.ts";

const at = { "1m": 0, "5m": 1, "15m": 2 } as const;

export function start(definition: DefinitionOf<"load">, context: BeaconContext): RunningBeacon {
  const { average, per_core: perCore } = definition;
  return startThreshold("load", definition, context, () => {
    const { averages, runnable } = readLoad();
    const cores = availableParallelism();
    const load = averages[at[average]] / (perCore ? cores : 1);
    return { value: load, data: () => ({ load: Math.round(load * 100) / 100, averages: [...averages], cores, runnable }) };
  });
}

function readLoad(): { averages: [number, number, number]; runnable: number } {
  const [, one, five, fifteen, runnable] = /^(\S+) (\S+) (\S+) (\d+)\//.exec(readFileSync("/proc/loadavg", "latin1")) ?? [];
  if (runnable === undefined) throw new Error("/proc/loadavg is not what proc(5) describes");
  return { averages: [Number(one), Number(five), Number(fifteen)], runnable: Number(runnable) };
}
