/** Every beacon type and what starts it. */
import type { BeaconDefinition, BeaconType } from "@needfire/shared/beacon";
import type { BeaconContext, RunningBeacon, StartBeacon } from "./beacon.ts";
import { startCpu } from "./cpu.ts";
import { startFile } from "./file.ts";

const beacons = { file: startFile, cpu: startCpu } satisfies { [T in BeaconType]: StartBeacon<T> };

export function startBeacon(definition: BeaconDefinition, context: BeaconContext): RunningBeacon {
  // The table's type pairs each definition with its start; a lookup by a union loses that.
  const start = beacons[definition.type] as (definition: BeaconDefinition, context: BeaconContext) => RunningBeacon;
  return start(definition, context);
}
