/**
 * The master's SQLite file (WAL), which journal and store share: one writer, one lock, and one log that is synced in order. So a durable
 * transaction takes along whatever was written before it, and an event and the reaction to it cost one sync to the disk, not two.
 */
import { closeSync, fdatasync, fdatasyncSync, fsyncSync, openSync } from "node:fs";
import { dirname } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { promisify } from "node:util";
import { NeedfireError } from "@needfire/shared/errors";
import { isFull } from "@needfire/shared/sqlite-code";
import { type Damage, mend, noteTable, pageBytes, untoldDamage } from "./salvage.ts";

export interface DatabaseOptions {
  file: string;
  /** FULL: durable transactions are synced. NORMAL: none is; a power cut may take the last ones back, in order. */
  synchronous: "FULL" | "NORMAL";
}

export class Database {
  readonly connection: DatabaseSync;
  readonly file: string;
  /** The file was found damaged, and salvaged: somebody must tell of it. */
  damage: Damage | undefined;
  readonly #lock: DatabaseSync;
  readonly #full: boolean;
  /** SQLite's log. It stays the same file as long as the database is open. */
  #log: number | undefined;
  #synchronous: "FULL" | "NORMAL" = "NORMAL";
  /** Something was committed since the last sync. */
  #unsynced = false;

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
    this.connection.exec(
      `CREATE TABLE IF NOT EXISTS migration (component TEXT PRIMARY KEY, version INTEGER NOT NULL) STRICT;
       CREATE TABLE IF NOT EXISTS sync (id INTEGER PRIMARY KEY CHECK (id = 1), count INTEGER NOT NULL) STRICT;
       INSERT OR IGNORE INTO sync (id, count) VALUES (1, 0)`,
    );
    this.damage = untoldDamage(this.connection);
  }

  /**
   * All of `work` or nothing. Not `durable`: it is in its place, and on the disk with the next durable transaction or `sync`. Throws what
   * `work` throws, and `DISK_FULL`.
   */
  transaction<T>(work: () => T, { durable }: { durable: boolean }): T {
    this.#set(durable && this.#full ? "FULL" : "NORMAL");
    this.connection.exec("BEGIN IMMEDIATE");
    try {
      const result = work();
      this.connection.exec("COMMIT");
      this.#unsynced = !durable;
      return result;
    } catch (error) {
      if (this.connection.isTransaction) this.connection.exec("ROLLBACK");
      throw isFull(error) ? new NeedfireError("DISK_FULL", `there is no room for ${this.file}`, { cause: error }) : error;
    }
  }

  /** Returns when everything that was committed is on the disk. */
  sync(): void {
    if (!this.#unsynced) return;
    // SQLite syncs its log only with a transaction that writes.
    this.transaction(() => this.connection.exec("UPDATE sync SET count = count + 1"), { durable: true });
  }

  /**
   * Resolves when everything that was committed by now is on the disk, without holding up this thread: it syncs SQLite's log as SQLite
   * itself does for a durable transaction. Rejects when the disk fails: then nobody knows what is on it, and only a restart tells.
   */
  async syncLog(): Promise<void> {
    const log = this.#logToSync();
    if (log !== undefined) await sync(log);
  }

  /** The same at once, in this thread: sooner done when it has nothing else to do. */
  syncLogNow(): void {
    const log = this.#logToSync();
    if (log !== undefined) fdatasyncSync(log);
  }

  #logToSync(): number | undefined {
    if (!this.#full || !this.#unsynced) return undefined;
    this.#unsynced = false;
    return (this.#log ??= openLog(this.file));
  }

  /** Applies the migrations of a component that are missing, each once and in order. They are numbered by their place and never edited. */
  migrate(component: string, migrations: readonly string[]): void {
    const row = this.connection.prepare("SELECT version FROM migration WHERE component = ?").get(component);
    const done = row === undefined ? this.#present(component, migrations) : Number(row["version"]);
    for (const [index, sql] of migrations.entries()) {
      if (index < done) continue;
      this.transaction(
        () => {
          this.connection.exec(sql);
          this.connection.prepare("INSERT OR REPLACE INTO migration (component, version) VALUES (?, ?)").run(component, index + 1);
        },
        { durable: true },
      );
    }
  }

  /** How many migrations must have been applied, by the tables that are there: after damage nothing else may say it. */
  #present(component: string, migrations: readonly string[]): number {
    if (this.damage === undefined) return 0;
    const isThere = this.connection.prepare("SELECT 1 FROM sqlite_schema WHERE name = ?");
    const done = migrations.findLastIndex((sql) => isThere.get(/CREATE TABLE (\w+)/.exec(sql)?.[1] ?? "") !== undefined) + 1;
    if (done > 0) this.connection.prepare("INSERT INTO migration (component, version) VALUES (?, ?)").run(component, done);
    return done;
  }

  /** The damage has been told of, durably. */
  forgetDamage(): void {
    if (this.damage === undefined) return;
    this.transaction(() => this.connection.exec(`DROP TABLE ${noteTable}`), { durable: true });
    this.damage = undefined;
  }

  close(): void {
    if (!this.connection.isOpen) return;
    this.sync();
    if (this.#log !== undefined) closeSync(this.#log);
    this.connection.close();
    this.#lock.close();
  }

  #set(synchronous: "FULL" | "NORMAL"): void {
    if (synchronous === this.#synchronous) return;
    this.connection.exec(`PRAGMA synchronous = ${synchronous}`);
    this.#synchronous = synchronous;
  }
}

const sync = promisify(fdatasync);

/** The file is there, since something was committed; its name may not be on the disk yet. */
function openLog(file: string): number {
  const directory = openSync(dirname(file), "r");
  fsyncSync(directory);
  closeSync(directory);
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
