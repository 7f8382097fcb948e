/**
 * A sealed partition, open for reading: a file that never changes. What it is written as: seal.ts.
 */
import { existsSync, statSync } from "node:fs";
import { DatabaseSync, type SQLInputValue } from "node:sqlite";
import type { CountKey } from "@needfire/shared/api";
import { errorText } from "@needfire/shared/errors";
import type { Event } from "@needfire/shared/event";
import { isRefusal, isUnreadable } from "@needfire/shared/sqlite-code";
import { newestFirst } from "./newest-first.ts";
import { OriginNames } from "./origins.ts";
import { eventColumns, eventOfRow, type EventRow, type EventNumber } from "./partition.ts";
import type { Pattern, Question } from "./question.ts";
import { tallyMs } from "./seal.ts";
import { Statements } from "./statements.ts";
import { addCount, type Counts, keyColumns, keyText } from "./tables.ts";

/** Pairs of an origin and a type that are followed side by side in the index; of more, all rows are looked at. */
const streamsMax = 64;
/** When at least one in so many events of a stretch fits, the stretch is read as it lies; else those that fit one by one. */
const scanShareMin = 8;
/** Positions of such a stretch that are read at once. */
const pieceEventsMin = 512;
const pieceEventsMax = 4_096;

/** The ids of what a pattern accepts; undefined: of everything. */
type Ids = number[] | undefined;

export class Sealed {
  readonly #connection: DatabaseSync;
  readonly #origins: OriginNames;
  readonly #types: ReadonlyMap<number, string>;
  readonly #statements: Statements;
  readonly #timeMin: number;
  readonly #timeMax: number;
  readonly #first: number;
  readonly #last: number;

