/**
 * A sealed partition, open for reading: a file that never changes. What it is written as: seal.ts.
 */
import { DatabaseSync, type SQLInputValue, type StatementSync } from "node:sqlite";
import type { CountKey } from "@needfire/shared/api";
import type { Event } from "@needfire/shared/event";
import { eventColumns, eventOfRow, type EventRow, type EventNumber, type Names } from "./partition.ts";
import type { Pattern, Question } from "./question.ts";
import { tallyMs } from "./seal.ts";
import { addCount, type Counts, keyColumns, keyText } from "./tables.ts";

/** Pairs of an origin and a type that are followed side by side in the index; of more, all rows are looked at. */
const streamsMax = 64;
/** A question about a share of the events' times up to this one begins with the times. */
const timeShareMax = 0.25;

/** The ids of what a pattern accepts; undefined: of everything. */
type Ids = number[] | undefined;

export class Sealed {
  readonly #connection: DatabaseSync;
  /** Those that have been asked for. */
  readonly #origins = new Map<number, Names>();
  readonly #types: ReadonlyMap<number, string>;
  readonly #statements = new Map<string, StatementSync>();
  readonly #timeMin: number;
  readonly #timeMax: number;
  readonly #events: number;

  /** Throws when the file is not there or cannot be read. */
  constructor(file: string) {
    this.#connection = new DatabaseSync(file, { readOnly: true });
    try {
      this.#types = new Map((this.#all("SELECT id, name FROM type") as [number, string][]).map(([id, name]) => [id, name]));
      const [row] = this.#all("SELECT time_min, time_max, events FROM partition") as [number, number, number][];
      if (row === undefined) throw new Error(`${file} has no partition`);
      [this.#timeMin, this.#timeMax, this.#events] = row;
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
    const whole = question.covers(this.#timeMin, this.#timeMax);
    for (const position of this.#positions({ question, origins, types, whole })) {
      question.look();
      const row = this.#get(`SELECT ${eventColumns} FROM event WHERE position = ?`, position) as EventRow;
      if (!whole && !question.inTime(row[4] as number)) continue;
      yield this.#event(row);
    }
  }

  /** Events after a position, in order. */
  read(after: number, limit: number): Event[] {
    return this.#where("position > ? ORDER BY position LIMIT ?", after, limit);
  }

  find({ agent, epoch, sequence }: EventNumber): Event | undefined {
    const [origin] = this.#all("SELECT id FROM origin WHERE agent = ? AND epoch = ?", agent, epoch) as [number][];
    if (origin === undefined) return undefined;
    return this.#where("origin = ? AND sequence = ? ORDER BY position LIMIT 1", origin[0], sequence)[0];
  }

  /** Where a number that is not here should be: before this partition (-1), after it (1), or who knows (0). */
  sideOf({ agent, epoch, sequence }: EventNumber): number {
    const [origin] = this.#all("SELECT id FROM origin WHERE agent = ? AND epoch = ?", agent, epoch) as [number][];
    if (origin === undefined) return 0;
    const [least] = this.#get("SELECT min(sequence) FROM event WHERE origin = ?", origin[0]) as [number];
    const [most] = this.#get("SELECT max(sequence) FROM event WHERE origin = ?", origin[0]) as [number];
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

  close(): void {
    this.#connection.close();
  }

  /** Of the events that a question might want, newest first, by the index that leaves the fewest. */
  #positions({ question, origins, types, whole }: { question: Question; origins: Ids; types: Ids; whole: boolean }): Iterable<number> {
    const onlySeverity = question.severity === undefined ? "" : `AND severity = ${question.severity}`;
    if (!whole && this.#shareOf(question) <= timeShareMax) {
      const sql = `SELECT position FROM event INDEXED BY event_time WHERE time BETWEEN ? AND ?
        ${inList("type", types)} ${inList("origin", origins)} ${onlySeverity} ORDER BY position DESC`;
      const values = [Math.max(question.since, this.#timeMin), Math.min(question.until, this.#timeMax), ...listsOf(types, origins)];
      return (this.#all(sql, ...values) as [number][]).map(([position]) => position);
    }
    const followed = origins === undefined ? (types ?? []).map((type) => [type]) : pairs(origins, types ?? [...this.#types.keys()]);
    if (followed.length > 0 && followed.length <= streamsMax) {
      const sql =
        origins === undefined
          ? "SELECT position FROM event INDEXED BY event_type WHERE type = ? ORDER BY position DESC"
          : "SELECT position FROM event INDEXED BY event_origin WHERE origin = ? AND type = ? ORDER BY position DESC";
      return newestFirst(followed.map((ids) => this.#follow(sql, ids)));
    }
    const sql = `SELECT position FROM event WHERE true ${inList("type", types)} ${inList("origin", origins)} ${onlySeverity} ORDER BY position DESC`;
    return this.#follow(sql, listsOf(types, origins));
  }

  /** How much of the partition lies in the question's times, to the hour. */
  #shareOf({ since, until }: Question): number {
    const hour = (time: number) => Math.floor(time / tallyMs);
    const [events] = this.#get(
      "SELECT coalesce(sum(events), 0) FROM summary WHERE hour BETWEEN ? AND ?",
      hour(Math.max(since, this.#timeMin)),
      hour(Math.min(until, this.#timeMax)),
    ) as [number];
    return events / this.#events;
  }

  /** A statement of its own: several are read side by side. */
  *#follow(sql: string, values: SQLInputValue[]): Generator<number, void> {
    const statement = this.#connection.prepare(sql);
    statement.setReturnArrays(true);
    for (const row of statement.iterate(...values) as unknown as Iterable<[number]>) yield row[0];
  }

  #countHours({ by, origins, types, counts, from, to }: Counting): void {
    // The summary has no origins, and is so much the smaller.
    const table = by === "agent" || origins !== undefined ? "tally" : "summary";
    const key = by === "agent" ? "origin" : by;
    const sql = `SELECT ${key}, sum(events) FROM ${table} WHERE hour >= ? AND hour < ?
      ${inList("type", types)} ${inList("origin", origins)} GROUP BY 1`;
    this.#add(by, counts, this.#all(sql, from, to, ...listsOf(types, origins)));
  }

  #countTimes({ by, origins, types, counts, from, to, toExcluded }: Counting & { toExcluded: boolean }): void {
    const key = by === "agent" ? "origin" : by === "type" ? "type" : keyColumns[by];
    const sql = `SELECT ${key}, count(*) FROM event INDEXED BY event_time WHERE time >= ? AND time ${toExcluded ? "<" : "<="} ?
      ${inList("type", types)} ${inList("origin", origins)} GROUP BY 1`;
    this.#add(by, counts, this.#all(sql, from, to, ...listsOf(types, origins)));
  }

  #add(by: CountKey, counts: Counts, rows: unknown[][]): void {
    for (const [id, events] of rows as [number, number][]) {
      const named = { type: this.#types.get(id) ?? "", agent: by === "agent" ? this.#origin(id).agent : "", code: id };
      addCount(counts, keyText(by, named), events);
    }
  }

  #originIds(agent: Pattern | undefined): Ids {
    if (agent === undefined) return undefined;
    if (agent.exact !== undefined) return (this.#all("SELECT id FROM origin WHERE agent = ?", agent.exact) as [number][]).map(([id]) => id);
    return (this.#all("SELECT id, agent FROM origin") as [number, string][]).filter(([, name]) => agent.accepts(name)).map(([id]) => id);
  }

  #origin(id: number): Names {
    let origin = this.#origins.get(id);
    if (origin === undefined) {
      const [agent, epoch] = this.#get("SELECT agent, epoch FROM origin WHERE id = ?", id) as [string, string];
      this.#origins.set(id, (origin = { agent, epoch }));
    }
    return origin;
  }

  #typeIds(type: Pattern | undefined): Ids {
    return type === undefined ? undefined : [...this.#types].filter(([, name]) => type.accepts(name)).map(([id]) => id);
  }

  #where(condition: string, ...values: SQLInputValue[]): Event[] {
    return (this.#all(`SELECT ${eventColumns} FROM event WHERE ${condition}`, ...values) as EventRow[]).map((row) => this.#event(row));
  }

  #event(row: EventRow): Event {
    row[3] = this.#types.get(row[3] as number)!;
    return eventOfRow(row, this.#origin(row[1] as number));
  }

  #get(sql: string, ...values: SQLInputValue[]): unknown[] {
    return this.#statement(sql).get(...values) as unknown as unknown[];
  }

  #all(sql: string, ...values: SQLInputValue[]): unknown[][] {
    return this.#statement(sql).all(...values) as unknown as unknown[][];
  }

  #statement(sql: string): StatementSync {
    let statement = this.#statements.get(sql);
    if (statement === undefined) {
      statement = this.#connection.prepare(sql);
      statement.setReturnArrays(true);
      this.#statements.set(sql, statement);
    }
    return statement;
  }
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

/** Merges streams that each fall. */
function* newestFirst(streams: Generator<number, void>[]): Generator<number, void> {
  const heads = streams.map((stream) => ({ stream, next: stream.next() })).filter(({ next }) => next.done !== true);
  try {
    while (heads.length > 0) {
      let newest = 0;
      for (let index = 1; index < heads.length; index++)
        if (Number(heads[index]!.next.value) > Number(heads[newest]!.next.value)) newest = index;
      const head = heads[newest]!;
      yield Number(head.next.value);
      head.next = head.stream.next();
      if (head.next.done === true) heads.splice(newest, 1);
    }
  } finally {
    for (const { stream } of heads) stream.return();
  }
}
