/**
 * The spool's file: one SQLite database with a table for each lane, one owner. What is read is checked against a checksum, so that bytes
 * that the disk changed never become an event. Beside it lies a mark with the last number that was given: when the database was thrown
 * back to an earlier state (its log was cut, it was restored from a backup), that shows, and no number is given twice. The mark also says up to
 * where numbers may have been said to the master: what the master has beyond that, it has from another life of this very spool (P1).
 */
import { closeSync, constants, fsyncSync, openSync, readSync, writeSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { crc32 } from "node:zlib";
import { severities, type Severity } from "@needfire/shared/event";
import { epochAt, epochPattern, executionIdPattern } from "@needfire/shared/ids";
import { unpack } from "@needfire/shared/pack";
import { corruptError, isCorrupt, isUnreadable } from "@needfire/shared/sqlite-code";
import type { WireEvent } from "@needfire/shared/wire-event";
import type { Spooled } from "./packed-event.ts";
import type { Tally } from "./shed.ts";
import { dropKeptLog, executionsInLog, keepLog, type SalvagedExecution, salvageExecutions } from "./spool-salvage.ts";

/** Of the tables below. A file of another version is treated as one that cannot be read. */
const schemaVersion = 2;
const schema = `
  CREATE TABLE IF NOT EXISTS numbering (one INTEGER PRIMARY KEY CHECK (one = 1), epoch TEXT NOT NULL, last INTEGER NOT NULL, shed TEXT NOT NULL) STRICT;
  CREATE TABLE IF NOT EXISTS lane (name TEXT PRIMARY KEY, acknowledged INTEGER NOT NULL) STRICT, WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS execution (id TEXT PRIMARY KEY, action TEXT NOT NULL, lane TEXT NOT NULL, begun REAL NOT NULL, finished REAL, result INTEGER)
    STRICT, WITHOUT ROWID;
  ${severities
    .map(
      (lane) => `
  CREATE TABLE IF NOT EXISTS event_${lane}
    (sequence INTEGER PRIMARY KEY, time REAL NOT NULL, always INTEGER NOT NULL, crc INTEGER NOT NULL, event BLOB NOT NULL) STRICT;`,
    )
    .join("")}
  PRAGMA user_version = ${schemaVersion};
`;

/** What beacons remember, and leases. Made at each opening: spools of before have no such tables. */
const memorySchema = `CREATE TABLE IF NOT EXISTS memory (beacon TEXT NOT NULL, key TEXT NOT NULL, crc INTEGER NOT NULL, value BLOB NOT NULL,
  PRIMARY KEY (beacon, key)) STRICT;`;

const leaseSchema = `CREATE TABLE IF NOT EXISTS lease (task TEXT NOT NULL, first INTEGER NOT NULL, next INTEGER NOT NULL, steps INTEGER NOT NULL,
  crc INTEGER NOT NULL, body BLOB NOT NULL, PRIMARY KEY (task, first)) STRICT;`;

/** With NORMAL, a power cut may take the last numbers back from mark and database alike: after an unclean end so many are passed over. */
const numbersSkipped = 1_000_000;

export interface FileOptions {
  file: string;
  synchronous: "FULL" | "NORMAL";
  now: number;
  /** The numbering that must not come again. */
  epochBefore?: string;
}

/** One lane as the file has it. Its events are numbered over `acknowledged`. */
export interface LaneContent {
  acknowledged: number;
  last: number;
  events: number;
  bytes: number;
  /** Of `bytes`, what may not be shed for want of room. */
  alwaysBytes: number;
}

export type MemoryStatements = ReturnType<typeof prepareMemory>;
export type LeaseStatements = ReturnType<typeof prepareLeases>;
export type LaneStatements = ReturnType<typeof prepareLane>;

export class SpoolFile {
  readonly database: DatabaseSync;
  epoch: string;
  readonly lanes: Record<Severity, LaneStatements>;
  readonly statements: ReturnType<typeof prepareAll>;
  readonly memory: MemoryStatements;
  readonly leases: LeaseStatements;
  /** The number to go on from: the last in the database, or that the mark knows of. */
  readonly last: number;
  /** The last number as the database has it. */
  readonly stored: number;
  /** Lives before this one may have said numbers up to this one to the master, and none beyond it. */
  readonly said: number;
  /** The tally of what was shed and not told. */
  readonly shed: Tally;
  /** What is missing, in words, when the mark knows of more than the database. Records of commands may be missing with it. */
  readonly missing: string | undefined;
  /** Something is missing, in this life or one before, since this numbering began: which commands were begun in it is not known. */
  readonly isTorn: boolean;
  /** The numbering that the mark knew of, where it was another one. */
  readonly epochBefore: string | undefined;
  /** Commands taken over from files that were set aside. */
  readonly inherited: number;
  readonly #path: string;
  readonly #mark: MarkFile;
  #marked: Mark;

  /** Throws what SQLite throws; `isDamaged` and `isBusy` know it. */
  constructor(options: FileOptions) {
    this.#path = options.file;
    keepLog(options.file);
    this.database = openDatabase(options);
    this.#mark = new MarkFile(`${options.file}-mark`);
    try {
      const read = this.#mark.read();
      const begun = beginNumbering(this.database, options, freshEpoch(options.now, options.epochBefore, read?.epoch, read?.next));
      const numbering = readNumbering(this.database);
      // The next numbering was begun, and then there was a crash.
      const mark = read?.next === numbering.epoch ? { ...read, epoch: numbering.epoch, said: 0, begun: undefined } : read;
      this.epoch = numbering.epoch;
      this.shed = numbering.shed;
      this.epochBefore = mark?.epoch === this.epoch ? undefined : mark?.epoch;
      if (mark !== undefined && parseInt(mark.epoch, 36) > parseInt(this.epoch, 36)) {
        throw damage(`it is an earlier one (${this.epoch}) than the one that was last in use (${mark.epoch})`);
      }
      const ahead = mark?.epoch === this.epoch && mark.last > numbering.last ? mark.last : numbering.last;
      const unclean = options.synchronous === "NORMAL" && mark?.epoch === this.epoch && !mark.closed;
      this.stored = numbering.last;
      this.last = ahead + (unclean ? numbersSkipped : 0);
      this.said = (mark?.epoch === this.epoch ? mark.said : undefined) ?? this.last;
      const command =
        mark?.epoch === this.epoch && mark.begun !== "lost" && !hasCommand(this.database, mark.begun) ? mark.begun : undefined;
      this.missing = whatIsMissing({ mark, epoch: this.epoch, had: numbering.last, ahead, command });
      // What beacons remember of the events that are missing is missing with them: they would tell these again, and the master may have them.
      if (this.missing !== undefined) this.database.exec("DELETE FROM memory");
      const isSame = mark?.epoch === this.epoch;
      this.isTorn = isSame && (this.missing !== undefined || mark?.begun === "lost");
      this.inherited = begun + (this.missing === undefined ? 0 : insertSalvaged(this.database, options.now, executionsInLog(options.file)));
      dropKeptLog(options.file);
      this.statements = prepareAll(this.database);
      this.memory = prepareMemory(this.database);
      this.leases = prepareLeases(this.database);
      this.lanes = eachLane((lane) => prepareLane(this.database, lane));
      this.#marked = {
        epoch: this.epoch,
        last: ahead,
        closed: false,
        said: this.said,
        begun: this.isTorn ? "lost" : isSame ? mark?.begun : undefined,
      };
      this.#write({}, { sync: true });
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** Ends the use of a file that is damaged; what it fails of in that is in the file. */
  abandon(): void {
    keepLog(this.#path);
    try {
      this.close();
    } catch {
      // The file is set aside as it is.
    }
  }

  /** After a commit: numbers up to `last` were given. Not synced; a process that is killed does not lose it. */
  mark(last: number): void {
    this.#write({ last });
  }

  /** After a commit: a command was begun. As durable as `mark`. */
  markBegun(execution: string): void {
    if (this.#marked.begun !== "lost") this.#write({ begun: execution });
  }

  /** From now on any number may be said to the master. On the disk when it returns, full or not. */
  markSaid(): void {
    if (this.#marked.said !== undefined) this.#write({ said: undefined }, { sync: true });
  }

  /**
   * Within a transaction: a new numbering begins for what is here, but for what the master has (`known`). Numbers go on, so that nothing need
   * be written anew. `turned` is to be called when it is committed; a crash before that is made up for at the next start.
   */
  turn(epoch: string, known: Record<Severity, number>): void {
    this.#write({ next: epoch }, { sync: true });
    this.statements.renumber.run(epoch);
    for (const lane of severities) {
      this.lanes[lane].forget.run(known[lane]);
      // No number of before is acknowledged in the new numbering; but what was settled stays so.
      this.statements.settle.run(lane, known[lane]);
      this.statements.acknowledge.run(lane, 0);
    }
  }

  turned(epoch: string): void {
    this.epoch = epoch;
    this.#write({ epoch, said: 0, begun: undefined, next: undefined }, { sync: true });
  }

  /** `last`: the number to go on from. */
  content(lane: Severity, last = this.last): LaneContent {
    const acknowledged = Number(this.statements.acknowledged.get(lane)?.["acknowledged"] ?? 0);
    const row = this.lanes[lane].content.get();
    const highest = Number(row?.["last"]);
    if (!Number.isSafeInteger(acknowledged) || !Number.isSafeInteger(highest) || Math.max(acknowledged, highest) > last)
      throw damage(`the ${lane} lane ends at ${Math.max(acknowledged, highest)}, the numbers at ${last}`);
    return {
      acknowledged,
      last: Math.max(acknowledged, highest),
      events: Number(row?.["events"]),
      bytes: Number(row?.["bytes"]),
      alwaysBytes: Number(row?.["always"]),
    };
  }

  /** Commands without an end. */
  unfinished(): { execution: string; action: string; lane: Severity; begun: number }[] {
    return this.statements.unfinished.all().map((row) => {
      const execution = String(row["id"]);
      const lane = severities.find((name) => name === row["lane"]);
      if (!new RegExp(executionIdPattern).test(execution) || lane === undefined) throw damage("the journal of commands cannot be read");
      return { execution, action: String(row["action"]), lane, begun: Number(row["begun"]) };
    });
  }

  /** Events of a lane after `after`, in order, at most `limit` and `bytesMax` (but one at least). Throws when one is damaged. */
  read(lane: Severity, { after, limit, bytesMax }: { after: number; limit: number; bytesMax: number }): Spooled[] {
    const found: Spooled[] = [];
    let total = 0;
    for (const row of this.lanes[lane].read.iterate(after, limit)) {
      const packed = row["event"] as Uint8Array;
      total += packed.length;
      if (found.length > 0 && total > bytesMax) break;
      if (crc32(packed) !== row["crc"]) throw damage(`event ${String(row["sequence"])} is not what was written`);
      const event = unpack(packed) as WireEvent;
      if (event[0] !== row["sequence"]) throw damage(`event ${event[0]} stands under number ${String(row["sequence"])}`);
      found.push({ event, bytes: packed.length });
    }
    return found;
  }

  /** `last`: the number to go on from, when all that was given is on the disk. */
  close(last?: number): void {
    try {
      this.database.close();
      if (last !== undefined) this.#write({ last, closed: true });
    } finally {
      this.#mark.close();
    }
  }

  #write(changed: Partial<Mark>, { sync = false } = {}): void {
    this.#marked = { ...this.#marked, ...changed };
    this.#mark.write(this.#marked);
    if (sync) this.#mark.sync();
  }
}

export function eachLane<T>(make: (lane: Severity) => T): Record<Severity, T> {
  return { critical: make("critical"), high: make("high"), normal: make("normal"), low: make("low") };
}

/** Prepared once: a statement is used for every event. */
function prepareLane(database: DatabaseSync, lane: Severity) {
  const table = `event_${lane}`;
  const sums = "count(*) AS events, coalesce(sum(length(event)), 0) AS bytes, coalesce(sum(length(event) * always), 0) AS always";
  return {
    insert: database.prepare(`INSERT INTO ${table} (sequence, time, always, crc, event) VALUES (?, ?, ?, ?, ?)`),
    read: database.prepare(`SELECT sequence, crc, event FROM ${table} WHERE sequence > ? ORDER BY sequence LIMIT ?`),
    content: database.prepare(`SELECT coalesce(max(sequence), 0) AS last, ${sums} FROM ${table}`),
    upTo: database.prepare(`SELECT ${sums} FROM ${table} WHERE sequence <= ?`),
    forget: database.prepare(`DELETE FROM ${table} WHERE sequence <= ?`),
    oldest: database.prepare(`SELECT sequence, time, length(event) AS bytes, always FROM ${table} ORDER BY sequence LIMIT ?`),
    sheddable: database.prepare(
      `SELECT sequence, time, length(event) AS bytes, always FROM ${table} WHERE sequence > ? AND always = 0 ORDER BY sequence LIMIT 1`,
    ),
    remove: database.prepare(`DELETE FROM ${table} WHERE sequence = ?`),
  };
}

function prepareAll(database: DatabaseSync) {
  return {
    number: database.prepare("UPDATE numbering SET last = ?, shed = ?"),
    renumber: database.prepare("UPDATE numbering SET epoch = ?"),
    acknowledged: database.prepare("SELECT acknowledged FROM lane WHERE name = ?"),
    acknowledge: database.prepare(
      "INSERT INTO lane (name, acknowledged) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET acknowledged = excluded.acknowledged",
    ),
    begin: database.prepare("INSERT OR IGNORE INTO execution (id, action, lane, begun) VALUES (?, ?, ?, ?)"),
    finish: database.prepare("UPDATE execution SET finished = ?, result = ? WHERE id = ?"),
    settle: database.prepare("UPDATE execution SET result = 0 WHERE lane = ? AND result <= ?"),
    unfinished: database.prepare("SELECT id, action, lane, begun FROM execution WHERE finished IS NULL ORDER BY begun"),
    // The last one stays: the mark knows of it.
    forgetBefore: database.prepare("DELETE FROM execution WHERE finished < ? AND begun < (SELECT max(begun) FROM execution)"),
    prune: database.prepare(
      "DELETE FROM execution WHERE finished IS NOT NULL AND begun < (SELECT begun FROM execution ORDER BY begun DESC LIMIT 1 OFFSET ?)",
    ),
  };
}

function prepareMemory(database: DatabaseSync) {
  return {
    recall: database.prepare("SELECT key, crc, value FROM memory WHERE beacon = ?"),
    remember: database.prepare("INSERT OR REPLACE INTO memory (beacon, key, crc, value) VALUES (?, ?, ?, ?)"),
    forget: database.prepare("DELETE FROM memory WHERE beacon = ? AND key = ?"),
    forgetOthers: database.prepare("DELETE FROM memory WHERE beacon NOT IN (SELECT value FROM json_each(?))"),
  };
}

function prepareLeases(database: DatabaseSync) {
  return {
    isBegun: database.prepare("SELECT 1 FROM execution WHERE id = ?"),
    // What it is at stays.
    keep: database.prepare(
      `INSERT INTO lease (task, first, next, steps, crc, body) VALUES (?, ?, ?, ?, ?, ?)
       ON CONFLICT (task, first) DO UPDATE SET crc = excluded.crc, body = excluded.body`,
    ),
    all: database.prepare("SELECT task, first, next, crc, body FROM lease ORDER BY rowid"),
    goOn: database.prepare("UPDATE lease SET next = next + 1 WHERE task = ? AND first + next = ?"),
    drop: database.prepare("DELETE FROM lease WHERE task = ? AND first + next = ?"),
    dropDone: database.prepare("DELETE FROM lease WHERE task = ? AND next >= steps"),
  };
}

function openDatabase({ file, synchronous }: FileOptions): DatabaseSync {
  const database = new DatabaseSync(file, { timeout: 0 });
  try {
    // One owner: the lock is taken with the first access and held until the process ends, however it ends.
    database.exec(
      `PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = ${synchronous}; BEGIN EXCLUSIVE; COMMIT`,
    );
    const check = database.prepare("PRAGMA quick_check(1)").get()?.["quick_check"];
    if (check !== "ok") throw damage(String(check));
    const version = database.prepare("PRAGMA user_version").get()?.["user_version"];
    const tables = database.prepare("SELECT count(*) AS tables FROM sqlite_schema").get()?.["tables"];
    if (tables !== 0 && version !== schemaVersion) throw damage(`it is of version ${String(version)}, not ${schemaVersion}`);
    if (tables === 0) database.exec(`BEGIN; ${schema} COMMIT`);
    database.exec(memorySchema);
    database.exec(leaseSchema);
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}

/**
 * A new file begins with what those that were set aside tell of commands, in one transaction with its numbering: whatever happens in
 * between, none is forgotten (P3). Returns how many there were.
 */
function beginNumbering(database: DatabaseSync, { file, now }: FileOptions, fresh: string): number {
  if (database.prepare("SELECT 1 FROM numbering").get() !== undefined) return 0;
  const executions = salvageExecutions(file);
  database.exec("BEGIN IMMEDIATE");
  database.prepare("INSERT INTO numbering (one, epoch, last, shed) VALUES (1, ?, 0, '')").run(fresh);
  const inserted = insertSalvaged(database, now, executions);
  database.exec("COMMIT");
  return inserted;
}

/** Returns how many of them were not there yet. */
function insertSalvaged(database: DatabaseSync, now: number, executions: SalvagedExecution[]): number {
  const insert = database.prepare("INSERT OR IGNORE INTO execution (id, action, lane, begun, finished, result) VALUES (?, ?, ?, ?, ?, ?)");
  return executions.reduce((inserted, { id, action, lane, settled }) => {
    const { changes } = insert.run(id, action, lane, now, settled ? now : null, settled ? 0 : null);
    return inserted + Number(changes);
  }, 0);
}

interface Numbering {
  epoch: string;
  last: number;
  shed: Tally;
}

function readNumbering(database: DatabaseSync): Numbering {
  const row = database.prepare("SELECT epoch, last, shed FROM numbering").get();
  const epoch = String(row?.["epoch"]);
  const last = Number(row?.["last"]);
  if (!new RegExp(epochPattern).test(epoch)) throw damage("its epoch cannot be read");
  if (!Number.isSafeInteger(last) || last < 0) throw damage("its last number cannot be read");
  try {
    return { epoch, last, shed: JSON.parse(String(row?.["shed"] || "{}")) as Tally };
  } catch {
    throw damage("its count of what was shed cannot be read");
  }
}

/** Later than every one before, also when the clock was set back. */
export function freshEpoch(now: number, ...epochs: (string | undefined)[]): string {
  const before = Math.max(0, ...epochs.map((epoch) => (epoch === undefined ? 0 : parseInt(epoch, 36) + 1)));
  return epochAt(Math.max(now, before));
}

/** Whether the journal of commands has the one that the mark knows of. */
function hasCommand(database: DatabaseSync, execution: string | undefined): boolean {
  return execution === undefined || database.prepare("SELECT 1 FROM execution WHERE id = ?").get(execution) !== undefined;
}

interface Found {
  mark: Mark | undefined;
  /** A command that was begun and is not in the journal. */
  command: string | undefined;
  epoch: string;
  had: number;
  ahead: number;
}

function whatIsMissing({ mark, epoch, had, ahead, command }: Found): string | undefined {
  if (mark === undefined) return undefined;
  if (mark.epoch !== epoch) return `the file of numbering ${mark.epoch}, which went up to ${mark.last}, is gone`;
  if (ahead > had) return `what was written after number ${had} is missing, up to ${ahead}`;
  return command === undefined ? undefined : `the record of the command ${command} is missing`;
}

/**
 * `said`: none beyond this number has been said to the master; undefined when any may have been. Synced before the first one is. `next`: the
 * numbering that is about to begin, or has. `begun`: the last command that was; `lost` when records are.
 */
interface Mark {
  epoch: string;
  last: number;
  closed: boolean;
  said: number | undefined;
  begun: string | undefined;
  next?: string | undefined;
}

/** Always written over in place, at one length: a full disk does not stop it, and a sector holds it. */
const markBytes = 128;
const markPattern =
  /^([0-9a-z]{1,12}) ([0-9]{1,15}) (open|closed)(?: ([0-9]{1,15}|all) (none|lost|t-[0-9a-f.]{18,21})(?: ([0-9a-z]{1,12}))?)? +\n$/;

class MarkFile {
  readonly #fd: number;

  constructor(file: string) {
    this.#fd = openSync(file, constants.O_RDWR | constants.O_CREAT, 0o600);
  }

  /** Undefined when there is none that can be read. */
  read(): Mark | undefined {
    const bytes = Buffer.alloc(markBytes);
    const text = bytes.toString("latin1", 0, readSync(this.#fd, bytes, 0, markBytes, 0));
    const match = markPattern.exec(text);
    if (match === null) return undefined;
    const [, epoch, last, state, said = "all", begun = "none", next] = match;
    return {
      epoch: epoch!,
      last: Number(last),
      closed: state === "closed",
      said: said === "all" ? undefined : Number(said),
      begun: begun === "none" ? undefined : begun,
      next,
    };
  }

  write({ epoch, last, closed, said, begun, next }: Mark): void {
    const words = [epoch, last, closed ? "closed" : "open", said ?? "all", begun ?? "none", ...(next === undefined ? [] : [next])];
    const text = words.join(" ");
    writeSync(this.#fd, `${text.padEnd(markBytes - 1)}\n`, 0, "latin1");
  }

  sync(): void {
    fsyncSync(this.#fd);
  }

  close(): void {
    closeSync(this.#fd);
  }
}

function damage(what: string): Error {
  return corruptError(`the spool is damaged: ${what}`);
}

export function isDamaged(error: unknown): boolean {
  return isCorrupt(error) || isUnreadable(error);
}
