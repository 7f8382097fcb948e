/**
 * Timers: a heap of rows in the order in which time calls them: by time, then reactor, then key, so that every run of the engine calls
 * them alike. A row that is put off is not moved: it is looked at again when its old time comes.
 */
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
  #slots: Slot[] = [];
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
    this.#push({ due, row });
    if (this.#slots.length > 2 * this.#live + staleMax) this.#rebuild();
  }

  /** The next row that is due, without its timer: who takes it schedules it anew. */
  take(now: number): Row | undefined {
    const due = this.next();
    if (due === undefined || due > now) return undefined;
    const { row } = this.#pop();
    row.queued = undefined;
    this.#live--;
    return row as Row;
  }

  next(): number | undefined {
    for (let top = this.#slots[0]; top !== undefined; top = this.#slots[0]) {
      const { row, due } = top;
      if (row.queued === due && row.due === due) return due;
      this.#pop();
      if (row.queued !== due) continue;
      row.queued = undefined;
      this.#live--;
      this.schedule(row as Row);
    }
    return undefined;
  }

  #rebuild(): void {
    const rows = new Set(this.#slots.filter(({ row, due }) => row.queued === due).map(({ row }) => row as Row));
    this.#slots = [];
    this.#live = 0;
    for (const row of rows) {
      row.queued = undefined;
      this.schedule(row);
    }
  }

  #push(slot: Slot): void {
    const slots = this.#slots;
    let index = slots.length;
    slots.push(slot);
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (!isBefore(slot, slots[parent]!)) break;
      slots[index] = slots[parent]!;
      index = parent;
    }
    slots[index] = slot;
  }

  #pop(): Slot {
    const slots = this.#slots;
    const top = slots[0]!;
    const last = slots.pop()!;
    if (slots.length === 0) return top;
    let index = 0;
    for (;;) {
      let child = 2 * index + 1;
      if (child >= slots.length) break;
      if (child + 1 < slots.length && isBefore(slots[child + 1]!, slots[child]!)) child++;
      if (!isBefore(slots[child]!, last)) break;
      slots[index] = slots[child]!;
      index = child;
    }
    slots[index] = last;
    return top;
  }
}

function isBefore(a: Slot, b: Slot): boolean {
  if (a.due !== b.due) return a.due < b.due;
  if (a.row.reactor !== b.row.reactor) return a.row.reactor < b.row.reactor;
  return a.row.key < b.row.key;
}
