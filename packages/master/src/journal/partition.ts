/**
 * How the journal lies in SQLite. Events stand in partitions: the live one, which is appended to, and closed ones are tables of the master's
 * database, without an index that every event would have to enter; a sealed one is a file of its own (sealed.ts). Positions rise without gaps from one to the next.
 */
import { join } from "node:path";
import type { DatabaseSync, SQLInputValue } from "node:sqlite";
import { type Event, severities, type Severity } from "@needfire/shared/event";
import { pack } from "@needfire/shared/pack";
import { type WireEvent, eventOfWire } from "@needfire/shared/wire-event";
import type { Database } from "../store/database.ts";

export type PartitionState = "live" | "closed" | "sealed";

/** Times: ms since the epoch; `time` is the hosts', which may be anything. An empty partition has `first` = `last` + 1. */
export interface Partition {
  number: number;
  state: PartitionState;
  first: number;
  last: number;
  /** As many as there are positions, but where a damaged database was salvaged. */
  events: number;
  timeMin: number;
  timeMax: number;
  receivedMin: number;
  receivedMax: number;
  /** Of the events' data while it is a table, of the file when it is sealed. */
  bytes: number;
  /** Of a sealed one: why its file cannot be read, once that has been told of. */
  damage: string | undefined;
}

/** Where an agent's numbering comes from, and how far each lane of it is in the journal (P1). */
export interface Origin {
  id: number;
  agent: string;
  epoch: string;
  marks: Record<Severity, number>;
  /** Of the last event that was appended from it. */
  position: number;
}

export type Names = Pick<Origin, "agent" | "epoch">;
/** What an event's id consists of. */
export type EventNumber = Names & { sequence: number };

/** The columns of an event, in the order of every `SELECT` and `INSERT`. */
export const eventColumns = "position, origin, sequence, type, time, received, severity, subject, beacon, cause, data";
export const eventColumnCount = 11;

const eventTableBody = `(
  position INTEGER PRIMARY KEY, origin INTEGER NOT NULL, sequence INTEGER NOT NULL, type TEXT NOT NULL, time REAL NOT NULL,
  received REAL NOT NULL, severity INTEGER NOT NULL, subject TEXT, beacon TEXT, cause TEXT, data BLOB NOT NULL
) STRICT`;

/** As the first master had it, and as a sealed file has it. */
export const originTable = `CREATE TABLE origin (
  id INTEGER PRIMARY KEY, agent TEXT NOT NULL, epoch TEXT NOT NULL,
  critical INTEGER NOT NULL, high INTEGER NOT NULL, normal INTEGER NOT NULL, low INTEGER NOT NULL
) STRICT`;

export function tableOf(number: number): string {
  return `event_${number}`;
}

/** Few events have a cause, so its index costs an append next to nothing; a chain of causes asks for little else. */
export function createTable(number: number): string {
  const table = tableOf(number);
  return `CREATE TABLE ${table} ${eventTableBody}; CREATE INDEX ${table}_cause ON ${table} (cause) WHERE cause IS NOT NULL`;
}

/** Where the sealed partitions of a database lie. */
export function sealedDirectory(database: string): string {
  return join(database, "..", "journal");
}

export function sealedFile(directory: string, number: number): string {
  return join(directory, `${number}.db`);
}

