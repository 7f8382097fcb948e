/**
 * A thread that is there while it is needed: started for the first question, kept for those that come soon after it, and ended when there were
 * none for a while, since at rest its memory is wanted elsewhere. After a failure the next question gets a new one.
 */
import type { Remote, Thread } from "./thread.ts";

/** Starting one takes longer than most of what it is asked. */
const idleMs = 3_000;

export interface ThreadOnDemandOptions<T> {
  start(): Promise<Thread<T>>;
  idleMs?: number | undefined;
}

export class ThreadOnDemand<T> {
  readonly #options: ThreadOnDemandOptions<T>;
  #thread: Promise<Thread<T>> | undefined;
  #ending: NodeJS.Timeout | undefined;
  #questions = 0;

  constructor(options: ThreadOnDemandOptions<T>) {
    this.#options = options;
  }

  /** Throws what `work` throws, what starting throws, and `THREAD_DIED`. */
  async use<R>(work: (remote: Remote<T>) => Promise<R>): Promise<R> {
    clearTimeout(this.#ending);
    this.#questions++;
    const thread = (this.#thread ??= this.#options.start());
    try {
      return await work((await thread).remote);
    } catch (error) {
      if (this.#thread === thread) await this.stop();
      throw error;
    } finally {
      this.#questions--;
      if (this.#questions === 0 && this.#thread !== undefined) this.#endSoon();
    }
  }

  /** What it was asked is answered first. */
  async stop(): Promise<void> {
    clearTimeout(this.#ending);
    const thread = this.#thread;
    this.#thread = undefined;
    await thread?.then(
      ({ stop }) => stop(),
      () => {},
    );
  }

  #endSoon(): void {
    clearTimeout(this.#ending);
    this.#ending = setTimeout(() => void this.stop(), this.#options.idleMs ?? idleMs);
  }
}
