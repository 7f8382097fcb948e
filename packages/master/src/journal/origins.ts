/**
 * Who has appended how far: one row for each agent and epoch, with a mark for each lane. It is what tells an event from its repetition (P1),
 * so the marks move in the transaction that appends, and move back when it fails. Those that were used last are held in memory; a row is
 * read again when it is not.
 *
 * An honest agent has one epoch, and never goes back to an earlier one; one that begins epoch after epoch costs neither memory nor, once its
 * events are sealed, room on the disk: of each agent `originsMax` are kept, and what goes is told of (P4, upkeep.ts).
 */
import type { DatabaseSync, StatementSync } from "node:sqlite";
import type { Severity } from "@needfire/shared/event";
import { type Names, type Origin, originOfRow } from "./partition.ts";

/** Rows in memory, of all agents together. */
const heldMax = 50_000;
/** Names of origins that are held for reading. */
const namesMax = 10_000;
/** Of one agent; those that were appended to last. */
export const originsMax = 8;

type Place = Pick<Origin, "marks" | "position">;

export class Origins {
  readonly #heldMax: number;
  /** The one that was used last is last. */
  readonly #held = new Map<string, Origin>();
  #idMax: number;
  readonly #select: StatementSync;
  readonly #insert: StatementSync;
  readonly #update: StatementSync;
  readonly #delete: StatementSync;
  /** Those that the transaction moved, with where they were before it; undefined for new ones. */
  readonly #touched = new Map<Origin, Place | undefined>();

  constructor(connection: DatabaseSync, options: { heldMax?: number } = {}) {
    this.#heldMax = options.heldMax ?? heldMax;
    this.#idMax = Number(connection.prepare("SELECT max(id) AS id FROM origin").get()?.["id"] ?? 0);
    this.#select = connection.prepare("SELECT * FROM origin WHERE agent = ? AND epoch = ?");
    this.#insert = connection.prepare(
      "INSERT INTO origin (agent, epoch, critical, high, normal, low, position, id) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
    );
    this.#update = connection.prepare("UPDATE origin SET critical = ?, high = ?, normal = ?, low = ?, position = ? WHERE id = ?");
    this.#delete = connection.prepare("DELETE FROM origin WHERE id = ? AND position = ? RETURNING agent, epoch");
  }

  /** Not within a transaction. */
  last(agent: string, epoch: string, lane: Severity): number {
    const mark = this.#known(agent, epoch)?.marks[lane] ?? 0;
    this.#letGo();
    return mark;
  }

  /** The row of an agent and epoch; it is made when there is none. */
  of(agent: string, epoch: string): Origin {
    const known = this.#known(agent, epoch);
    if (known !== undefined) return known;
    const origin = { id: ++this.#idMax, agent, epoch, marks: { critical: 0, high: 0, normal: 0, low: 0 }, position: 0 };
    this.#touched.set(origin, undefined);
    this.#held.set(nameOf(origin), origin);
    return origin;
  }

  /** `position`: of the last event. */
  move(origin: Origin, lane: Severity, { mark, position }: { mark: number; position: number }): void {
    if (!this.#touched.has(origin)) this.#touched.set(origin, { marks: { ...origin.marks }, position: origin.position });
    origin.marks[lane] = mark;
    origin.position = position;
  }

  /** Writes what moved: one statement for each origin, however many batches of it there were. */
  write(): void {
    for (const [{ id, agent, epoch, marks, position }, before] of this.#touched) {
      const { critical, high, normal, low } = marks;
      if (before === undefined) this.#insert.run(agent, epoch, critical, high, normal, low, position, id);
      else this.#update.run(critical, high, normal, low, position, id);
    }
  }

  committed(): void {
    for (const origin of this.#touched.keys()) {
      this.#held.delete(nameOf(origin));
      this.#held.set(nameOf(origin), origin);
    }
    this.#touched.clear();
    this.#letGo();
  }

  rolledBack(): void {
    for (const [origin, before] of this.#touched) {
      if (before === undefined) this.#held.delete(nameOf(origin));
      else Object.assign(origin, before);
    }
    this.#touched.clear();
  }

  /** Removes rows, but for those that were appended to after they were found. */
  forget(surplus: readonly Surplus[]): void {
    for (const { id, position } of surplus) {
      const row = this.#delete.get(id, position);
      if (row !== undefined) this.#held.delete(nameOf({ agent: String(row["agent"]), epoch: String(row["epoch"]) }));
    }
  }

  #known(agent: string, epoch: string): Origin | undefined {
    const held = this.#held.get(nameOf({ agent, epoch }));
    if (held !== undefined) return held;
    const row = this.#select.get(agent, epoch);
    if (row === undefined) return undefined;
    const origin = originOfRow(row);
    this.#held.set(nameOf(origin), origin);
    return origin;
  }

  /** Nothing that a transaction moves: until it is written, the row in the database is not what it was. */
  #letGo(): void {
    for (const name of this.#held.keys()) {
      if (this.#held.size <= this.#heldMax) return;
      this.#held.delete(name);
    }
  }
}

