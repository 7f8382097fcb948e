/**
 * The journal's writer in SQLite. It appends to the live partition, a table without any secondary index, many rows to a statement; a
 * full one is closed and the next one begun in the same transaction. Sealing and retention (upkeep.ts) call the methods that move a
 * partition on. The reader is in `sqlite-reader.ts`, since it runs in another thread.
 *
 * Keeps P1: an event and the mark that tells it from its repetition (origins.ts) are one transaction.
 */
import type { SQLInputValue, StatementSync } from "node:sqlite";
import { type Event, severities, type Severity } from "@needfire/shared/event";
import type { Database } from "../store/database.ts";
import type { Batch, Journal, Placed } from "./journal.ts";
import { OriginNames, Origins, type Surplus, surplusOrigins } from "./origins.ts";
import {
  createTable,
  eventColumnCount,
  eventColumns,
  eventOfRow,
  type EventRow,
  migrateJournal,
  type Partition,
  readCatalogue,
  sealedDirectory,
  sealedFile,
  tableOf,
} from "./partition.ts";
import { repairCatalogue } from "./repair.ts";
import type { SealedFile } from "./seal.ts";
import { lossOf, readingSealed } from "./sealed.ts";

/** A live partition whose first event came longer ago than this is closed before the next batch. */
const partitionAgeMaxMs = 86_400_000;
/** Rows to an `INSERT`; what is left over goes in powers of two. */
const rowsPerInsert = 32;

const rowText = `(${Array(eventColumnCount).fill("?").join(", ")})`;
const severityCodes = Object.fromEntries(severities.map((severity, code) => [severity, code])) as Record<Severity, number>;

export interface JournalOptions {
  /** A live partition with more events is closed before the next batch: what a question may have to go through without an index. */
  partitionEventsMax?: number;
  /** Events that are to be read are in a sealed file that cannot be: they are passed over. */
  onDamaged?(partition: number, reason: string): void;
  /** Of origins, in memory. */
  heldMax?: number;
}

export class JournalWriter implements Journal {
  readonly #database: Database;
  readonly #directory: string;
  readonly #eventsMax: number;
  readonly #onDamaged: (partition: number, reason: string) => void;
  readonly #origins: Origins;
  readonly #names: OriginNames;
  /** The live one is last. */
  #partitions: Partition[];
  #live: Partition;
  /** Of the live table, by their number of rows. */
  #inserts = new Map<number, StatementSync>();
  readonly #values: SQLInputValue[] = [];
  readonly #update: StatementSync;
  readonly #setBack: StatementSync;
  /** When the last event was received, ms since the epoch. */
  #received: number;

