import assert from "node:assert/strict";
import { join } from "node:path";
import { stepTask, type Task } from "@needfire/shared/task";
import { test, type TestContext } from "node:test";
import { Database } from "./database.ts";
import { temporaryDirectory } from "../fixture.ts";
import { migrations } from "./migrations.ts";
import { SqliteStoreReader } from "./sqlite-reader.ts";
import { StoreWriter } from "./sqlite.ts";
import { someExecution, someRollout, someTask, storeConformance } from "./store.conformance.ts";

const file = (directory: string) => join(directory, "store.db");
const open = (directory: string) =>
  new StoreWriter(new Database({ file: file(directory), synchronous: "NORMAL" }), { now: 1_700_000_000_000 });

storeConformance("SQLite", {
  open,
  executions: (directory, task) => {
    const reader = new SqliteStoreReader({ file: file(directory) });
    try {
      return reader.executions(task);
    } finally {
      reader.close();
    }
  },
});

function opened(t: TestContext) {
  const directory = temporaryDirectory(t);
  const writer = open(directory);
  const reader = new SqliteStoreReader({ file: file(directory) });
  t.after(() => {
    reader.close();
    writer.close();
  });
  return { writer, reader };
}

test("history lists tasks newest first, by agent, reactor and state, and an event's tasks with their executions in order", (t) => {
  const { writer, reader } = opened(t);
  const tasks = [
    { ...someTask("web1:e1:1"), created: 1 },
    { ...someTask("web1:e1:2", { state: "resolved", verified: true }), created: 3 },
    { ...someTask("db1:e1:1"), agent: "db1", created: 2 },
  ];
  const effects = [1, 2, 10].map((number) => ({ kind: "execute" as const, execution: someExecution(tasks[0]!, number) }));
  writer.commitAll([{ now: 1, changes: tasks.map((task, index) => ({ isNew: true, task, effects: index === 0 ? effects : [] })) }]);
  const ids = (query: Parameters<typeof reader.tasks>[0]) => reader.tasks(query).map(({ event }) => event);
  assert.deepEqual(ids({ limit: 10 }), ["web1:e1:2", "db1:e1:1", "web1:e1:1"]);
  assert.deepEqual(ids({ limit: 1 }), ["web1:e1:2"]);
  assert.deepEqual(ids({ agent: "web*", limit: 10 }), ["web1:e1:2", "web1:e1:1"]);
  assert.deepEqual(ids({ state: "running", limit: 1 }), ["db1:e1:1"]);
  assert.deepEqual(ids({ reactor: "nothing", limit: 10 }), []);
  assert.deepEqual(reader.tasksOfEvent("db1:e1:1"), [tasks[2]]);
  assert.deepEqual(
    reader.executions(tasks[0]!.id).map(({ id }) => id.split(".")[1]),
    ["1", "2", "10"],
  );
  assert.equal(reader.countTasks(), 3);
});

test("tasks that ended before a time go with their executions, oldest first; what is open stays, however old", (t) => {
  const { writer, reader } = opened(t);
  const resolved = { state: "resolved", verified: true } as const;
  const made = (number: number, status?: Parameters<typeof someTask>[1], updated = number) => {
    const task = { ...someTask(`web1:e1:${number}`, status), created: number, updated };
    return { isNew: true, task, effects: [{ kind: "execute" as const, execution: someExecution(task) }] };
  };
  const changes = [
    made(1, resolved),
    made(2),
    made(3, resolved),
    made(4, resolved),
    made(5, resolved, 20),
    made(6, resolved),
    made(11, resolved),
  ];
  writer.commitAll([{ now: 1, changes }]);
  // All have their report but number 3, whose command may still run somewhere.
  const reports = [1, 2, 4, 5, 6, 11].map((number) => {
    const { id: execution, action } = someExecution(someTask(`web1:e1:${number}`));
    return { kind: "record" as const, report: { execution, action, outcome: "succeeded" as const, changed: true, started: 1, ended: 2 } };
  });
  writer.commitAll([{ now: 1, changes: [{ isNew: false, task: changes[0]!.task, effects: reports }] }]);
  const left = () => reader.tasks({ limit: 10 }).map(({ created }) => created);
  assert.equal(writer.forgetTasks(10, 2), 2);
  assert.deepEqual(left(), [11, 6, 5, 3, 2]);
  assert.equal(writer.forgetTasks(10, 2), 1);
  assert.equal(writer.forgetTasks(10, 2), 0);
  assert.deepEqual(left(), [11, 5, 3, 2]);
  assert.deepEqual(reader.executions(changes[0]!.task.id), []);
  assert.equal(reader.executions(changes[1]!.task.id).length, 1);
});

