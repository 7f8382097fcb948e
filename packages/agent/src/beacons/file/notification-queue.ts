/**
 * The kernel's queue of notifications, of which a process has one: when it is full the kernel drops what comes, and Node does not say so
 * (its `fs.watch` passes over IN_Q_OVERFLOW: tried with 24). But it hands over all that the queue held in one turn of the event loop. So
 * as many in one turn as the queue holds mean that it was full.
 *
 * Not each is handed over: one of a watch that has ended meanwhile is not. So half as many are reason enough to look again, but not to
 * say that something was lost.
 */
import { readFileSync } from "node:fs";

/** The kernel's own default, where it does not say. */
const queuedEventsUsual = 16_384;

/** `lost`: the queue was full; else it may have been. */
export interface Overflow {
  lost: boolean;
  queuedMax: number;
}

export class NotificationQueue {
  readonly #listeners = new Set<(overflow: Overflow) => void>();
  #queuedMax: number | undefined;
  #inTurn = 0;

  /** To be called with each notification, in the turn in which it comes. */
  heard(): void {
    if (this.#inTurn++ === 0) setImmediate(() => this.#judge());
  }

  /** Calls `listener` when notifications were lost, or may have been; returns the way to stop that. */
  onOverflow(listener: (overflow: Overflow) => void): () => void {
    // What holds is what was set when the process began to watch.
    this.#queuedMax ??= queuedEventsMax();
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  #judge(): void {
    const heard = this.#inTurn;
    this.#inTurn = 0;
    const queuedMax = this.#queuedMax ?? queuedEventsUsual;
    if (heard < queuedMax / 2) return;
    for (const listener of this.#listeners) listener({ lost: heard >= queuedMax, queuedMax });
  }
}

function queuedEventsMax(): number {
  try {
    return Number(readFileSync("/proc/sys/fs/inotify/max_queued_events", "utf8")) || queuedEventsUsual;
  } catch {
    return queuedEventsUsual;
  }
}
