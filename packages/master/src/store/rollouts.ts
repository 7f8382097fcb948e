/**
 * Rollouts in the store: each a small row that changes with every host that begins or ends, and beside it, written once, its hosts in their order
 * and what is to be done on them. The writer works inside of the store's transactions; the reader answers questions.
 */
import type { DatabaseSync, SQLInputValue, StatementSync } from "node:sqlite";
import { globMatcher } from "@needfire/shared/glob";
import { hasRolledOut, type HostFiring, retriesAll, type RetryScope, type Rollout, type RolloutHost } from "@needfire/shared/rollout";
import type { Plan } from "@needfire/shared/rules/types";
import type { PromisedTask } from "../per-agent.ts";
import type { HostKey, HostOnTurn, HostRecord, RolloutChange, RolloutQuery } from "./store.ts";

/** A task's id says of which reactor, event and host it is, so that no firing of these is twice in the table (P2). */
export const rolloutMigration = `
  CREATE TABLE rollout (
    id TEXT PRIMARY KEY, reactor TEXT NOT NULL, event TEXT NOT NULL, state TEXT NOT NULL, ended INTEGER NOT NULL,
    created REAL NOT NULL, updated REAL NOT NULL, body TEXT NOT NULL
  ) STRICT;
  CREATE INDEX rollout_open ON rollout (ended) WHERE ended = 0;
  CREATE INDEX rollout_event ON rollout (event);
  CREATE INDEX rollout_created ON rollout (created);
  CREATE TABLE rollout_host (
    rollout TEXT NOT NULL, number INTEGER NOT NULL, agent TEXT NOT NULL, task TEXT NOT NULL, plan INTEGER NOT NULL, UNIQUE (rollout, number)
  ) STRICT;
  CREATE TABLE rollout_plan (rollout TEXT NOT NULL, number INTEGER NOT NULL, body TEXT NOT NULL, UNIQUE (rollout, number)) STRICT;
  ALTER TABLE task ADD COLUMN rollout TEXT;
  CREATE INDEX task_rollout ON task (rollout) WHERE rollout IS NOT NULL;
  DROP INDEX task_firing;
  CREATE INDEX task_reactor ON task (reactor, created);`;

/** Hosts whose firings go together: of each its own, and its event, by which it is found. */
export const combinedMigration = `
  ALTER TABLE rollout_host ADD COLUMN event TEXT;
  ALTER TABLE rollout_host ADD COLUMN firing TEXT;
  CREATE INDEX rollout_host_event ON rollout_host (event) WHERE event IS NOT NULL;`;

class Statements {
  readonly #connection: DatabaseSync;
  readonly #prepared = new Map<string, StatementSync>();

  constructor(connection: DatabaseSync) {
    this.#connection = connection;
  }

  of(sql: string): StatementSync {
    let statement = this.#prepared.get(sql);
    if (statement === undefined) this.#prepared.set(sql, (statement = this.#connection.prepare(sql)));
    return statement;
  }

  all(sql: string, ...values: SQLInputValue[]): Record<string, unknown>[] {
    return this.of(sql).all(...values);
  }
}

export class RolloutWriter {
  readonly #statements: Statements;

  /** After the migration. */
  constructor(connection: DatabaseSync) {
    this.#statements = new Statements(connection);
  }

