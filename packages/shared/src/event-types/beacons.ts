/** The events of beacons: each stands with its type, in beacons/. */
import type { BeaconSpec } from "../beacons/spec.ts";
import { beaconTypes } from "../beacons/types.ts";
import type { EventTypeSpec } from "./spec.ts";

export const beaconEventTypes: Readonly<Record<string, EventTypeSpec>> = Object.assign(
  {},
  ...Object.values<BeaconSpec>(beaconTypes).map(({ events }) => events),
);
