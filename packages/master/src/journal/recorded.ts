/**
 * Events of the past in the journal's order, as rows that are still packed: what a replay goes through. Reads some thousand positions at a
 * time and holds nothing open in between, so that the writer's log can be written over and partitions can be sealed or dropped meanwhile. What
 * is of no wanted type is left out by SQLite.
 */
import { DatabaseSync, type StatementSync } from "node:sqlite";
import {
  eventColumns,
  type EventRow,
  type Names,
  type Partition,
  readCatalogue,
  sealedDirectory,
  sealedFile,
  tableOf,
} from "./partition.ts";
import { isEmpty } from "./sealed.ts";

/** To a statement, at most: events, and bytes where they are of the partition's mean size. */
const eventsPerRead = 1_000;
const bytesPerRead = 8 * 1024 * 1024;

/** When events came to the master, ms since the epoch, both inclusive. */
export interface Period {
  since: number;
  until: number;
}

/** The clock by which events are received went back, by ms since the epoch. */
export interface SetBack {
  before: number;
  after: number;
}

/**
 * Some events in order. `read`: how many events of the period that covers, with those that nobody wants. `setBack`: what happened to the
 * clock between the page before and this one, and never happens within one.
 */
export interface Page {
  setBack: SetBack | undefined;
  rows: { row: EventRow; names: Names }[];
  read: number;
}

export class Recorded {
  readonly #connection: DatabaseSync;
  readonly #directory: string;
  readonly #period: Period;
  readonly #partitions: readonly Partition[];

