/**
 * Which task holds which lock, and who waits for it: by rank (shared/rank.ts), so that none is starved by those that come later. A memory of what the
 * store has: it is filled from there, and nothing is written. Whoever ends lets go, however it ends.
 */
import { Line } from "@needfire/shared/line";
import { rankOf } from "@needfire/shared/rank";
import type { Task } from "@needfire/shared/task";
import { holdsLock, waitsForLock } from "@needfire/shared/task/lock";

interface Lock {
  holders: Set<string>;
  waiting: Line<string>;
}

export class Locks {
  readonly #risesAfterMs: number;
  readonly #locks = new Map<string, Lock>();
  /** Those that may have nobody who holds them, and somebody who waits. */
  readonly #free = new Set<string>();

  constructor(risesAfterMs: number) {
    this.#risesAfterMs = risesAfterMs;
  }

  /** A task as it is now. */
  note(task: Task): void {
    if (task.lock === undefined) return;
    const key = JSON.stringify(task.lock);
    const lock = this.#locks.get(key) ?? { holders: new Set(), waiting: new Line() };
    this.#locks.set(key, lock);
    if (holdsLock(task)) lock.holders.add(task.id);
    else lock.holders.delete(task.id);
    this.#line(task, lock.waiting);
    if (lock.holders.size > 0) return;
    if (lock.waiting.size > 0) this.#free.add(key);
    else this.#locks.delete(key);
  }

  /** The task that keeps others from beginning: the one at work, or the one whose turn is next. Undefined: nobody. */
  holderOf(lock: readonly unknown[]): string | undefined {
    const known = this.#locks.get(JSON.stringify(lock));
    const [holder] = known?.holders ?? [];
    return holder ?? known?.waiting.first();
  }

  /** A task whose turn it is. It is not given twice: what becomes of it must be noted. */
  next(): string | undefined {
    for (const key of this.#free) {
      this.#free.delete(key);
      const lock = this.#locks.get(key);
      const first = lock?.waiting.first();
      if (first !== undefined && lock?.holders.size === 0) return first;
    }
    return undefined;
  }

  /** Whoever waits keeps the place that it has, whatever else changes of it. */
  #line(task: Task, waiting: Line<string>): void {
    if (!waitsForLock(task)) waiting.delete(task.id);
    else if (waiting.rankOf(task.id) === undefined)
      waiting.add(task.id, rankOf({ priority: task.priority, since: task.created }, this.#risesAfterMs));
  }
}
