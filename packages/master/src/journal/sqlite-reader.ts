/**
 * Questions about the past of the journal in SQLite, over a read-only connection of its own.
 */
import { DatabaseSync, type SQLInputValue } from "node:sqlite";
import { NeedfireError } from "@needfire/shared/errors";
import type { Event } from "@needfire/shared/event";
import { globMatcher } from "@needfire/shared/glob";
import { parseEventId } from "@needfire/shared/ids";
import { conditionOf } from "./condition.ts";
import type { EventQuery } from "./journal.ts";
import { eventOf } from "./sqlite.ts";

/** Rows that one question may look at; a narrower question reaches further back. */
const rowsScannedMax = 2_000_000;

export class SqliteJournalReader {
  readonly #database: DatabaseSync;

  constructor({ file }: { file: string }) {
    this.#database = new DatabaseSync(file, { readOnly: true, timeout: 5_000 });
  }

  query(query: EventQuery): Event[] {
    const { sql, values } = selection(query);
    const accepts = filter(query);
    const found: Event[] = [];
    let scanned = 0;
    for (const row of this.#database.prepare(sql).iterate(...values)) {
      if (++scanned > rowsScannedMax) {
        throw new NeedfireError(
          "BAD_REQUEST",
          `after ${rowsScannedMax} events without enough hits the search was stopped: narrow it with --since, --type or --agent`,
        );
      }
      const event = eventOf(row);
      if (accepts(event)) found.push(event);
      if (found.length === query.limit) break;
    }
    return found;
  }

  get(id: string): Event | undefined {
    const parts = parseEventId(id);
    if (parts === undefined) return undefined;
    const row = this.#database
      .prepare("SELECT * FROM event WHERE agent = ? AND epoch = ? AND sequence = ?")
      .get(parts.agent, parts.epoch, parts.sequence);
    return row === undefined ? undefined : eventOf(row);
  }

  causedBy(cause: string, limit: number): Event[] {
    return this.#database.prepare("SELECT * FROM event WHERE cause = ? ORDER BY position LIMIT ?").all(cause, limit).map(eventOf);
  }

  /** Positions have no gaps, so the last one is the count; nothing is deleted yet. */
  count(): number {
    return Number(this.#database.prepare("SELECT max(position) AS events FROM event").get()?.["events"] ?? 0);
  }

  close(): void {
    this.#database.close();
  }
}

/** What SQL can decide: exact names and times. Globs and CEL are left to `filter`. */
function selection({ agent, type, since, until }: EventQuery): { sql: string; values: SQLInputValue[] } {
  const conditions: string[] = [];
  const values: SQLInputValue[] = [];
  const add = (condition: string, value: SQLInputValue) => {
    conditions.push(condition);
    values.push(value);
  };
  if (agent !== undefined && isExact(agent)) add("agent = ?", agent);
  if (type !== undefined && isExact(type)) add("type = ?", type);
  if (since !== undefined) add("time >= ?", since);
  if (until !== undefined) add("time <= ?", until);
  const where = conditions.length > 0 ? `WHERE ${conditions.join(" AND ")}` : "";
  return { sql: `SELECT * FROM event ${where} ORDER BY position DESC`, values };
}

function filter({ agent, type, where }: EventQuery): (event: Event) => boolean {
  const agentMatches = agent === undefined || isExact(agent) ? () => true : globMatcher(agent);
  const typeMatches = type === undefined || isExact(type) ? () => true : globMatcher(type);
  const holds = where === undefined ? () => true : conditionOf(where);
  return (event) => agentMatches(event.agent) && typeMatches(event.type) && holds(event);
}

function isExact(pattern: string): boolean {
  return /^[A-Za-z0-9._-]+$/.test(pattern);
}
