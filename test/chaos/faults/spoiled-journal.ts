/**
 * A page of the journal is garbage after SIGKILL, in the master's database or, as often where there is one, in a sealed partition. The promise is
 * weaker: the events on that page, or in that partition, are gone, that is told (`journal.damaged`, with how many are left;
 * `journal.partition_damaged`), and nothing else is missing or done again, whatever hung on them.
 */
import { basename } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { databasesIn, foldLog } from "../database-file.ts";
import { sealedFiles, spoilJournal, spoilSealed } from "../journal-file.ts";
import type { Fault } from "./fault.ts";

export const spoiledJournal: Fault = {
  targets: "master",
  strike: ({ house, chance, lengthMs }) =>
    house.alone(["master", "disk master"], async () => {
      await house.kill("master");
      const file = databasesIn(house.stateOf("master")).find((each) => basename(each) === "master.db");
      // As a checkpoint does it: else the log has most pages, and hides what is wrong with them in the file.
      if (file !== undefined) foldLog(file);
      const sealed = file === undefined ? [] : sealedFiles(file);
      const isSealed = sealed.length > 0 && chance.fraction() < 0.5;
      const spoiled =
        file === undefined
          ? undefined
          : isSealed
            ? spoilSealed(file, chance.pick(sealed), chance.fraction())
            : spoilJournal(file, chance.fraction());
      if (spoiled !== undefined) house.spoiled.push(spoiled);
      await delay(lengthMs / 4);
      house.release("master");
      if (spoiled === undefined) return "killed; there was no page to spoil";
      const { lost, told } = spoiled;
      const where = told.type === "journal.damaged" ? "" : ` of sealed partition ${told.partition} (of ${sealed.length})`;
      return `a page${where} with ${lost.length} events`;
    }),
};
