import assert from "node:assert/strict";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { Database } from "./store/database.ts";
import type { IncomingEvent } from "@needfire/shared/event";
import { settled, TestClock, temporaryDirectory } from "./fixture.ts";
import { GroupCommit } from "./journal/group-commit.ts";
import { JournalWriter } from "./journal/sqlite.ts";
import { Ledger } from "./ledger.ts";
import { StoreWriter } from "./store/sqlite.ts";

/** A ledger on a real journal and store; the journal's disk can be made to fail. */
function setting(t: TestContext) {
  const directory = temporaryDirectory(t);
  const database = new Database({ file: join(directory, "master.db"), synchronous: "NORMAL" });
  const journal = new JournalWriter(database);
  const store = new StoreWriter(database, { now: 1 });
  const disk = { full: false, appends: 0 };
  const failing = {
    append: (events: IncomingEvent[]) => {
      disk.appends++;
      if (disk.full) throw new Error("no room");
      return journal.append(events);
    },
    sync: () => journal.sync(),
  };
  const errors: string[] = [];
  const log = { error: (_facts: object, message: string) => void errors.push(message) };
  const group = new GroupCommit(failing, () => {});
  const fresh = () => new Ledger({ store, journal: group, log, clock: new TestClock(), retryMs: 1 });
  t.after(() => {
    journal.close();
    store.close();
  });
  return { store, disk, errors, fresh, journalled: () => journal.read(0, 1_000).map(({ type }) => type) };
}

const event = (type: string) => ({ type, severity: "low" as const, data: {} });

test("what is committed reaches the journal in order, and the outbox is emptied with what is committed next", async (t) => {
  const { store, fresh, journalled } = setting(t);
  const ledger = fresh();
  await Promise.all([ledger.commit({ events: [event("a.one"), event("a.two")] }), ledger.commit({ events: [event("a.three")] })]);
  assert.equal(store.load().outbox.length, 3);
  await settled();
  assert.deepEqual(journalled(), ["a.one", "a.two", "a.three"]);
  await ledger.commit({ cursor: 1 });
  assert.deepEqual(store.load().outbox, []);
  await ledger.stop();
});

test("while the journal takes nothing all is kept, and when it recovers all is there once and in order", async (t) => {
  const { store, disk, errors, fresh, journalled } = setting(t);
  const ledger = fresh();
  disk.full = true;
  for (const type of ["a.one", "a.two"]) await ledger.commit({ events: [event(type)] });
  await settled();
  await ledger.commit({ events: [event("a.three")] });
  await settled();
  assert.deepEqual(journalled(), []);
  assert.equal(store.load().outbox.length, 3);
  assert.ok(errors.length > 0);
  disk.full = false;
  await ledger.stop();
  assert.deepEqual(journalled(), ["a.one", "a.two", "a.three"]);
});

test("what did not reach the journal before the end is forwarded at the next start, once, before anything new", async (t) => {
  const { store, disk, fresh, journalled } = setting(t);
  const before = fresh();
  await before.commit({ events: [event("a.one")] });
  await settled();
  disk.full = true;
  await before.commit({ events: [event("a.two")] });
  await settled();
  await before.stop();
  assert.deepEqual(journalled(), ["a.one"]);

  disk.full = false;
  const after = fresh();
  after.forward(store.load().outbox);
  await after.commit({ events: [event("a.three")] });
  await settled();
  assert.deepEqual(journalled(), ["a.one", "a.two", "a.three"]);
  await after.commit({ cursor: 1 });
  assert.deepEqual(store.load().outbox, []);
  await after.stop();
});

test("after a long outage more waits than the journal takes at once, and it all arrives", async (t) => {
  const { store, fresh, journalled } = setting(t);
  const many = Array.from({ length: 100_001 }, () => event("a.many"));
  store.commit({ now: 1, events: many });
  const ledger = fresh();
  ledger.forward(store.load().outbox);
  await ledger.stop();
  assert.equal(journalled().length, 1_000);
  await ledger.commit({ cursor: 1 });
  assert.deepEqual(store.load().outbox, []);
  await ledger.stop();
});
