/**
 * A page of an agent's spool is garbage after SIGKILL. The promise is weaker: the file is set aside, that is told (`spool.damaged`), the
 * agent goes on, and nothing is missing but what was in that file.
 */
import { basename } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { databasesIn, overwritePage } from "../database-file.ts";
import type { Fault } from "./fault.ts";

export const spoiledSpool: Fault = {
  targets: "agents",
  strike: ({ house, chance, target, lengthMs }) =>
    house.alone(target, async () => {
      await house.kill(target);
      const inSpool = house.spooled(target);
      const hit = databasesIn(house.stateOf(target)).filter((file) => overwritePage(file, chance.fraction()));
      if (hit.length > 0) house.destroyed.set(target, house.destroyed.get(target)!.union(inSpool));
      await delay(lengthMs / 4);
      house.release(target);
      return hit.length === 0 ? "killed; there was no page to spoil" : `a page of ${hit.map((file) => basename(file)).join(", ")}`;
    }),
};
