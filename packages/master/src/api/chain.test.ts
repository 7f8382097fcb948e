import assert from "node:assert/strict";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { Database } from "../store/database.ts";
import type { ExecutionReport } from "@needfire/shared/action";
import { executionId, taskId } from "@needfire/shared/ids";
import type { Task } from "@needfire/shared/task";
import { temporaryDirectory } from "../fixture.ts";
import { batch, numbered } from "../journal/journal-fixture.ts";
import { JournalWriter } from "../journal/sqlite.ts";
import { StoreWriter } from "../store/sqlite.ts";
import { someExecution, someTask } from "../store/store.conformance.ts";
import type { Remote } from "../thread.ts";
import { type History, open } from "../worker-history.ts";
import { causalChain } from "./chain.ts";

/** History over a real journal and store, asked without a thread: awaiting a value gives the value. */
function setting(t: TestContext) {
  const directory = temporaryDirectory(t);
  const files = { file: join(directory, "master.db") };
  const database = new Database({ ...files, synchronous: "NORMAL" });
  const journal = new JournalWriter(database);
  const store = new StoreWriter(database, { now: 1 });
  const history = open({ ...files, nonce: "" }, () => {});
  t.after(() => {
    history.close();
    journal.close();
    store.close();
  });
  const chain = async (id: string) => {
    const event = history.get(id);
    assert.ok(event);
    return causalChain(history as unknown as Remote<History>, event);
  };
  return { journal, store, chain };
}

const root = "web1:e1:1";
const task: Task = { ...someTask(root, { state: "resolved", verified: true }), created: 1_001 };
const execution = { ...someExecution(task), created: 1_002 };
const report: ExecutionReport = {
  execution: execution.id,
  action: "file.restore",
  outcome: "succeeded",
  changed: true,
  started: 1_003,
  ended: 1_004,
};

const story = [
  numbered(1, { type: "file.drifted", subject: "/a", time: 1_000, data: { changes: ["content", "mode"] } }),
  numbered(2, { type: "execution.finished", time: 1_004, cause: execution.id, data: { outcome: "succeeded" } }),
  numbered(3, { type: "task.resolved", time: 1_005, cause: task.id, data: { reason: "done" } }),
  numbered(4, { type: "app.reloaded", time: 1_006, cause: execution.id, data: {} }),
  numbered(5, { type: "unrelated.event", time: 1_007 }),
];

function told(s: ReturnType<typeof setting>) {
  s.journal.append([batch(story)]);
  s.store.commitAll([
    {
      now: 1,
      changes: [
        { isNew: true, task, effects: [{ kind: "execute", execution }] },
        { isNew: false, task, effects: [{ kind: "record", report }] },
      ],
    },
  ]);
}

test("a chain goes from the first cause through task, execution and result, whichever link was asked for", async (t) => {
  const s = setting(t);
  told(s);
  for (const asked of [root, "web1:e1:2", "web1:e1:3", "web1:e1:4"]) {
    const { chain, cut } = await s.chain(asked);
    assert.deepEqual(
      chain.map(({ depth, kind, title, detail }) => `${depth} ${kind} ${title}: ${detail}`),
      [
        "0 event file.drifted /a: content, mode",
        "1 task task of tidy: resolved, verified",
        "2 execution file.restore on web1: succeeded, changed",
        "3 event execution.finished: succeeded",
        "3 event app.reloaded: ",
        "2 event task.resolved: done",
      ],
    );
    assert.deepEqual(
      chain.filter((link) => link.asked).map(({ id }) => id),
      [asked],
    );
    assert.equal(cut, false);
  }
});

test("an event of which nothing came and that came of nothing is a chain of itself", async (t) => {
  const s = setting(t);
  told(s);
  const { chain } = await s.chain("web1:e1:5");
  assert.deepEqual(
    chain.map(({ id }) => id),
    ["web1:e1:5"],
  );
});

test("a chain ends where a cause is not known, and says when it is cut", async (t) => {
  const s = setting(t);
  const gone = executionId(taskId("gone", "x"), 1);
  const effects = Array.from({ length: 150 }, (_value, index) => numbered(index + 2, { cause: root }));
  s.journal.append([batch([numbered(1, { cause: gone }), ...effects])]);
  const { chain, cut } = await s.chain(root);
  assert.equal(chain[0]?.id, root);
  assert.equal(cut, true);
  assert.ok(chain.length > 50 && chain.length < 150);
});
