/** Every kind of fault, by its name. */
import { clock } from "./clock.ts";
import { cutLogs } from "./cut-log.ts";
import type { Fault } from "./fault.ts";
import { fullDisk } from "./full-disk.ts";
import { kill, killAll } from "./kill.ts";
import { blackhole, unplug } from "./link.ts";
import { pause } from "./pause.ts";
import { spoiledJournal } from "./spoiled-journal.ts";
import { spoiledSpool } from "./spoiled-spool.ts";
import { torn } from "./torn.ts";

export const faults = {
  kill,
  "kill-all": killAll,
  pause,
  unplug,
  blackhole,
  "full-disk": fullDisk,
  clock,
  torn,
  "cut-log": cutLogs,
  "spoiled-spool": spoiledSpool,
  "spoiled-journal": spoiledJournal,
} satisfies Record<string, Fault>;
export type FaultName = keyof typeof faults;
export const faultNames = Object.keys(faults) as FaultName[];
