/**
 * What the store keeps so that it can be said later why something happened or did not (P5): decisions, a few counts of each reactor, silences,
 * and every version of a reactor file that came into force. The writer works inside of the store's transactions; the reader answers questions.
 *
 * Keeps P4: decisions beyond `decisionRowsMax` push out the oldest, and how many went so is given back to be told.
 */
import { createHash } from "node:crypto";
import type { DatabaseSync, SQLInputValue, StatementSync } from "node:sqlite";
import type { Task } from "@needfire/shared/task";
import { reasons } from "@needfire/shared/rules/types";
import type { DecisionRecord, FileVersion, ReactorCounts, SilenceRecord, TextlessVersion, VersionInForce, Writes } from "./store.ts";

/** Decisions that are kept, of whatever age. */
const decisionRowsMax = 1_000_000;
/** Versions that are kept of one file. */
export const versionsPerFileMax = 50;
/** A longer detail, which may hold what a host said, is cut. */
const detailCharactersMax = 1_000;
/** Decisions on one event that are shown. */
const decisionsPerEventMax = 1_000;
/** Tasks of a reactor, after an event, in which that event is looked for. */
const tasksLookedAtMax = 200;

export const recordMigration = `
  CREATE TABLE decision (
    number INTEGER PRIMARY KEY, event TEXT NOT NULL, reactor TEXT NOT NULL, version TEXT NOT NULL, at REAL NOT NULL,
    reason TEXT NOT NULL, detail TEXT NOT NULL, until REAL, task TEXT
  ) STRICT;
  CREATE INDEX decision_event ON decision (event);
  CREATE TABLE reactor_count (
    reactor TEXT PRIMARY KEY, firings INTEGER NOT NULL, throttled INTEGER NOT NULL, unrecorded INTEGER NOT NULL, last REAL,
    sampled INTEGER NOT NULL, sampled_ms REAL NOT NULL
  ) STRICT;
  INSERT INTO reactor_count SELECT reactor, count(*), 0, 0, max(created), 0, 0 FROM task GROUP BY reactor;
  CREATE TABLE silence (id TEXT PRIMARY KEY, held INTEGER NOT NULL, body TEXT NOT NULL) STRICT;
  CREATE TABLE file_version (
    number INTEGER PRIMARY KEY, file TEXT NOT NULL, digest TEXT NOT NULL, text TEXT NOT NULL, reactors TEXT NOT NULL, since REAL NOT NULL
  ) STRICT;
  CREATE INDEX file_version_file ON file_version (file, number);`;

export type Recorded = Pick<Writes, "decisions" | "counts" | "silences" | "versions">;

export class RecordWriter {
  readonly #connection: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();
  readonly #decisionRowsMax: number;
  /** The newest row, and the oldest that may be there. */
  #newest: number;
  #oldest: number;

  /** After the migration. */
  constructor(connection: DatabaseSync, { rowsMax = decisionRowsMax }: { rowsMax?: number } = {}) {
    this.#connection = connection;
    this.#decisionRowsMax = rowsMax;
    const row = connection.prepare("SELECT min(number) AS oldest, max(number) AS newest FROM decision").get();
    this.#newest = Number(row?.["newest"] ?? 0);
    this.#oldest = Number(row?.["oldest"] ?? 1);
  }

  /** Inside of a transaction. Gives how many decisions went because there were too many. */
  write({ decisions = [], counts = [], silences = {}, versions = [] }: Recorded, now: number): number {
    for (const decision of decisions) this.#decide(decision);
    for (const each of counts) this.#count(each);
    for (const silence of silences.added ?? []) {
      const { held, ...body } = silence;
      this.#run("INSERT OR REPLACE INTO silence (id, held, body) VALUES (?, ?, ?)", silence.id, held, JSON.stringify(body));
    }
    for (const [id, held] of Object.entries(silences.held ?? {})) this.#run("UPDATE silence SET held = ? WHERE id = ?", held, id);
    for (const id of silences.ended ?? []) this.#run("DELETE FROM silence WHERE id = ?", id);
    for (const version of versions) this.#keepVersion(version, now);
    return decisions.length === 0 ? 0 : this.#makeRoom();
  }

  silences(): SilenceRecord[] {
    return this.#prepare("SELECT held, body FROM silence ORDER BY rowid").all().map(silenceOf);
  }

