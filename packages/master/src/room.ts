/**
 * Whether the disk has room. What must be written is tried until the disk takes it; meanwhile nothing is acknowledged, so agents keep what they
 * have (P1), and whoever asks for something to be kept is told that it cannot be.
 */
import { setTimeout as delay } from "node:timers/promises";
import type { Clock } from "@needfire/shared/clock";
import { errorText, NeedfireError } from "@needfire/shared/errors";
import { isDiskTrouble } from "./disk-trouble.ts";

/** How long to wait before a disk that took nothing is tried again. */
export const retryMs = 1_000;

export interface RoomOptions {
  clock: Clock;
  /** Ends the trying. */
  signal: AbortSignal;
  /** Whether there may be room now that was not there before. */
  makeRoom(): boolean;
  /** The disk took nothing, for the first time. */
  onFull(error: string): void;
  /** It takes something again; from when to when it did not. */
  onRoom(from: number, to: number): void;
  retryMs?: number;
}

export class Room {
  readonly #options: RoomOptions;
  #fullSince: number | undefined;

  constructor(options: RoomOptions) {
    this.#options = options;
  }

  get isFull(): boolean {
    return this.#fullSince !== undefined;
  }

  /** What `work` returns; where the disk takes nothing, it is tried once more, if room can be made. Throws what `work` throws. */
  taken<T>(work: () => T): T {
    try {
      return work();
    } catch (error) {
      if (isDiskTrouble(error) && this.#options.makeRoom()) return work();
      throw error;
    }
  }

  /**
   * What `work` returns, when the disk takes it; before each wait `refuse` is called, for those that do not wait. Throws what is not the disk's
   * fault, and `DISK_FULL` when the engine stops.
   */
  async untilTaken<T>(work: () => T, refuse: (error: NeedfireError) => void): Promise<T> {
    for (;;) {
      try {
        const result = this.taken(work);
        this.#hasRoom();
        return result;
      } catch (error) {
        if (!isDiskTrouble(error)) throw error;
        this.#isFull(errorText(error));
        refuse(new NeedfireError("DISK_FULL", `the master's disk takes nothing: ${errorText(error)}`));
        const { signal, retryMs: waitMs = retryMs } = this.#options;
        if (signal.aborted) throw new NeedfireError("DISK_FULL", "the engine stopped while the disk was full", { cause: error });
        await delay(waitMs, undefined, { signal }).catch(() => {});
      }
    }
  }

  #isFull(error: string): void {
    if (this.#fullSince !== undefined) return;
    this.#fullSince = this.#options.clock.now();
    this.#options.onFull(error);
  }

  #hasRoom(): void {
    if (this.#fullSince === undefined) return;
    const from = this.#fullSince;
    this.#fullSince = undefined;
    this.#options.onRoom(from, this.#options.clock.now());
  }
}
