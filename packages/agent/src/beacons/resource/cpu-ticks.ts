/**
 * What the cores did, as the kernel counts it in /proc/stat (proc(5)). Read from there and not through `systeminformation`, which starts a
 * shell for it each time, and lets all who ask share one mark to count from.
 */
import { readFileSync } from "node:fs";

/** Of all cores together since the machine started, in the kernel's ticks. */
export interface Ticks {
  busy: number;
  idle: number;
}

export function readTicks(): Ticks {
  return parseTicks(readFileSync("/proc/stat", "utf8"));
}

/** Throws when it is not what proc(5) describes. */
export function parseTicks(stat: string): Ticks {
  const [, counts] = /^cpu +((?:\d+ ){7}\d+)/.exec(stat) ?? [];
  if (counts === undefined) throw new Error("/proc/stat does not begin with the cores' ticks");
  // What follows, the time of guests, is part of user and nice.
  const [user, nice, system, idle, waiting, irq, softIrq, stolen] = counts.split(" ").map(Number) as Counts;
  return { busy: user + nice + system + irq + softIrq + stolen, idle: idle + waiting };
}

type Counts = [number, number, number, number, number, number, number, number];

/** Per cent of all cores between two readings. The kernel's count of waiting may go back a little (proc(5)). */
export function loadBetween(before: Ticks, now: Ticks): number {
  const busy = Math.max(0, now.busy - before.busy);
  const idle = Math.max(0, now.idle - before.idle);
  return busy === 0 ? 0 : (busy / (busy + idle)) * 100;
}
