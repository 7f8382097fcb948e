/**
 * The `memory` beacon: one event when what is not available of the memory has been over a threshold for a time, with who holds it, and one
 * when that is over.
 */
import type { BeaconContext, DefinitionOf, RunningBeacon } from "../beacon.ts";
import { readMemorySpace } from "./memory-space.ts";
import { startThreshold } from "../threshold.ts";
import { largestProcesses } from "./top-processes.ts";

export function start(definition: DefinitionOf<"memory">, context: BeaconContext): RunningBeacon {
  return startThreshold("memory", definition, context, () => {
    const { total, available } = readMemorySpace();
    const percent = ((total - available) / total) * 100;
    return {
      value: percent,
      data: (turned) => ({
        percent: Math.round(percent * 10) / 10,
        available_bytes: available,
        total_bytes: total,
        ...(turned === "high" ? { processes: largestProcesses(context.managed.accounts) } : {}),
      }),
    };
  });
}
