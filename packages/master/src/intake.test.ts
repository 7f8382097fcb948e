import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { AgentEvent, IncomingEvent } from "@needfire/shared/event";
import { executionId, taskId } from "@needfire/shared/ids";
import { settled, silent, TestClock } from "./fixture.ts";
import { Intake } from "./intake.ts";
import type { Session } from "./sessions.ts";

const mine = executionId(taskId("tidy", "web1:e1:1"), 1);
const foreign = executionId(taskId("tidy", "db1:e1:1"), 1);

function event(sequence: number, given: Partial<AgentEvent> = {}): AgentEvent {
  return { sequence, type: "test.happened", time: sequence, severity: "normal", data: {}, ...given };
}

/** Intake with a journal whose writes end when the test says so. */
function setting({ creditEvents = 100, held = false } = {}) {
  const appends: { events: IncomingEvent[]; done(): void; fail(): void }[] = [];
  const journal: IncomingEvent[] = [];
  const acknowledged: number[] = [];
  const failing = { next: 0 };
  const intake = new Intake({
    append: async (events) => {
      if (failing.next > 0) {
        failing.next--;
        throw new Error("no room");
      }
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      appends.push({ events, done: resolve, fail: () => reject(new Error("no room")) });
      if (held) await promise;
      journal.push(...events);
    },
    clock: new TestClock(),
    log: silent,
    creditEvents,
    ownerOf: async (execution) => ({ [mine]: "web1", [foreign]: "db1" })[execution],
    acknowledge: (_session, _epoch, sequence) => acknowledged.push(sequence),
  });
  const session = { agent: "web1" } as Session;
  const take = (...events: unknown[]) => intake.take(session, { epoch: "e1", events });
  return { intake, session, take, appends, journal, acknowledged, failing };
}

test("P1: events are acknowledged when they are committed, not before, and batches in turn", async () => {
  const { take, appends, acknowledged } = setting({ held: true });
  take(event(1), event(2));
  take(event(3));
  await settled();
  assert.deepEqual(
    appends.map(({ events }) => events.map(({ sequence }) => sequence)),
    [[1, 2]],
  );
  assert.deepEqual(acknowledged, []);
  appends[0]!.done();
  await settled();
  assert.deepEqual(acknowledged, [2]);
  appends[1]!.done();
  await settled();
  assert.deepEqual(acknowledged, [2, 3]);
});

test("P1: after a batch that could not be kept nothing is taken until it comes again, so it is never acknowledged over", async () => {
  const { take, journal, acknowledged, failing } = setting();
  failing.next = 1;
  take(event(1), event(2));
  take(event(3));
  await settled();
  assert.deepEqual(acknowledged, []);
  assert.deepEqual(journal, []);
  take(event(1), event(2));
  take(event(3));
  await settled();
  assert.deepEqual(acknowledged, [2, 3]);
  assert.deepEqual(
    journal.map(({ sequence }) => sequence),
    [1, 2, 3],
  );
});

test("P4: what goes beyond twice the credit is dropped unacknowledged, and what follows it waits for it", async () => {
  const { take, appends, acknowledged } = setting({ creditEvents: 2, held: true });
  take(event(1), event(2), event(3));
  take(event(4), event(5));
  take(event(6));
  await settled();
  appends[0]!.done();
  await settled();
  assert.equal(appends.length, 1);
  assert.deepEqual(acknowledged, [3]);
  take(event(4), event(5));
  take(event(6));
  await settled();
  for (const at of [1, 2]) {
    appends[at]!.done();
    await settled();
  }
  assert.deepEqual(acknowledged, [3, 5, 6]);
});

test("P1: whatever fails and however often an agent sends again, an acknowledgement never covers an event that is not kept", async () => {
  const steps = fc.array(
    fc.record({ size: fc.integer({ min: 1, max: 4 }), fails: fc.boolean(), again: fc.boolean(), wait: fc.boolean() }),
    {
      maxLength: 25,
    },
  );
  await fc.assert(
    fc.asyncProperty(steps, async (script) => {
      const { take, journal, acknowledged, failing } = setting({ creditEvents: 5 });
      let next = 1;
      for (const { size, fails, again, wait } of script) {
        if (again) next = (acknowledged.at(-1) ?? 0) + 1;
        failing.next = fails ? 1 : 0;
        take(...Array.from({ length: size }, () => event(next++)));
        if (wait) await settled();
        const kept = new Set(journal.map(({ sequence }) => sequence));
        for (let sequence = 1; sequence <= (acknowledged.at(-1) ?? 0); sequence++) assert.ok(kept.has(sequence));
      }
    }),
    { numRuns: 500 },
  );
});

test("P6: agent, source and id come from the session; a claim in the event makes it a rejected one under its own number", async () => {
  const { take, journal, acknowledged } = setting();
  take(event(1, { beacon: "etc" }), { ...event(2), agent: "db1" }, { ...event(3), source: "/agents/db1" }, event(4));
  await settled();
  assert.deepEqual(
    journal.map(({ id, type, agent, source }) => [id, type, agent, source]),
    [
      ["web1:e1:1", "test.happened", "web1", "/agents/web1/beacons/etc"],
      ["web1:e1:2", "event.rejected", "web1", "/agents/web1"],
      ["web1:e1:3", "event.rejected", "web1", "/agents/web1"],
      ["web1:e1:4", "test.happened", "web1", "/agents/web1"],
    ],
  );
  assert.deepEqual(acknowledged, [4]);
});

test("the master's own types cannot be claimed, and what has no number cannot be kept; the rest of the batch is", async () => {
  const { take, journal, acknowledged } = setting();
  take(event(1, { type: "keys.accepted" }), event(2, { type: "task.created" }), "nonsense", { type: "x.y" }, event(3));
  await settled();
  assert.deepEqual(
    journal.map(({ type, sequence, data }) => [type, sequence, data["reason"]]),
    [
      ["event.rejected", 1, "the type keys.accepted is the master's own"],
      ["event.rejected", 2, "the type task.created is the master's own"],
      ["test.happened", 3, undefined],
    ],
  );
  assert.deepEqual(acknowledged, [3]);
});

test("P6: a result is taken from the agent that has the execution, and from nobody else", async () => {
  const { take, journal } = setting();
  const result = (execution: string, cause = execution) => ({
    type: "execution.finished",
    cause,
    data: { execution, action: "file.check", outcome: "succeeded", changed: false, started: 1, ended: 2 },
  });
  take(
    event(1, result(mine)),
    event(2, result(foreign)),
    event(3, result(mine, foreign)),
    event(4, { ...result(mine), data: { execution: mine } }),
  );
  await settled();
  assert.deepEqual(
    journal.map(({ type }) => type),
    ["execution.finished", "event.rejected", "event.rejected", "event.rejected"],
  );
});

test("P7: a cause is believed of the agent's own executions; another's, an event or a task is dropped and the event kept", async () => {
  const { take, journal } = setting();
  const unknown = executionId(taskId("tidy", "nobody"), 1);
  const causes = [mine, foreign, unknown, "db1:e1:1", taskId("tidy", "db1:e1:1")];
  take(...causes.map((cause, index) => event(index + 1, { cause })));
  await settled();
  assert.deepEqual(
    journal.map(({ type, cause }) => [type, cause]),
    causes.map((cause) => ["test.happened", cause === mine ? mine : undefined]),
  );
});
