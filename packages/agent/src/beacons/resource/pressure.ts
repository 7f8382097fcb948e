/**
 * The `pressure` beacon: one event when tasks have waited for a resource for more than a share of the time, one when that is over. The
 * kernel averages by itself (pressure stall information, Documentation/accounting/psi.rst).
 */
import { readFileSync } from "node:fs";
import { errorText } from "@needfire/shared/errors";
import type { BeaconContext, DefinitionOf, RunningBeacon } from "../beacon.ts";
import { startThreshold } from "../threshold.ts";

export function start(definition: DefinitionOf<"pressure">, context: BeaconContext): RunningBeacon {
  const { resource, stalled, average } = definition;
  return startThreshold("pressure", definition, context, () => {
    const { percent, totalUs } = readPressure(resource, stalled, Number.parseInt(average, 10));
    return { value: percent, data: () => ({ resource, stalled, percent, total_us: totalUs }) };
  });
}

function readPressure(resource: string, stalled: string, seconds: number): { percent: number; totalUs: number } {
  const file = `/proc/pressure/${resource}`;
  let text: string;
  try {
    text = readFileSync(file, "latin1");
  } catch (error) {
    throw new Error(`this kernel tells no pressure (it takes CONFIG_PSI, and psi=1 where it is off by default): ${errorText(error)}`, {
      cause: error,
    });
  }
  const line = text.split("\n").find((each) => each.startsWith(`${stalled} `));
  const percent = new RegExp(`avg${seconds}=([0-9.]+)`).exec(line ?? "")?.[1];
  const total = / total=(\d+)/.exec(line ?? "")?.[1];
  if (percent === undefined || total === undefined) throw new Error(`${file} has no line "${stalled}"`);
  return { percent: Number(percent), totalUs: Number(total) };
}
