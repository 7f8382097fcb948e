/**
 * Which task holds which lock, and who waits for it: by priority, then by age. A memory of what the store has: it is filled from there, and nothing is
 * written. Whoever ends lets go, however it ends.
 */
import { severities } from "@needfire/shared/event";
import type { Task } from "@needfire/shared/task";
import { holdsLock, waitsForLock } from "@needfire/shared/task/lock";

interface Lock {
  holders: Set<string>;
  /** Whose turn is next first. */
  waiting: Task[];
}

export class Locks {
  readonly #locks = new Map<string, Lock>();
  /** Those that may have nobody who holds them, and somebody who waits. */
  readonly #free = new Set<string>();

  /** A task as it is now. */
  note(task: Task): void {
    if (task.lock === undefined) return;
    const key = JSON.stringify(task.lock);
    const lock = this.#locks.get(key) ?? { holders: new Set(), waiting: [] };
    this.#locks.set(key, lock);
    lock.waiting = lock.waiting.filter(({ id }) => id !== task.id);
    if (holdsLock(task)) lock.holders.add(task.id);
    else lock.holders.delete(task.id);
    if (waitsForLock(task)) lock.waiting = [...lock.waiting, task].toSorted(byTurn);
    if (lock.holders.size > 0) return;
    if (lock.waiting.length > 0) this.#free.add(key);
    else this.#locks.delete(key);
  }

  /** The task that keeps others from beginning: the one at work, or the one whose turn is next. Undefined: nobody. */
  holderOf(lock: readonly unknown[]): string | undefined {
    const { holders, waiting } = this.#locks.get(JSON.stringify(lock)) ?? { holders: [], waiting: [] };
    const [holder] = holders;
    return holder ?? waiting[0]?.id;
  }

  /** A task whose turn it is. It is not given twice: what becomes of it must be noted. */
  next(): string | undefined {
    for (const key of this.#free) {
      this.#free.delete(key);
      const { holders, waiting } = this.#locks.get(key) ?? { holders: new Set(), waiting: [] };
      const [first] = waiting;
      if (first !== undefined && holders.size === 0) return first.id;
    }
    return undefined;
  }
}

function byTurn(a: Task, b: Task): number {
  const priority = severities.indexOf(a.priority) - severities.indexOf(b.priority);
  return priority || a.created - b.created || (a.id < b.id ? -1 : 1);
}
