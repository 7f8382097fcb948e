/** Every beacon type. One file each, with its options and its events. */
import { cpu } from "./cpu.ts";
import { file } from "./file.ts";
import type { BeaconSpec } from "./spec.ts";

export const beaconTypes = {
  cpu,
  file,
} as const satisfies Record<string, BeaconSpec>;

export type BeaconType = keyof typeof beaconTypes;
