/**
 * The `cpu` beacon: one event when the load of all cores has been over a threshold for a time, with who makes it, and one when that is over.
 */
import { availableParallelism } from "node:os";
import type { BeaconContext, DefinitionOf, RunningBeacon } from "../beacon.ts";
import { loadBetween, readTicks, type Ticks } from "./cpu-ticks.ts";
import { startThreshold } from "../threshold.ts";
import { busiestProcesses } from "./top-processes.ts";

export function start(definition: DefinitionOf<"cpu">, context: BeaconContext): RunningBeacon {
  let before: Ticks | undefined;
  return startThreshold("cpu", definition, context, () => {
    const ticks = readTicks();
    const percent = before === undefined ? undefined : loadBetween(before, ticks);
    before = ticks;
    if (percent === undefined) return undefined;
    return {
      value: percent,
      data: async (turned) => ({
        percent: Math.round(percent * 10) / 10,
        cores: availableParallelism(),
        ...(turned === "high" ? { processes: await busiestProcesses(context.managed.accounts, context.signal) } : {}),
      }),
    };
  });
}