// An agent that had no lanes was acknowledged in the order of its numbers: what its journal has is the mark of each lane.
const migrations = [
  `CREATE TABLE event (
     position INTEGER PRIMARY KEY,
     agent TEXT NOT NULL, epoch TEXT NOT NULL, sequence INTEGER NOT NULL,
     type TEXT NOT NULL, source TEXT NOT NULL, subject TEXT, time REAL NOT NULL, received REAL NOT NULL,
     severity TEXT NOT NULL, beacon TEXT, cause TEXT, data TEXT NOT NULL
   ) STRICT;
   CREATE UNIQUE INDEX event_number ON event (agent, epoch, sequence);
   CREATE INDEX event_type ON event (type);
   CREATE INDEX event_time ON event (time);
   CREATE INDEX event_cause ON event (cause) WHERE cause IS NOT NULL;`,
  `${originTable};
   CREATE UNIQUE INDEX origin_epoch ON origin (agent, epoch);
   CREATE TABLE partition (
     number INTEGER PRIMARY KEY, state TEXT NOT NULL CHECK (state IN ('live', 'closed', 'sealed')),
     first INTEGER NOT NULL, last INTEGER, events INTEGER NOT NULL,
     time_min REAL, time_max REAL, received_min REAL, received_max REAL, bytes INTEGER
   ) STRICT;
   ${createTable(1)};
   INSERT INTO origin (agent, epoch, critical, high, normal, low)
     SELECT agent, epoch, mark, mark, mark, mark
     FROM (SELECT agent, epoch, max(sequence) AS mark FROM event GROUP BY agent, epoch);
   INSERT INTO event_1 (${eventColumns})
     SELECT event.position, origin.id, sequence, type, time, received,
       CASE severity WHEN 'critical' THEN 0 WHEN 'high' THEN 1 WHEN 'normal' THEN 2 ELSE 3 END,
       subject, beacon, cause, pack_json(data)
     FROM event JOIN origin USING (agent, epoch) ORDER BY event.position;
   INSERT INTO partition
     SELECT 1, 'live', coalesce(min(position), 1), max(position), count(*), min(time), max(time), min(received), max(received), sum(length(data))
     FROM event_1;
   DROP TABLE event;`,
  "CREATE TABLE cause_filter (partition INTEGER PRIMARY KEY, causes BLOB NOT NULL) STRICT",
  // Where the last event of an origin stands was not noted: perhaps at the end.
  `ALTER TABLE origin ADD COLUMN position INTEGER NOT NULL DEFAULT 0;
   UPDATE origin SET position = (SELECT coalesce(max(last), 0) FROM partition)`,
  // Where an event was received before the one that stands ahead of it. Of a journal of before nothing is known.
  "CREATE TABLE set_back (position INTEGER PRIMARY KEY, before REAL NOT NULL, after REAL NOT NULL) STRICT",
  "ALTER TABLE partition ADD COLUMN damage TEXT",
] as const;

/** Brings a database to today's form of the journal; one of before keeps its events. */
export function migrateJournal(database: Database): void {
  database.connection.function("pack_json", { deterministic: true }, (json) => pack(JSON.parse(String(json))));
  database.migrate("journal", migrations);
}

/** A row of an event table as an array, in the order of `eventColumns`. */
export type EventRow = SQLInputValue[];

export function eventOfRow(row: EventRow, { agent, epoch }: Names): Event {
  return eventOfWire({ agent, epoch, received: row[5] as number }, wireOfRow(row), row[0] as number);
}

export function wireOfRow(row: EventRow): WireEvent {
  // By index: this is done for millions of rows.
  return [row[2], row[3], row[4], severities[Number(row[6])], row[7], row[8], row[9], row[10]] as WireEvent;
}

/** In the order of their positions. */
export function readCatalogue(connection: DatabaseSync): Partition[] {
  return connection
    .prepare("SELECT * FROM partition ORDER BY number")
    .all()
    .map((row) => partitionOfRow(row));
}

function partitionOfRow(row: Record<string, unknown>): Partition {
  return {
    number: Number(row["number"]),
    state: row["state"] as PartitionState,
    first: Number(row["first"]),
    last: row["last"] === null ? Number(row["first"]) - 1 : Number(row["last"]),
    events: Number(row["events"]),
    timeMin: numberOr(row["time_min"], Number.POSITIVE_INFINITY),
    timeMax: numberOr(row["time_max"], Number.NEGATIVE_INFINITY),
    receivedMin: numberOr(row["received_min"], Number.POSITIVE_INFINITY),
    receivedMax: numberOr(row["received_max"], Number.NEGATIVE_INFINITY),
    bytes: Number(row["bytes"] ?? 0),
    damage: typeof row["damage"] === "string" ? row["damage"] : undefined,
  };
}

function numberOr(value: unknown, otherwise: number): number {
  return typeof value === "number" ? value : otherwise;
}

export function originOfRow(row: Record<string, unknown>): Origin {
  return {
    id: Number(row["id"]),
    agent: String(row["agent"]),
    epoch: String(row["epoch"]),
    marks: {
      critical: Number(row["critical"]),
      high: Number(row["high"]),
      normal: Number(row["normal"]),
      low: Number(row["low"]),
    },
    position: Number(row["position"]),
  };
}
