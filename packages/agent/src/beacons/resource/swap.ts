/** The `swap` beacon: one event when the swap space in use has been over a threshold for a time, one when that is over. */
import type { BeaconContext, DefinitionOf, RunningBeacon } from "../beacon.ts";
import { readMemorySpace } from "./memory-space.ts";
import { startThreshold } from "../threshold.ts";

export function start(definition: DefinitionOf<"swap">, context: BeaconContext): RunningBeacon {
  return startThreshold("swap", definition, context, () => {
    const { swapTotal, swapFree } = readMemorySpace();
    const used = swapTotal - swapFree;
    const percent = swapTotal === 0 ? 0 : (used / swapTotal) * 100;
    return { value: percent, data: () => ({ percent: Math.round(percent * 10) / 10, used_bytes: used, total_bytes: swapTotal }) };
  });
}
