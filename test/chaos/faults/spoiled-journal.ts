/**
 * A page of the journal in the master's database is garbage after SIGKILL. The promise is weaker: the events on that page are gone, that is told
 * (`journal.damaged`, with how many are left), and nothing else is missing or done again, whatever hung on them.
 */
import { basename } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { databasesIn, foldLog } from "../database-file.ts";
import { spoilJournal } from "../journal-file.ts";
import type { Fault } from "./fault.ts";

export const spoiledJournal: Fault = {
  targets: "master",
  strike: ({ house, chance, lengthMs }) =>
    house.alone(["master", "disk master"], async () => {
      await house.kill("master");
      const file = databasesIn(house.stateOf("master")).find((each) => basename(each) === "master.db");
      // As a checkpoint does it: else the log has most pages, and hides what is wrong with them in the file.
      if (file !== undefined) foldLog(file);
      const spoiled = file === undefined ? undefined : spoilJournal(file, chance.fraction());
      if (spoiled !== undefined) house.spoiled.push(spoiled);
      await delay(lengthMs / 4);
      house.release("master");
      return spoiled === undefined ? "killed; there was no page to spoil" : `a page with ${spoiled.lost.length} events`;
    }),
};
