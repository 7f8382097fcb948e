import assert from "node:assert/strict";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { temporaryDirectory } from "../fixture.ts";
import { Database } from "./database.ts";
import { versionsPerFileMax } from "./record.ts";
import { SqliteStoreReader } from "./sqlite-reader.ts";
import { StoreWriter } from "./sqlite.ts";
import { someTask } from "./store.conformance.ts";
import type { DecisionRecord, ReactorCounts, Writes } from "./store.ts";

function opened(t: TestContext, { decisionRowsMax = 1_000 } = {}) {
  const file = join(temporaryDirectory(t), "store.db");
  const open = () => new StoreWriter(new Database({ file, synchronous: "NORMAL" }), { now: 1, decisionRowsMax });
  let writer = open();
  const reader = new SqliteStoreReader({ file });
  t.after(() => {
    reader.close();
    writer.close();
  });
  return {
    reader,
    write: (writes: Omit<Writes, "now">, now = 1) => writer.commitAll([{ now, ...writes }])[0]!,
    get writer() {
      return writer;
    },
    restart: () => {
      writer.close();
      writer = open();
    },
  };
}

const decision = (number: number, given: Partial<DecisionRecord> = {}): DecisionRecord => ({
  event: `web1:e1:${number}`,
  reactor: "tidy",
  version: "v1",
  at: number,
  reason: "waiting",
  detail: `number ${number}`,
  until: undefined,
  task: undefined,
  ...given,
});

test("P5: what was decided on an event is told in order, as it was", (t) => {
  const { write, reader } = opened(t);
  const first = decision(1, { reason: "throttled", until: 12.5 });
  const second = decision(1, { reactor: "other", reason: "fired", task: "t-1" });
  write({ decisions: [first, decision(2), second] });
  assert.deepEqual(reader.decisionsOn("web1:e1:1"), [first, second]);
  assert.deepEqual(reader.decisionsOn("web1:e1:3"), []);
});

test("P4: more decisions than may be kept push out the oldest, over a restart, too, and how many is said", (t) => {
  const opening = opened(t, { decisionRowsMax: 3 });
  const { write, reader } = opening;
  assert.equal(write({ decisions: [1, 2, 3].map((number) => decision(number)) }).decisionsDropped, 0);
  assert.equal(write({ decisions: [decision(4), decision(5)] }).decisionsDropped, 2);
  opening.restart();
  assert.equal(write({ decisions: [decision(6)] }).decisionsDropped, 1);
  const kept = [1, 2, 3, 4, 5, 6].filter((number) => reader.decisionsOn(`web1:e1:${number}`).length > 0);
  assert.deepEqual(kept, [4, 5, 6]);
});

test("decisions go with the events that they are about, some at a time", (t) => {
  const { write, reader, writer } = opened(t);
  write({ decisions: [1, 2, 3, 4].map((number) => decision(number)) });
  assert.deepEqual([writer.forgetDecisions(4, 2), writer.forgetDecisions(4, 2), writer.forgetDecisions(4, 2)], [2, 1, 0]);
  assert.equal(reader.decisionsOn("web1:e1:4").length, 1);
});

test("a detail that a host made long is cut", (t) => {
  const { write, reader } = opened(t);
  write({ decisions: [decision(1, { detail: "x".repeat(5_000) })] });
  assert.equal(reader.decisionsOn("web1:e1:1")[0]!.detail.length, 1_000);
});

test("what a reactor did adds up", (t) => {
  const { write, reader } = opened(t);
  const counts: ReactorCounts = { reactor: "tidy", firings: 2, throttled: 1, unrecorded: 0, last: 7, sampled: 1, sampledMs: 0.5 };
  write({ counts: [counts] });
  write({ counts: [{ ...counts, firings: 0, last: undefined, unrecorded: 4 }] });
  assert.deepEqual(reader.reactorCounts(), [{ ...counts, throttled: 2, unrecorded: 4, sampled: 2, sampledMs: 1 }]);
});

