/**
 * What a process takes, as the kernel counts it.
 */
import { readdirSync, readFileSync } from "node:fs";

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

/** Processor time of all its threads so far, in user and kernel mode. By the scheduler's count: /proc/PID/stat only has hundredths. */
export function cpuSecondsOf(pid: number): number {
  const threads = readdirSync(`/proc/${pid}/task`);
  const nanoseconds = threads.map((thread) => Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, "utf8").split(" ")[0]));
  return nanoseconds.reduce((sum, each) => sum + each, 0) / 1e9;
}

/** Processor time of the programs that it has started and seen end, in hundredths: what it takes besides its own. */
export function childrenCpuSecondsOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  // From the 3rd field on; user and kernel time of children are the 16th and 17th (proc(5)).
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[13]) + Number(fields[14])) / ticksPerSecond;
}

/** The kernel's USER_HZ: the same on every Linux that Node runs on. */
const ticksPerSecond = 100;
