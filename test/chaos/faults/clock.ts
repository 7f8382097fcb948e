/** The clock of one process stepped an hour ahead or back, and set right again after a while. */
import { setTimeout as delay } from "node:timers/promises";
import type { Fault } from "./fault.ts";

const stepSeconds = 3_600;

export const clock: Fault = {
  targets: "any",
  unavailable: ({ clocks }) => clocks,
  strike: ({ house, chance, target, lengthMs, signal }) =>
    house.alone([`clock ${target}`], async () => {
      const seconds = chance.pick([stepSeconds, -stepSeconds]);
      house.clock(target)!.step(seconds);
      await delay(lengthMs, undefined, { signal }).catch(() => {});
      house.clock(target)!.step(0);
      return `${seconds} s, for ${Math.round(lengthMs)} ms`;
    }),
};
