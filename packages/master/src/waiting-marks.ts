/**
 * Marks on their way to the store: when commands were sent and confirmed. They wait a while for more of their kind, so that what becomes of one
 * execution in that time is written once; but no longer than its end, nor than anything that must not be durable before them (P3).
 */
import type { Mark } from "./store/store.ts";

/** How long a mark waits for others. */
const marksWaitMs = 500;

export class WaitingMarks {
  readonly #onDue: () => void;
  #byExecution = new Map<string, Mark[]>();
  #waiting: NodeJS.Timeout | undefined;

  constructor(onDue: () => void) {
    this.#onDue = onDue;
  }

  add(marks: readonly Mark[]): void {
    for (const mark of marks) {
      const known = this.#byExecution.get(mark.execution);
      if (known === undefined) this.#byExecution.set(mark.execution, [mark]);
      else known.push(mark);
    }
    if (marks.length === 0) return;
    this.#waiting ??= setTimeout(() => {
      this.#waiting = undefined;
      this.#onDue();
    }, marksWaitMs);
  }

  /** They have waited for long enough. */
  get areDue(): boolean {
    return this.#byExecution.size > 0 && this.#waiting === undefined;
  }

  /** All of them, when they are due or `all` says so (there is little else to do); else those of executions that have ended. */
  take({ all, ended }: { all: boolean; ended: readonly string[] }): Mark[] {
    if (all) this.hurry();
    if (this.#waiting !== undefined) return ended.flatMap((execution) => this.#takeOf(execution));
    const taken = [...this.#byExecution.values()].flat();
    this.#byExecution = new Map();
    return taken;
  }

  /** What is here now waits no longer. */
  hurry(): void {
    clearTimeout(this.#waiting);
    this.#waiting = undefined;
  }

  #takeOf(execution: string): readonly Mark[] {
    const marks = this.#byExecution.get(execution) ?? [];
    this.#byExecution.delete(execution);
    return marks;
  }
}
