/**
 * Time since the host was started: no setting of the clock changes it, it goes on while the agent is away and while the machine sleeps, and ends
 * with the boot, which has a name.
 */
import { uptime } from "node:os";
import type { Clock } from "@needfire/shared/clock";
import { bootId } from "./beacons/process/process-table.ts";

export interface BootClock extends Clock {
  readonly boot: string;
}

export function bootClock(): BootClock {
  return { boot: bootId(), now: () => uptime() * 1_000 };
}
