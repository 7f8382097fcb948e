/** The store in SQLite, for threads that answer questions while another one writes (sqlite.ts). */
import { DatabaseSync } from "node:sqlite";
import type { ExecutionReport } from "@needfire/shared/action";
import { type ExecutionState, executionStates } from "@needfire/shared/api";
import { globMatcher } from "@needfire/shared/glob";
import { idKind } from "@needfire/shared/ids";
import type { RetryScope, Rollout } from "@needfire/shared/rollout";
import type { Execution, Task } from "@needfire/shared/task";
import { bodyOf, executionsOfTask } from "./row.ts";
import { RolloutReader } from "./rollouts.ts";
import { RecordReader } from "./record.ts";
import type {
  Causing,
  DecisionRecord,
  ExecutionRecord,
  FileVersion,
  HostRecord,
  ReactorCounts,
  RolloutQuery,
  TaskQuery,
  TextlessVersion,
} from "./store.ts";

export class SqliteStoreReader {
  readonly #database: DatabaseSync;
  readonly #record: RecordReader;
  readonly #rollouts: RolloutReader;

  constructor({ file }: { file: string }) {
    this.#database = new DatabaseSync(file, { readOnly: true, timeout: 5_000 });
    this.#record = new RecordReader(this.#database);
    this.#rollouts = new RolloutReader(this.#database);
  }

  /** Newest first. */
  tasks({ agent, reactor, state, rollout, event, limit }: TaskQuery): Task[] {
    const agentMatches = agent === undefined ? () => true : globMatcher(agent);
    const reactorMatches = reactor === undefined ? () => true : globMatcher(reactor);
    const exact = Object.entries({ state, rollout, event }).flatMap(([column, value]) => (value === undefined ? [] : [{ column, value }]));
    const where = exact.length === 0 ? "" : `WHERE ${exact.map(({ column }) => `${column} = ?`).join(" AND ")}`;
    const sql = `SELECT agent, reactor, body FROM task ${where} ORDER BY created DESC, id`;
    const found: Task[] = [];
    for (const row of this.#database.prepare(sql).iterate(...exact.map(({ value }) => value))) {
      if (!agentMatches(String(row["agent"])) || !reactorMatches(String(row["reactor"]))) continue;
      found.push(bodyOf<Task>(row));
      if (found.length === limit) break;
    }
    return found;
  }

  readTask(id: string): Task | undefined {
    const row = this.#database.prepare("SELECT body FROM task WHERE id = ?").get(id);
    return row === undefined ? undefined : bodyOf<Task>(row);
  }

  /** A task or a rollout, whose effect an event is. */
  readCause(id: string): Causing | undefined {
    return idKind(id) === "rollout" ? this.readRollout(id) : this.readTask(id);
  }

  rollouts(query: RolloutQuery): Rollout[] {
    return this.#rollouts.rollouts(query);
  }

  readRollout(id: string): Rollout | undefined {
    return this.#rollouts.rollout(id);
  }

  rolloutsOfEvent(event: string): Rollout[] {
    return this.#rollouts.ofEvent(event);
  }

  rolloutHosts(rollout: string): HostRecord[] {
    return this.#rollouts.hosts(rollout);
  }

  /** Of one that is tried again, those on which it is. */
  rolloutHostsToRetry(rollout: Rollout, scope: RetryScope): HostRecord[] {
    return this.#rollouts.toRetry(rollout, scope);
  }

  /** Not those of its rollouts. */
  tasksOfEvent(event: string): Task[] {
    return this.#database
      .prepare("SELECT body FROM task WHERE event = ? AND rollout IS NULL ORDER BY created, id")
      .all(event)
      .map((row) => bodyOf<Task>(row));
  }

  /** In the order in which they began. */
  executions(task: string): ExecutionRecord[] {
    const rows = this.#database
      .prepare(`SELECT state, sent, body, report FROM execution WHERE ${executionsOfTask} ORDER BY rowid`)
      .all(task);
    return rows.map((row) => ({
      ...bodyOf<Execution>(row),
      state: stateOf(row["state"]),
      sent: row["sent"] === null ? undefined : Number(row["sent"]),
      report: row["report"] === null ? undefined : (JSON.parse(String(row["report"])) as ExecutionReport),
    }));
  }

  countTasks(): number {
    return Number(this.#database.prepare("SELECT count(*) AS tasks FROM task").get()?.["tasks"]);
  }

  decisionsOn(event: string): DecisionRecord[] {
    return this.#record.decisionsOn(event);
  }

  reactorCounts(): ReactorCounts[] {
    return this.#record.reactorCounts();
  }

  versionsOf(reactor: string): FileVersion[] {
    return this.#record.versionsOf(reactor);
  }

  versionsAt(time: number): TextlessVersion[] | undefined {
    return this.#record.versionsAt(time);
  }

  versionText(number: number): string | undefined {
    return this.#record.versionText(number);
  }

  taskOfKey(reactor: string, key: readonly unknown[], until: number): string | undefined {
    return this.#record.taskOfKey(reactor, key, until);
  }

  taskWith(reactor: string, event: string, from: number): string | undefined {
    return this.#record.taskWith(reactor, event, from);
  }

  close(): void {
    this.#database.close();
  }
}

function stateOf(value: unknown): ExecutionState {
  return executionStates.find((state) => state === value) ?? "queued";
}
