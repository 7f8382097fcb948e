/** The link of a host cut and restored: without a word (packets vanish), or with one (there is no route). */
import { setTimeout as delay } from "node:timers/promises";
import type { Fault } from "./fault.ts";

export const unplug: Fault = {
  targets: "any",
  unavailable: ({ network }) => network,
  strike: ({ house, target, lengthMs, signal }) =>
    house.alone([`link ${target}`], async () => {
      house.network!.setPort(target, "down");
      await delay(lengthMs, undefined, { signal }).catch(() => {});
      house.network!.setPort(target, "up");
      return `for ${Math.round(lengthMs)} ms`;
    }),
};

export const blackhole: Fault = {
  targets: "agents",
  unavailable: ({ network }) => network,
  strike: ({ house, target, lengthMs, signal }) =>
    house.alone([`route ${target}`], async () => {
      house.network!.setBlackhole(target, "master", "add");
      await delay(lengthMs, undefined, { signal }).catch(() => {});
      house.network!.setBlackhole(target, "master", "del");
      return `for ${Math.round(lengthMs)} ms`;
    }),
};
