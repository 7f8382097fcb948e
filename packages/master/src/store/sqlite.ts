/**
 * The store in SQLite (WAL), for the one thread that writes. Holds P2: one transaction for all that belongs together. Who asks from other threads
 * has a reader (sqlite-reader.ts).
 */
import type { DatabaseSync, SQLInputValue } from "node:sqlite";
import type { ExecutionReport } from "@needfire/shared/action";
import { eventSource, type IncomingEvent } from "@needfire/shared/event";
import { epochAt, eventId, masterAgent } from "@needfire/shared/ids";
import { pack, unpack } from "@needfire/shared/pack";
import type { RetryScope, Rollout } from "@needfire/shared/rollout";
import type { StateRow } from "@needfire/shared/rules/types";
import { dueOf, type Effect, type Execution, isOpen, type MasterEventDraft, offersOf, type Task } from "@needfire/shared/task";
import type { MadeTask, PromisedTask } from "../per-agent.ts";
import type { Database } from "./database.ts";
import { type JoinedMarks, joinedMarks } from "./joined-marks.ts";
import { migrations } from "./migrations.ts";
import { RolloutWriter } from "./rollouts.ts";
import { RecordReader, RecordWriter } from "./record.ts";
import { bodyOf, executionsOfTask } from "./row.ts";
import type {
  AgentRecord,
  BreakerRow,
  Change,
  Committed,
  HostKey,
  HostOnTurn,
  KeyRecord,
  OpenExecution,
  SilenceRecord,
  Snapshot,
  TasksDue,
  TextlessVersion,
  TokenRecord,
  Writes,
} from "./store.ts";

/** No number is given twice, although events leave the outbox. */
const lastEmittedSql = `SELECT max(ifnull((SELECT seq FROM sqlite_sequence WHERE name = 'outbox'), 0),
  ifnull((SELECT max(sequence) FROM outbox), 0)) AS last`;
/** Rows that one statement inserts. */
const rowsPerStatement = 25;

/** As the index of them says. */
const isOpenSql = "state IN ('waiting', 'running', 'verifying', 'retrying', 'undoing')";

/** Each of them has a time. */
const hasLeasesSql = "due IS NOT NULL AND body ->> '$.leases' <> '[]'";

export class StoreWriter {
  readonly #database: Database;
  readonly #epoch: string;
  readonly #statements = new Map<string, ReturnType<DatabaseSync["prepare"]>>();
  readonly #record: RecordWriter;
  readonly #recorded: RecordReader;
  readonly #rollouts: RolloutWriter;
  /** The number of the last event of the master's own. */
  #emitted = 0;

  constructor(database: Database, { now, decisionRowsMax }: { now: number; decisionRowsMax?: number }) {
    this.#database = database;
    database.migrate("store", migrations);
    this.#record = new RecordWriter(database.connection, decisionRowsMax === undefined ? {} : { rowsMax: decisionRowsMax });
    this.#recorded = new RecordReader(database.connection);
    this.#rollouts = new RolloutWriter(database.connection);
    this.#run("INSERT OR IGNORE INTO setting (name, value) VALUES ('epoch', ?), ('cursor', '0')", epochAt(now));
    this.#epoch = this.#setting("epoch");
  }

  load(): Snapshot {
    return {
      cursor: Number(this.#setting("cursor")),
      openTasks: this.#bodies<Task>(`SELECT body FROM task WHERE ${isOpenSql} OR id IN (SELECT task FROM execution WHERE report IS NULL)`),
      openExecutions: this.#openExecutions(),
      offers: this.#bodies<Task>(`SELECT body FROM task WHERE ${hasLeasesSql}`).flatMap(offersOf),
      keys: this.#bodies<KeyRecord>("SELECT body FROM key"),
      tokens: this.#bodies<TokenRecord>("SELECT body FROM token"),
      agents: this.#bodies<AgentRecord>("SELECT body FROM agent"),
      outbox: this.#bodies<IncomingEvent>("SELECT body FROM outbox ORDER BY sequence"),
    };
  }

  #openExecutions(): OpenExecution[] {
    return this.#prepare("SELECT body, epoch, stopped, state FROM execution WHERE report IS NULL ORDER BY rowid")
      .all()
      .map((row) => ({
        ...bodyOf<Execution>(row),
        ...(row["stopped"] === 1 ? { cancelled: true } : {}),
        ...(row["state"] === "accepted" ? { begun: true } : {}),
        ...(typeof row["epoch"] === "string" ? { epoch: row["epoch"] } : {}),
      }));
  }

