/**
 * The state of all reactors, key by key: bounded, in memory, and written through. Every change marks its row; `takeDirty` hands the rows
 * over, to be committed together with what followed from them (P2), and `load` makes the same of them again: also the order in which keys
 * were touched, by which the oldest goes when there are too many.
 */
import { Timers } from "./due.ts";
import type { Reactor, StateRow } from "./types.ts";

/** The first letter of a row's key: correlation, flow, groups that are combined, inhibition, loops. (`t` is the engine's clock.) */
export type Kind = "c" | "f" | "g" | "i" | "l";

/** Ids of events have no such letter with a bracket behind it. */
export function isRowKey(text: string): boolean {
  return text[1] === "[";
}

interface Row {
  reactor: string;
  key: string;
  /** Undefined: it is gone. */
  state: unknown;
  due: number | undefined;
  queued: number | undefined;
  touched: number;
  saved: boolean;
}

interface Book {
  shape: string;
  keysMax: number;
  rows: Partial<Record<Kind, Map<string, Row>>>;
}

/** A row, or what had to go because of `keysMax`. */
export interface Evicted {
  key: string;
  state: unknown;
}

const none: readonly Evicted[] = [];

export class Keys {
  #books = new Map<string, Book>();
  #dirty = new Set<Row>();
  #timers = new Timers<Row>();
  #touched = 0;

  /** State of reactors that are gone, off, or of another shape is dropped. */
  setReactors(reactors: readonly Reactor[]): void {
    const before = this.#books;
    this.#books = new Map();
    for (const { name, mode, shape, keysMax } of reactors) {
      if (mode === "off") continue;
      const old = before.get(name);
      const stays = old?.shape === shape;
      this.#books.set(name, { shape, keysMax, rows: stays ? old.rows : {} });
      if (stays) before.delete(name);
    }
    for (const { rows } of before.values()) for (const kind of Object.values(rows)) for (const row of kind.values()) this.#end(row);
  }

  get(reactor: string, key: string): unknown {
    return this.#books.get(reactor)?.rows[key[0] as Kind]?.get(key)?.state;
  }

  /** `state` undefined: it is gone. Also for state that is as it was: it has been touched. */
  put(reactor: string, key: string, { state, due }: { state: unknown; due: number | undefined }): readonly Evicted[] {
    const book = this.#books.get(reactor);
    if (book === undefined) return none;
    const rows = (book.rows[key[0] as Kind] ??= new Map<string, Row>());
    let row = rows.get(key);
    if (row === undefined && state === undefined) return none;
    if (row !== undefined) rows.delete(key);
    row ??= { reactor, key, state: undefined, due: undefined, queued: undefined, touched: 0, saved: false };
    if (state === undefined) {
      this.#end(row);
      return none;
    }
    row.state = state;
    row.due = due;
    row.touched = ++this.#touched;
    rows.set(key, row);
    this.#timers.schedule(row);
    this.#dirty.add(row);
    // Firings that wait for others are not forgotten: whoever puts them there sees to it that there are not too many.
    return rows.size > book.keysMax && key[0] !== "g" ? this.#evict(rows, book.keysMax) : none;
  }

  /** Of one kind, the one that was not touched for longest first. */
  *list(reactor: string, kind: Kind): Generator<Evicted> {
    for (const [key, { state }] of this.#books.get(reactor)?.rows[kind] ?? []) yield { key, state };
  }

  count(reactor: string, kind: Kind): number {
    return this.#books.get(reactor)?.rows[kind]?.size ?? 0;
  }

  /** The next row whose time has come. It has no timer any more: whoever takes it puts it anew. */
  takeDue(now: number): { reactor: string; key: string; due: number; state: unknown } | undefined {
    const row = this.#timers.take(now);
    return row && { reactor: row.reactor, key: row.key, due: row.due!, state: row.state };
  }

  nextDue(): number | undefined {
    return this.#timers.next();
  }

  /** Rows that changed since the last call, each once, as they are now. */
  takeDirty(): StateRow[] {
    const rows: StateRow[] = [];
    for (const row of this.#dirty) {
      const { reactor, key, state, due, touched, saved } = row;
      const book = this.#books.get(reactor);
      // A key that went and came again is another row.
      if (state === undefined && (!saved || this.get(reactor, key) !== undefined)) continue;
      row.saved = true;
      rows.push({ reactor, shape: book?.shape ?? "", key, due, body: state === undefined ? undefined : { touched, state } });
    }
    this.#dirty.clear();
    return rows;
  }

  /** Instead of all there was. Rows that fit no reactor are dropped, and so become dirty. */
  load(rows: Iterable<StateRow>): void {
    for (const book of this.#books.values()) book.rows = {};
    this.#dirty = new Set();
    this.#timers = new Timers();
    const found = [...rows].map(({ body, ...row }) => ({ ...row, ...(body as { touched: number; state: unknown }) }));
    this.#touched = found.reduce((most, { touched }) => Math.max(most, touched), 0);
    for (const { reactor, shape, key, due, touched, state } of found.toSorted((a, b) => a.touched - b.touched)) {
      const row: Row = { reactor, key, state, due, queued: undefined, touched, saved: true };
      const book = this.#books.get(reactor);
      if (book?.shape !== shape) {
        this.#end(row);
        continue;
      }
      (book.rows[key[0] as Kind] ??= new Map<string, Row>()).set(key, row);
      this.#timers.schedule(row);
    }
  }

  /** The least recently touched, which stand first. */
  #evict(rows: Map<string, Row>, keysMax: number): Evicted[] {
    const evicted: Evicted[] = [];
    for (const [key, row] of rows) {
      if (rows.size <= keysMax) break;
      evicted.push({ key, state: row.state });
      rows.delete(key);
      this.#end(row);
    }
    return evicted;
  }

  #end(row: Row): void {
    row.state = undefined;
    row.due = undefined;
    this.#timers.schedule(row);
    this.#dirty.add(row);
  }
}
