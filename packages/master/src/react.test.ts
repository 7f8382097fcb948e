import assert from "node:assert/strict";
import { test } from "node:test";
import type { Event } from "@needfire/shared/event";
import { ReactorIndex } from "@needfire/shared/match";
import { loadReactors } from "@needfire/shared/reactor";
import type { Execution } from "@needfire/shared/task";
import { incoming, settled, TestClock } from "./fixture.ts";
import { Ledger } from "./ledger.ts";
import { React } from "./react.ts";
import type { Writes } from "./store/store.ts";

const loaded = loadReactors("r.yaml", "name: tidy\non: file.drifted\ndo:\n  - file.restore: { path: /etc/motd }\n");
assert.ok(loaded.ok);
const index = new ReactorIndex(loaded.reactors);

function event(position: number, type: string): Event {
  const { epoch: _epoch, sequence: _sequence, ...rest } = incoming(position, { type });
  return { ...rest, position };
}

/** The loop on a journal in memory and a store that fails when it is told to. */
function setting(journal: Event[], alreadyTaken = false) {
  const disk = { failures: 0 };
  const writes: Omit<Writes, "now">[] = [];
  const performed: Execution[] = [];
  const errors: string[] = [];
  const clock = new TestClock();
  const log = { debug: () => {}, warn: () => {}, error: (_facts: object, message: string) => void errors.push(message) };
  const store = {
    task: () => undefined,
    commit: (write: Writes) => {
      if (disk.failures-- > 0) throw new Error("no room");
      writes.push(write);
      return { taken: (write.changes ?? []).map(() => !alreadyTaken), events: [] };
    },
  };
  const react = new React(
    {
      journal: { read: (after, limit) => journal.filter(({ position }) => position > after).slice(0, limit) },
      ledger: new Ledger({ store, journal: { append: async () => {} }, log, clock, retryMs: 1 }),
      store,
      perform: (start) => performed.push(...start),
      takeMarks: () => [],
      reactors: () => index,
      agentView: (id) => ({ id, labels: {}, facts: {} }),
      clock,
      log,
    },
    { cursor: 0, openTasks: [] },
  );
  const stop = new AbortController();
  return { react, running: react.run(stop.signal), stop, disk, writes, performed, errors };
}

test("P2: a reaction that the store did not take before the end is not passed over, although the store recovers", async () => {
  const { react, running, stop, disk, writes, performed, errors } = setting([]);
  // Once at first, once more when it is told to end: then there is room again.
  disk.failures = 2;
  await settled();
  react.feed([event(1, "file.drifted")]);
  await settled();
  assert.equal(errors.length, 1);
  stop.abort();
  await running;
  assert.deepEqual(
    writes.map(({ cursor }) => cursor),
    [],
  );
  assert.deepEqual(performed, []);
});

test("events that lead to nothing cost no write, and their position is saved at the end", async () => {
  const { running, stop, writes } = setting([event(1, "test.other"), event(2, "test.other")]);
  await settled();
  assert.deepEqual(writes, []);
  stop.abort();
  await running;
  assert.deepEqual(
    writes.map(({ cursor, changes }) => ({ cursor, changes })),
    [{ cursor: 2, changes: undefined }],
  );
});

test("P2: nothing of a reaction that was there already is performed again", async () => {
  const { running, stop, writes, performed } = setting([event(1, "file.drifted")], true);
  await settled();
  assert.equal(writes[0]?.changes?.length, 1);
  assert.deepEqual(performed, []);
  stop.abort();
  await running;
});

test("an event that is fed after it was read is judged once", async () => {
  const both = [event(1, "file.drifted"), event(2, "file.drifted")];
  const { react, running, stop, performed } = setting([both[0]!]);
  await settled();
  react.feed(both);
  await settled();
  assert.equal(performed.length, 2);
  stop.abort();
  await running;
});
