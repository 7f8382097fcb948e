/**
 * One round of the main job, from outside: a managed file is written by hand, and at some time it is back.
 */
import { readFileSync, watch, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

export interface Change {
  file: string;
  desired: string;
  /** Its number: no two changes are the same. */
  change: number;
  /** Quiet before it. */
  pauseMs: number;
  /** After so long it counts as not undone, and the benchmark fails. */
  waitMs?: number;
}

/**
 * Milliseconds until it is back. Looks whenever the kernel says that something in the directory changed, so that measuring takes no
 * processor time from what is measured.
 */
export async function restoreOnce({ file, desired, change, pauseMs, waitMs = 10_000 }: Change): Promise<number> {
  const back = Promise.withResolvers<number>();
  const limit = setTimeout(() => back.reject(new Error(`change ${change} was not undone within ${waitMs} ms`)), waitMs);
  let from: number | undefined;
  const watcher = watch(dirname(file), () => {
    if (from !== undefined && content(file) === desired) back.resolve(performance.now());
  });
  try {
    await delay(pauseMs);
    from = performance.now();
    writeFileSync(file, `${desired}changed by hand, ${change}\n`);
    return (await back.promise) - from;
  } finally {
    clearTimeout(limit);
    watcher.close();
  }
}

export function content(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return ""; // between two renames, or before the first restore
  }
}