  /** Removes decisions of before a time, oldest first: at most so many, and the number that went is given. */
  forgetDecisions(before: number, limit: number): number {
    // They stand in their order, but for a clock that was set back: then some stay for a while longer.
    const sql = `DELETE FROM decision WHERE number IN
      (SELECT number FROM (SELECT number, at FROM decision ORDER BY number LIMIT ?) WHERE at < ?)`;
    return this.#run(sql, limit, before);
  }

  /** Removes what was kept of files that were in force no more by then. */
  forgetVersions(before: number): number {
    const newest = "SELECT max(number) FROM file_version GROUP BY file";
    const gone = `SELECT file FROM file_version WHERE number IN (${newest}) AND reactors = '{}' AND since < ?`;
    return this.#run(`DELETE FROM file_version WHERE file IN (${gone})`, before);
  }

  #decide({ event, reactor, version, at, reason, detail, until, task }: DecisionRecord): void {
    const sql = `INSERT INTO decision (number, event, reactor, version, at, reason, detail, until, task) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`;
    const shown = detail.length > detailCharactersMax ? `${detail.slice(0, detailCharactersMax - 1)}…` : detail;
    this.#newest++;
    this.#run(sql, this.#newest, event, reactor, version, at, reason, shown.toWellFormed(), until ?? null, task ?? null);
  }

  /** P4: the oldest go, and are counted. */
  #makeRoom(): number {
    const last = this.#newest - this.#decisionRowsMax;
    if (last < this.#oldest) return 0;
    this.#oldest = last + 1;
    return this.#run("DELETE FROM decision WHERE number <= ?", last);
  }

  #count({ reactor, firings, throttled, unrecorded, last, sampled, sampledMs }: ReactorCounts): void {
    const sql = `INSERT INTO reactor_count (reactor, firings, throttled, unrecorded, last, sampled, sampled_ms) VALUES (?, ?, ?, ?, ?, ?, ?)
      ON CONFLICT DO UPDATE SET firings = firings + excluded.firings, throttled = throttled + excluded.throttled,
      unrecorded = unrecorded + excluded.unrecorded, last = coalesce(excluded.last, last), sampled = sampled + excluded.sampled,
      sampled_ms = sampled_ms + excluded.sampled_ms`;
    this.#run(sql, reactor, firings, throttled, unrecorded, last ?? null, sampled, sampledMs);
  }

  /** Nothing when it is what was in force already. */
  #keepVersion({ file, text, reactors }: VersionInForce, now: number): void {
    const body = JSON.stringify(reactors);
    const digest = digestOf(text);
    const before = this.#prepare("SELECT digest, reactors FROM file_version WHERE file = ? ORDER BY number DESC LIMIT 1").get(file);
    if (before === undefined ? body === "{}" : before["digest"] === digest && before["reactors"] === body) return;
    this.#run("INSERT INTO file_version (file, digest, text, reactors, since) VALUES (?, ?, ?, ?, ?)", file, digest, text, body, now);
    const kept = "SELECT number FROM file_version WHERE file = ? ORDER BY number DESC LIMIT ?";
    this.#run(`DELETE FROM file_version WHERE file = ? AND number NOT IN (${kept})`, file, file, versionsPerFileMax);
  }

  #run(sql: string, ...values: SQLInputValue[]): number {
    return Number(this.#prepare(sql).run(...values).changes);
  }

  #prepare(sql: string): StatementSync {
    let statement = this.#statements.get(sql);
    if (statement === undefined) this.#statements.set(sql, (statement = this.#connection.prepare(sql)));
    return statement;
  }
}

