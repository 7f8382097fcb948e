/**
 * Sealing: a closed partition becomes a file of its own, written in bulk with its indexes, made durable, and only then given its name. A
 * crash at any point leaves the table in its place and at most a file that the next attempt replaces. Runs in a thread of its own (worker-seal.ts).
 */
import { mkdirSync, renameSync, rmSync, statSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { pathToFileURL } from "node:url";
import { syncPath } from "../sync-path.ts";
import { causeFilter } from "./cause-filter.ts";
import { type Partition, eventColumns, originTable, sealedDirectory, sealedFile, tableOf } from "./partition.ts";

/** Rows to a statement that reads the master's database: a long one would keep its write-ahead log from being written over. */
const rowsPerRead = 5_000;
/** While a file is written and its indexes are sorted. */
const cacheKibibytes = 32_768;

/** Larger than usual: neighbours are wanted together, and the file is never written to again. */
const pageBytes = 16_384;

/** The width of a row of `tally`, in ms. */
export const tallyMs = 3_600_000;

/** Names are told apart in `type`: the indexes hold its numbers. `tally` counts by hour; `summary` is the same without the origins. */
const schema = `
  CREATE TABLE partition (number INTEGER PRIMARY KEY, first INTEGER NOT NULL, last INTEGER NOT NULL,
    events INTEGER NOT NULL, time_min REAL NOT NULL, time_max REAL NOT NULL, received_min REAL NOT NULL, received_max REAL NOT NULL) STRICT;
  ${originTable};
  CREATE TABLE type (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
  CREATE TABLE event (
    position INTEGER PRIMARY KEY, origin INTEGER NOT NULL, sequence INTEGER NOT NULL, type INTEGER NOT NULL, time REAL NOT NULL,
    received REAL NOT NULL, severity INTEGER NOT NULL, subject TEXT, beacon TEXT, cause TEXT, data BLOB NOT NULL
  ) STRICT;
  CREATE TABLE tally (hour INTEGER, type INTEGER, severity INTEGER, origin INTEGER, events INTEGER NOT NULL,
    PRIMARY KEY (hour, type, severity, origin)) STRICT, WITHOUT ROWID;
  CREATE TABLE summary (hour INTEGER, type INTEGER, severity INTEGER, events INTEGER NOT NULL,
    PRIMARY KEY (hour, type, severity)) STRICT, WITHOUT ROWID`;

const indexes = `
  CREATE INDEX event_number ON event (origin, sequence);
  CREATE INDEX event_origin ON event (origin, type);
  CREATE INDEX event_type ON event (type);
  CREATE INDEX event_time ON event (time, origin, type, severity);
  CREATE INDEX event_cause ON event (cause) WHERE cause IS NOT NULL;
  INSERT INTO tally SELECT CAST(floor(time / ${tallyMs}) AS INTEGER) AS hour, type, severity, origin, count(*) FROM event GROUP BY 1, 2, 3, 4;
  INSERT INTO summary SELECT hour, type, severity, sum(events) FROM tally GROUP BY 1, 2, 3;
  INSERT INTO origin SELECT id, agent, epoch, critical, high, normal, low FROM master.origin WHERE id IN (SELECT DISTINCT origin FROM tally);
  CREATE INDEX origin_name ON origin (agent, epoch)`;

/** The points between which a crash can fall, for the tests. */
export type SealStep = "begun" | "copied" | "indexed" | "written" | "renamed";

export interface SealOptions {
  /** The master's. */
  database: string;
  partition: Partition;
  reached?: (step: SealStep) => void;
}

/** `causes`: see cause-filter.ts. */
export interface SealedFile {
  bytes: number;
  causes: Uint8Array | undefined;
}

/** Throws when it cannot be written; then nothing but a file without its name is left. */
export function seal({ database, partition, reached = () => {} }: SealOptions): SealedFile {
  const directory = sealedDirectory(database);
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const file = sealedFile(directory, partition.number);
  const unnamed = `${file}.tmp`;
  rmSync(unnamed, { force: true });
  reached("begun");
  let causes: Uint8Array | undefined;
  try {
    causes = write({ file: unnamed, database, partition, reached });
    syncPath(unnamed);
    reached("written");
  } catch (error) {
    rmSync(unnamed, { force: true });
    throw error;
  }
  renameSync(unnamed, file);
  reached("renamed");
  syncPath(directory);
  return { bytes: statSync(file).size, causes };
}

interface Writing extends Required<SealOptions> {
  file: string;
}

function write({ file, database, partition, reached }: Writing): Uint8Array | undefined {
  const target = new DatabaseSync(file);
  try {
    // Without a log and without syncs: what is not finished is thrown away, and what is finished is synced as a whole.
    target.exec(
      `PRAGMA page_size = ${pageBytes}; PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -${cacheKibibytes}`,
    );
    target.exec(schema);
    const master = pathToFileURL(database);
    master.searchParams.set("mode", "ro");
    target.prepare("ATTACH ? AS master").run(master.href);
    copy(target, partition);
    reached("copied");
    target.exec(indexes);
    reached("indexed");
    check(target, partition);
    const causes = target.prepare("SELECT DISTINCT cause FROM event WHERE cause IS NOT NULL").all();
    return causeFilter(causes.map((row) => String(row["cause"])));
  } finally {
    target.close();
  }
}

function copy(target: DatabaseSync, { number, first, last, events, timeMin, timeMax, receivedMin, receivedMax }: Partition): void {
  target
    .prepare("INSERT INTO partition VALUES (?, ?, ?, ?, ?, ?, ?, ?)")
    .run(number, first, last, events, timeMin, timeMax, receivedMin, receivedMax);
  const part = `FROM master.${tableOf(number)} AS row WHERE row.position >= ? AND row.position < ?`;
  const types = target.prepare(`INSERT OR IGNORE INTO type (name) SELECT DISTINCT row.type ${part}`);
  const columns = eventColumns
    .split(", ")
    .map((column) => (column === "type" ? "(SELECT id FROM main.type WHERE name = row.type)" : `row.${column}`));
  const rows = target.prepare(`INSERT INTO event SELECT ${columns.join(", ")} ${part} ORDER BY row.position`);
  for (let from = first; from <= last; from += rowsPerRead) {
    types.run(from, from + rowsPerRead);
    rows.run(from, from + rowsPerRead);
  }
}

/**
 * Before the table goes: the file is sound, and has every event. That the indexes say what the table says is taken on trust: they were made just
 * now, and to compare them would take as long as all the rest.
 */
function check(target: DatabaseSync, { number, events }: Partition): void {
  const rows = Number(target.prepare("SELECT count(*) AS rows FROM event").get()?.["rows"]);
  if (rows !== events) throw new Error(`partition ${number} has ${rows} events where its catalogue says ${events}`);
  const verdict = target.prepare("PRAGMA main.quick_check(1)").get()?.["quick_check"];
  if (verdict !== "ok") throw new Error(`partition ${number} was not written soundly: ${String(verdict)}`);
}