  /** Throws when the file is not there or cannot be read. */
  constructor(file: string) {
    this.#connection = new DatabaseSync(file, { readOnly: true });
    this.#statements = new Statements(this.#connection);
    try {
      this.#origins = new OriginNames(this.#connection);
      this.#types = new Map((this.#statements.all("SELECT id, name FROM type") as [number, string][]).map(([id, name]) => [id, name]));
      const [row] = this.#statements.all("SELECT time_min, time_max, first, last FROM partition") as [number, number, number, number][];
      if (row === undefined) throw new Error(`${file} has no partition`);
      [this.#timeMin, this.#timeMax, this.#first, this.#last] = row;
    } catch (error) {
      this.#connection.close();
      throw error;
    }
  }

  /** Newest first. */
  *select(question: Question): Iterable<Event> {
    const origins = this.#originIds(question.agent);
    const types = this.#typeIds(question.type);
    if (origins?.length === 0 || types?.length === 0) return;
    for (const row of this.#rows({ question, origins, types })) {
      question.look();
      row[3] = this.#types.get(row[3] as number)!;
      const event = question.eventOf(row, this.#origins.of(row[1] as number));
      if (event !== undefined) yield event;
    }
  }

  /** Events after a position, in order. */
  read(after: number, limit: number): Event[] {
    return this.#where("position > ? ORDER BY position LIMIT ?", after, limit);
  }

  find({ agent, epoch, sequence }: EventNumber): Event | undefined {
    const [origin] = this.#statements.all("SELECT id FROM origin WHERE agent = ? AND epoch = ?", agent, epoch) as [number][];
    if (origin === undefined) return undefined;
    return this.#where("origin = ? AND sequence = ? ORDER BY position LIMIT 1", origin[0], sequence)[0];
  }

  /** Where a number that is not here should be: before this partition (-1), after it (1), or who knows (0). */
  sideOf({ agent, epoch, sequence }: EventNumber): number {
    const [origin] = this.#statements.all("SELECT id FROM origin WHERE agent = ? AND epoch = ?", agent, epoch) as [number][];
    if (origin === undefined) return 0;
    const [least] = this.#statements.get("SELECT min(sequence) FROM event WHERE origin = ?", origin[0]) as [number];
    const [most] = this.#statements.get("SELECT max(sequence) FROM event WHERE origin = ?", origin[0]) as [number];
    return sequence < least ? -1 : sequence > most ? 1 : 0;
  }

  /** In order. */
  causedBy(cause: string, limit: number): Event[] {
    return this.#where("cause = ? ORDER BY position LIMIT ?", cause, limit);
  }

  /** Whole hours from the tallies, the rest from the index by time. */
  count(question: Question, by: CountKey, counts: Counts): void {
    const origins = this.#originIds(question.agent);
    const types = this.#typeIds(question.type);
    if (origins?.length === 0 || types?.length === 0) return;
    const since = Math.max(question.since, this.#timeMin);
    const until = Math.min(question.until, this.#timeMax);
    const firstHour = since === this.#timeMin ? Math.floor(since / tallyMs) : Math.ceil(since / tallyMs);
    const endHour = Math.floor(until / tallyMs) + (until === this.#timeMax ? 1 : 0);
    const counting = { by, origins, types, counts };
    if (firstHour >= endHour) return this.#countTimes({ ...counting, from: since, to: until, toExcluded: false });
    this.#countHours({ ...counting, from: firstHour, to: endHour });
    if (since < firstHour * tallyMs) this.#countTimes({ ...counting, from: since, to: firstHour * tallyMs, toExcluded: true });
    if (until >= endHour * tallyMs) this.#countTimes({ ...counting, from: endHour * tallyMs, to: until, toExcluded: false });
  }

  isSound(): boolean {
    return this.#statements.get("PRAGMA quick_check(1)")[0] === "ok";
  }

  close(): void {
    this.#connection.close();
  }

  /** What fits but for the condition, newest first: by the index that leaves the fewest, or side by side where that is most of what lies there. */
  *#rows(wanted: Wanted): Iterable<EventRow> {
    const { question, origins, types } = wanted;
    const isWhole = question.covers(this.#timeMin, this.#timeMax);
    const streams = isWhole ? this.#streams(origins, types) : [];
    if (streams.length > 0) return yield* this.#at(newestFirst(streams));
    const place = isWhole && origins === undefined ? this.#placeInWhole(wanted) : this.#place(wanted);
    if (place.events === 0) return;
    if (place.events * scanShareMin < place.last - place.first) {
      const { condition, values } = fitting(wanted);
      const sql = `SELECT position FROM event INDEXED BY event_time WHERE ${condition} ORDER BY position DESC`;
      return yield* this.#at((this.#statements.all(sql, ...values) as [number][]).map(([position]) => position));
    }
    yield* this.#scan(wanted, place);
  }

  /** Piece by piece, each read forwards, which is what disks and kernels are prepared for; the first is small, since little may be wanted. */
  *#scan(wanted: Wanted, { first, last }: Place): Iterable<EventRow> {
    const { condition, values } = fitting(wanted);
    const sql = `SELECT ${eventColumns} FROM event NOT INDEXED WHERE position BETWEEN ? AND ? AND ${condition} ORDER BY position`;
    for (let end = last, length = pieceEventsMin; end >= first; end -= length, length = Math.min(length * 2, pieceEventsMax))
      yield* this.#statements.all(sql, Math.max(first, end - length + 1), end, ...values).toReversed() as EventRow[];
  }

  /** How many events fit but for the condition, and between which positions: by an index that has all that it takes. */
  #place(wanted: Wanted): Place {
    const { condition, values } = fitting(wanted);
    const sql = `SELECT count(*), min(position), max(position) FROM event INDEXED BY event_time WHERE ${condition}`;
    const [events, first, last] = this.#statements.get(sql, ...values) as [number, number | null, number | null];
    return { events, first: first ?? 0, last: last ?? 0 };
  }

  /** The same from the counts, when neither times nor origins matter. */
  #placeInWhole({ question: { severity }, types }: Wanted): Place {
    const onlySeverity = severity === undefined ? "" : `AND severity = ${severity}`;
    const sql = `SELECT coalesce(sum(events), 0) FROM summary WHERE true ${inList("type", types)} ${onlySeverity}`;
    const [events] = this.#statements.get(sql, ...listsOf(types)) as [number];
    return { events, first: this.#first, last: this.#last };
  }

  /** One for each pair of an origin and a type, when there are few of them. */
  #streams(origins: Ids, types: Ids): Generator<number, void>[] {
    const followed = origins === undefined ? (types ?? []).map((type) => [type]) : pairs(origins, types ?? [...this.#types.keys()]);
    if (followed.length > streamsMax) return [];
    const sql =
      origins === undefined
        ? "SELECT position FROM event INDEXED BY event_type WHERE type = ? ORDER BY position DESC"
        : "SELECT position FROM event INDEXED BY event_origin WHERE origin = ? AND type = ? ORDER BY position DESC";
    return followed.map((ids) => this.#follow(sql, ids));
  }

  *#follow(sql: string, ids: number[]): Generator<number, void> {
    for (const [position] of this.#statements.iterate(sql, ids)) yield position as number;
  }

  *#at(positions: Iterable<number>): Iterable<EventRow> {
    for (const position of positions)
      yield this.#statements.get(`SELECT ${eventColumns} FROM event WHERE position = ?`, position) as EventRow;
  }

  #countHours({ by, origins, types, counts, from, to }: Counting): void {
    // The summary has no origins, and is so much the smaller.
    const table = by === "agent" || origins !== undefined ? "tally" : "summary";
    const key = by === "agent" ? "origin" : by;
    const sql = `SELECT ${key}, sum(events) FROM ${table} WHERE hour >= ? AND hour < ?
      ${inList("type", types)} ${inList("origin", origins)} GROUP BY 1`;
    this.#add(by, counts, this.#statements.all(sql, from, to, ...listsOf(types, origins)));
  }

  #countTimes({ by, origins, types, counts, from, to, toExcluded }: Counting & { toExcluded: boolean }): void {
    const key = by === "agent" ? "origin" : by === "type" ? "type" : keyColumns[by];
    const sql = `SELECT ${key}, count(*) FROM event INDEXED BY event_time WHERE time >= ? AND time ${toExcluded ? "<" : "<="} ?
      ${inList("type", types)} ${inList("origin", origins)} GROUP BY 1`;
    this.#add(by, counts, this.#statements.all(sql, from, to, ...listsOf(types, origins)));
  }

  #add(by: CountKey, counts: Counts, rows: unknown[][]): void {
    for (const [id, events] of rows as [number, number][]) {
      const named = { type: this.#types.get(id) ?? "", agent: by === "agent" ? this.#origins.of(id).agent : "", code: id };
      addCount(counts, keyText(by, named), events);
    }
  }

  #originIds(agent: Pattern | undefined): Ids {
    if (agent === undefined) return undefined;
    if (agent.exact !== undefined)
      return (this.#statements.all("SELECT id FROM origin WHERE agent = ?", agent.exact) as [number][]).map(([id]) => id);
    return (this.#statements.all("SELECT id, agent FROM origin") as [number, string][])
      .filter(([, name]) => agent.accepts(name))
      .map(([id]) => id);
  }

  #typeIds(type: Pattern | undefined): Ids {
    return type === undefined ? undefined : [...this.#types].filter(([, name]) => type.accepts(name)).map(([id]) => id);
  }

  #where(condition: string, ...values: SQLInputValue[]): Event[] {
    return (this.#statements.all(`SELECT ${eventColumns} FROM event WHERE ${condition}`, ...values) as EventRow[]).map((row) =>
      this.#event(row),
    );
  }

  #event(row: EventRow): Event {
    row[3] = this.#types.get(row[3] as number)!;
    return eventOfRow(row, this.#origins.of(row[1] as number));
  }
}

/** Opens a file for one question. */
export function readingSealed<T>(file: string, read: (sealed: Sealed) => T): T {
  const sealed = new Sealed(file);
  try {
    return read(sealed);
  } finally {
    sealed.close();
  }
}

/** `emptied`: retention lets it go, and is about to say so. */
export type Loss = { kind: "emptied" } | { kind: "damaged"; reason: string };

/** Whether SQLite finds nothing wrong with it: 0.1 s for a file of 28 MB. */
export function isSound(file: string): boolean {
  try {
    return readingSealed(file, (sealed) => sealed.isSound());
  } catch {
    return false;
  }
}

/** Retention begins with it. */
export function isEmpty(file: string): boolean {
  return statSync(file, { throwIfNoEntry: false })?.size === 0;
}

/** Why a sealed partition cannot be read, by what its file is and what reading it threw. Undefined when that may pass: too many open files, ... */
export function lossOf(file: string, error: unknown): Loss | undefined {
  if (!existsSync(file)) return { kind: "damaged", reason: "the file is gone" };
  if (isEmpty(file)) return { kind: "emptied" };
  if (isRefusal(error) && !isUnreadable(error)) return undefined;
  return { kind: "damaged", reason: errorText(error) };
}

/** A question, with what its patterns accept in this partition. */
interface Wanted {
  question: Question;
  origins: Ids;
  types: Ids;
}

/** Where in a partition something lies. */
interface Place {
  events: number;
  first: number;
  last: number;
}

/** What SQL can decide, over columns that the index by time has. */
function fitting({ question, origins, types }: Wanted): { condition: string; values: SQLInputValue[] } {
  const { since, until, severity } = question;
  const onlySeverity = severity === undefined ? "" : `AND severity = ${severity}`;
  const condition = `time BETWEEN ? AND ? ${inList("type", types)} ${inList("origin", origins)} ${onlySeverity}`;
  return { condition, values: [since, until, ...listsOf(types, origins)] };
}

/** `from`, `to`: hours or times. */
interface Counting {
  by: CountKey;
  origins: Ids;
  types: Ids;
  counts: Counts;
  from: number;
  to: number;
}

function inList(column: string, ids: Ids): string {
  return ids === undefined ? "" : `AND ${column} IN (SELECT value FROM json_each(?))`;
}

function listsOf(...lists: Ids[]): string[] {
  return lists.filter((ids) => ids !== undefined).map((ids) => JSON.stringify(ids));
}

function pairs(first: number[], second: number[]): number[][] {
  if (first.length * second.length > streamsMax) return [];
  return first.flatMap((one) => second.map((other) => [one, other]));
}
