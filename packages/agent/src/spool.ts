/**
 * What the agent must not lose: events that the master has not yet committed (P1 append, then ack), and the journal of commands that
 * were begun here (P3 at most once on the host). One SQLite file, one owner; a second agent on the same file is refused.
 */
import { renameSync } from "node:fs";
import { DatabaseSync, type StatementSync } from "node:sqlite";
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
}

/** Finished commands are remembered this long, and this many, against redelivery. */
const executionsKeptMs = 7 * 86_400_000;
const executionsKeptMax = 10_000;

const schema = `
  CREATE TABLE IF NOT EXISTS spool (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
  CREATE TABLE IF NOT EXISTS event (sequence INTEGER PRIMARY KEY AUTOINCREMENT, bytes INTEGER NOT NULL, body TEXT NOT NULL) STRICT;
  CREATE TABLE IF NOT EXISTS execution (id TEXT PRIMARY KEY, action TEXT NOT NULL, begun REAL NOT NULL, finished REAL) STRICT;
`;

interface Shed {
  events: number;
  from: number;
  to: number;
}

export class Spool {
  readonly epoch: string;
  readonly #database: DatabaseSync;
  readonly #bytesMax: number;
  readonly #insert: StatementSync;
  readonly #listeners = new Set<() => void>();
  #bytes: number;
  #pending: EventDraft[] = [];
  #flushing = false;
  #shed: Shed | undefined;

  private constructor(database: DatabaseSync, options: SpoolOptions) {
    this.#database = database;
    this.#bytesMax = options.bytesMax;
    this.#insert = database.prepare("INSERT INTO event (bytes, body) VALUES (?, ?)");
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

  /** Calls `listener` whenever there is something new to send. */
  onAppend(listener: () => void): void {
    this.#listeners.add(listener);
  }

  /** Takes an event. All of one turn go to disk in one transaction, before anybody is told of them. */
  append(draft: EventDraft): void {
    this.#pending.push(draft);
    if (this.#flushing) return;
    this.#flushing = true;
    queueMicrotask(() => this.flush());
  }

  /** Writes what was appended in this turn. */
  flush(): void {
    this.#flushing = false;
    const drafts = this.#pending.splice(0);
    if (drafts.length === 0) return;
    this.#transaction(() => {
      for (const draft of drafts) this.#write(draft);
    });
    this.#tell();
  }

  /** Events after `after`, in order, at most `limit` of them and about `bytesMax` bytes (but one at least). */
  read(after: number, limit: number, bytesMax: number): AgentEvent[] {
    const found: AgentEvent[] = [];
    let bytes = 0;
    for (const row of this.#database
      .prepare("SELECT sequence, bytes, body FROM event WHERE sequence > ? ORDER BY sequence LIMIT ?")
      .iterate(after, limit)) {
      bytes += Number(row["bytes"]);
      if (found.length > 0 && bytes > bytesMax) break;
      found.push({ ...(JSON.parse(String(row["body"])) as EventDraft), sequence: Number(row["sequence"]) });
    }
    return found;
  }

  /** The master has committed everything up to `sequence`. P1: only now is it forgotten. */
  acknowledge(epoch: string, sequence: number): void {
    if (epoch !== this.epoch) return;
    const freed = this.#database.prepare("SELECT coalesce(sum(bytes), 0) AS bytes FROM event WHERE sequence <= ?").get(sequence);
    this.#database.prepare("DELETE FROM event WHERE sequence <= ?").run(sequence);
    this.#bytes -= Number(freed?.["bytes"]);
  }

  /** P3: notes that a command is about to run. False when it was begun before: it must not run again. */
  begin(execution: string, action: string, now: number): boolean {
    const { changes } = this.#database
      .prepare("INSERT OR IGNORE INTO execution (id, action, begun) VALUES (?, ?, ?)")
      .run(execution, action, now);
    return changes === 1;
  }

  /** Notes the end of a command and spools its result, both or neither. */
  finish(report: ExecutionReport, subject?: string): void {
    this.#transaction(() => {
      this.#database.prepare("UPDATE execution SET finished = ? WHERE id = ?").run(report.ended, report.execution);
      this.#write(resultEvent(report, subject));
      this.#database
        .prepare("DELETE FROM execution WHERE finished IS NOT NULL AND id NOT IN (SELECT id FROM execution ORDER BY begun DESC LIMIT ?)")
        .run(executionsKeptMax);
    });
    this.#tell();
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
    this.#database.close();
  }

  #write(draft: EventDraft): void {
    const body = JSON.stringify(draft);
    const bytes = Buffer.byteLength(body);
    if (draft.type !== resultType && this.#bytes + bytes > this.#bytesMax) {
      this.#shed = { events: (this.#shed?.events ?? 0) + 1, from: this.#shed?.from ?? draft.time, to: draft.time };
      return;
    }
    if (this.#shed !== undefined) {
      const { events, from, to } = this.#shed;
      this.#shed = undefined;
      this.#write({ type: "spool.shed", time: to, severity: "high", data: { events, from, to, bytes_max: this.#bytesMax } });
    }
    this.#insert.run(bytes, body);
    this.#bytes += bytes;
  }

  #transaction(work: () => void): void {
    this.#database.exec("BEGIN IMMEDIATE");
    try {
      work();
      this.#database.exec("COMMIT");
    } catch (error) {
      this.#database.exec("ROLLBACK");
      throw error;
    }
  }

  #tell(): void {
    for (const listener of this.#listeners) listener();
  }
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
