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
