/**
 * A page of an agent's spool is garbage after SIGKILL, at a time when the master takes nothing, so that there is something in it. The
 * promise is weaker: the file is set aside, that is told (`spool.damaged`), the agent goes on, and nothing is missing but what was in that
 * file.
 */
import { basename } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { databasesIn, foldLog, overwritePage } from "../database-file.ts";
import type { Fault } from "./fault.ts";

export const spoiledSpool: Fault = {
  targets: "agents",
  strike: ({ house, chance, target, lengthMs, signal }) =>
    house.alone(["master", target, `disk ${target}`], async () => {
      const master = house.process("master");
      master.signal("SIGSTOP");
      await delay(lengthMs / 2, undefined, { signal }).catch(() => {});
      await house.kill(target);
      master.signal("SIGCONT");
      const inSpool = house.numbersIn(target, target);
      const files = databasesIn(house.stateOf(target));
      // As a checkpoint does it: else the log has most pages, and hides what is wrong with them in the file.
      for (const file of files) foldLog(file);
      const hit = files.filter((file) => overwritePage(file, chance.fraction()));
      if (hit.length > 0) house.destroy(target, inSpool);
      await delay(lengthMs / 4);
      house.release(target);
      return hit.length === 0 ? "killed; there was no page to spoil" : `a page of ${hit.map((file) => basename(file)).join(", ")}`;
    }),
};
