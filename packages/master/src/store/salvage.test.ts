import assert from "node:assert/strict";
import { cpSync, existsSync, openSync, readdirSync, readFileSync, renameSync, statSync, truncateSync, writeSync, closeSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test, type TestContext } from "node:test";
import fc from "fast-check";
import type { Event } from "@needfire/shared/event";
import { somePublicKey, temporaryDirectory } from "../fixture.ts";
import { batch, databaseFile, numbered } from "../journal/journal-fixture.ts";
import { seal } from "../journal/seal.ts";
import { SqliteJournalReader } from "../journal/sqlite-reader.ts";
import { JournalWriter } from "../journal/sqlite.ts";
import { Database } from "./database.ts";
import { damageEvents } from "./salvage.ts";
import { StoreWriter } from "./sqlite.ts";

const pageBytes = 16_384;

function openAll(directory: string) {
  const database = new Database({ file: databaseFile(directory), synchronous: "NORMAL" });
  const store = new StoreWriter(database, { now: 1 });
  const journal = new JournalWriter(database, { partitionEventsMax: 100 });
  return { database, store, journal };
}

/** A master that has been running for a while: two partitions are sealed, one is closed, one is live. */
function lived(t: TestContext) {
  const directory = temporaryDirectory(t);
  const { database, store, journal } = openAll(directory);
  const text = "x".repeat(300);
  for (let number = 1; number <= 350; number++)
    journal.append([batch([numbered(number, { data: { n: number, text } })], { received: number })]);
  for (const partition of journal.partitions().slice(0, 2))
    journal.markSealed(partition.number, seal({ database: database.file, partition }));
  const keys = Array.from({ length: 40 }, (_value, index) => ({
    id: `web${index}`,
    publicKey: somePublicKey(),
    state: "accepted" as const,
    labels: {},
    firstSeen: 1,
    changed: 1,
    by: "cli" as const,
  }));
  store.commitAll([{ now: 1, cursor: 300, keys, events: [{ type: "test.told", severity: "low", data: {} }] }]);
  const events = journal.read(0, 1_000);
  database.close();
  return { directory, events, keys };
}

function damagePage(file: string, page: number, fill = 0xa5): void {
  const descriptor = openSync(file, "r+");
  writeSync(descriptor, Buffer.alloc(pageBytes, fill), 0, pageBytes, (page - 1) * pageBytes);
  closeSync(descriptor);
}

const pagesOf = (file: string) => statSync(file).size / pageBytes;

/** Opens what was damaged, asks and appends; returns what is left. */
function assertUsable(directory: string, before: readonly Event[]): { kept: Event[]; damaged: boolean; cursor: number; keys: number } {
  const { database, store, journal } = openAll(directory);
  const { damage } = database;
  const kept = journal.read(0, 1_000);
  for (const event of kept) {
    const original = before.find(({ position }) => position === event.position);
    if (event.agent.startsWith("lost-")) assert.deepEqual(event.data, original?.data);
    else assert.deepEqual(event, original, "no event is made up");
  }
  assert.ok(kept.filter(({ position }) => position <= 200).length === 200, "what is sealed is all there");
  const { cursor, keys } = store.load();
  const [placed] = journal.append([batch([1], { agent: "new" })]);
  assert.ok(placed!.position > 350, "no position is given out twice");
  const reader = new SqliteJournalReader({ file: database.file });
  assert.deepEqual(
    reader.query({ limit: 1_000 }).map(({ position }) => position),
    [...kept.map(({ position }) => position), placed!.position].toReversed(),
  );
  assert.equal(reader.count(), kept.length + 1);
  reader.close();
  // What was salvaged can be sealed like any other.
  for (const partition of journal.partitions().filter(({ state }) => state === "closed"))
    journal.markSealed(partition.number, seal({ database: database.file, partition }));
  assert.equal(journal.read(0, 1_000).length, kept.length + 1);
  database.forgetDamage();
  database.close();
  const again = openAll(directory);
  assert.equal(again.database.damage, undefined, "it is told of once, and sound now");
  assert.equal(again.journal.read(0, 1_000).length, kept.length + 1);
  again.database.close();
  return { kept, damaged: damage !== undefined, cursor, keys: keys.length };
}

test("a sound database is left as it is", (t) => {
  const { directory, events, keys } = lived(t);
  const left = assertUsable(directory, events);
  assert.deepEqual([left.kept.length, left.damaged, left.cursor, left.keys], [350, false, 300, keys.length]);
});

test("whatever page is damaged, what can be read is kept, and the master goes on", (t) => {
  const { directory, events, keys } = lived(t);
  const pages = pagesOf(databaseFile(directory));
  let salvaged = 0;
  fc.assert(
    fc.property(fc.integer({ min: 2, max: pages }), fc.constantFrom(0, 0xa5, 0xff), (page, fill) => {
      const copy = temporaryDirectory(t);
      cpSync(directory, copy, { recursive: true });
      damagePage(databaseFile(copy), page, fill);
      const left = assertUsable(copy, events);
      if (left.damaged) salvaged++;
      assert.ok(left.cursor === 300 || left.cursor >= 350, "what was judged is not judged again");
      assert.ok(left.kept.length >= 200 && left.keys <= keys.length);
    }),
    { numRuns: 12 },
  );
  assert.ok(salvaged > 2, `${salvaged} were noticed`);
});

