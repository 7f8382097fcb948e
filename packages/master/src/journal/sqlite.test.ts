import assert from "node:assert/strict";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { Database } from "../store/database.ts";
import type { IncomingEvent } from "@needfire/shared/event";
import { incoming, temporaryDirectory } from "../fixture.ts";
import { journalConformance } from "./journal.conformance.ts";
import type { EventQuery } from "./journal.ts";
import { JournalWriter } from "./sqlite.ts";
import { SqliteJournalReader } from "./sqlite-reader.ts";

const open = (directory: string) => new JournalWriter(new Database({ file: join(directory, "journal.db"), synchronous: "NORMAL" }));

journalConformance("SQLite", { open, impossible: incoming(9, { type: undefined as unknown as string }) });

function history(t: TestContext, events: IncomingEvent[]) {
  const directory = temporaryDirectory(t);
  const writer = open(directory);
  writer.append(events);
  const reader = new SqliteJournalReader({ file: join(directory, "journal.db") });
  t.after(() => {
    reader.close();
    writer.close();
  });
  const asked = (query: Partial<EventQuery>) => reader.query({ limit: 100, ...query }).map(({ id }) => id);
  return { writer, reader, asked };
}

const some = [
  incoming(1, { agent: "web1", type: "file.changed" }),
  incoming(2, { agent: "web2", type: "file.created" }),
  incoming(3, { agent: "db1", type: "cpu.high", data: { percent: 91 } }),
  incoming(4, { agent: "db1", type: "cpu.high", data: { percent: 99 } }),
  incoming(5, { agent: "db1", type: "cpu.normal", data: {} }),
];

test("a question gets the newest first, and no more than it wants", (t) => {
  const { asked } = history(t, some);
  assert.deepEqual(asked({}), ["db1:e1:5", "db1:e1:4", "db1:e1:3", "web2:e1:2", "web1:e1:1"]);
  assert.deepEqual(asked({ limit: 2 }), ["db1:e1:5", "db1:e1:4"]);
});

test("names and globs choose agents and types", (t) => {
  const { asked } = history(t, some);
  assert.deepEqual(asked({ agent: "web1" }), ["web1:e1:1"]);
  assert.deepEqual(asked({ agent: "web*" }), ["web2:e1:2", "web1:e1:1"]);
  assert.deepEqual(asked({ type: "file.*" }), ["web2:e1:2", "web1:e1:1"]);
  assert.deepEqual(asked({ type: "cpu.high", agent: "{db1,db2}", limit: 1 }), ["db1:e1:4"]);
  assert.deepEqual(asked({ agent: "web" }), []);
});

test("times are of the event, and both ends belong to the range", (t) => {
  const { asked } = history(t, some);
  assert.deepEqual(asked({ since: 2_000, until: 3_000 }), ["db1:e1:3", "web2:e1:2"]);
  assert.deepEqual(asked({ since: 4_001 }), ["db1:e1:5"]);
  assert.deepEqual(asked({ until: 1_000 }), ["web1:e1:1"]);
});

test("a condition chooses by data; where the field is missing it is false; a broken one is refused", (t) => {
  const { asked } = history(t, some);
  assert.deepEqual(asked({ where: "event.data.percent > 95" }), ["db1:e1:4"]);
  assert.deepEqual(asked({ where: 'event.agent == "web1" || event.data.percent > 95' }), ["db1:e1:4", "web1:e1:1"]);
  assert.throws(() => asked({ where: "event.data.percent >" }), { code: "EXPRESSION_INVALID", message: /column/ });
});

test("an event is found by its id, and by what it was caused by, in order; what is no id finds nothing", (t) => {
  const cause = "t-0123456789ab0000.1";
  const { reader } = history(t, [...some, incoming(6, { cause }), incoming(7, { cause }), incoming(8, { cause: `${cause}0` })]);
  assert.equal(reader.get("db1:e1:3")?.type, "cpu.high");
  assert.equal(reader.get("db1:e1:1"), undefined);
  assert.equal(reader.get("' OR 1=1"), undefined);
  assert.deepEqual(
    reader.causedBy(cause, 10).map(({ id }) => id),
    ["web1:e1:6", "web1:e1:7"],
  );
  assert.equal(reader.causedBy(cause, 1).length, 1);
});

test("the reader sees what the writer has committed, without being opened again", (t) => {
  const { writer, reader, asked } = history(t, []);
  assert.equal(reader.count(), 0);
  writer.append(some);
  assert.equal(reader.count(), 5);
  assert.equal(asked({}).length, 5);
});