/** The version of a file: from its text, to the letter. */
export function digestOf(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

export class RecordReader {
  readonly #connection: DatabaseSync;

  constructor(connection: DatabaseSync) {
    this.#connection = connection;
  }

  /** In the order in which they were made. */
  decisionsOn(event: string): DecisionRecord[] {
    return this.#connection
      .prepare("SELECT * FROM decision WHERE event = ? ORDER BY number LIMIT ?")
      .all(event, decisionsPerEventMax)
      .map(decisionOf);
  }

  reactorCounts(): ReactorCounts[] {
    return this.#connection.prepare("SELECT * FROM reactor_count").all().map(countsOf);
  }

  /** The files in which a reactor has ever been, each with all that was kept of it; newest first. */
  versionsOf(reactor: string): FileVersion[] {
    const files = "SELECT file FROM file_version WHERE EXISTS (SELECT 1 FROM json_each(reactors) WHERE key = ?)";
    return this.#connection.prepare(`SELECT * FROM file_version WHERE file IN (${files}) ORDER BY number DESC`).all(reactor).map(versionOf);
  }

  /** Of each file what was in force at a time. Undefined: that goes further back than what was kept. */
  versionsAt(time: number): TextlessVersion[] | undefined {
    const first = this.#connection.prepare("SELECT min(since) AS first FROM file_version").get()?.["first"];
    if (first === null || first === undefined || time < Number(first)) return undefined;
    const cutOff = "SELECT 1 FROM file_version GROUP BY file HAVING count(*) >= ? AND min(since) > ? LIMIT 1";
    if (this.#connection.prepare(cutOff).get(versionsPerFileMax, time) !== undefined) return undefined;
    const newest = "SELECT max(number) FROM file_version WHERE since <= ? GROUP BY file";
    const sql = `SELECT number, file, digest, reactors, since FROM file_version WHERE number IN (${newest})`;
    return this.#connection.prepare(sql).all(time).map(textlessOf);
  }

  /** The text of a file that is in force, or was when the last life ended. Undefined: it was in force no more, or never. */
  lastText(file: string): string | undefined {
    const row = this.#connection.prepare("SELECT text, reactors FROM file_version WHERE file = ? ORDER BY number DESC LIMIT 1").get(file);
    return row === undefined || row["reactors"] === "{}" ? undefined : String(row["text"]);
  }

  versionText(number: number): string | undefined {
    const row = this.#connection.prepare("SELECT text FROM file_version WHERE number = ?").get(number);
    return row === undefined ? undefined : String(row["text"]);
  }

  /** The last task that a reactor made for a key. */
  taskOfKey(reactor: string, key: readonly unknown[], until: number): string | undefined {
    const wanted = JSON.stringify(key);
    const sql = "SELECT id, body FROM task WHERE reactor = ? AND created <= ? ORDER BY created DESC LIMIT ?";
    for (const row of this.#connection.prepare(sql).iterate(reactor, until, tasksLookedAtMax)) {
      const task = JSON.parse(String(row["body"])) as Task;
      if (task.branch === "do" && JSON.stringify(task.key) === wanted) return task.id;
    }
    return undefined;
  }

  /** The task of a reactor into which an event went that was not the one that triggered it. */
  taskWith(reactor: string, event: string, from: number): string | undefined {
    const sql = "SELECT id, body FROM task WHERE reactor = ? AND created >= ? ORDER BY created LIMIT ?";
    for (const row of this.#connection.prepare(sql).iterate(reactor, from, tasksLookedAtMax)) {
      if ((JSON.parse(String(row["body"])) as Task).events.includes(event)) return String(row["id"]);
    }
    return undefined;
  }
}

type Row = Record<string, unknown>;

function silenceOf({ held, body }: Row): SilenceRecord {
  return { ...(JSON.parse(String(body)) as Omit<SilenceRecord, "held">), held: Number(held) };
}

function decisionOf({ event, reactor, version, at, reason, detail, until, task }: Row): DecisionRecord {
  return {
    event: String(event),
    reactor: String(reactor),
    version: String(version),
    at: Number(at),
    reason: reasons.find((known) => known === reason) ?? "fired",
    detail: String(detail),
    until: until === null ? undefined : Number(until),
    task: task === null ? undefined : String(task),
  };
}

function countsOf({ reactor, firings, throttled, unrecorded, last, sampled, sampled_ms }: Row): ReactorCounts {
  return {
    reactor: String(reactor),
    firings: Number(firings),
    throttled: Number(throttled),
    unrecorded: Number(unrecorded),
    last: last === null ? undefined : Number(last),
    sampled: Number(sampled),
    sampledMs: Number(sampled_ms),
  };
}

function versionOf(row: Row): FileVersion {
  return { ...textlessOf(row), text: String(row["text"]) };
}

function textlessOf({ number, file, digest, reactors, since }: Row): TextlessVersion {
  return {
    number: Number(number),
    file: String(file),
    digest: String(digest),
    reactors: JSON.parse(String(reactors)) as Record<string, string>,
    since: Number(since),
  };
}