test("a version is kept once for each time that it came into force, and so is its end", (t) => {
  const { write, reader } = opened(t);
  const version = (text: string, name = "tidy") => ({ file: "a.yaml", text, reactors: text === "" ? {} : { [name]: `of ${text}` } });
  write({ versions: [version("")] }, 1);
  assert.deepEqual(reader.versionsOf("tidy"), [], "nothing comes to an end that never was");
  for (const [now, text] of ["one", "one", "two", "one", ""].entries()) write({ versions: [version(text)] }, now + 10);
  write({ versions: [{ file: "b.yaml", text: "b", reactors: { other: "1" } }] }, 20);
  assert.deepEqual(
    reader.versionsOf("tidy").map(({ text, since }) => [text, since]),
    [
      ["", 14],
      ["one", 13],
      ["two", 12],
      ["one", 10],
    ],
  );
  assert.equal(reader.versionsAt(9), undefined, "that is not known");
  assert.deepEqual(
    reader.versionsAt(12)!.map(({ number }) => reader.versionText(number)),
    ["two"],
  );
  assert.deepEqual(
    reader.versionsAt(30)!.map(({ number }) => reader.versionText(number)),
    ["", "b"],
  );
});

test("of a file only the newest versions are kept", (t) => {
  const { write, reader } = opened(t);
  for (let number = 1; number <= versionsPerFileMax + 3; number++)
    write({ versions: [{ file: "a.yaml", text: String(number), reactors: { tidy: String(number) } }] }, number);
  const kept = reader.versionsOf("tidy");
  assert.deepEqual([kept.length, kept[0]!.text, kept.at(-1)!.text], [versionsPerFileMax, String(versionsPerFileMax + 3), "4"]);
});

test("a file that is gone is forgotten with the events of its time, and one that came back is not", (t) => {
  const { write, reader, writer } = opened(t);
  const gone = (file: string) => ({ file, text: "", reactors: {} });
  write(
    {
      versions: [
        { file: "a.yaml", text: "a", reactors: { a: "1" } },
        { file: "b.yaml", text: "b", reactors: { b: "1" } },
      ],
    },
    1,
  );
  write({ versions: [gone("a.yaml"), gone("b.yaml")] }, 5);
  write({ versions: [{ file: "b.yaml", text: "b", reactors: { b: "1" } }] }, 6);
  assert.equal(writer.forgetVersions(5), 0);
  assert.equal(writer.forgetVersions(7), 2);
  assert.deepEqual([reader.versionsOf("a").length, reader.versionsOf("b").length], [0, 3]);
});

test("what was in force before the versions that are kept of a file is not known, though other files go further back", (t) => {
  const { write, reader } = opened(t);
  write({ versions: [{ file: "b.yaml", text: "b", reactors: { other: "1" } }] }, 1);
  for (let number = 1; number <= versionsPerFileMax + 3; number++)
    write({ versions: [{ file: "a.yaml", text: String(number), reactors: { tidy: String(number) } }] }, number);
  assert.equal(reader.versionsAt(3), undefined);
  assert.deepEqual(
    reader.versionsAt(4)?.map(({ file }) => file),
    ["b.yaml", "a.yaml"],
  );
});

test("the task is found into which an event went, and the last one of a key", (t) => {
  const { write, reader } = opened(t);
  const first = { ...someTask("web1:e1:2"), events: ["web1:e1:1", "web1:e1:2"], key: ["eth0"], created: 10 };
  const second = { ...someTask("web1:e1:3"), key: ["eth0"], created: 20 };
  write({ changes: [first, second].map((task) => ({ isNew: true, task, effects: [] })) });
  assert.equal(reader.taskWith("tidy", "web1:e1:1", 5), first.id);
  assert.equal(reader.taskWith("tidy", "web1:e1:1", 15), undefined);
  assert.equal(reader.taskOfKey("tidy", ["eth0"], 15), first.id);
  assert.equal(reader.taskOfKey("tidy", ["eth0"], 25), second.id);
  assert.equal(reader.taskOfKey("tidy", ["eth1"], 25), undefined);
});
