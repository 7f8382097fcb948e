import assert from "node:assert/strict";
import { test } from "node:test";
import { temporaryDirectory } from "../fixture.ts";
import { journalConformance } from "./journal.conformance.ts";
import { Database } from "../store/database.ts";
import { batch, databaseFile, numbered, openWriter } from "./journal-fixture.ts";

const impossible = numbered(9, { type: undefined as unknown as string });

journalConformance("SQLite", { open: (directory) => openWriter(directory), impossible });
// A partition for every three events: whatever happens, happens across partitions.
journalConformance("SQLite, in small partitions", { open: (directory) => openWriter(directory, { partitionEventsMax: 3 }), impossible });

// Marks are read again and again.
journalConformance("SQLite, with one origin in memory", { open: (directory) => openWriter(directory, { heldMax: 1 }), impossible });

test("a full partition is closed, and the catalogue knows its positions and times", (t) => {
  const writer = openWriter(temporaryDirectory(t), { partitionEventsMax: 2 });
  writer.append([batch([numbered(1, { time: 50 }), numbered(2, { time: 20 })], { received: 70 })]);
  writer.append([batch([3], { received: 80 })]);
  const [closed, live] = writer.partitions();
  const { bytes, ...rest } = closed!;
  assert.deepEqual(rest, {
    number: 1,
    state: "closed",
    first: 1,
    last: 2,
    events: 2,
    timeMin: 20,
    timeMax: 50,
    receivedMin: 70,
    receivedMax: 70,
    damage: undefined,
  });
  assert.ok(bytes > 0);
  assert.deepEqual([live?.number, live?.state, live?.first, live?.last], [2, "live", 3, 3]);
  writer.close();
});

test("a partition is closed after a day, however few events it has; an empty one is not", (t) => {
  const writer = openWriter(temporaryDirectory(t));
  const day = 86_400_000;
  writer.append([batch([1], { received: 10 * day })]);
  writer.append([batch([2], { received: 11 * day })]);
  assert.equal(writer.partitions().length, 1);
  writer.append([batch([3], { received: 11 * day + 1 })]);
  assert.deepEqual(
    writer.partitions().map(({ first, last }) => [first, last]),
    [
      [1, 2],
      [3, 3],
    ],
  );
  writer.close();
});

test("what is known of the live partition is the same after it is opened again", (t) => {
  const directory = temporaryDirectory(t);
  const before = openWriter(directory, { partitionEventsMax: 2 });
  before.append([batch([1, 2, 3], { received: 70 }), batch([4], { received: 90 })]);
  const partitions = structuredClone(before.partitions());
  before.close();
  const after = openWriter(directory);
  assert.deepEqual(after.partitions(), partitions);
  after.close();
});

test("a journal of before partitions keeps its events, their positions and what it knew of repetitions", (t) => {
  const directory = temporaryDirectory(t);
  const database = new Database({ file: databaseFile(directory), synchronous: "NORMAL" });
  const before = `CREATE TABLE event (
    position INTEGER PRIMARY KEY,
    agent TEXT NOT NULL, epoch TEXT NOT NULL, sequence INTEGER NOT NULL,
    type TEXT NOT NULL, source TEXT NOT NULL, subject TEXT, time REAL NOT NULL, received REAL NOT NULL,
    severity TEXT NOT NULL, beacon TEXT, cause TEXT, data TEXT NOT NULL
  ) STRICT`;
  database.migrate("journal", [before]);
  const insert = database.connection.prepare("INSERT INTO event VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
  const source = "/agents/web1/beacons/etc";
  insert.run(3, "web1", "e1", 7, "file.changed", source, "/etc/motd", 5.5, 6.25, "high", "etc", null, '{"n":7,"text":"ä"}');
  insert.run(4, "db1", "e2", 2, "cpu.high", "/agents/db1", null, 7, 8, "low", null, "t-0123456789ab0000.1", "{}");
  database.close();

  const writer = openWriter(directory);
  assert.deepEqual(writer.read(0, 10), [
    {
      position: 3,
      id: "web1:e1:7",
      type: "file.changed",
      source,
      agent: "web1",
      subject: "/etc/motd",
      time: 5.5,
      received: 6.25,
      severity: "high",
      beacon: "etc",
      data: { n: 7, text: "ä" },
    },
    {
      position: 4,
      id: "db1:e2:2",
      type: "cpu.high",
      source: "/agents/db1",
      agent: "db1",
      time: 7,
      received: 8,
      severity: "low",
      cause: "t-0123456789ab0000.1",
      data: {},
    },
  ]);
  assert.deepEqual(writer.append([batch([7, 8]), batch([1, 2], { agent: "db1", epoch: "e2", lane: "critical" })]), [
    { skipped: 1, position: 5 },
    { skipped: 2, position: 6 },
  ]);
  writer.close();
});
