/**
 * What a replay asks of the store, over a read-only connection of its own: which tasks were made, and what agents are.
 */
import { DatabaseSync, type StatementSync } from "node:sqlite";
import { idKind } from "@needfire/shared/ids";
import type { AgentView } from "@needfire/shared/target";
import type { AgentRecord, Causing, KeyRecord } from "./store.ts";

/** A task that was made. `created`: ms since the epoch. */
export interface Made {
  id: string;
  reactor: string;
  event: string;
  created: number;
}

export class Past {
  readonly #database: DatabaseSync;
  readonly #causes: Record<"task" | "rollout", StatementSync>;
  readonly #agent: StatementSync;
  /** Of keys that are accepted. */
  readonly #labels: ReadonlyMap<string, Record<string, string>>;
  readonly #agents = new Map<string, AgentView>();

  constructor(file: string) {
    this.#database = new DatabaseSync(file, { readOnly: true, timeout: 5_000 });
    const byId = (table: string) => this.#database.prepare(`SELECT body FROM ${table} WHERE id = ?`);
    this.#causes = { task: byId("task"), rollout: byId("rollout") };
    this.#agent = this.#database.prepare("SELECT body FROM agent WHERE id = ?");
    const keys = this.#database
      .prepare("SELECT body FROM key")
      .all()
      .map(bodyOf<KeyRecord>);
    this.#labels = new Map(keys.filter(({ state }) => state === "accepted").map(({ id, labels }) => [id, labels]));
  }

  /** The tasks and rollouts that were made in a time, ms since the epoch, both inclusive. The oldest first. */
  *made(since: number, until: number): Generator<Made> {
    const sql = `SELECT id, reactor, event, created FROM task WHERE created BETWEEN ?1 AND ?2 AND rollout IS NULL
      UNION ALL SELECT id, reactor, event, created FROM rollout WHERE created BETWEEN ?1 AND ?2 ORDER BY created`;
    for (const row of this.#database.prepare(sql).iterate(since, until))
      yield { id: String(row["id"]), reactor: String(row["reactor"]), event: String(row["event"]), created: Number(row["created"]) };
  }

  cause(id: string): Causing | undefined {
    const row = this.#causes[idKind(id) === "rollout" ? "rollout" : "task"].get(id);
    return row === undefined ? undefined : bodyOf<Causing>(row);
  }

  /** An agent as it is now; it is read once. The labels that its key carries win over those that it claims. */
  agentView(id: string): AgentView {
    let view = this.#agents.get(id);
    if (view === undefined) {
      const row = this.#agent.get(id);
      const { labels, facts } = row === undefined ? { labels: {}, facts: {} } : bodyOf<AgentRecord>(row);
      this.#agents.set(id, (view = { id, labels: { ...labels, ...this.#labels.get(id) }, facts }));
    }
    return view;
  }

  close(): void {
    this.#database.close();
  }
}

function bodyOf<T>(row: Record<string, unknown>): T {
  return JSON.parse(String(row["body"])) as T;
}