test("a damaged page of events costs the events on it, and no others; the damaged file is set aside and told of", (t) => {
  const { directory, events, keys } = lived(t);
  const file = databaseFile(directory);
  const connection = new DatabaseSync(file, { readOnly: true });
  const page = connection.prepare("SELECT pageno, ncell FROM dbstat WHERE name = 'event_3' AND pagetype = 'leaf' LIMIT 1 OFFSET 2").get();
  connection.close();
  damagePage(file, Number(page?.["pageno"]));
  const { database, journal } = openAll(directory);
  const [told] = damageEvents(database.damage!);
  assert.ok(told !== undefined);
  assert.equal(told.type, "journal.damaged");
  assert.match(String(told.subject), /master\.db\.damaged-[0-9]{8}T[0-9]{6}Z$/);
  assert.deepEqual(told.data["incomplete"], ["event_3"]);
  assert.equal((told.data["kept"] as Record<string, number>)["key"], keys.length);
  const left = journal.read(0, 1_000).length;
  assert.equal(events.length - left, Number(page?.["ncell"]));
  assert.ok(readdirSync(directory).some((name) => name.startsWith("master.db.damaged-")));
  database.close();
  assertUsable(directory, events);
});

test("P2: after damage it is certain of no command that it never went out, since its mark may be lost", (t) => {
  const { directory } = lived(t);
  const file = databaseFile(directory);
  const { database, store } = openAll(directory);
  const presence = { state: "lost", since: 5 } as const;
  const agent = { id: "web1", facts: {}, labels: { site: "north" }, lastSeen: 5, presence, epoch: "e1" };
  store.commitAll([{ now: 1, agents: [{ ...agent, settled: true }] }]);
  database.close();
  const connection = new DatabaseSync(file, { readOnly: true });
  const page = connection.prepare("SELECT pageno FROM dbstat WHERE name = 'event_3' AND pagetype = 'leaf' LIMIT 1").get()?.["pageno"];
  connection.close();
  assert.deepEqual(openedAgents(directory), [{ ...agent, settled: true }]);
  damagePage(file, Number(page));
  assert.deepEqual(openedAgents(directory), [agent]);
});

function openedAgents(directory: string) {
  const { database, store } = openAll(directory);
  const { agents } = store.load();
  database.close();
  return agents;
}

test("P4: damage that nobody had been told of when there was more of it is told with it, and each file is kept", (t) => {
  const { directory, events } = lived(t);
  const file = databaseFile(directory);
  const damageLeaf = (table: string) => {
    const connection = new DatabaseSync(file, { readOnly: true });
    const page = connection.prepare("SELECT pageno FROM dbstat WHERE name = ? AND pagetype = 'leaf' LIMIT 1").get(table)?.["pageno"];
    connection.close();
    assert.ok(page !== undefined);
    damagePage(file, Number(page));
  };
  for (const table of ["event_4", "event_3"]) {
    damageLeaf(table);
    openAll(directory).database.close();
  }
  damageLeaf("key");
  const { database } = openAll(directory);
  const told = damageEvents(database.damage!);
  assert.deepEqual(
    told.map(({ data }) => data["incomplete"]),
    [["event_4"], ["event_3"], ["key"]],
  );
  assert.equal(new Set(told.map(({ subject }) => subject)).size, 3);
  assert.ok(told.every(({ subject }) => existsSync(subject!)));
  database.close();
  assertUsable(directory, events);
});

test("of a file that is no database at all nothing is kept, but sealed partitions are found again", (t) => {
  const { directory, events } = lived(t);
  damagePage(databaseFile(directory), 1);
  const { database, store, journal } = openAll(directory);
  assert.equal(journal.read(0, 1_000).length, 200);
  assert.ok(store.load().cursor >= 350, "sealed events are not judged anew");
  assert.equal(journal.last("web1", "e1", "normal"), 350, "what their files know of repetitions is known again");
  database.close();
  assertUsable(directory, events);
});

test("a crash while the damaged database is set aside is taken up at the next start", (t) => {
  const { directory, events } = lived(t);
  const file = databaseFile(directory);
  damagePage(file, 3);
  openAll(directory).database.close();
  renameSync(file, `${file}.salvaged`);
  assert.equal(assertUsable(directory, events).damaged, true);
});

test("a log that was torn at any place opens and holds a beginning of what was appended", (t) => {
  const directory = temporaryDirectory(t);
  const { database, journal } = openAll(directory);
  for (let number = 1; number <= 60; number++) journal.append([batch([number])]);
  const copies: string[] = [];
  const wal = `${databaseFile(directory)}-wal`;
  const { length } = readFileSync(wal);
  for (let share = 0; share <= 10; share++) {
    const copy = temporaryDirectory(t);
    cpSync(directory, copy, { recursive: true, filter: (path) => !path.endsWith("-shm") && !path.endsWith(".lock") });
    truncateSync(join(copy, "master.db-wal"), Math.floor((length * share) / 10) - (share === 0 ? 0 : 77));
    copies.push(copy);
  }
  database.close();
  const counts = copies.map((copy) => {
    const torn = openAll(copy);
    assert.equal(torn.database.damage, undefined);
    const read = torn.journal.read(0, 100).map(({ id }) => id);
    assert.deepEqual(
      read,
      read.map((_id, index) => `web1:e1:${index + 1}`),
    );
    // The marks are those of the events that are there: the rest comes again, and is taken.
    const all = Array.from({ length: 60 }, (_value, index) => index + 1);
    assert.deepEqual(torn.journal.append([batch(all)]), [{ skipped: read.length, position: read.length + 1 }]);
    torn.database.close();
    return read.length;
  });
  assert.equal(counts[0], 0);
  assert.ok(counts.at(-1)! >= 59 && new Set(counts).size > 5, counts.join(" "));
});
