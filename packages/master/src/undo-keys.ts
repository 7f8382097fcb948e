/**
 * Which tasks still have something to take back for the same key: one of them may take over another's. A memory of what the store has: it is filled
 * from there, and nothing is written.
 */
import type { Task } from "@needfire/shared/task";
import { hasLeased, undoKeyOf } from "@needfire/shared/task/take-over";

export class UndoKeys {
  readonly #tasks = new Map<string, Set<string>>();
  /** Those with several, of which one has changed. */
  readonly #changed = new Set<string>();

  /** A task as it is now. */
  note(task: Task): void {
    const values = undoKeyOf(task);
    if (values === undefined) return;
    const key = JSON.stringify(values);
    const ids = this.#tasks.get(key) ?? new Set();
    if (hasLeased(task)) this.#tasks.set(key, ids.add(task.id));
    else if (ids.delete(task.id) && ids.size === 0) this.#tasks.delete(key);
    if (ids.size > 1) this.#changed.add(key);
    else this.#changed.delete(key);
  }

  get hasShared(): boolean {
    return this.#changed.size > 0;
  }

  /** Tasks with one key, of which one may take over another's undo. They are not given twice, unless one of them changes. */
  nextShared(): string[] {
    const [key = ""] = this.#changed;
    this.#changed.delete(key);
    return [...(this.#tasks.get(key) ?? [])];
  }
}