  /** Inside of a transaction. */
  write({ rollout, begins }: RolloutChange): void {
    const { id, reactor, event, status, created, updated } = rollout;
    const ended = hasRolledOut(rollout) ? 1 : 0;
    const body = JSON.stringify(rollout);
    if (begins === undefined) {
      const sql = "UPDATE rollout SET state = ?, ended = ?, updated = ?, body = ? WHERE id = ?";
      return void this.#statements.of(sql).run(status.state, ended, updated, body, id);
    }
    const sql = "INSERT INTO rollout (id, reactor, event, state, ended, created, updated, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?)";
    this.#statements.of(sql).run(id, reactor, event, status.state, ended, created, updated, body);
    const host = this.#statements.of(
      "INSERT INTO rollout_host (rollout, number, agent, task, plan, event, firing) VALUES (?, ?, ?, ?, ?, ?, ?)",
    );
    for (const [number, { agent, task, plan, firing }] of begins.hosts.entries())
      host.run(id, number, agent, task, plan, firing?.record.event ?? null, firing === undefined ? null : JSON.stringify(firing));
    const plan = this.#statements.of("INSERT INTO rollout_plan (rollout, number, body) VALUES (?, ?, ?)");
    for (const [number, each] of begins.plans.entries()) plan.run(id, number, JSON.stringify(each));
  }

  open(): Rollout[] {
    return this.#statements.all("SELECT body FROM rollout WHERE ended = 0 ORDER BY created, id").map(bodyOf<Rollout>);
  }

  rollout(id: string): Rollout | undefined {
    return this.#statements.all("SELECT body FROM rollout WHERE id = ?", id).map(bodyOf<Rollout>)[0];
  }

  /** The hosts of some numbers, each with what is to be done on it. */
  hosts(rollout: string, from: number, count: number): HostOnTurn[] {
    const sql = `SELECT host.number, agent, task, firing, body FROM rollout_host AS host
      JOIN rollout_plan AS plan ON plan.rollout = host.rollout AND plan.number = host.plan
      WHERE host.rollout = ? AND host.number BETWEEN ? AND ? ORDER BY host.number`;
    return this.#statements.all(sql, rollout, from, from + count - 1).map(turnOf);
  }

  joinKeys(rollout: string): HostKey[] {
    const sql = `SELECT number, json_extract(firing, '$.joinKey') AS key FROM rollout_host
      WHERE rollout = ? AND json_extract(firing, '$.joinKey') IS NOT NULL`;
    const rows = this.#statements.all(sql, rollout);
    return rows.map(({ number, key }) => ({ number: Number(number), joinKey: JSON.parse(String(key)) as unknown[] }));
  }

  promised(reactors: readonly string[]): PromisedTask[] {
    const sql = `SELECT host.agent, rollout.reactor, rollout.id FROM rollout JOIN rollout_host AS host ON host.rollout = rollout.id
      WHERE ended = 0 AND state IN ('waiting', 'running', 'paused') AND reactor IN (SELECT value FROM json_each(?))
      AND json_extract(body, '$.branch') = 'do' AND host.number >= json_extract(body, '$.begun')`;
    const rows = this.#statements.all(sql, JSON.stringify(reactors));
    return rows.map(({ agent, reactor, id }) => ({ agent: String(agent), reactor: String(reactor), rollout: String(id) }));
  }

  toRetry(rollout: Rollout, scope: RetryScope): HostOnTurn[] {
    const sql = `SELECT host.number, host.agent, host.task, host.firing, plan.body FROM rollout_host AS host
      JOIN rollout_plan AS plan ON plan.rollout = host.rollout AND plan.number = host.plan WHERE host.rollout = ? AND host.number IN`;
    const { id } = rollout;
    return this.#statements
      .all(`${sql} (${numbersToRetrySql(rollout, scope)}) ORDER BY host.number`, id, ...retryValues(rollout))
      .map(turnOf);
  }

  /** Inside of a transaction. Removes those that ended before a time, with their hosts. Returns how many. */
  forget(before: number, limit: number): number {
    const sql = "SELECT id FROM rollout WHERE ended = 1 AND created < ? AND updated < ? ORDER BY created LIMIT ?";
    const ids = this.#statements.all(sql, before, before, limit).map(({ id }) => String(id));
    for (const id of ids) {
      for (const table of ["rollout_host", "rollout_plan"]) this.#statements.of(`DELETE FROM ${table} WHERE rollout = ?`).run(id);
      this.#statements.of("DELETE FROM rollout WHERE id = ?").run(id);
    }
    return ids.length;
  }
}

export class RolloutReader {
  readonly #statements: Statements;

