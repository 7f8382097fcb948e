/** A crash in the middle of a write: SIGKILL, and the log of each database ends in half a page. Nothing that was committed may be lost. */
import { basename } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { databasesIn, tearLog } from "../database-file.ts";
import type { Fault } from "./fault.ts";

export const torn: Fault = {
  targets: "any",
  strike: ({ house, target, lengthMs }) =>
    house.alone([target, `disk ${target}`], async () => {
      await house.kill(target);
      const hit = databasesIn(house.stateOf(target)).filter((file) => tearLog(file));
      await delay(lengthMs / 4);
      house.release(target);
      return hit.length === 0 ? "killed; there was no log" : hit.map((file) => `${basename(file)}-wal`).join(", ");
    }),
};
