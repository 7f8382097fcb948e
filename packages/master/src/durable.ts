/**
 * What is to be said when it is on the disk, and not before (P1, P2). Turns commit without a sync; here the log is synced after them, one sync for
 * all that was committed before it began, while the next turn is under way. After a sync that failed nothing is said any more: nobody knows
 * what is on the disk, and only a restart tells. So the failure is left to nobody to handle, and ends the thread.
 */

/** The log of what is committed (store/database.ts). Once a sync has failed, all fail. */
export interface SyncedLog {
  /** Resolves when everything that was committed by now is on the disk. */
  sync(): Promise<void>;
  /** Returns when it is. */
  syncNow(): void;
}

export interface Haste {
  /** Nobody else waits: a hop to another thread and back would take longer than it saves. */
  alone: boolean;
  /** Does not wait for a sync that began before it (P8). */
  urgent: boolean;
}

type Saying = () => void;

export class Durable {
  readonly #log: SyncedLog;
  #unsaid: Saying[] = [];
  #syncing: Promise<void> | undefined;
  #overtaking: Promise<unknown> | undefined;

  constructor(log: SyncedLog) {
    this.#log = log;
  }

  /** Calls `saying` when everything that was committed by now is on the disk; in the order of the calls, but for what is urgent. */
  say(saying: Saying, { alone, urgent }: Haste): void {
    this.#unsaid.push(saying);
    if (this.#syncing === undefined) {
      if (alone) this.#now();
      else this.#syncing = this.#all();
    } else if (urgent) this.#overtaking = Promise.all([this.#overtaking, this.#cover(this.#unsaid.splice(0))]);
  }

  /** Resolves when all is said. */
  async settled(): Promise<void> {
    await Promise.all([this.#syncing, this.#overtaking]);
  }

  #now(): void {
    try {
      this.#log.syncNow();
    } catch (error) {
      this.#syncing = Promise.reject(error as Error);
      return;
    }
    for (const each of this.#unsaid.splice(0)) each();
  }

  /** What is committed meanwhile waits for the next sync. */
  async #all(): Promise<void> {
    while (this.#unsaid.length > 0) await this.#cover(this.#unsaid.splice(0));
    this.#syncing = undefined;
  }

  async #cover(covered: Saying[]): Promise<void> {
    await this.#log.sync();
    for (const each of covered) each();
  }
}
