/**
 * The journal's tables in the file of a master that was killed, and the files of its sealed partitions: which events stand in them, and which of
 * them garbage over a page takes. Reads them one by one, so that it shares no way of reading with the master's salvage.
 */
import { randomBytes } from "node:crypto";
import { closeSync, existsSync, openSync, readdirSync, writeSync } from "node:fs";
import { basename, join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import type { EventView } from "@needfire/shared/api";
import { eventId } from "@needfire/shared/ids";
import { unpack } from "@needfire/shared/pack";
import { isCorrupt } from "@needfire/shared/sqlite-code";
import { overwritePage } from "./database-file.ts";

/** What a fault took out of the journal. */
export interface SpoiledJournal {
  /** `judged`: what is to be done about it had been decided by then. */
  lost: { event: EventView; judged: boolean }[];
  /** How it is to be told: of the database, with what is left by table; of a sealed partition, if any of its events are missing. */
  told: { type: "journal.damaged"; kept: Record<string, number> } | { type: "journal.partition_damaged"; partition: number };
}

type Row = Record<string, unknown>;

/** Garbage over one page that belongs to a table of events. Undefined when there is none, or what was spoiled before is not mended yet. */
export function spoilJournal(file: string, fraction: number): SpoiledJournal | undefined {
  const seen = within(file, (database) => (isSound(database) ? look(database, fraction) : undefined));
  if (seen?.page === undefined) return undefined;
  const { tables, page, pageBytes, cursor } = seen;
  const descriptor = openSync(file, "r+");
  writeSync(descriptor, randomBytes(pageBytes), 0, pageBytes, (page - 1) * pageBytes);
  closeSync(descriptor);
  return within(file, (database) => {
    const kept: Record<string, number> = {};
    const spoiled: SpoiledJournal = { lost: [], told: { type: "journal.damaged", kept } };
    for (const [table, rows] of tables) {
      const lost = rows.filter((row) => !isReadable(database, table, row));
      kept[table] = rows.length - lost.length;
      for (const row of lost) spoiled.lost.push({ event: viewOf(row), judged: Number(row["position"]) <= cursor });
    }
    return spoiled;
  });
}

/** Sealed partitions of a master's database that are sound. */
export function sealedFiles(file: string): string[] {
  const directory = join(file, "..", "journal");
  const names = existsSync(directory) ? readdirSync(directory).filter((name) => /^\d+\.db$/.test(name)) : [];
  return names.map((name) => join(directory, name)).filter((path) => within(path, isSound));
}

/** Garbage over one page of a sealed partition: all its events may be missing, whichever page it is. */
export function spoilSealed(file: string, sealed: string, fraction: number): SpoiledJournal | undefined {
  const all = within(sealed, (database) =>
    database
      .prepare(
        "SELECT event.*, type.name AS type, agent, epoch FROM event JOIN type ON type.id = event.type JOIN origin ON origin.id = event.origin",
      )
      .all(),
  );
  if (!overwritePage(sealed, fraction)) return undefined;
  const cursor = within(file, cursorOf);
  return {
    lost: all.map((row) => ({ event: viewOf(row), judged: Number(row["position"]) <= cursor })),
    told: { type: "journal.partition_damaged", partition: Number(basename(sealed, ".db")) },
  };
}

function isSound(database: DatabaseSync): boolean {
  try {
    return database.prepare("PRAGMA quick_check(1)").get()?.["quick_check"] === "ok";
  } catch (error) {
    if (!isCorrupt(error)) throw error;
    return false;
  }
}

function look(database: DatabaseSync, fraction: number) {
  const name = "name GLOB 'event_[0-9]*' AND name NOT GLOB '*_cause'";
  const names = database.prepare(`SELECT name FROM sqlite_schema WHERE type = 'table' AND ${name}`).all();
  const tables = names.map((row): [string, Row[]] => {
    const table = String(row["name"]);
    return [
      table,
      database.prepare(`SELECT "${table}".*, agent, epoch FROM "${table}" JOIN origin ON origin.id = "${table}".origin`).all(),
    ];
  });
  const pages = database.prepare(`SELECT pageno FROM dbstat WHERE ${name} ORDER BY pageno`).all();
  const page = pages[Math.floor(fraction * pages.length)]?.["pageno"];
  return {
    tables,
    page: page === undefined ? undefined : Number(page),
    pageBytes: Number(database.prepare("PRAGMA page_size").get()?.["page_size"]),
    cursor: cursorOf(database),
  };
}

function cursorOf(database: DatabaseSync): number {
  return Number(database.prepare("SELECT value FROM setting WHERE name = 'cursor'").get()?.["value"] ?? 0);
}

function isReadable(database: DatabaseSync, table: string, row: Row): boolean {
  try {
    return (
      database.prepare(`SELECT sequence FROM "${table}" WHERE position = ?`).get(Number(row["position"]))?.["sequence"] === row["sequence"]
    );
  } catch (error) {
    if (!isCorrupt(error)) throw error;
    return false;
  }
}

function viewOf(row: Row): EventView {
  const [agent, epoch] = [String(row["agent"]), String(row["epoch"])];
  return {
    position: Number(row["position"]),
    id: eventId(agent, epoch, Number(row["sequence"])),
    type: String(row["type"]),
    source: "",
    agent,
    time: "",
    received: "",
    severity: "low",
    data: unpack(row["data"] as Uint8Array) as Record<string, unknown>,
    ...(row["subject"] === null ? {} : { subject: String(row["subject"]) }),
    ...(row["cause"] === null ? {} : { cause: String(row["cause"]) }),
  };
}

function within<T>(file: string, work: (database: DatabaseSync) => T): T {
  const database = new DatabaseSync(file, { readOnly: true });
  try {
    return work(database);
  } finally {
    database.close();
  }
}