/** An origin that is not needed any more. `position`: where it was then. */
export interface Surplus {
  id: number;
  position: number;
  agent: string;
  /** Its events are still in the journal: should they come again, they would be taken again. */
  early: boolean;
}

/**
 * Origins that can go: whose events have left the journal and whose agent has a later one; and of an agent with more than `originsMax`
 * those that were appended to before the others. Never one that a table has events of. `first`: positions of the journal's oldest event and of its tables'.
 */
export function surplusOrigins(connection: DatabaseSync, first: { event: number; table: number }, limit: number): Surplus[] {
  const outlived = connection.prepare(
    `SELECT id, position, agent, 0 AS early FROM origin WHERE position < ? AND id < (SELECT max(id) FROM origin)
       AND EXISTS (SELECT 1 FROM origin AS later WHERE later.agent = origin.agent AND later.position > origin.position) LIMIT ?`,
  );
  const found = outlived.all(first.event, limit);
  const many = connection.prepare("SELECT agent FROM origin GROUP BY agent HAVING count(*) > ?").all(originsMax);
  const least = connection.prepare("SELECT position FROM origin WHERE agent = ? ORDER BY position DESC LIMIT 1 OFFSET ?");
  const early = connection.prepare(
    `SELECT id, position, agent, 1 AS early FROM origin
     WHERE agent = ? AND position >= ? AND position < ? AND id < (SELECT max(id) FROM origin) LIMIT ?`,
  );
  for (const row of many) {
    if (found.length >= limit) break;
    const agent = String(row["agent"]);
    const kept = Number(least.get(agent, originsMax - 1)?.["position"]);
    found.push(...early.all(agent, first.event, Math.min(kept, first.table), limit - found.length));
  }
  return found.map((row) => ({
    id: Number(row["id"]),
    position: Number(row["position"]),
    agent: String(row["agent"]),
    early: row["early"] === 1,
  }));
}

/** The names behind the numbers that rows have. Numbers are never used again, so what is held stays true. */
export class OriginNames {
  readonly #byId: StatementSync;
  readonly #held = new Map<number, Names>();

  constructor(connection: DatabaseSync) {
    this.#byId = connection.prepare("SELECT agent, epoch FROM origin WHERE id = ?");
  }

  of(id: number): Names {
    const held = this.#held.get(id);
    if (held !== undefined) return held;
    const row = this.#byId.get(id);
    const names = { agent: String(row?.["agent"]), epoch: String(row?.["epoch"]) };
    if (this.#held.size >= namesMax) this.#held.clear();
    this.#held.set(id, names);
    return names;
  }
}

function nameOf({ agent, epoch }: Names): string {
  return `${agent}:${epoch}`;
}
