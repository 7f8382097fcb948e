/**
 * The last defence of the master's memory. libzmq limits the size of a message's parts but not their number, and shows a message only when
 * its last part is there: a peer that never sends the last one fills memory that nobody else can see or bound. When the process has
 * grown beyond its limit, all connections are dropped, and what libzmq held of them with them; agents come back by themselves.
 */

export interface MemoryGuardOptions {
  /** Bytes of resident memory. */
  limit: number;
  /** What the process takes, in bytes. */
  resident(): number;
  /** Drops all connections. */
  drop(): Promise<void>;
  /** Says what happened. `freed`: bytes that dropping them gave back. */
  tell(what: { resident: number; limit: number; freed: number }): void;
}

/** How long memory may take to come back before dropping is judged. */
const settleMs = 2_000;
/** When dropping all connections frees less than this share, they were not what filled it. */
const worthShare = 0.1;
/** How long to leave connections alone after dropping them was of no use. */
const pauseMs = 600_000;

export class MemoryGuard {
  readonly #options: MemoryGuardOptions;
  #dropped: { resident: number; at: number } | undefined;
  #pausedUntil = Number.NEGATIVE_INFINITY;

  constructor(options: MemoryGuardOptions) {
    this.#options = options;
  }

  /** Looks; to be called every second or so. `now`: monotonic ms. */
  async check(now: number): Promise<void> {
    const { limit, resident, drop, tell } = this.#options;
    const bytes = resident();
    if (this.#dropped !== undefined) {
      if (now - this.#dropped.at < settleMs) return;
      const freed = this.#dropped.resident - bytes;
      if (freed < this.#dropped.resident * worthShare) this.#pausedUntil = now + pauseMs;
      tell({ resident: this.#dropped.resident, limit, freed: Math.max(0, freed) });
      this.#dropped = undefined;
      return;
    }
    if (bytes <= limit || now < this.#pausedUntil) return;
    this.#dropped = { resident: bytes, at: now };
    await drop();
    // What came in until the connections were gone counts, too.
    this.#dropped.resident = Math.max(bytes, resident());
  }
}
