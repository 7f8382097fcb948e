/**
 * The journal in SQLite (WAL): the writer, its table, and a row as an event. The reader is in `sqlite-reader.ts`, since it runs in
 * another thread.
 */
import type { StatementSync } from "node:sqlite";
import type { Event, IncomingEvent } from "@needfire/shared/event";
import { eventId } from "@needfire/shared/ids";
import type { Database } from "../store/database.ts";

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
] as const;

type Row = Record<string, unknown>;

export class JournalWriter {
  readonly #database: Database;
  readonly #insert: StatementSync;
  readonly #read: StatementSync;

  constructor(database: Database) {
    this.#database = database;
    database.migrate("journal", migrations);
    this.#insert = database.connection.prepare(
      `INSERT INTO event (agent, epoch, sequence, type, source, subject, time, received, severity, beacon, cause, data)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING RETURNING position`,
    );
    this.#read = database.connection.prepare("SELECT * FROM event WHERE position > ? ORDER BY position LIMIT ?");
  }

  append(events: IncomingEvent[]): (number | null)[] {
    return this.#database.transaction(() => events.map((event) => this.#append(event)), { durable: false });
  }

  sync(): void {
    this.#database.sync();
  }

  read(after: number, limit: number): Event[] {
    return this.#read.all(after, limit).map(eventOf);
  }

  close(): void {
    this.#database.close();
  }

  #append(event: IncomingEvent): number | null {
    const { agent, epoch, sequence, type, source, subject, time, received, severity, beacon, cause, data } = event;
    const row = this.#insert.get(
      agent,
      epoch,
      sequence,
      type,
      source,
      subject ?? null,
      time,
      received,
      severity,
      beacon ?? null,
      cause ?? null,
      JSON.stringify(data),
    );
    return row === undefined ? null : Number(row["position"]);
  }
}

/** A row of `event`, whole. */
export function eventOf(row: Row): Event {
  const agent = String(row["agent"]);
  return {
    position: Number(row["position"]),
    id: eventId(agent, String(row["epoch"]), Number(row["sequence"])),
    type: String(row["type"]),
    source: String(row["source"]),
    agent,
    ...(row["subject"] === null ? {} : { subject: String(row["subject"]) }),
    time: Number(row["time"]),
    received: Number(row["received"]),
    severity: row["severity"] as Event["severity"],
    ...(row["beacon"] === null ? {} : { beacon: String(row["beacon"]) }),
    ...(row["cause"] === null ? {} : { cause: String(row["cause"]) }),
    data: JSON.parse(String(row["data"])) as Record<string, unknown>,
  };
}
