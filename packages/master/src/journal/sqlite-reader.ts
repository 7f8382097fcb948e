/**
 * Questions about the past of the journal in SQLite, over read-only connections of its own. What is still a table is read within one
 * transaction, so that sealing cannot take it away between two statements; sealed partitions are older than those, and never change. One
 * that retention has removed is no longer part of the journal; one that is damaged is told of and left out.
 */
import { DatabaseSync, type StatementSync } from "node:sqlite";
import { NeedfireError } from "@needfire/shared/errors";
import type { Event } from "@needfire/shared/event";
import { parseEventId } from "@needfire/shared/ids";
import { mayHaveEffects } from "./cause-filter.ts";
import type { EventQuery, Tally, TallyQuery } from "./journal.ts";
import { type EventNumber, type Partition, readCatalogue, sealedDirectory, sealedFile } from "./partition.ts";
import { Question } from "./question.ts";
import { lossOf, Sealed } from "./sealed.ts";
import { type Counts, Tables } from "./tables.ts";

/** Sealed files that are held open: each costs a descriptor and a small cache. */
const openMax = 200;

export interface ReaderOptions {
  file: string;
  /** A sealed partition cannot be read; said once. */
  onDamaged?: (partition: number, reason: string) => void;
}

/** A sealed partition that cannot be read. Times: of its events, ms since the epoch. */
export interface MissingPart {
  partition: number;
  events: number;
  from: number;
  to: number;
}

export class SqliteJournalReader {
  readonly #connection: DatabaseSync;
  readonly #directory: string;
  readonly #onDamaged: (partition: number, reason: string) => void;
  readonly #tables: Tables;
  readonly #causeFilter: StatementSync;
  /** The one that was used last is last. */
  readonly #open = new Map<number, Sealed>();
  readonly #damaged = new Set<number>();

  constructor({ file, onDamaged = () => {} }: ReaderOptions) {
    this.#connection = new DatabaseSync(file, { readOnly: true, timeout: 5_000 });
    this.#directory = sealedDirectory(file);
    this.#onDamaged = onDamaged;
    this.#tables = new Tables(this.#connection);
    this.#causeFilter = this.#connection.prepare("SELECT causes FROM cause_filter WHERE partition = ?");
  }

