/** Work that can wait goes on in a thread that takes what the others leave of the processor. Linux keeps a niceness for each thread. */
import { readlinkSync } from "node:fs";
import { getPriority, setPriority } from "node:os";
import { basename } from "node:path";

/** A tenth of an ordinary thread's share, where both want all there is. */
const niceness = 10;

/** This thread gives way to the others from now on. Where there is no /proc it stays as it is: it is only slower for the others. */
export function giveWay(): void {
  try {
    const thread = threadId();
    if (getPriority(thread) < niceness) setPriority(thread, niceness);
  } catch {
    // Nothing depends on it.
  }
}

/** Of the calling thread, as the kernel counts. Throws without /proc. */
export function threadId(): number {
  return Number(basename(readlinkSync("/proc/thread-self")));
}