test("rollouts that ended before a time are forgotten with their hosts, those that go on are not", (t) => {
  const { writer, reader } = opened(t);
  const made = (number: number, state: "done" | "running") => {
    const rollout = { ...someRollout(`web1:e1:${number}`, 1), status: { state }, created: number, updated: number };
    const hosts = [{ agent: "web1", task: "t-0", plan: 0 }];
    return { rollout, events: [], begins: { hosts, plans: [{ ok: false as const, reason: "no" }] } };
  };
  const rollouts = [made(1, "done"), made(2, "running"), made(11, "done")];
  writer.commitAll([{ now: 1, rollouts }]);
  assert.equal(writer.forgetRollouts(10, 5), 1);
  assert.deepEqual(
    reader.rollouts({ limit: 10 }).map(({ created }) => created),
    [11, 2],
  );
  assert.deepEqual(
    rollouts.map(({ rollout }) => reader.rolloutHosts(rollout.id).length),
    [0, 1, 1],
  );
});

test("a store from before ladders goes on: its open tasks are of one rung, and end with what is reported of their commands", (t) => {
  const directory = temporaryDirectory(t);
  const old = new Database({ file: file(directory), synchronous: "NORMAL" });
  old.migrate("store", migrations.slice(0, 5));
  const step = { action: "file.restore", args: { path: "/a" } };
  const states = { running: "running", verifying: "verifying", cancelled: "cancelled" };
  for (const [event, state] of Object.entries(states)) {
    const {
      reactor,
      reactorVersion,
      branch,
      owner,
      labels,
      runbook,
      key,
      events,
      count,
      agent,
      subject,
      priority,
      ancestry,
      root,
      created,
      updated,
      id,
    } = someTask(event);
    const who = { id, reactor, reactorVersion, branch, owner, labels, runbook, agent, subject, priority };
    const rest = { ...who, key, event, events, count, ancestry, root, created, updated };
    const number = state === "verifying" ? 2 : 1;
    const { rung: _rung, attempt: _attempt, ...execution } = someExecution(someTask(event), number);
    const told = state === "cancelled" ? { reason: "no", by: "ann" } : {};
    const body = { ...rest, steps: [step], started: number, status: { state, ...told, execution: execution.id } };
    old.connection
      .prepare("INSERT INTO task (id, reactor, event, agent, state, created, updated, body) VALUES (?, 'tidy', ?, 'web1', ?, 1, 1, ?)")
      .run(body.id, event, state, JSON.stringify(body));
    old.connection
      .prepare("INSERT INTO execution (id, task, agent, state, body) VALUES (?, ?, 'web1', 'sent', ?)")
      .run(execution.id, body.id, JSON.stringify(execution));
  }
  old.close();
  const writer = open(directory);
  t.after(() => writer.close());
  const { openTasks, openExecutions } = writer.load();
  assert.deepEqual(openExecutions.filter(({ cancelled }) => cancelled).length, 1);
  const ends = openTasks.map((task) => {
    assert.deepEqual(task.rungs[0]!.steps, [step]);
    const ended = (at: Task) => {
      const { id, action } = at.open[0]!;
      const report = { execution: id, action, outcome: "succeeded" as const, changed: true, started: 1, ended: 2 };
      return stepTask(at, { kind: "report", report }, { now: 9, random: 0 }).task;
    };
    const first = ended(task);
    return (first.open.length > 0 ? ended(first) : first).status;
  });
  assert.deepEqual(
    ends.toSorted((a, b) => a.state.localeCompare(b.state)),
    [
      { state: "cancelled", reason: "no", by: "ann" },
      { state: "resolved", verified: true },
      { state: "resolved", verified: true },
    ],
  );
});
