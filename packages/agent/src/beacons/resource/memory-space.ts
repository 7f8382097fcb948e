/** What the kernel says of memory and swap space: /proc/meminfo (proc(5)). */
import { readFileSync } from "node:fs";

/** Bytes. */
export interface MemorySpace {
  total: number;
  available: number;
  swapTotal: number;
  swapFree: number;
}

export function readMemorySpace(): MemorySpace {
  const text = readFileSync("/proc/meminfo", "latin1");
  const bytes = (field: string) => {
    const found = new RegExp(`^${field}:\\s+(\\d+) kB$`, "m").exec(text)?.[1];
    if (found === undefined) throw new Error(`/proc/meminfo says nothing of ${field}`);
    return Number(found) * 1024;
  };
  return { total: bytes("MemTotal"), available: bytes("MemAvailable"), swapTotal: bytes("SwapTotal"), swapFree: bytes("SwapFree") };
}
