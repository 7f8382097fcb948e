/** SIGSTOP and, after a while, SIGCONT: for everybody else the process is there and says nothing. */
import { setTimeout as delay } from "node:timers/promises";
import type { Fault } from "./fault.ts";

export const pause: Fault = {
  targets: "any",
  lengthMsMax: 60_000,
  strike: ({ house, target, lengthMs, signal }) =>
    house.alone([target], async () => {
      const process = house.process(target);
      process.signal("SIGSTOP");
      await delay(lengthMs, undefined, { signal }).catch(() => {});
      process.signal("SIGCONT");
      return `for ${Math.round(lengthMs)} ms`;
    }),
};
