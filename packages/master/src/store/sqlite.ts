/**
 * The store in SQLite (WAL). Two classes for two threads: the writer holds P2, one transaction for all that belongs together; the reader
 * answers questions.
 */
import { DatabaseSync, type SQLInputValue } from "node:sqlite";
import type { ExecutionReport } from "@needfire/shared/action";
import { type ExecutionState, executionStates } from "@needfire/shared/api";
import { eventSource, type IncomingEvent } from "@needfire/shared/event";
import { globMatcher } from "@needfire/shared/glob";
import { epochAt, eventId, idKind, masterAgent } from "@needfire/shared/ids";
import { pack, unpack } from "@needfire/shared/pack";
import type { Rollout } from "@needfire/shared/rollout";
import type { StateRow } from "@needfire/shared/rules/types";
import { dueOf, type Effect, type Execution, isOpen, type MasterEventDraft, offersOf, type Task } from "@needfire/shared/task";
import type { MadeTask } from "../per-agent.ts";
import type { Database } from "./database.ts";
import { combinedMigration, RolloutReader, rolloutMigration, RolloutWriter } from "./rollouts.ts";
import { recordMigration, RecordReader, RecordWriter } from "./record.ts";
import type {
  AgentRecord,
  BreakerRow,
  Causing,
  Change,
  Committed,
  DecisionRecord,
  ExecutionRecord,
  FileVersion,
  HostKey,
  HostOnTurn,
  HostRecord,
  KeyRecord,
  Mark,
  OpenExecution,
  ReactorCounts,
  RolloutQuery,
  SilenceRecord,
  Snapshot,
  TaskQuery,
  TasksDue,
  TextlessVersion,
  TokenRecord,
  Writes,
} from "./store.ts";

export const migrations = [
  `CREATE TABLE setting (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
   CREATE TABLE task (
     id TEXT PRIMARY KEY, reactor TEXT NOT NULL, event TEXT NOT NULL, agent TEXT NOT NULL, state TEXT NOT NULL,
     created REAL NOT NULL, updated REAL NOT NULL, body TEXT NOT NULL
   ) STRICT;
   CREATE UNIQUE INDEX task_firing ON task (reactor, event);
   CREATE INDEX task_event ON task (event);
   CREATE INDEX task_created ON task (created);
   CREATE INDEX task_open ON task (state) WHERE state IN ('running', 'verifying');
   CREATE TABLE execution (
     id TEXT PRIMARY KEY, task TEXT NOT NULL, agent TEXT NOT NULL, state TEXT NOT NULL,
     sent REAL, body TEXT NOT NULL, report TEXT
   ) STRICT;
   CREATE INDEX execution_task ON execution (task);
   CREATE INDEX execution_open ON execution (state) WHERE report IS NULL;
   CREATE TABLE outbox (sequence INTEGER PRIMARY KEY AUTOINCREMENT, body TEXT NOT NULL) STRICT;
   CREATE TABLE key (public_key TEXT PRIMARY KEY, body TEXT NOT NULL) STRICT;
   CREATE TABLE token (hash TEXT PRIMARY KEY, body TEXT NOT NULL) STRICT;
   CREATE TABLE agent (id TEXT PRIMARY KEY, body TEXT NOT NULL) STRICT;`,
  `UPDATE agent SET body = json_set(body, '$.presence', json_object('state', 'present', 'since', json_extract(body, '$.lastSeen')));
   UPDATE execution SET body = json_set(body, '$.priority',
     (SELECT json_extract(task.body, '$.priority') FROM task WHERE task.id = execution.task));`,
  `CREATE TABLE rule_state (
     reactor TEXT NOT NULL, key TEXT NOT NULL, shape TEXT NOT NULL, due REAL, body BLOB NOT NULL, PRIMARY KEY (reactor, key)
   ) STRICT;
   UPDATE task SET body = json_patch(
     json_object('branch', 'do', 'labels', json('{}'), 'key', json('[]'), 'events', json_array(event), 'count', 1, 'root', event), body);`,
  recordMigration,
  "ALTER TABLE execution ADD COLUMN epoch TEXT",
  // Tasks with rungs: what there was becomes a ladder of one.
  `ALTER TABLE task ADD COLUMN due REAL;
   ALTER TABLE task ADD COLUMN join_key TEXT;
   ALTER TABLE execution ADD COLUMN stopped INTEGER NOT NULL DEFAULT 0;
   CREATE INDEX task_due ON task (due) WHERE due IS NOT NULL;
   CREATE INDEX task_join ON task (reactor, join_key) WHERE join_key IS NOT NULL;
   DROP INDEX task_open;
   CREATE INDEX task_open ON task (state) WHERE state IN ('running', 'verifying', 'retrying', 'undoing');
   UPDATE execution SET body = json_set(body, '$.rung', 0, '$.attempt', 1),
     stopped = report IS NULL AND task IN (SELECT id FROM task WHERE state = 'cancelled');
   UPDATE task SET body = json_remove(json_set(body,
     '$.rungs', json_array(json_object('steps', json_extract(body, '$.steps'), 'attempts', 1)),
     '$.otherwise', json('[]'), '$.joined', 0, '$.rung', 0, '$.attempt', 1, '$.begun', json_extract(body, '$.started'),
     '$.heard', json('false'), '$.called', 0, '$.attempts', 1, '$.history', json('[]'), '$.leases', json('[]'),
     '$.open', json((SELECT json_group_array(json_object('id', id, 'action', json_extract(execution.body, '$.action')))
       FROM execution WHERE execution.task = task.id AND report IS NULL))), '$.steps');
   UPDATE task SET body = json_set(body, '$.status', json_object('state', 'verifying',
     'verifying', json_object('by', 'action', 'execution', json_extract(body, '$.status.execution')))) WHERE state = 'verifying';
   UPDATE task SET body = json_remove(body, '$.status.execution') WHERE state = 'cancelled';`,
  // Tasks that wait for somebody's word are open.
  `DROP INDEX IF EXISTS task_open;
   CREATE INDEX task_open ON task (state) WHERE state IN ('waiting', 'running', 'verifying', 'retrying', 'undoing');`,
  rolloutMigration,
  "CREATE TABLE breaker (reactor TEXT NOT NULL, key TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (reactor, key)) STRICT",
  // An execution's id begins with its task's; and what is open stays in the index as it is while it goes on.
  `DROP INDEX IF EXISTS execution_task;
   DROP INDEX IF EXISTS execution_open;
   CREATE INDEX execution_open ON execution (task) WHERE report IS NULL;`,
  // Hosts on which a rollout never began were counted as failed.
  "UPDATE rollout SET body = json_set(body, '$.expired', 0, '$.verified', 0)",
  combinedMigration,
] as const;

