/**
 * What the agent must not lose: events that the master has not yet committed (P1 append, then ack), and the journal of commands that
 * were begun here (P3 at most once on the host). One SQLite file, one owner; a second agent on the same file is refused.
 */
import { renameSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import type { ExecutionReport } from "@needfire/shared/action";
import { errorText, NeedfireError } from "@needfire/shared/errors";
import { type AgentEvent, type EventDraft, resultType } from "@needfire/shared/event";
import { epochAt } from "@needfire/shared/ids";

export interface SpoolOptions {
  file: string;
  synchronous: "FULL" | "NORMAL";
  /** Events beyond this many bytes are shed and counted (P4). Results of commands are always taken. */
  bytesMax: number;
  now: number;
  /** The disk took nothing; what waits is tried again. */
  onTrouble?: (error: unknown) => void;
}

/** Finished commands are remembered this long, and about this many, against redelivery. */
const executionsKeptMs = 7 * 86_400_000;
const executionsKeptMax = 10_000;
/** After so many commands the oldest are looked for and forgotten. */
const pruneEvery = 1_000;
/** What was acknowledged leaves the disk with the next write, or after this time. */
const forgetAfterMs = 1_000;

const schema = `
  CREATE TABLE IF NOT EXISTS spool (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
  CREATE TABLE IF NOT EXISTS event (sequence INTEGER PRIMARY KEY AUTOINCREMENT, bytes INTEGER NOT NULL, body TEXT NOT NULL) STRICT;
  CREATE TABLE IF NOT EXISTS execution (id TEXT PRIMARY KEY, action TEXT NOT NULL, begun REAL NOT NULL, finished REAL) STRICT;
`;

/** Events that wait in memory while the disk takes none; beyond it they are shed. */
const pendingMax = 10_000;
/** How long to wait before a disk that took nothing is tried again. */
const retryMs = 1_000;

/** What one transaction put into the spool, in order. */
export interface Fresh {
  events: AgentEvent[];
  bytes: number;
}

interface Shed {
  events: number;
  from: number;
  to: number;
}

/** What is to be written: an event, or the end of a command with its result. */
type Entry = { draft: EventDraft; finished?: ExecutionReport };

export class Spool {
  readonly epoch: string;
  readonly #database: DatabaseSync;
  readonly #bytesMax: number;
  readonly #onTrouble: (error: unknown) => void;
  readonly #statements: ReturnType<typeof prepareAll>;
  readonly #listeners = new Set<(fresh: Fresh) => void>();
  #bytes: number;
  #pending: Entry[] = [];
  #flushing = false;
  #retry: NodeJS.Timeout | undefined;
  #acknowledged = 0;
  #forgetting: NodeJS.Timeout | undefined;
  #finished = 0;
  #shed: Shed | undefined;

  private constructor(database: DatabaseSync, options: SpoolOptions) {
    this.#database = database;
    this.#bytesMax = options.bytesMax;
    this.#onTrouble = options.onTrouble ?? (() => {});
    this.#statements = prepareAll(database);
    this.#bytes = Number(database.prepare("SELECT coalesce(sum(bytes), 0) AS bytes FROM event").get()?.["bytes"]);
    database.prepare("INSERT OR IGNORE INTO spool (name, value) VALUES ('epoch', ?)").run(epochAt(options.now));
    this.epoch = String(database.prepare("SELECT value FROM spool WHERE name = 'epoch'").get()?.["value"]);
    database.prepare("DELETE FROM execution WHERE finished < ?").run(options.now - executionsKeptMs);
  }

  /**
   * Opens or makes the spool. A damaged file is set aside under a name of its own and a new one begun, with an event that says so.
   * Throws `STATE_LOCKED` when another agent has it.
   */
  static open(options: SpoolOptions): Spool {
    try {
      return new Spool(openDatabase(options), options);
    } catch (error) {
      if (isLocked(error)) throw new NeedfireError("STATE_LOCKED", `another agent uses ${options.file}: stop it first`, { cause: error });
      if (!isDamaged(error)) throw error;
      const aside = `${options.file}.damaged-${epochAt(options.now)}`;
      renameSync(options.file, aside);
      for (const suffix of ["-wal", "-shm"]) renameIfThere(options.file + suffix, aside + suffix);
      const spool = new Spool(openDatabase(options), options);
      spool.append({
        type: "spool.damaged",
        time: options.now,
        severity: "high",
        subject: aside,
        data: { message: errorText(error), kept_as: aside },
      });
      return spool;
    }
  }

  /** Calls `listener` with what is on the disk from now on, so that it need not be read back. */
  onAppend(listener: (fresh: Fresh) => void): void {
    this.#listeners.add(listener);
  }

  /** Takes an event. All of one turn go to disk in one transaction, before anybody is told of them. */
  append(draft: EventDraft): void {
    if (this.#pending.length >= pendingMax) return this.#countShed(draft.time);
    this.#pending.push({ draft });
    if (this.#flushing) return;
    this.#flushing = true;
    queueMicrotask(() => this.flush());
  }

  /** Writes what waits. What the disk does not take (it is full, say) is kept and tried again. */
  flush(): void {
    this.#flushing = false;
    const entries = this.#pending.splice(0);
    if (entries.length === 0) return;
    const fresh: Fresh = { events: [], bytes: 0 };
    try {
      this.#transaction(() => {
        for (const entry of entries) this.#writeEntry(entry, fresh);
      });
    } catch (error) {
      this.#pending.unshift(...entries);
      this.#onTrouble(error);
      clearTimeout(this.#retry);
      this.#retry = setTimeout(() => this.flush(), retryMs);
      return;
    }
    for (const listener of this.#listeners) listener(fresh);
  }

  /** Events after `after`, in order, at most `limit` of them and about `bytesMax` bytes (but one at least). */
  read(after: number, limit: number, bytesMax: number): AgentEvent[] {
    const found: AgentEvent[] = [];
    let bytes = 0;
    for (const row of this.#statements.read.iterate(after, limit)) {
      bytes += Number(row["bytes"]);
      if (found.length > 0 && bytes > bytesMax) break;
      found.push({ ...(JSON.parse(String(row["body"])) as EventDraft), sequence: Number(row["sequence"]) });
    }
    return found;
  }

  /** Events that the master is not known to have. */
  count(): number {
    return Number(this.#database.prepare("SELECT count(*) AS events FROM event WHERE sequence > ?").get(this.#acknowledged)?.["events"]);
  }

  /**
   * The master has committed everything up to `sequence`. P1: only now is it forgotten, and without a transaction of its own: an
   * acknowledgement that a crash loses costs a repetition, which the master drops, while a sync to the disk would hold up a command.
   */
  acknowledge(epoch: string, sequence: number): void {
    if (epoch !== this.epoch || sequence <= this.#acknowledged) return;
    this.#acknowledged = sequence;
    this.#forgetLater();
  }

  /** P3: notes that a command is about to run. False when it was begun before: it must not run again. Throws when the disk takes nothing. */
  begin(execution: string, action: string, now: number): boolean {
    return this.#statements.begin.run(execution, action, now).changes === 1;
  }

  /** Notes the end of a command and spools its result, both or neither. */
  finish(report: ExecutionReport, subject?: string): void {
    this.#pending.push({ draft: resultEvent(report, subject), finished: report });
    this.flush();
  }

  /** Reports every command that was under way when the agent died. Call once, at start. */
  reportInterrupted(now: number): string[] {
    const rows = this.#database.prepare("SELECT id, action, begun FROM execution WHERE finished IS NULL").all();
    for (const row of rows) {
      const report: ExecutionReport = {
        execution: String(row["id"]),
        action: String(row["action"]),
        outcome: "interrupted",
        changed: true,
        message: "the agent stopped while this ran; how far it came is not known",
        started: Number(row["begun"]),
        ended: now,
      };
      this.finish(report);
    }
    return rows.map((row) => String(row["id"]));
  }

  close(): void {
    this.flush();
    this.#settle();
    clearTimeout(this.#retry);
    clearTimeout(this.#forgetting);
    this.#database.close();
  }

  /** The last transaction: what was acknowledged is forgotten, what was shed is told. */
  #settle(): void {
    try {
      this.#transaction(() => this.#tellShed({ events: [], bytes: 0 }));
    } catch (error) {
      this.#onTrouble(error);
    }
  }

  #writeEntry({ draft, finished }: Entry, fresh: Fresh): void {
    if (finished !== undefined) {
      this.#statements.finish.run(finished.ended, finished.execution);
      if (++this.#finished % pruneEvery === 0) this.#statements.prune.run(executionsKeptMax);
    }
    this.#writeEvent(draft, { always: finished !== undefined, fresh });
  }

  #writeEvent(draft: EventDraft, { always, fresh }: { always: boolean; fresh: Fresh }): void {
    const body = JSON.stringify(draft);
    const bytes = Buffer.byteLength(body);
    if (!always && this.#bytes + bytes > this.#bytesMax) return this.#countShed(draft.time);
    this.#tellShed(fresh);
    const { lastInsertRowid } = this.#statements.insert.run(bytes, body);
    this.#bytes += bytes;
    fresh.bytes += bytes;
    fresh.events.push({ ...draft, sequence: Number(lastInsertRowid) });
  }

  #tellShed(fresh: Fresh): void {
    if (this.#shed === undefined) return;
    const { events, from, to } = this.#shed;
    this.#shed = undefined;
    this.#writeEvent(
      { type: "spool.shed", time: to, severity: "high", data: { events, from, to, bytes_max: this.#bytesMax } },
      { always: true, fresh },
    );
  }

  #countShed(time: number): void {
    this.#shed = { events: (this.#shed?.events ?? 0) + 1, from: this.#shed?.from ?? time, to: time };
  }

  #forgetLater(): void {
    this.#forgetting ??= setTimeout(() => {
      this.#forgetting = undefined;
      try {
        this.#transaction(() => {});
      } catch (error) {
        this.#onTrouble(error);
        this.#forgetLater();
      }
    }, forgetAfterMs);
  }

  /** Every transaction takes what was acknowledged off the disk, too. */
  #transaction(work: () => void): void {
    const before = { bytes: this.#bytes, shed: this.#shed };
    try {
      this.#database.exec("BEGIN IMMEDIATE");
      const freed = Number(this.#statements.bytesUpTo.get(this.#acknowledged)?.["bytes"]);
      if (freed > 0) this.#statements.forget.run(this.#acknowledged);
      this.#bytes -= freed;
      work();
      this.#database.exec("COMMIT");
    } catch (error) {
      if (this.#database.isTransaction) this.#database.exec("ROLLBACK");
      this.#bytes = before.bytes;
      this.#shed = before.shed;
      throw error;
    }
  }
}

/** Prepared once: a statement is used for every event. */
function prepareAll(database: DatabaseSync) {
  return {
    insert: database.prepare("INSERT INTO event (bytes, body) VALUES (?, ?)"),
    read: database.prepare("SELECT sequence, bytes, body FROM event WHERE sequence > ? ORDER BY sequence LIMIT ?"),
    bytesUpTo: database.prepare("SELECT coalesce(sum(bytes), 0) AS bytes FROM event WHERE sequence <= ?"),
    forget: database.prepare("DELETE FROM event WHERE sequence <= ?"),
    begin: database.prepare("INSERT OR IGNORE INTO execution (id, action, begun) VALUES (?, ?, ?)"),
    finish: database.prepare("UPDATE execution SET finished = ? WHERE id = ?"),
    prune: database.prepare(
      "DELETE FROM execution WHERE finished IS NOT NULL AND id NOT IN (SELECT id FROM execution ORDER BY begun DESC LIMIT ?)",
    ),
  };
}

function resultEvent(report: ExecutionReport, subject: string | undefined): EventDraft {
  return {
    type: resultType,
    time: report.ended,
    severity: "normal",
    cause: report.execution,
    data: { ...report },
    ...(subject === undefined ? {} : { subject }),
  };
}

function openDatabase({ file, synchronous }: SpoolOptions): DatabaseSync {
  const database = new DatabaseSync(file, { timeout: 0 });
  try {
    // One owner: the lock is taken with the first access and held until the process ends, however it ends.
    database.exec(
      `PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = ${synchronous}; BEGIN EXCLUSIVE; COMMIT`,
    );
    const check = database.prepare("PRAGMA quick_check(1)").get()?.["quick_check"];
    if (check !== "ok") throw Object.assign(new Error(`the spool is damaged: ${String(check)}`), { errcode: sqliteCorrupt });
    database.exec(schema);
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}

const sqliteBusy = 5;
const sqliteCorrupt = 11;
const sqliteNotADatabase = 26;

function primaryCode(error: unknown): number | undefined {
  const code = error instanceof Error && "errcode" in error ? Number(error.errcode) : undefined;
  return code === undefined ? undefined : code & 0xff;
}

function isLocked(error: unknown): boolean {
  return primaryCode(error) === sqliteBusy;
}

function isDamaged(error: unknown): boolean {
  const code = primaryCode(error);
  return code === sqliteCorrupt || code === sqliteNotADatabase;
}

function renameIfThere(from: string, to: string): void {
  try {
    renameSync(from, to);
  } catch {
    // The side files of a cleanly closed database do not exist.
  }
}
