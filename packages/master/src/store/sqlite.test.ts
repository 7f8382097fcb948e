import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { Database } from "./database.ts";
import { temporaryDirectory } from "../fixture.ts";
import { SqliteStoreReader, StoreWriter } from "./sqlite.ts";
import { someExecution, someTask, storeConformance } from "./store.conformance.ts";

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

test("history lists tasks newest first, by agent, reactor and state, and an event's tasks with their executions in order", (t) => {
  const directory = temporaryDirectory(t);
  const writer = open(directory);
  const reader = new SqliteStoreReader({ file: file(directory) });
  t.after(() => {
    reader.close();
    writer.close();
  });
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
  const directory = temporaryDirectory(t);
  const writer = open(directory);
  const reader = new SqliteStoreReader({ file: file(directory) });
  t.after(() => {
    reader.close();
    writer.close();
  });
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
