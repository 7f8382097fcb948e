/** SIGKILL at a random moment, of one process or of all at once; started again after a while. */
import { setTimeout as delay } from "node:timers/promises";
import type { House } from "../house.ts";
import type { Fault } from "./fault.ts";

export const kill: Fault = {
  targets: "any",
  strike: ({ house, target, lengthMs }) => house.alone([target], () => killed(house, target, lengthMs)),
};

export const killAll: Fault = {
  targets: "all",
  async strike({ house, chance, lengthMs }) {
    const names = ["master", ...house.agents];
    // All down at once, and up one after the other.
    await Promise.all(names.map((name) => house.alone([name], () => killed(house, name, lengthMs * chance.between(0.5, 1)))));
    return names.join(", ");
  },
};

async function killed(house: House, name: string, downMs: number): Promise<string> {
  await house.kill(name);
  await delay(downMs / 2);
  house.release(name);
  return `down for ${Math.round(downMs / 2)} ms`;
}