  /** Events that come later are no longer part of it. */
  constructor(file: string, period: Period) {
    this.#connection = new DatabaseSync(file, { readOnly: true, timeout: 5_000 });
    this.#directory = sealedDirectory(file);
    this.#period = period;
    this.#partitions = readCatalogue(this.#connection).filter(
      ({ events, receivedMin, receivedMax }) => events > 0 && receivedMax >= period.since && receivedMin <= period.until,
    );
  }

  /** How many there may be: of partitions that the period cuts, all. */
  get events(): number {
    return this.#partitions.reduce((sum, { events }) => sum + events, 0);
  }

  /** In order, page by page. A partition that retention takes away meanwhile is passed over; one that cannot be read throws. */
  *pages(wants: (type: string) => boolean): Generator<Page> {
    for (const partition of this.#partitions) {
      let source: Source | undefined;
      const setBacks = this.#setBacksIn(partition);
      const step = Math.min(eventsPerRead, Math.ceil((bytesPerRead * partition.events) / Math.max(1, partition.bytes)));
      try {
        for (let from = partition.first, to; from <= partition.last; from = to + 1) {
          const setBack = setBacks.get(from);
          setBacks.delete(from);
          const [next = Number.POSITIVE_INFINITY] = setBacks.keys();
          // Where nothing is wanted, nothing is read.
          to = Math.min(source?.types.length === 0 ? partition.last : from + step - 1, partition.last, next - 1);
          const page = this.#page(partition, { from, to }, source, wants);
          if (page === undefined) break;
          source = page.source;
          yield { setBack, rows: page.rows, read: to - from + 1 };
        }
      } finally {
        source?.close();
      }
    }
  }

  close(): void {
    this.#connection.close();
  }

  /** By position, in order. */
  #setBacksIn({ first, last }: Partition): Map<number, SetBack> {
    const statement = this.#connection.prepare(
      "SELECT position, before, after FROM set_back WHERE position BETWEEN ? AND ? ORDER BY position",
    );
    const rows = statement.all(first, last) as unknown as (SetBack & { position: number })[];
    return new Map(rows.map(({ position, before, after }) => [position, { before, after }]));
  }

  /** Undefined: the partition is gone, or retention has emptied it. It may have been sealed since the last page: then its table is no longer there. */
  #page(
    partition: Partition,
    range: { from: number; to: number },
    before: Source | undefined,
    wants: (type: string) => boolean,
  ): (Pick<Page, "rows"> & { source: Source }) | undefined {
    let source = before ?? this.#open(partition, wants);
    if (source === undefined) return undefined;
    try {
      return { rows: source.rows(range.from, range.to), source };
    } catch (error) {
      const changed = source.state !== this.#stateOf(partition);
      source.close();
      source = changed ? this.#open(partition, wants) : undefined;
      if (source !== undefined) return { rows: source.rows(range.from, range.to), source };
      if (changed) return undefined;
      throw error;
    }
  }

  #open(partition: Partition, wants: (type: string) => boolean): Source | undefined {
    const state = this.#stateOf(partition);
    if (state === undefined) return undefined;
    const { receivedMin, receivedMax } = partition;
    const cut = receivedMin < this.#period.since || receivedMax > this.#period.until;
    const options = { period: cut ? this.#period : undefined, wants };
    if (state === "sealed")
      return openSource(new DatabaseSync(sealedFile(this.#directory, partition.number), { readOnly: true }), {
        ...options,
        sealed: true,
        table: "event",
      });
    return openSource(this.#connection, { ...options, sealed: false, table: tableOf(partition.number) });
  }

  #stateOf({ number }: Partition): "sealed" | "table" | undefined {
    const row = this.#connection.prepare("SELECT state, damage FROM partition WHERE number = ?").get(number);
    if (row === undefined) return undefined;
    if (row["state"] !== "sealed") return "table";
    const isEmptied = row["damage"] === null && isEmpty(sealedFile(this.#directory, number));
    return isEmptied ? undefined : "sealed";
  }
}

/** A partition, open. */
interface Source {
  state: "sealed" | "table";
  /** Those of its types that are wanted: in a sealed one their numbers. */
  types: readonly (string | number)[];
  rows(from: number, to: number): Page["rows"];
  close(): void;
}

interface SourceOptions {
  sealed: boolean;
  table: string;
  period: Period | undefined;
  wants(type: string): boolean;
}

function openSource(connection: DatabaseSync, { sealed, table, period, wants }: SourceOptions): Source {
  const all = prepared(connection, sealed ? "SELECT id, name FROM type" : `SELECT DISTINCT type, type FROM ${table}`).all() as unknown as [
    string | number,
    string,
  ][];
  const wanted = all.filter(([, name]) => wants(name));
  const nameOf = new Map(wanted);
  const conditions = [
    "position BETWEEN ? AND ?",
    ...(period === undefined ? [] : ["received BETWEEN ? AND ?"]),
    ...(wanted.length === all.length ? [] : ["type IN (SELECT value FROM json_each(?))"]),
  ];
  const values = [
    ...(period === undefined ? [] : [period.since, period.until]),
    ...(wanted.length === all.length ? [] : [JSON.stringify(wanted.map(([id]) => id))]),
  ];
  // The index by type would give them in another order.
  const by = sealed ? `${table} NOT INDEXED` : table;
  const select = prepared(connection, `SELECT ${eventColumns} FROM ${by} WHERE ${conditions.join(" AND ")} ORDER BY position`);
  const originOf = prepared(connection, "SELECT agent, epoch FROM origin WHERE id = ?");
  const origins = new Map<number, Names>();
  const namesOf = (id: number) => {
    let names = origins.get(id);
    if (names === undefined) {
      const [agent, epoch] = originOf.get(id) as unknown as [string, string];
      origins.set(id, (names = { agent, epoch }));
    }
    return names;
  };
  return {
    state: sealed ? "sealed" : "table",
    types: wanted.map(([id]) => id),
    rows: (from, to) => {
      if (wanted.length === 0) return [];
      const rows = select.all(from, to, ...values) as unknown as EventRow[];
      return rows.map((row) => {
        if (sealed) row[3] = nameOf.get(row[3] as number)!;
        return { row, names: namesOf(row[1] as number) };
      });
    },
    close: () => {
      if (sealed) connection.close();
    },
  };
}

function prepared(connection: DatabaseSync, sql: string): StatementSync {
  const statement = connection.prepare(sql);
  statement.setReturnArrays(true);
  return statement;
}