/** No number is given twice, although events leave the outbox. */
const lastEmittedSql = `SELECT max(ifnull((SELECT seq FROM sqlite_sequence WHERE name = 'outbox'), 0),
  ifnull((SELECT max(sequence) FROM outbox), 0)) AS last`;
/** Rows that one statement inserts. */
const rowsPerStatement = 25;
/** Of a task, by the index of ids: `/` comes after `.`. */
const executionsOfTask = "id > ?1 || '.' AND id < ?1 || '/'";

/** As the index of them says. */
const isOpenSql = "state IN ('waiting', 'running', 'verifying', 'retrying', 'undoing')";

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
      offers: this.#bodies<Task>("SELECT body FROM task WHERE due IS NOT NULL AND body ->> '$.leases' <> '[]'").flatMap(offersOf),
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

  failedHosts(rollout: Rollout): HostOnTurn[] {
    return this.#rollouts.failedHosts(rollout);
  }

  /** Removes rollouts that ended before a time. Returns how many. */
  forgetRollouts(before: number, limit: number): number {
    return this.#database.transaction(() => this.#rollouts.forget(before, limit));
  }

  lockingTasks(): Task[] {
    const isAtWork = `(${isOpenSql} OR id IN (SELECT task FROM execution WHERE report IS NULL))`;
    return this.#bodies<Task>(`SELECT body FROM task WHERE ${isAtWork} AND json_extract(body, '$.lock') IS NOT NULL`);
  }

  tasksMade(reactors: readonly string[], since: number): MadeTask[] {
    const sql = `SELECT reactor, agent, created FROM task WHERE created > ? AND reactor IN (SELECT value FROM json_each(?))
      AND state <> 'planned' AND json_extract(body, '$.branch') = 'do'
      AND (rollout IS NULL OR json_array_length(body, '$.rungs') > 0) ORDER BY created`;
    return this.#prepare(sql)
      .all(since, JSON.stringify(reactors))
      .map(({ reactor, agent, created }) => ({ reactor: String(reactor), agent: String(agent), created: Number(created) }));
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
    for (const mark of joined(marks)) this.#mark(mark);
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

/** What the marks of one execution come to. */
interface JoinedMarks {
  execution: string;
  isAccepted: boolean;
  sentAt: number | undefined;
  epoch: string | undefined;
}

/** Of each execution one, which says when it was sent first. */
function joined(marks: readonly Mark[]): Iterable<JoinedMarks> {
  const found = new Map<string, JoinedMarks>();
  for (const { execution, state, at, epoch } of marks) {
    const one = found.get(execution) ?? { execution, isAccepted: false, sentAt: undefined, epoch: undefined };
    found.set(execution, one);
    if (state === "accepted") {
      one.isAccepted = true;
      continue;
    }
    one.sentAt ??= at;
    one.epoch ??= epoch;
  }
  return found.values();
}

function bodyOf<T>(row: Record<string, unknown>): T {
  return JSON.parse(String(row["body"])) as T;
}

function stateOf(value: unknown): ExecutionState {
  return executionStates.find((state) => state === value) ?? "queued";
}
