/**
 * Timers: a heap of rows in the order in which time calls them: by time, then reactor, then key, so that every run of the engine calls
 * them alike. A row that is put off is not moved: it is looked at again when its old time comes.
 */
import TinyQueue from "tinyqueue";

export interface Timed {
  reactor: string;
  key: string;
  /** Undefined: time alone changes nothing. */
  due: number | undefined;
  /** For which time it stands in the heap; not later than `due`. */
  queued: number | undefined;
}

interface Slot {
  due: number;
  row: Timed;
}

/** Slots that lead nowhere any more, beyond those that do, before the heap is made anew. */
const staleMax = 1_000;

export class Timers<Row extends Timed> {
  #slots = new TinyQueue<Slot>([], byTime);
  #live = 0;

  /** Places in the heap, among them stale ones: not many more than rows. */
  get size(): number {
    return this.#slots.length;
  }

  /** To be called when a row's `due` has changed. */
  schedule(row: Row): void {
    const { due, queued } = row;
    if (due === undefined) {
      if (queued !== undefined) this.#live--;
      row.queued = undefined;
      return;
    }
    if (queued !== undefined && queued <= due) return;
    if (queued === undefined) this.#live++;
    row.queued = due;
    this.#slots.push({ due, row });
    if (this.#slots.length > 2 * this.#live + staleMax) this.#rebuild();
  }

  /** The next row that is due, without its timer: who takes it schedules it anew. */
  take(now: number): Row | undefined {
    const due = this.next();
    if (due === undefined || due > now) return undefined;
    const { row } = this.#slots.pop()!;
    row.queued = undefined;
    this.#live--;
    return row as Row;
  }

  next(): number | undefined {
    for (let top = this.#slots.peek(); top !== undefined; top = this.#slots.peek()) {
      const { row, due } = top;
      if (row.queued === due && row.due === due) return due;
      this.#slots.pop();
      if (row.queued !== due) continue;
      row.queued = undefined;
      this.#live--;
      this.schedule(row as Row);
    }
    return undefined;
  }

  #rebuild(): void {
    const rows = new Set(this.#slots.data.filter(({ row, due }) => row.queued === due).map(({ row }) => row as Row));
    this.#slots = new TinyQueue([], byTime);
    this.#live = 0;
    for (const row of rows) {
      row.queued = undefined;
      this.schedule(row);
    }
  }
}

function byTime(a: Slot, b: Slot): number {
  if (a.due !== b.due) return a.due - b.due;
  if (a.row.reactor !== b.row.reactor) return a.row.reactor < b.row.reactor ? -1 : 1;
  return a.row.key < b.row.key ? -1 : a.row.key > b.row.key ? 1 : 0;
}