  constructor(connection: DatabaseSync) {
    this.#statements = new Statements(connection);
  }

  /** Newest first. */
  rollouts({ reactor, state, limit }: RolloutQuery): Rollout[] {
    const matches = reactor === undefined ? () => true : globMatcher(reactor);
    const found: Rollout[] = [];
    for (const row of this.#statements.of("SELECT reactor, state, body FROM rollout ORDER BY created DESC, id").iterate()) {
      if (!matches(String(row["reactor"])) || (state !== undefined && row["state"] !== state)) continue;
      found.push(bodyOf<Rollout>(row));
      if (found.length === limit) break;
    }
    return found;
  }

  rollout(id: string): Rollout | undefined {
    return this.#statements.all("SELECT body FROM rollout WHERE id = ?", id).map(bodyOf<Rollout>)[0];
  }

  /** Also those in which the event is of one of the hosts. */
  ofEvent(event: string): Rollout[] {
    const sql = `SELECT body FROM rollout WHERE event = ?1 OR id IN (SELECT rollout FROM rollout_host WHERE event = ?1) ORDER BY created, id`;
    return this.#statements.all(sql, event).map(bodyOf<Rollout>);
  }

  /** In the order in which they begin. Those that have not begun have no task yet. */
  hosts(rollout: string): HostRecord[] {
    const sql = `SELECT host.number, host.agent, host.task, host.event, task.state, json_extract(task.body, '$.status.reason') AS reason
      FROM rollout_host AS host LEFT JOIN task ON task.id = host.task WHERE host.rollout = ? ORDER BY host.number`;
    return this.#statements.all(sql, rollout).map((row) => ({
      ...hostOf(row),
      ...(typeof row["event"] === "string" ? { event: row["event"] } : {}),
      ...(typeof row["state"] === "string" ? { state: row["state"] as HostRecord["state"] & string } : {}),
      ...(typeof row["reason"] === "string" ? { reason: row["reason"] } : {}),
    }));
  }

  /** Those of them on which it is tried again. */
  toRetry(rollout: Rollout, scope: RetryScope): HostRecord[] {
    const rows = this.#statements.all(numbersToRetrySql(rollout, scope), ...retryValues(rollout));
    const numbers = new Set(rows.map((row) => Number(row["number"])));
    return this.hosts(rollout.id).filter(({ number }) => numbers.has(number));
  }
}

/** The hosts on which it is tried again, by their numbers: with `retryValues`. */
function numbersToRetrySql(rollout: Rollout, scope: RetryScope): string {
  const retried = `SELECT json_extract(body, '$.order.retryOf') FROM task
    WHERE reactor = ? AND created >= ? AND state NOT IN ('escalated', 'expired', 'cancelled') AND json_extract(body, '$.order.retryOf') IS NOT NULL`;
  const which = retriesAll(rollout, scope)
    ? `(member.number >= ${rollout.begun} OR task.state IN ('escalated', 'expired', 'cancelled'))`
    : "task.state IN ('escalated', 'expired')";
  return `SELECT member.number FROM rollout_host AS member LEFT JOIN task ON task.id = member.task
    WHERE member.rollout = ? AND ${which} AND member.task NOT IN (${retried})`;
}

function retryValues({ id, reactor, created }: Rollout): SQLInputValue[] {
  return [id, reactor, created];
}

function hostOf({ number, agent, task }: Record<string, unknown>): Pick<RolloutHost, "agent" | "task"> & { number: number } {
  return { number: Number(number), agent: String(agent), task: String(task) };
}

function turnOf(row: Record<string, unknown>): HostOnTurn {
  const { firing } = row;
  return { ...hostOf(row), plan: bodyOf<Plan>(row), ...(typeof firing === "string" ? { firing: JSON.parse(firing) as HostFiring } : {}) };
}

function bodyOf<T>(row: Record<string, unknown>): T {
  return JSON.parse(String(row["body"])) as T;
}