  query(query: EventQuery): Event[] {
    const question = new Question(query);
    const found: Event[] = [];
    const take = (events: Iterable<Event>) => {
      for (const event of events) {
        found.push(event);
        if (found.length >= query.limit) return true;
      }
      return false;
    };
    this.#newestFirst({
      wants: ({ timeMin, timeMax }) => question.meets(timeMin, timeMax),
      table: (partition) => take(this.#tables.select(partition, question)),
      sealed: (sealed) => take(sealed.select(question)),
    });
    return found;
  }

  get(id: string): Event | undefined {
    const parts = parseEventId(id);
    if (parts === undefined) return undefined;
    const old = this.#halve(parts);
    if (old !== undefined) return old;
    let found: Event | undefined;
    this.#newestFirst({
      wants: () => true,
      table: (partition) => (found = this.#tables.find(partition, parts)) !== undefined,
      sealed: (sealed) => (found = sealed.find(parts)) !== undefined,
    });
    return found;
  }

  /** The first effects of a cause, in order. `since`: when it came to the master; effects come later. */
  causedBy(cause: string, limit: number, since = Number.NEGATIVE_INFINITY): Event[] {
    const found: Event[][] = [];
    this.#newestFirst({
      wants: ({ number, state, receivedMax }) => receivedMax >= since && (state !== "sealed" || this.#mayHaveEffects(number, cause)),
      table: (partition) => {
        found.push(this.#tables.causedBy(partition, cause, limit));
        return false;
      },
      sealed: (sealed) => {
        found.push(sealed.causedBy(cause, limit));
        return false;
      },
    });
    return found.toReversed().flat().slice(0, limit);
  }

  /** Most first; hours in their order. */
  tally({ by, ...query }: TallyQuery): Tally[] {
    const question = new Question(query);
    const counts: Counts = new Map();
    this.#newestFirst({
      wants: ({ timeMin, timeMax }) => question.meets(timeMin, timeMax),
      table: (partition) => {
        this.#tables.count(partition, question, by, counts);
        return false;
      },
      sealed: (sealed) => {
        sealed.count(question, by, counts);
        return false;
      },
    });
    const tallies = [...counts].map(([key, events]) => ({ key, events }));
    const inOrder = (a: Tally, b: Tally) => (a.key < b.key ? -1 : 1);
    return tallies.toSorted((a, b) => (by === "hour" ? 0 : b.events - a.events) || inOrder(a, b));
  }

  /** Of the events that the journal still has. */
  count(): number {
    return this.#snapshot((partitions) => partitions.reduce((sum, { events }) => sum + events, 0));
  }

  /** What answers about a time are without by now, since it cannot be read; to be asked after the question itself. */
  missing({ since = Number.NEGATIVE_INFINITY, until = Number.POSITIVE_INFINITY }: Pick<EventQuery, "since" | "until">): MissingPart[] {
    if (this.#damaged.size === 0) return [];
    const all = this.#snapshot((partitions) => partitions.filter(({ number }) => this.#damaged.has(number)));
    return all
      .filter(({ timeMin, timeMax }) => timeMax >= since && timeMin <= until)
      .map(({ number, events, timeMin, timeMax }) => ({ partition: number, events, from: timeMin, to: timeMax }));
  }

  close(): void {
    for (const sealed of this.#open.values()) sealed.close();
    this.#open.clear();
    this.#connection.close();
  }

  /**
   * An origin's numbers rise from one partition to the next, so in sealed ones the right one is found by halving. Not so where one lane of an
   * agent waited while another was sent: what is not found here is to be looked for everywhere.
   */
  #halve(id: EventNumber): Event | undefined {
    const partitions = this.#snapshot((all) => all.filter(({ state }) => state === "sealed"));
    let found: Event | undefined;
    for (let low = 0, high = partitions.length - 1; low <= high;) {
      const middle = (low + high) >> 1;
      let side = 0;
      this.#visit(partitions[middle]!, (sealed) => {
        found = sealed.find(id);
        side = found === undefined ? sealed.sideOf(id) : 0;
        return true;
      });
      if (side === 0) break;
      if (side < 0) high = middle - 1;
      else low = middle + 1;
    }
    return found;
  }

  #mayHaveEffects(number: number, cause: string): boolean {
    const filter = this.#causeFilter.get(number)?.["causes"];
    return filter === undefined || mayHaveEffects(filter as Uint8Array, cause);
  }

  /** Each visit says whether that was enough. */
  #newestFirst({ wants, table, sealed }: Visits): void {
    const rest = this.#snapshot((partitions) => {
      const wanted = partitions.filter(wants).toReversed();
      for (const partition of wanted) if (partition.state !== "sealed" && table(partition)) return [];
      return wanted.filter(({ state }) => state === "sealed");
    });
    for (const partition of rest) if (this.#visit(partition, sealed)) return;
  }

  #snapshot<T>(read: (partitions: Partition[]) => T): T {
    this.#connection.exec("BEGIN");
    try {
      return read(readCatalogue(this.#connection));
    } finally {
      this.#connection.exec("COMMIT");
    }
  }

  #visit({ number }: Partition, visit: (sealed: Sealed) => boolean): boolean {
    if (this.#damaged.has(number)) return false;
    const file = sealedFile(this.#directory, number);
    try {
      return visit(this.#sealed(number, file));
    } catch (error) {
      if (error instanceof NeedfireError) throw error;
      this.#open.get(number)?.close();
      this.#open.delete(number);
      const row = this.#connection.prepare("SELECT damage FROM partition WHERE number = ?").get(number);
      const loss = lossOf(file, error);
      // Retention has taken it, or does.
      if (row === undefined || (loss?.kind === "emptied" && row["damage"] === null)) return false;
      if (loss === undefined) throw error;
      this.#damaged.add(number);
      if (loss.kind === "damaged") this.#onDamaged(number, loss.reason);
      return false;
    }
  }

  #sealed(number: number, file: string): Sealed {
    const sealed = this.#open.get(number) ?? new Sealed(file);
    this.#open.delete(number);
    this.#open.set(number, sealed);
    if (this.#open.size > openMax) {
      const [oldest, unused] = this.#open.entries().next().value!;
      unused.close();
      this.#open.delete(oldest);
    }
    return sealed;
  }
}

interface Visits {
  wants(partition: Partition): boolean;
  table(partition: Partition): boolean;
  sealed(sealed: Sealed): boolean;
}
