/**
 * Who has appended how far: one row for each agent and epoch, with a mark for each lane, held in memory. It is what tells an event from its
 * repetition (P1), so the marks move in the transaction that appends, and move back when it fails.
 */
import type { DatabaseSync, StatementSync } from "node:sqlite";
import type { Severity } from "@needfire/shared/event";
import { type Origin, readOrigins } from "./partition.ts";

export class Origins {
  readonly #byName = new Map<string, Origin>();
  readonly #byId = new Map<number, Origin>();
  #idMax = 0;
  readonly #insert: StatementSync;
  readonly #update: StatementSync;
  /** Those that the transaction moved, with their marks before it; undefined for new ones. */
  readonly #touched = new Map<Origin, Origin["marks"] | undefined>();

  constructor(connection: DatabaseSync) {
    this.#insert = connection.prepare("INSERT INTO origin (agent, epoch, critical, high, normal, low, id) VALUES (?, ?, ?, ?, ?, ?, ?)");
    this.#update = connection.prepare("UPDATE origin SET critical = ?, high = ?, normal = ?, low = ? WHERE id = ?");
    for (const origin of readOrigins(connection)) this.#keep(origin);
  }

  get(id: number): Origin {
    return this.#byId.get(id)!;
  }

  last(agent: string, epoch: string, lane: Severity): number {
    return this.#byName.get(nameOf(agent, epoch))?.marks[lane] ?? 0;
  }

  /** The row of an agent and epoch; it is made when there is none. */
  of(agent: string, epoch: string): Origin {
    const known = this.#byName.get(nameOf(agent, epoch));
    if (known !== undefined) return known;
    const origin = { id: this.#idMax + 1, agent, epoch, marks: { critical: 0, high: 0, normal: 0, low: 0 } };
    this.#touched.set(origin, undefined);
    this.#keep(origin);
    return origin;
  }

  move(origin: Origin, lane: Severity, mark: number): void {
    if (!this.#touched.has(origin)) this.#touched.set(origin, { ...origin.marks });
    origin.marks[lane] = mark;
  }

  /** Writes what moved: one statement for each origin, however many batches of it there were. */
  write(): void {
    for (const [{ id, agent, epoch, marks }, before] of this.#touched) {
      const { critical, high, normal, low } = marks;
      if (before === undefined) this.#insert.run(agent, epoch, critical, high, normal, low, id);
      else this.#update.run(critical, high, normal, low, id);
    }
  }

  committed(): void {
    this.#touched.clear();
  }

  rolledBack(): void {
    for (const [origin, before] of this.#touched) {
      if (before !== undefined) origin.marks = before;
      else {
        this.#byName.delete(nameOf(origin.agent, origin.epoch));
        this.#byId.delete(origin.id);
      }
    }
    this.#touched.clear();
  }

  #keep(origin: Origin): void {
    this.#byName.set(nameOf(origin.agent, origin.epoch), origin);
    this.#byId.set(origin.id, origin);
    this.#idMax = Math.max(this.#idMax, origin.id);
  }
}

function nameOf(agent: string, epoch: string): string {
  return `${agent}:${epoch}`;
}
