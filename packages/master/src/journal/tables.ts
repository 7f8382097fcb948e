/**
 * Partitions that are still tables of the master's database: read by going through them, from the newest event on. There are few of them,
 * and what SQLite can decide of a row it decides.
 */
import type { DatabaseSync, SQLInputValue, StatementSync } from "node:sqlite";
import type { CountKey } from "@needfire/shared/api";
import { isoTime } from "@needfire/shared/clock";
import { type Event, severities } from "@needfire/shared/event";
import { OriginNames } from "./origins.ts";
import { eventColumns, eventOfRow, type EventRow, type EventNumber, type Partition, tableOf } from "./partition.ts";
import type { Question } from "./question.ts";
import { tallyMs } from "./seal.ts";

/** Counts of a tally by their key. */
export type Counts = Map<string, number>;

export class Tables {
  readonly #connection: DatabaseSync;
  readonly #origins: OriginNames;

  constructor(connection: DatabaseSync) {
    this.#connection = connection;
    this.#origins = new OriginNames(connection);
  }

  /** Newest first. */
  *select({ number }: Partition, question: Question): Iterable<Event> {
    const { conditions, values } = this.#conditions(question);
    const sql = `SELECT ${eventColumns} FROM ${tableOf(number)} ${whereOf(conditions)} ORDER BY position DESC`;
    for (const row of this.#rows(sql).iterate(...values) as unknown as Iterable<EventRow>) {
      question.look();
      if (question.type?.accepts(row[3] as string) === false) continue;
      const origin = this.#origins.of(row[1] as number);
      if (question.agent?.accepts(origin.agent) === false) continue;
      const event = question.eventOf(row, origin);
      if (event !== undefined) yield event;
    }
  }

  find({ number }: Partition, { agent, epoch, sequence }: EventNumber): Event | undefined {
    const origin = this.#connection.prepare("SELECT id FROM origin WHERE agent = ? AND epoch = ?").get(agent, epoch)?.["id"];
    if (origin === undefined) return undefined;
    const sql = `SELECT ${eventColumns} FROM ${tableOf(number)} WHERE origin = ? AND sequence = ?`;
    const row = this.#rows(sql).get(origin as number, sequence) as unknown as EventRow | undefined;
    return row === undefined ? undefined : eventOfRow(row, { agent, epoch });
  }

  /** In order. */
  causedBy({ number }: Partition, cause: string, limit: number): Event[] {
    const sql = `SELECT ${eventColumns} FROM ${tableOf(number)} WHERE cause = ? ORDER BY position LIMIT ?`;
    const rows = this.#rows(sql).all(cause, limit) as unknown as EventRow[];
    return rows.map((row) => eventOfRow(row, this.#origins.of(row[1] as number)));
  }

  count({ number }: Partition, question: Question, by: CountKey, counts: Counts): void {
    const { conditions, values } = this.#conditions(question);
    const sql = `SELECT type, origin, ${by === "severity" || by === "hour" ? keyColumns[by] : "NULL"} AS key, count(*)
      FROM ${tableOf(number)} ${whereOf(conditions)} GROUP BY 1, 2, 3`;
    for (const [type, origin, key, events] of this.#rows(sql).all(...values) as unknown as [string, number, number | null, number][]) {
      const { agent } = this.#origins.of(origin);
      if (question.type?.accepts(type) === false || question.agent?.accepts(agent) === false) continue;
      addCount(counts, keyText(by, { type, agent, code: key ?? 0 }), events);
    }
  }

  /** What SQL can decide: exact names and times. Globs are left to whoever asks. */
  #conditions({ agent, type, severity, since, until }: Question): { conditions: string[]; values: SQLInputValue[] } {
    const conditions: string[] = [];
    const values: SQLInputValue[] = [];
    const add = (condition: string, value: SQLInputValue) => {
      conditions.push(condition);
      values.push(value);
    };
    if (agent?.exact !== undefined) add("origin IN (SELECT id FROM origin WHERE agent = ?)", agent.exact);
    if (type?.exact !== undefined) add("type = ?", type.exact);
    if (severity !== undefined) add("severity = ?", severity);
    if (Number.isFinite(since)) add("time >= ?", since);
    if (Number.isFinite(until)) add("time <= ?", until);
    return { conditions, values };
  }

  #rows(sql: string): StatementSync {
    const statement = this.#connection.prepare(sql);
    statement.setReturnArrays(true);
    return statement;
  }
}

/** The hour of a time is counted from the epoch. */
export const keyColumns = { severity: "severity", hour: `CAST(floor(time / ${tallyMs}) AS INTEGER)` } as const;

export function keyText(by: CountKey, { type, agent, code }: { type: string; agent: string; code: number }): string {
  switch (by) {
    case "type":
      return type;
    case "agent":
      return agent;
    case "severity":
      return severities[code]!;
    case "hour":
      return isoTime(code * tallyMs);
  }
}

export function addCount(counts: Counts, key: string, events: number): void {
  counts.set(key, (counts.get(key) ?? 0) + events);
}

function whereOf(conditions: readonly string[]): string {
  return conditions.length > 0 ? `WHERE ${conditions.join(" AND ")}` : "";
}
