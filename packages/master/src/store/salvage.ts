/**
 * What happens to a master's database that is damaged: everything in it that can be read goes into a new one, table by table and row by
 * row, and the damaged one is set aside under another name. A crash at any point is taken up at the next start.
 */
import { existsSync, renameSync, rmSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { DatabaseSync, type SQLInputValue } from "node:sqlite";
import { errorText } from "@needfire/shared/errors";
import { isConstraint, isCorrupt } from "@needfire/shared/sqlite-code";
import type { MasterEventDraft } from "@needfire/shared/task";
import { syncPath } from "../sync-path.ts";

/** A database of up to this size is checked at every start, a larger one after an unclean end: half a second for 200 MB. */
const alwaysCheckedBytesMax = 67_108_864;
/** Beyond it there is no row. */
const rowidMax = 2 ** 46;

/**
 * Of a new file. SQLite writes its log page by page, with two calls for each: larger pages took a fifth off the time of a synced transaction of
 * 1,200 events (docs/decisions/0012).
 */
export const pageBytes = 16_384;

/** Of the new database: what it was made from. */
export const noteTable = "salvaged";

export interface Damage {
  reason: string;
  /** Where the damaged file is now. */
  aside: string;
  /** Rows by their table. */
  kept: Record<string, number>;
  /** Tables of which some rows, or all, could not be read. */
  torn: string[];
  /** Where the engine was, if that could be read. */
  cursor?: number | undefined;
  /** The journal has been made whole again since. */
  repaired?: boolean;
  /** Damage of before, that nobody had been told of when the database was damaged again. */
  earlier?: Damage[];
}

/** Before the database is opened, and while nobody else can. */
export function mend(file: string, now: number): void {
  const unfinished = `${file}.salvaged`;
  // The damaged one was set aside, and then there was a crash.
  if (!existsSync(file) && existsSync(unfinished)) renameSync(unfinished, file);
  removeDatabase(unfinished);
  const reason = existsSync(file) ? faultOf(file) : undefined;
  if (reason === undefined) return;
  const aside = freeName(`${file}.damaged-${new Date(now).toISOString().replaceAll(/[-:]|\.\d+/g, "")}`);
  const damage: Damage = { reason, aside, ...copyReadable(file, unfinished), earlier: untoldIn(file) };
  note(unfinished, damage);
  syncPath(unfinished);
  for (const suffix of ["-wal", "-shm", ""]) if (existsSync(file + suffix)) renameSync(file + suffix, aside + suffix);
  renameSync(unfinished, file);
  syncPath(dirname(file));
}

function freeName(wanted: string): string {
  let name = wanted;
  for (let number = 2; existsSync(name); number++) name = `${wanted}-${number}`;
  return name;
}

/** Kept in the database until it has been told of, whatever comes in between. */
function note(file: string, damage: Damage): void {
  const connection = new DatabaseSync(file);
  connection.exec(`CREATE TABLE ${noteTable} (body TEXT NOT NULL) STRICT`);
  connection.prepare(`INSERT INTO ${noteTable} VALUES (?)`).run(JSON.stringify(damage));
  connection.close();
}

/** To be called within a transaction: the journal's part is done. */
export function noteRepaired(connection: DatabaseSync): void {
  connection.exec(`UPDATE ${noteTable} SET body = json_set(body, '$.repaired', json('true'))`);
}

/** What was salvaged and not told of yet. */
export function untoldDamage(connection: DatabaseSync): Damage | undefined {
  if (!hasTable(connection, noteTable)) return undefined;
  return JSON.parse(String(connection.prepare(`SELECT body FROM ${noteTable}`).get()?.["body"])) as Damage;
}

/** As far as it can be read, in a file that is damaged again; the earliest first. */
function untoldIn(file: string): Damage[] {
  const connection = new DatabaseSync(file, { readOnly: true });
  try {
    const untold = untoldDamage(connection);
    return untold === undefined ? [] : inOrder(untold);
  } catch {
    return []; // the note is damaged itself
  } finally {
    connection.close();
  }
}

function inOrder({ earlier = [], ...last }: Damage): Damage[] {
  return [...earlier, last];
}

/** The events that tell of it, the earliest first. */
export function damageEvents(damage: Damage): MasterEventDraft[] {
  return inOrder(damage).map(({ reason, aside, kept, torn }) => ({
    type: "journal.damaged",
    severity: "critical",
    subject: aside,
    data: { reason: reason.slice(0, 2_000), set_aside: aside, kept, incomplete: torn },
  }));
}

/** Why a file is no sound database; undefined when it is one, as far as it was looked at. Throws what has other reasons than damage. */
function faultOf(file: string): string | undefined {
  const wal = `${file}-wal`;
  const isUnclean = existsSync(wal) && statSync(wal).size > 0;
  const thorough = isUnclean || statSync(file).size <= alwaysCheckedBytesMax;
  const connection = new DatabaseSync(file, { timeout: 5_000 });
  try {
    if (!thorough) {
      connection.prepare("SELECT count(*) FROM sqlite_schema").get();
      return undefined;
    }
    const verdict = connection.prepare("PRAGMA quick_check(1)").get()?.["quick_check"];
    return verdict === "ok" ? undefined : String(verdict);
  } catch (error) {
    if (!isCorrupt(error)) throw error;
    return errorText(error);
  } finally {
    connection.close();
  }
}

type Copied = Pick<Damage, "kept" | "torn" | "cursor">;

function copyReadable(file: string, to: string): Copied {
  const source = new DatabaseSync(file, { readOnly: true });
  const target = new DatabaseSync(to);
  const copied: Copied = { kept: {}, torn: [], cursor: undefined };
  try {
    target.exec(`PRAGMA page_size = ${pageBytes}; PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; BEGIN`);
    for (const { name, sql } of schemaOf(source)) {
      if (name === noteTable) continue;
      target.exec(sql);
      if (name !== undefined) copyTable({ source, target, name, copied });
    }
    // A number that was given out may be gone with the rows that knew it: then the master's own events begin a new numbering.
    if (hasTable(target, "outbox") && !copyCounters(source, target)) copied.torn.push("sqlite_sequence");
    if (hasTable(target, "setting")) {
      if (copied.torn.includes("outbox") || copied.torn.includes("sqlite_sequence"))
        target.exec("DELETE FROM setting WHERE name = 'epoch'");
      const cursor = target.prepare("SELECT value FROM setting WHERE name = 'cursor'").get()?.["value"];
      copied.cursor = cursor === undefined ? undefined : Number(cursor);
    }
    // A mark may be among what is lost: of no command it is certain any more that it has not gone out.
    if (hasTable(target, "agent")) target.exec("UPDATE agent SET body = json_remove(body, '$.settled') WHERE json_valid(body)");
    target.exec("COMMIT");
    return copied;
  } finally {
    source.close();
    target.close();
  }
}

/** Tables, then their indexes. Nothing when not all of it can be read: tables without the others that belong to them are of no use. */
function schemaOf(source: DatabaseSync): { name: string | undefined; sql: string }[] {
  const entries: { name: string | undefined; sql: string }[] = [];
  const sql = "SELECT type, name, sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%' ORDER BY type DESC";
  const isWhole = tolerating(() => {
    for (const row of source.prepare(sql).iterate())
      entries.push({ name: row["type"] === "table" ? String(row["name"]) : undefined, sql: String(row["sql"]) });
  });
  return isWhole ? entries : [];
}

function copyTable({ source, target, name, copied }: { source: DatabaseSync; target: DatabaseSync; name: string; copied: Copied }): void {
  let isTorn = false;
  let kept = 0;
  let from = 0;
  const select = source.prepare(`SELECT rowid, * FROM "${name}" NOT INDEXED WHERE rowid >= ? ORDER BY rowid`);
  select.setReturnArrays(true);
  const width = target.prepare(`SELECT * FROM "${name}"`).columns().length;
  const insert = target.prepare(`INSERT INTO "${name}" VALUES (${Array(width).fill("?").join(", ")})`);
  const copyOn = () => {
    for (const [rowid, ...values] of select.iterate(from) as unknown as Iterable<SQLInputValue[]>) {
      from = Number(rowid) + 1;
      // What is read from a damaged page may be anything.
      if (tolerating(() => insert.run(...values))) kept++;
      else isTorn = true;
    }
  };
  while (from < rowidMax && !tolerating(copyOn)) {
    isTorn = true;
    from = beyondDamage(from, (rowid) => tolerating(() => select.get(rowid)));
  }
  copied.kept[name] = kept;
  if (isTorn) copied.torn.push(name);
}

/** The lowest rowid from which on rows can be read again; from `bad` on they cannot. */
function beyondDamage(bad: number, isReadableFrom: (rowid: number) => boolean): number {
  let good = bad + 1;
  for (let step = 1; good < rowidMax && !isReadableFrom(good); step *= 2) {
    bad = good;
    good += step;
  }
  while (good - bad > 1) {
    const middle = Math.floor((bad + good) / 2);
    if (isReadableFrom(middle)) good = middle;
    else bad = middle;
  }
  return good;
}

function copyCounters(source: DatabaseSync, target: DatabaseSync): boolean {
  return tolerating(() => {
    target.exec("DELETE FROM sqlite_sequence");
    for (const row of source.prepare("SELECT name, seq FROM sqlite_sequence").all())
      target.prepare("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)").run(String(row["name"]), Number(row["seq"]));
  });
}

function hasTable(connection: DatabaseSync, name: string): boolean {
  return connection.prepare("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?").get(name) !== undefined;
}

/** False when damage, or a row that does not fit its table, got in the way. */
function tolerating(work: () => unknown): boolean {
  try {
    work();
    return true;
  } catch (error) {
    if (isCorrupt(error) || isConstraint(error)) return false;
    throw error;
  }
}

function removeDatabase(file: string): void {
  for (const suffix of ["", "-wal", "-shm", "-journal"]) rmSync(file + suffix, { force: true });
}
