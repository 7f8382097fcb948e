/**
 * The journal's catalogue after a database was salvaged (store/salvage.ts): it is made to say again what there is, in tables and in sealed
 * files, and the journal goes on in a new partition, beyond every position that was ever given out as far as that is known.
 */
import { readdirSync, statSync } from "node:fs";
import { DatabaseSync, type SQLOutputValue } from "node:sqlite";
import { systemCode } from "@needfire/shared/errors";
import type { Database } from "../store/database.ts";
import { type Damage, noteRepaired } from "../store/salvage.ts";
import { createTable, sealedDirectory, sealedFile, tableOf } from "./partition.ts";
import { isSound } from "./sealed.ts";

/** Positions that may have been given out without a trace being left of them. */
const lostPositionsMax = 1_000_000_000;

/** To be called with the journal's and the store's tables in place. */
export function repairCatalogue(database: Database, { kept, torn, cursor }: Damage): void {
  const { connection } = database;
  const isCatalogueWhole = "partition" in kept && !torn.includes("partition");
  const sealed = sealedNumbers(sealedDirectory(database.file));
  database.transaction(() => {
    const [known] = highest(connection);
    for (const number of sealed) adopt(database, number);
    for (const number of tableNumbers(connection)) measure(connection, number);
    const [last, number] = highest(connection);
    const first = Math.max(known, last, cursor ?? 0) + (isCatalogueWhole ? 0 : lostPositionsMax) + 1;
    connection.exec(createTable(number + 1));
    connection.prepare("INSERT INTO partition (number, state, first, events) VALUES (?, 'live', ?, 0)").run(number + 1, first);
    // Where the engine was is lost: what is old must not be answered a second time.
    if (cursor === undefined) setCursor(connection, first - 1);
    noteRepaired(connection);
  });
  database.syncNow();
}

type Row = Record<string, SQLOutputValue>;

/** A sealed file that is whole takes the place of its table, and of what is known of it. Its origins' marks are the least that there were. */
function adopt({ connection, file }: Database, number: number): void {
  const path = sealedFile(sealedDirectory(file), number);
  const head = headOf(path);
  if (head === undefined || (hasTable(connection, tableOf(number)) && !isSound(path))) return;
  const { partition, origins, bytes } = head;
  connection.exec(`DROP TABLE IF EXISTS ${tableOf(number)}`);
  // What the filters say is not known to be whole: without one, the file is looked into.
  connection.prepare("DELETE FROM cause_filter WHERE partition = ?").run(number);
  const columns = ["first", "last", "events", "time_min", "time_max", "received_min", "received_max"];
  connection
    .prepare(`INSERT OR REPLACE INTO partition (number, state, ${columns.join(", ")}, bytes) VALUES (?, 'sealed', ?, ?, ?, ?, ?, ?, ?, ?)`)
    .run(number, ...columns.map((name) => partition[name]!), bytes);
  const keep = connection.prepare(
    `INSERT INTO origin (agent, epoch, critical, high, normal, low, position) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (agent, epoch) DO UPDATE
     SET critical = max(critical, excluded.critical), high = max(high, excluded.high),
         normal = max(normal, excluded.normal), low = max(low, excluded.low), position = max(position, excluded.position)`,
  );
  for (const { agent, epoch, critical, high, normal, low } of origins)
    keep.run(agent!, epoch!, critical!, high!, normal!, low!, partition["last"]!);
}

/** Undefined when the file cannot be read: then nothing is known of it but what the catalogue says, and whoever asks for it is told. */
function headOf(file: string): { partition: Row; origins: Row[]; bytes: number } | undefined {
  let sealed: DatabaseSync | undefined;
  try {
    sealed = new DatabaseSync(file, { readOnly: true });
    const partition = sealed.prepare("SELECT * FROM partition").get();
    const origins = sealed.prepare("SELECT agent, epoch, critical, high, normal, low FROM origin").all();
    return partition === undefined ? undefined : { partition, origins, bytes: statSync(file).size };
  } catch {
    return undefined;
  } finally {
    sealed?.close();
  }
}

/** A table with whatever rows are left; one without any goes. Events of an origin that is lost are kept under a name that says so. */
function measure(connection: DatabaseSync, number: number): void {
  const table = tableOf(number);
  const { changes } = connection
    .prepare(
      `INSERT OR REPLACE INTO partition (number, state, first, last, events, time_min, time_max, received_min, received_max, bytes)
       SELECT ?, 'closed', min(position), max(position), count(*), min(time), max(time), min(received), max(received), sum(length(data))
       FROM ${table} HAVING count(*) > 0`,
    )
    .run(number);
  if (Number(changes) === 0) {
    connection.exec(`DROP TABLE ${table}`);
    connection.prepare("DELETE FROM partition WHERE number = ?").run(number);
    return;
  }
  connection.exec(
    `INSERT INTO origin (id, agent, epoch, critical, high, normal, low, position)
     SELECT origin, 'lost-' || origin, '0', 0, 0, 0, 0, max(position) FROM ${table} WHERE origin NOT IN (SELECT id FROM origin) GROUP BY origin`,
  );
}

function highest(connection: DatabaseSync): [last: number, number: number] {
  const row = connection.prepare("SELECT max(last) AS last, max(number) AS number FROM partition").get();
  return [Number(row?.["last"] ?? 0), Number(row?.["number"] ?? 0)];
}

function setCursor(connection: DatabaseSync, cursor: number): void {
  if (connection.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'setting'").get() === undefined) return;
  connection.prepare("INSERT OR REPLACE INTO setting (name, value) VALUES ('cursor', ?)").run(String(cursor));
}

function hasTable(connection: DatabaseSync, name: string): boolean {
  return connection.prepare("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?").get(name) !== undefined;
}

function tableNumbers(connection: DatabaseSync): number[] {
  const rows = connection.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name GLOB 'event_[0-9]*'").all();
  return rows.map((row) => Number(String(row["name"]).slice("event_".length))).toSorted((a, b) => a - b);
}

function sealedNumbers(directory: string): number[] {
  try {
    return readdirSync(directory)
      .flatMap((name) => /^([0-9]+)\.db$/.exec(name)?.[1] ?? [])
      .map(Number)
      .toSorted((a, b) => a - b);
  } catch (error) {
    if (systemCode(error) === "ENOENT") return [];
    throw error;
  }
}
