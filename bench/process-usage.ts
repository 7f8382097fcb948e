/**
 * What a process takes, as the kernel counts it.
 */
import { readFileSync } from "node:fs";

/** USER_HZ: the unit of times in /proc, 100 a second on every Linux that Node runs on. */
const ticksPerSecond = 100;

export interface Memory {
  rssBytes: number;
  /** Private_Clean + Private_Dirty: what would be free if the process ended. */
  privateBytes: number;
}

export function memoryOf(pid: number): Memory {
  const text = readFileSync(`/proc/${pid}/smaps_rollup`, "utf8");
  const bytes = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(text)?.[1]) * 1_024;
  return { rssBytes: bytes("Rss"), privateBytes: bytes("Private_Clean") + bytes("Private_Dirty") };
}

/** Processor time of all its threads so far, in user and kernel mode. */
export function cpuSecondsOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  const [user, system] = stat
    .slice(stat.lastIndexOf(")") + 2)
    .split(" ")
    .slice(11, 13);
  return (Number(user) + Number(system)) / ticksPerSecond;
}
