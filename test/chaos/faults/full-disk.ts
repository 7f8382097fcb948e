/** The disk under a state directory is full to the last byte, and freed after a while. */
import { setTimeout as delay } from "node:timers/promises";
import type { Fault } from "./fault.ts";

export const fullDisk: Fault = {
  targets: "any",
  unavailable: ({ disks }) => disks,
  strike: ({ house, target, lengthMs, signal }) =>
    house.alone([`disk ${target}`], async () => {
      house.setFull(target, true);
      house.disk(target)!.fill();
      await delay(lengthMs, undefined, { signal }).catch(() => {});
      house.disk(target)!.free();
      house.setFull(target, false);
      return `for ${Math.round(lengthMs)} ms`;
    }),
};