  /** A damaged database was salvaged: then the store must have its tables by now, since the engine's place in the journal is among them. */
  constructor(database: Database, options: JournalOptions = {}) {
    this.#database = database;
    this.#directory = sealedDirectory(database.file);
    this.#eventsMax = options.partitionEventsMax ?? Number.POSITIVE_INFINITY;
    this.#onDamaged = options.onDamaged ?? (() => {});
    migrateJournal(database);
    if (database.damage !== undefined && database.damage.repaired !== true) repairCatalogue(database, database.damage);
    this.#update = database.connection.prepare(
      `UPDATE partition SET state = ?, last = ?, events = ?, time_min = ?, time_max = ?, received_min = ?, received_max = ?, bytes = ?
       WHERE number = ?`,
    );
    this.#origins = new Origins(database.connection, options);
    this.#names = new OriginNames(database.connection);
    this.#partitions = readCatalogue(database.connection);
    this.#live = this.#partitions.at(-1)!;
    this.#setBack = database.connection.prepare("INSERT INTO set_back (position, before, after) VALUES (?, ?, ?)");
    this.#received = this.#lastReceived();
  }

  /** The sealed, closed and live partitions as they are now, in order. */
  partitions(): readonly Readonly<Partition>[] {
    return this.#partitions;
  }

  /** How many closed partitions are tables yet. They are next to the live one. */
  get waiting(): number {
    let index = this.#partitions.length - 2;
    while (this.#partitions[index]?.state === "closed") index--;
    return this.#partitions.length - 2 - index;
  }

  last(agent: string, epoch: string, lane: Severity): number {
    return this.#origins.last(agent, epoch, lane);
  }

  append(batches: readonly Batch[]): Placed[] {
    const partitions = [...this.#partitions];
    const live = { ...this.#live };
    const received = this.#received;
    try {
      const placed = this.#database.transaction(() => {
        const done = batches.map((batch) => this.#place(batch));
        this.#insertRows();
        if (this.#live.last !== live.last) this.#catalogue(this.#live);
        this.#origins.write();
        return done;
      });
      this.#origins.committed();
      return placed;
    } catch (error) {
      this.#origins.rolledBack();
      this.#values.length = 0;
      this.#partitions = [...partitions.slice(0, -1), live];
      if (this.#live.number !== live.number) this.#inserts.clear();
      this.#live = live;
      this.#received = received;
      throw error;
    }
  }

  read(after: number, limit: number): Event[] {
    const found: Event[] = [];
    for (const partition of this.#partitions) {
      if (partition.last <= after) continue;
      if (found.length === limit) break;
      for (const event of this.#readPartition(partition, after, limit - found.length)) found.push(event);
    }
    return found;
  }

  /** A closed partition has become a file: its table goes, and the pages that it took are free for the next one. */
  markSealed(number: number, { bytes, causes }: SealedFile): void {
    this.#database.transaction(() => {
      const { connection } = this.#database;
      connection.prepare("UPDATE partition SET state = 'sealed', bytes = ? WHERE number = ?").run(bytes, number);
      if (causes !== undefined) connection.prepare("INSERT OR REPLACE INTO cause_filter VALUES (?, ?)").run(number, causes);
      connection.exec(`DROP TABLE ${tableOf(number)}`);
    });
    this.#partitions = this.#partitions.map((partition) =>
      partition.number === number ? { ...partition, state: "sealed", bytes } : partition,
    );
  }

  /** Takes the oldest partitions, which must be sealed, out of the catalogue. Within a transaction of whoever tells of it. */
  forget(numbers: readonly number[]): void {
    const first = "(SELECT first FROM partition WHERE number = ?1)";
    for (const number of numbers) {
      this.#database.connection
        .prepare(`DELETE FROM set_back WHERE position BETWEEN ${first} AND (SELECT last FROM partition WHERE number = ?1)`)
        .run(number);
      this.#database.connection.prepare("DELETE FROM partition WHERE number = ?").run(number);
      this.#database.connection.prepare("DELETE FROM cause_filter WHERE partition = ?").run(number);
    }
  }

  /** Notes why a sealed partition cannot be read. Within a transaction of whoever tells of it. */
  noteDamage(number: number, reason: string): void {
    this.#database.connection.prepare("UPDATE partition SET damage = ? WHERE number = ?").run(reason, number);
  }

  /** It can be read again. */
  forgetDamage(number: number): void {
    this.#database.transaction(() => this.#database.connection.prepare("UPDATE partition SET damage = NULL WHERE number = ?").run(number));
    this.catalogueChanged();
  }

  /** What was changed in the catalogue within a transaction of somebody else's is durable. */
  catalogueChanged(): void {
    const rows = new Map(readCatalogue(this.#database.connection).map((row) => [row.number, row]));
    this.#partitions = this.#partitions.flatMap((partition) => {
      const row = rows.get(partition.number);
      return row === undefined ? [] : partition.state === "sealed" ? row : partition;
    });
  }

  /** Origins that are not needed any more, so many at most. */
  surplusOrigins(limit: number): Surplus[] {
    const table = this.#partitions.find(({ state }) => state !== "sealed")!;
    return surplusOrigins(this.#database.connection, { event: this.#partitions[0]!.first, table: table.first }, limit);
  }

  forgetOrigins(surplus: readonly Surplus[]): void {
    this.#database.transaction(() => this.#origins.forget(surplus));
  }

  close(): void {
    this.#database.close();
  }

  #place(batch: Batch): Placed {
    const { events, lane, agent, epoch, received } = batch;
    const origin = this.#origins.of(agent, epoch);
    const mark = origin.marks[lane];
    let skipped = 0;
    while (skipped < events.length && events[skipped]![0] <= mark) skipped++;
    if (skipped === events.length) return { skipped, position: this.#live.last + 1 };
    if (this.#isOver(received)) this.#rotate();
    const live = this.#live;
    const position = live.last + 1;
    // Such a batch is rare (stamp.ts), and a replay that looks at few events must know where time went back.
    if (received < this.#received) this.#setBack.run(position, this.#received, received);
    this.#received = received;
    const values = this.#values;
    for (let index = skipped; index < events.length; index++) {
      const [sequence, type, time, severity, subject, beacon, cause, data] = events[index]!;
      values.push(++live.last, origin.id, sequence, type, time, received, severityCodes[severity], subject, beacon, cause, data);
      if (time < live.timeMin) live.timeMin = time;
      if (time > live.timeMax) live.timeMax = time;
      live.bytes += data.length;
      if (values.length === rowsPerInsert * eventColumnCount) this.#insertRows();
    }
    live.events += events.length - skipped;
    if (received < live.receivedMin) live.receivedMin = received;
    if (received > live.receivedMax) live.receivedMax = received;
    this.#origins.move(origin, lane, { mark: events.at(-1)![0], position: live.last });
    return { skipped, position };
  }

  /** Of a live partition without events, which is a new journal or one that was salvaged, what the catalogue knows of the one before. */
  #lastReceived(): number {
    const { events, last } = this.#live;
    if (events === 0) return this.#partitions.at(-2)?.receivedMax ?? Number.NEGATIVE_INFINITY;
    return this.#readPartition(this.#live, last - 1, 1)[0]!.received;
  }

  #insertRows(): void {
    const values = this.#values;
    let from = 0;
    for (let rows = rowsPerInsert; from < values.length; rows >>= 1) {
      const width = rows * eventColumnCount;
      if (values.length - from < width) continue;
      this.#insert(rows).run(...(values.length === width ? values : values.slice(from, from + width)));
      from += width;
    }
    values.length = 0;
  }

  #insert(rows: number): StatementSync {
    let statement = this.#inserts.get(rows);
    if (statement === undefined) {
      const sql = `INSERT INTO ${tableOf(this.#live.number)} (${eventColumns}) VALUES ${Array(rows).fill(rowText).join(", ")}`;
      this.#inserts.set(rows, (statement = this.#database.connection.prepare(sql)));
    }
    return statement;
  }

  #isOver(now: number): boolean {
    const { events, receivedMin } = this.#live;
    return events >= this.#eventsMax || (events > 0 && now - receivedMin > partitionAgeMaxMs);
  }

  /** Closes the live partition and begins the next one. */
  #rotate(): void {
    this.#insertRows();
    const closed = this.#live;
    closed.state = "closed";
    this.#catalogue(closed);
    this.#live = emptyPartition(closed.number + 1, closed.last + 1);
    this.#partitions.push(this.#live);
    this.#inserts.clear();
    const { connection } = this.#database;
    connection.exec(createTable(this.#live.number));
    connection
      .prepare("INSERT INTO partition (number, state, first, events) VALUES (?, 'live', ?, 0)")
      .run(this.#live.number, this.#live.first);
  }

  #catalogue({ number, state, last, events, timeMin, timeMax, receivedMin, receivedMax, bytes }: Partition): void {
    this.#update.run(state, last, events, timeMin, timeMax, receivedMin, receivedMax, bytes, number);
  }

  #readPartition({ number, state }: Partition, after: number, limit: number): Event[] {
    if (state === "sealed") return this.#readSealed(number, after, limit);
    const statement = this.#database.connection.prepare(
      `SELECT ${eventColumns} FROM ${tableOf(number)} WHERE position > ? ORDER BY position LIMIT ?`,
    );
    statement.setReturnArrays(true);
    const rows = statement.all(after, limit) as unknown as EventRow[];
    return rows.map((row) => eventOfRow(row, this.#names.of(row[1] as number)));
  }

  /** What is lost must not keep the master from all that came after it. */
  #readSealed(number: number, after: number, limit: number): Event[] {
    const file = sealedFile(this.#directory, number);
    try {
      return readingSealed(file, (sealed) => sealed.read(after, limit));
    } catch (error) {
      const loss = lossOf(file, error);
      if (loss === undefined) throw error;
      if (loss.kind === "damaged") this.#onDamaged(number, loss.reason);
      return [];
    }
  }
}

function emptyPartition(number: number, first: number): Partition {
  return {
    number,
    state: "live",
    first,
    last: first - 1,
    events: 0,
    timeMin: Number.POSITIVE_INFINITY,
    timeMax: Number.NEGATIVE_INFINITY,
    receivedMin: Number.POSITIVE_INFINITY,
    receivedMax: Number.NEGATIVE_INFINITY,
    bytes: 0,
    damage: undefined,
  };
}
