/**
 * The master's SQLite file (WAL), which journal and store share: one writer, one lock, and one log that is synced in order. A
 * transaction is in its place when it is committed, and on the disk with the next sync, which takes along whatever was committed before it: an event and
 * the reaction to it cost one sync, not two.
 */
import { closeSync, fdatasync, fdatasyncSync, openSync, statfsSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { DatabaseSync, type StatementSync } from "node:sqlite";
import { promisify } from "node:util";
import { NeedfireError } from "@needfire/shared/errors";
import { isFull, isRefusal } from "@needfire/shared/sqlite-code";
import { syncDirectoryOf } from "../sync-path.ts";
import { type Damage, mend, noteTable, pageBytes, untoldDamage } from "./salvage.ts";

export interface DatabaseOptions {
  file: string;
  /** FULL: a sync is one. NORMAL: it does nothing; a power cut may take the last transactions back, in order. */
  synchronous: "FULL" | "NORMAL";
}

/** A log that is longer is copied into the database by whoever commits: the thread that should have done so (checkpoints.ts) could not. 256 MiB. */
const logPagesMax = 16_000;
/** Of pages. With less, whoever makes thousands of tasks a second reads again what it has just written. */
const cacheKibibytes = 32_768;

export class Database {
  readonly connection: DatabaseSync;
  readonly file: string;
  /** The file was found damaged, and salvaged: somebody must tell of it. As it was when it was opened. */
  readonly damage: Damage | undefined;
  readonly #lock: DatabaseSync;
  readonly #full: boolean;
  /** SQLite's log. It stays the same file as long as the database is open. */
  #log: number | undefined;
  /** The database itself. Never closed before the connection: that would undo the locks that SQLite has on it. */
  #file: number | undefined;
  readonly #logLength: StatementSync;
  readonly #pageCount: StatementSync;
  /** Something was committed since the last sync began. */
  #unsynced = false;
  /** The last sync that is under way in another thread. */
  #syncing: Promise<void> | undefined;
  #syncs = 0;
  #failure: { error: unknown } | undefined;

  /** Throws `STATE_LOCKED` when another process has it. */
  constructor({ file, synchronous }: DatabaseOptions) {
    this.file = file;
    this.#full = synchronous === "FULL";
    this.#lock = lockState(`${file}.lock`);
    try {
      mend(file, Date.now());
      this.connection = new DatabaseSync(file, { timeout: 5_000 });
    } catch (error) {
      this.#lock.close();
      throw error;
    }
    this.connection.exec(`PRAGMA page_size = ${pageBytes}; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL`);
    this.connection.exec(`PRAGMA wal_autocheckpoint = ${logPagesMax}`);
    this.connection.exec(`PRAGMA cache_size = -${cacheKibibytes}`);
    this.#logLength = this.connection.prepare("PRAGMA wal_checkpoint(NOOP)");
    this.#pageCount = this.connection.prepare("PRAGMA page_count");
    this.connection.exec("CREATE TABLE IF NOT EXISTS migration (component TEXT PRIMARY KEY, version INTEGER NOT NULL) STRICT");
    this.damage = untoldDamage(this.connection);
  }

  /** All of `work` or nothing; on the disk with the next sync. Throws what `work` throws, and `DISK_FULL`. */
  transaction<T>(work: () => T): T {
    this.connection.exec("BEGIN IMMEDIATE");
    try {
      const result = work();
      this.connection.exec("COMMIT");
      this.#unsynced = true;
      return result;
    } catch (error) {
      if (this.connection.isTransaction) this.connection.exec("ROLLBACK");
      throw isFull(error) ? new NeedfireError("DISK_FULL", `there is no room for ${this.file}`, { cause: error }) : error;
    }
  }

  /**
   * Resolves when everything that was committed by now is on the disk, without holding up this thread: it syncs SQLite's log as SQLite
   * itself does with `synchronous = FULL`. Rejects when the disk fails, from then on always: nobody knows what is on it, a later sync that
   * succeeds says nothing of what an earlier one lost, and only a restart tells.
   */
  async sync(): Promise<void> {
    if (this.#full && this.#unsynced) this.#syncing = this.#syncElsewhere();
    // Without anything new, what was committed is on its way to the disk with the last sync.
    await this.#syncing;
  }

  /** The same at once, in this thread: sooner done when it has nothing else to do. */
  syncNow(): void {
    if (!this.#full || !(this.#unsynced || this.#syncing !== undefined)) return;
    this.#unsynced = false;
    try {
      if (this.#failure !== undefined) throw this.#failure.error;
      fdatasyncSync(this.#openedLog());
    } catch (error) {
      throw this.#fail(error);
    }
  }

  /** How many pages the log has, and how many of them are in the database. */
  log(): { pages: number; copied: number } {
    const length = this.#logLength.get();
    return { pages: Number(length?.["log"]), copied: Number(length?.["checkpointed"]) };
  }

  /** Whether the disk has room for so many pages more. */
  hasRoomFor(pages: number): boolean {
    const { bavail, bsize } = statfsSync(dirname(this.file));
    return pages * pageBytes <= bavail * bsize;
  }

  /** Copies what is left of the log into the database; the next transaction begins it anew, if nobody reads it. */
  checkpoint(): void {
    this.connection.exec("PRAGMA wal_checkpoint(PASSIVE)");
  }

  /**
   * Whether the disk has room for what the database gains when all of the log is copied into it. Where it has not, copying would take the last
   * of the room and come to nothing.
   */
  canCopy(): boolean {
    const pages = Number(this.#pageCount.get()?.["page_count"]);
    return this.hasRoomFor(pages - Math.floor(statSync(this.file).size / pageBytes));
  }

  /** On a full disk: a log that is written over from its beginning needs no room. False when it cannot be. */
  makeRoom(): boolean {
    if (!this.canCopy()) return false;
    try {
      this.checkpoint();
    } catch (error) {
      if (isRefusal(error)) return false;
      throw error;
    }
    const { pages, copied } = this.log();
    return pages > 0 && copied === pages;
  }

  /**
   * Brings to the disk what was copied into the database, so that SQLite need not wait for that when it syncs it itself. A sync that fails is the
   * end, as with `sync`; a file that cannot be opened just now, for want of descriptors, says nothing of the disk.
   */
  async syncFile(): Promise<void> {
    const file = (this.#file ??= openSync(this.file, "r+"));
    try {
      await syncElsewhere(file);
    } catch (error) {
      throw this.#fail(error);
    }
  }

  async #syncElsewhere(): Promise<void> {
    this.#unsynced = false;
    const number = ++this.#syncs;
    try {
      if (this.#failure !== undefined) throw this.#failure.error;
      await syncElsewhere(this.#openedLog());
    } catch (error) {
      throw this.#fail(error);
    }
    if (number === this.#syncs) this.#syncing = undefined;
  }

  #fail(error: unknown): unknown {
    this.#failure ??= { error };
    // So that the next sync finds something to do, and fails.
    this.#unsynced = true;
    return error;
  }

  #openedLog(): number {
    return (this.#log ??= openLog(this.file));
  }

  /** Applies the migrations of a component that are missing, each once and in order. They are numbered by their place and never edited. */
  migrate(component: string, migrations: readonly string[]): void {
    const row = this.connection.prepare("SELECT version FROM migration WHERE component = ?").get(component);
    const done = row === undefined ? this.#present(component, migrations) : Number(row["version"]);
    for (const [index, sql] of migrations.entries()) {
      if (index < done) continue;
      this.transaction(() => {
        this.connection.exec(sql);
        this.connection.prepare("INSERT OR REPLACE INTO migration (component, version) VALUES (?, ?)").run(component, index + 1);
      });
    }
    this.syncNow();
  }

  /** How many migrations must have been applied, by the tables and columns that are there: after damage nothing else may say it. */
  #present(component: string, migrations: readonly string[]): number {
    if (this.damage === undefined) return 0;
    const column = this.connection.prepare("SELECT 1 FROM pragma_table_info(?) WHERE name = coalesce(?, name)");
    const isThere = (sql: string) => {
      const [, table, added] = /(?:CREATE|ALTER) TABLE (\w+)(?: ADD COLUMN (\w+))?/.exec(sql) ?? [];
      return table !== undefined && column.get(table, added ?? null) !== undefined;
    };
    const done = migrations.findLastIndex(isThere) + 1;
    if (done > 0) this.connection.prepare("INSERT INTO migration (component, version) VALUES (?, ?)").run(component, done);
    return done;
  }

  /** Within the transaction that tells of the damage. */
  forgetDamage(): void {
    this.connection.exec(`DROP TABLE IF EXISTS ${noteTable}`);
  }

  close(): void {
    if (!this.connection.isOpen) return;
    try {
      this.syncNow();
    } finally {
      if (this.#log !== undefined) closeSync(this.#log);
      this.connection.close();
      if (this.#file !== undefined) closeSync(this.#file);
      this.#lock.close();
    }
  }
}

const syncElsewhere = promisify(fdatasync);

/** The file is there, since something was committed; its name may not be on the disk yet. */
function openLog(file: string): number {
  syncDirectoryOf(file);
  return openSync(`${file}-wal`, "r+");
}

/** A transaction that is never ended: the kernel lets go of it when the process ends, however it ends. Throws `STATE_LOCKED`. */
function lockState(file: string): DatabaseSync {
  const lock = new DatabaseSync(file, { timeout: 0 });
  try {
    lock.exec("BEGIN EXCLUSIVE");
    return lock;
  } catch (error) {
    lock.close();
    throw new NeedfireError("STATE_LOCKED", `another master uses ${dirname(file)}: stop it first`, { cause: error });
  }
}