  commitAll(writes: Writes[]): Committed[] {
    return this.#database.transaction(() => {
      // What a transaction that failed had numbered is not there.
      this.#emitted = Number(this.#prepare(lastEmittedSql).get()?.["last"]);
      return writes.map((each) => this.#write(each));
    });
  }

  ruleState(): StateRow[] {
    return this.#prepare("SELECT reactor, key, shape, due, body FROM rule_state")
      .all()
      .map(({ reactor, key, shape, due, body }) => ({
        reactor: String(reactor),
        key: String(key),
        shape: String(shape),
        due: due === null ? undefined : Number(due),
        body: unpack(body as Uint8Array),
      }));
  }

  silences(): SilenceRecord[] {
    return this.#record.silences();
  }

  breakers(): BreakerRow[] {
    return this.#prepare("SELECT reactor, key, body FROM breaker ORDER BY rowid")
      .all()
      .map((row) => ({ reactor: String(row["reactor"]), key: String(row["key"]), body: bodyOf<BreakerRow["body"]>(row) }));
  }

  /** See `RecordReader`. */
  versionsAt(time: number): TextlessVersion[] | undefined {
    return this.#recorded.versionsAt(time);
  }

  lastText(file: string): string | undefined {
    return this.#recorded.lastText(file);
  }

  /** Removes decisions that were made before a time, oldest first. Returns how many. */
  forgetDecisions(before: number, limit: number): number {
    return this.#database.transaction(() => this.#record.forgetDecisions(before, limit));
  }

  /** Removes the versions of files that were gone before a time. Returns how many. */
  forgetVersions(before: number): number {
    return this.#database.transaction(() => this.#record.forgetVersions(before));
  }

  task(id: string): Task | undefined {
    return this.#bodies<Task>("SELECT body FROM task WHERE id = ?", id)[0];
  }

  openTaskOf(reactor: string, joinKey: readonly unknown[]): Task | undefined {
    return this.#bodies<Task>("SELECT body FROM task WHERE reactor = ? AND join_key = ? LIMIT 1", reactor, JSON.stringify(joinKey))[0];
  }

  tasksDue(now: number, limit: number): TasksDue {
    // One more than is given, for when the next is.
    const sql = "SELECT due, body FROM task WHERE due IS NOT NULL AND due <= ? ORDER BY due LIMIT ?";
    const rows = this.#prepare(sql).all(now, limit + 1);
    const next = rows[limit] ?? this.#prepare("SELECT min(due) AS due FROM task WHERE due IS NOT NULL AND due > ?").get(now);
    const due = next?.["due"];
    return { tasks: rows.slice(0, limit).map((row) => bodyOf<Task>(row)), next: typeof due === "number" ? due : undefined };
  }

  listeningTasks(): Task[] {
    const verifyBy = "json_extract(body, '$.rungs[' || json_extract(body, '$.rung') || '].verify.by')";
    return this.#bodies<Task>(`SELECT body FROM task WHERE ${isOpenSql} AND ${verifyBy} IN ('event', 'no_event')`);
  }

  openTasksIn(rollout: string, limit: number): Task[] {
    return this.#bodies<Task>(`SELECT body FROM task WHERE rollout = ? AND ${isOpenSql} LIMIT ?`, rollout, limit);
  }

  awaitedTypes(): string[] {
    const sql = `WITH rungs (body) AS (
        SELECT json_extract(body, '$.rungs') FROM task WHERE ${isOpenSql}
        UNION ALL SELECT json_extract(plan.body, '$.rungs') FROM rollout_plan AS plan JOIN rollout ON rollout.id = plan.rollout WHERE ended = 0)
      SELECT DISTINCT type.value AS type FROM rungs, json_each(rungs.body) AS rung, json_each(rung.value, '$.verify.on') AS type`;
    return this.#prepare(sql)
      .all()
      .map(({ type }) => String(type));
  }

  openTaskCounts(): Map<string, number> {
    const sql = `SELECT rollout, count(*) AS tasks FROM task WHERE rollout IS NOT NULL AND ${isOpenSql} GROUP BY rollout`;
    return new Map(
      this.#prepare(sql)
        .all()
        .map(({ rollout, tasks }) => [String(rollout), Number(tasks)]),
    );
  }

  openRollouts(): Rollout[] {
    return this.#rollouts.open();
  }

  rollout(id: string): Rollout | undefined {
    return this.#rollouts.rollout(id);
  }

  joinKeysIn(rollout: string): HostKey[] {
    return this.#rollouts.joinKeys(rollout);
  }

  hostsOnTurn(rollout: string, from: number, count: number): HostOnTurn[] {
    return this.#rollouts.hosts(rollout, from, count);
  }

  hostsToRetry(rollout: Rollout, scope: RetryScope): HostOnTurn[] {
    return this.#rollouts.toRetry(rollout, scope);
  }

  /** Removes rollouts that ended before a time. Returns how many. */
  forgetRollouts(before: number, limit: number): number {
    return this.#database.transaction(() => this.#rollouts.forget(before, limit));
  }

  lockingTasks(): Task[] {
    const isAtWork = `(${isOpenSql} OR id IN (SELECT task FROM execution WHERE report IS NULL))`;
    return this.#bodies<Task>(`SELECT body FROM task WHERE ${isAtWork} AND json_extract(body, '$.lock') IS NOT NULL`);
  }

  leasedTasks(): Task[] {
    const hasKey = "(body ->> '$.joinKey' IS NOT NULL OR body ->> '$.fleetKey' IS NOT NULL)";
    return this.#bodies<Task>(`SELECT body FROM task WHERE ${hasLeasesSql} AND ${hasKey}`);
  }

  tasksMade(reactors: readonly string[], since: number): MadeTask[] {
    const sql = `SELECT reactor, agent, created FROM task WHERE created > ? AND reactor IN (SELECT value FROM json_each(?))
      AND state <> 'planned' AND json_extract(body, '$.branch') = 'do'
      AND (rollout IS NULL OR json_array_length(body, '$.rungs') > 0) ORDER BY created`;
    return this.#prepare(sql)
      .all(since, JSON.stringify(reactors))
      .map(({ reactor, agent, created }) => ({ reactor: String(reactor), agent: String(agent), created: Number(created) }));
  }

  tasksPromised(reactors: readonly string[]): PromisedTask[] {
    return this.#rollouts.promised(reactors);
  }

  /** Removes tasks that ended before a time, oldest first, and their executions. Returns how many tasks. */
  forgetTasks(before: number, limit: number): number {
    const sql = `SELECT id FROM task WHERE created < ? AND updated < ? AND NOT ${isOpenSql} AND due IS NULL
      AND NOT EXISTS (SELECT 1 FROM execution WHERE task = task.id AND report IS NULL) ORDER BY created LIMIT ?`;
    return this.#database.transaction(() => {
      const ids = this.#prepare(sql)
        .all(before, before, limit)
        .map((row) => String(row["id"]));
      for (const id of ids) {
        this.#run(`DELETE FROM execution WHERE ${executionsOfTask}`, id);
        this.#run("DELETE FROM task WHERE id = ?", id);
      }
      return ids.length;
    });
  }

  close(): void {
    this.#database.close();
  }

  #write({
    now,
    cursor,
    changes = [],
    rollouts = [],
    rules = [],
    breakers = [],
    marks = [],
    events = [],
    keys = [],
    tokens = [],
    agents = [],
    outboxDone,
    journal,
    ...recorded
  }: Writes): Committed {
    journal?.();
    if (outboxDone !== undefined) this.#run("DELETE FROM outbox WHERE sequence <= ?", outboxDone);
    const made: IncomingEvent[] = events.map((event) => this.#emit(event, now));
    const taken = changes.map((change) => this.#change(change, now, made));
    for (const change of rollouts) {
      this.#rollouts.write(change);
      for (const event of change.events) made.push(this.#emit(event, now));
    }
    for (const row of rules) this.#rule(row);
    for (const row of breakers) this.#breaker(row);
    for (const mark of joinedMarks(marks)) this.#mark(mark);
    for (const key of keys) this.#run("INSERT OR REPLACE INTO key (public_key, body) VALUES (?, ?)", key.publicKey, JSON.stringify(key));
    for (const token of tokens) this.#token(token);
    for (const agent of agents) this.#run("INSERT OR REPLACE INTO agent (id, body) VALUES (?, ?)", agent.id, JSON.stringify(agent));
    if (cursor !== undefined) this.#run("UPDATE setting SET value = ? WHERE name = 'cursor'", String(cursor));
    this.#send(made);
    return { taken, events: made, decisionsDropped: this.#record.write(recorded, now) };
  }

  /** P2: the id is one for each reactor, triggering event and host; a second firing of the same is none. */
  #change({ isNew, task, effects }: Change, now: number, made: IncomingEvent[]): boolean {
    const { id, reactor, event, agent, status, created, updated } = task;
    const body = JSON.stringify(task);
    const due = dueOf(task) ?? null;
    const joinKey = task.joinKey !== undefined && isOpen(task) ? JSON.stringify(task.joinKey) : null;
    if (isNew) {
      const sql = `INSERT INTO task (id, reactor, event, agent, state, created, updated, due, join_key, rollout, body)
                   VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`;
      const rollout = task.rollout ?? null;
      if (this.#run(sql, id, reactor, event, agent, status.state, created, updated, due, joinKey, rollout, body) === 0) return false;
    } else {
      const sql = "UPDATE task SET state = ?, updated = ?, due = ?, join_key = ?, body = ? WHERE id = ?";
      this.#run(sql, status.state, updated, due, joinKey, body, id);
    }
    for (const effect of effects) this.#effect(effect, now, made);
    return true;
  }

  #effect(effect: Effect, now: number, made: IncomingEvent[]): void {
    switch (effect.kind) {
      case "execute":
      case "wait":
        return this.#insertExecution(effect.execution);
      case "performed":
        this.#insertExecution(effect.execution);
        return this.#report(effect.report);
      case "record":
        return this.#report(effect.report);
      case "lend":
        return; // it stands in the task
      case "stop":
        return void this.#run("UPDATE execution SET stopped = 1 WHERE id = ?", effect.execution);
      case "emit":
        made.push(this.#emit(effect.event, now));
    }
  }

  #insertExecution(execution: Execution): void {
    const { id, task, agent } = execution;
    this.#run(
      "INSERT INTO execution (id, task, agent, state, body) VALUES (?, ?, ?, 'queued', ?)",
      id,
      task,
      agent,
      JSON.stringify(execution),
    );
  }

  #report(report: ExecutionReport): void {
    this.#run("UPDATE execution SET state = ?, report = ? WHERE id = ?", report.outcome, JSON.stringify(report), report.execution);
  }

  #rule({ reactor, key, shape, due, body }: StateRow): void {
    if (body === undefined) return void this.#run("DELETE FROM rule_state WHERE reactor = ? AND key = ?", reactor, key);
    const sql = "INSERT OR REPLACE INTO rule_state (reactor, key, shape, due, body) VALUES (?, ?, ?, ?, ?)";
    this.#run(sql, reactor, key, shape, due ?? null, pack(body));
  }

  #breaker({ reactor, key, body }: BreakerRow): void {
    if (body === undefined) return void this.#run("DELETE FROM breaker WHERE reactor = ? AND key = ?", reactor, key);
    this.#run("INSERT OR REPLACE INTO breaker (reactor, key, body) VALUES (?, ?, ?)", reactor, key, JSON.stringify(body));
  }

  /** A mark that comes after the result must not hide when the command was sent, and nothing sets a command back. */
  #mark({ execution, isAccepted, sentAt, epoch }: JoinedMarks): void {
    const sql = `UPDATE execution SET sent = coalesce(sent, ?), epoch = coalesce(epoch, ?), state = CASE
      WHEN state IN ('queued', 'sent') AND ? THEN 'accepted' WHEN state = 'queued' THEN 'sent' ELSE state END WHERE id = ?`;
    this.#run(sql, sentAt ?? null, epoch ?? null, Number(isAccepted), execution);
  }

  #token(token: TokenRecord): void {
    if (token.usesLeft > 0) this.#run("INSERT OR REPLACE INTO token (hash, body) VALUES (?, ?)", token.hash, JSON.stringify(token));
    else this.#run("DELETE FROM token WHERE hash = ?", token.hash);
  }

  /** The event with its number. It is written with the others of the transaction. */
  #emit({ type, subject, severity, cause, data }: MasterEventDraft, now: number): IncomingEvent {
    const sequence = ++this.#emitted;
    return {
      id: eventId(masterAgent, this.#epoch, sequence),
      type,
      source: eventSource(masterAgent, undefined),
      agent: masterAgent,
      time: now,
      received: now,
      severity,
      data,
      epoch: this.#epoch,
      sequence,
      ...(subject === undefined ? {} : { subject }),
      ...(cause === undefined ? {} : { cause }),
    };
  }

  #send(events: readonly IncomingEvent[]): void {
    for (let from = 0; from < events.length; from += rowsPerStatement) {
      const rows = events.slice(from, from + rowsPerStatement);
      const sql = `INSERT INTO outbox (sequence, body) VALUES ${rows.map(() => "(?, ?)").join(", ")}`;
      this.#run(sql, ...rows.flatMap((event) => [event.sequence, JSON.stringify(event)]));
    }
  }

  #setting(name: string): string {
    return String(this.#prepare("SELECT value FROM setting WHERE name = ?").get(name)?.["value"]);
  }

  #bodies<T>(sql: string, ...values: SQLInputValue[]): T[] {
    return this.#prepare(sql)
      .all(...values)
      .map((row) => JSON.parse(String(row["body"])) as T);
  }

  #run(sql: string, ...values: SQLInputValue[]): number {
    return Number(this.#prepare(sql).run(...values).changes);
  }

  #prepare(sql: string): ReturnType<DatabaseSync["prepare"]> {
    let statement = this.#statements.get(sql);
    if (statement === undefined) this.#statements.set(sql, (statement = this.#database.connection.prepare(sql)));
    return statement;
  }
}
