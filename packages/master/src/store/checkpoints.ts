/**
 * When SQLite's log is copied into the database, and by whom: another thread copies, so that whoever writes need not stand and wait for the disk. The log can be
 * written over from its beginning only when all of it is in the database and synced; while events come without end that thread is always some pages
 * behind, so now and then the writer copies those few itself, between two turns.
 *
 * Decides when, never what is safe: SQLite does.
 */
import { DatabaseSync } from "node:sqlite";
import { setTimeout as delay } from "node:timers/promises";
import { errorText } from "@needfire/shared/errors";
import type { EngineLog } from "../engine-log.ts";
import type { Thread } from "../thread.ts";
import { ThreadOnDemand } from "../thread-on-demand.ts";
import type { Database } from "./database.ts";

/** Pages that are not in the database yet are worth a pass of the other thread: 16 MiB. */
const passPagesMin = 1_000;
/** A log of so many pages is to be written over: 64 MiB. The writer copies what the other thread has left of it. */
const restartPagesMin = 4_000;
/**
 * What is left of the log may need room in the database. Where the disk has not so many times as much, the writer copies it at once: a log that
 * has taken the last of the room could never be copied, and nothing would be taken any more.
 */
const roomFactor = 2;
/** After a pass that failed, for want of room on the disk as a rule. */
const retryMs = 1_000;

export interface CheckpointsOptions {
  database: Pick<Database, "log" | "hasRoomFor" | "canCopy" | "checkpoint" | "syncFile">;
  start(): Promise<Thread<Checkpointer>>;
  log: Pick<EngineLog, "warn">;
  retryMs?: number;
  idleMs?: number;
}

export class Checkpoints {
  readonly #options: CheckpointsOptions;
  readonly #stop = new AbortController();
  readonly #thread: ThreadOnDemand<Checkpointer>;
  #passing: Promise<void> | undefined;

  constructor(options: CheckpointsOptions) {
    this.#options = options;
    this.#thread = new ThreadOnDemand(options);
  }

  /** Between two transactions. `urgent`: somebody should not wait for more than need be. */
  look(urgent: boolean): void {
    if (this.#passing !== undefined || this.#stop.signal.aborted) return;
    const work = this.#due(urgent);
    if (work !== undefined) this.#passing = this.#try(work);
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#passing;
    await this.#thread.stop();
  }

  /** What is to be done now. Asking may fail, too, while another process has locked the database. */
  #due(urgent: boolean): (() => Promise<void> | void) | undefined {
    const { database } = this.#options;
    try {
      const { pages, copied } = database.log();
      const left = pages - copied;
      if (left > 0 && !database.hasRoomFor(left * roomFactor) && database.canCopy()) return () => database.checkpoint();
      if (left >= passPagesMin) return () => this.#pass();
      return pages >= restartPagesMin && left > 0 && !urgent ? () => database.checkpoint() : undefined;
    } catch (error) {
      return () => Promise.reject(error as Error);
    }
  }

  /** Nothing is lost by a failure: the log is longer for now. */
  async #try(work: () => Promise<void> | void): Promise<void> {
    const { log, retryMs: waitMs = retryMs } = this.#options;
    try {
      await work();
    } catch (error) {
      log.warn({ error: errorText(error) }, "the database's log could not be copied into the database; it is tried again");
      await delay(waitMs, undefined, { signal: this.#stop.signal }).catch(() => {});
    }
    this.#passing = undefined;
  }

  #pass(): Promise<void> {
    return this.#thread.use(async (remote) => {
      try {
        await remote.checkpoint();
      } finally {
        // Also when it failed: a sync that failed over there is one here, which is the end, and not to be tried again: what it was to save may be lost.
        await this.#options.database.syncFile();
      }
    });
  }
}

/** The other thread's part. */
export class Checkpointer {
  readonly #connection: DatabaseSync;

  constructor(database: string) {
    this.#connection = new DatabaseSync(database);
    this.#connection.exec("PRAGMA synchronous = NORMAL");
  }

  /** Copies what is in the log by now, as far as nobody still reads what was before it. */
  checkpoint(): void {
    this.#connection.exec("PRAGMA wal_checkpoint(PASSIVE)");
  }

  close(): void {
    this.#connection.close();
  }
}
