/**
 * A disk that lied: after SIGKILL the last transactions are gone from the log, although they were synced. The promise is weaker: nothing is
 * missing but what was in them, and that is told; what comes after it is as safe as ever.
 */
import { basename } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { cutLog, databasesIn } from "../database-file.ts";
import type { Fault } from "./fault.ts";

export const cutLogs: Fault = {
  targets: "any",
  strike: ({ house, chance, target, lengthMs }) =>
    house.alone([target, `disk ${target}`], async () => {
      await house.kill(target);
      const before = house.agents.map((agent) => house.numbersIn(target, agent));
      const hit = databasesIn(house.stateOf(target)).filter((file) => cutLog(file, chance.fraction()));
      for (const [index, agent] of house.agents.entries()) house.destroy(agent, before[index]!.difference(house.numbersIn(target, agent)));
      await delay(lengthMs / 4);
      house.release(target);
      return hit.length === 0 ? "killed; there was no log to cut" : `the end of ${hit.map((file) => `${basename(file)}-wal`).join(", ")}`;
    }),
};
