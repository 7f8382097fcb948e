import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { severities } from "@needfire/shared/event";
import { executionId, taskId } from "@needfire/shared/ids";
import { pack } from "@needfire/shared/pack";
import { eventData, eventOfWire } from "@needfire/shared/wire-event";
import { Admission } from "./admission.ts";
import { eventsFrame, wire } from "./fixture.ts";

const mine = executionId(taskId("tidy", "web1:e1:1"), 1);
const foreign = executionId(taskId("tidy", "db1:e1:1"), 1);

/** The door, before a journal that takes everything. */
function setting() {
  const lasts = new Map<string, number>();
  const admission = new Admission({
    journal: { last: (agent, epoch, lane) => lasts.get(`${agent} ${epoch} ${lane}`) ?? 0 },
    ownerOf: (execution) => ({ [mine]: "web1", [foreign]: "db1" })[execution],
  });
  const admit = async (...frames: ReturnType<typeof eventsFrame>[]) => {
    const admitted = await admission.admit(frames);
    for (const { agent, epoch, lane, events } of admitted.batches) lasts.set(`${agent} ${epoch} ${lane}`, events.at(-1)![0]);
    return { ...admitted, events: admitted.batches.flatMap((batch) => batch.events.map((event) => eventOfWire(batch, event, 0))) };
  };
  return { admit };
}

test("P6: an event is its session's agent's, whatever it says; one that says more than is its to say stands as rejected", async () => {
  const { admit } = setting();
  const { events, verdicts } = await admit(
    eventsFrame([wire(1, { beacon: "etc" }), [...wire(2), "db1"], wire(3).with(5, "../x" as never), wire(4)]),
  );
  assert.deepEqual(
    events.map(({ id, type, agent, source }) => [id, type, agent, source]),
    [
      ["web1:e1:1", "test.happened", "web1", "/agents/web1/beacons/etc"],
      ["web1:e1:2", "event.rejected", "web1", "/agents/web1"],
      ["web1:e1:3", "event.rejected", "web1", "/agents/web1"],
      ["web1:e1:4", "test.happened", "web1", "/agents/web1"],
    ],
  );
  assert.deepEqual(verdicts, [{ kind: "taken", lane: "normal", epoch: "e1", sequence: 4, resumed: false }]);
});

test("the master's own types cannot be claimed; what has no number is told by the master, and the rest of the batch is kept", async () => {
  const { admit } = setting();
  const { events, tell, verdicts } = await admit(
    eventsFrame([wire(1, { type: "keys.accepted" }), wire(2, { type: "task.created" }), "nonsense", [null, "x.y"], wire(3)]),
  );
  assert.deepEqual(
    events.map(({ type, id, data }) => [type, id, data["reason"]]),
    [
      ["event.rejected", "web1:e1:1", "the type keys.accepted is the master's own"],
      ["event.rejected", "web1:e1:2", "the type task.created is the master's own"],
      ["test.happened", "web1:e1:3", undefined],
    ],
  );
  assert.deepEqual(
    tell.map(({ type, subject }) => [type, subject]),
    [
      ["event.rejected", "web1"],
      ["event.rejected", "web1"],
    ],
  );
  assert.equal(verdicts[0]!.kind, "taken");
});

test("a batch of nothing but nonsense is acknowledged as far as it is known, and held against nobody", async () => {
  const { admit } = setting();
  const { batches, verdicts } = await admit(eventsFrame(["nonsense"]), eventsFrame([wire(1)]));
  assert.equal(batches.length, 1);
  assert.deepEqual(
    verdicts.map((verdict) => verdict.kind === "taken" && verdict.sequence),
    [0, 1],
  );
});

test("P6: a result is taken from the agent that has the execution, and from nobody else", async () => {
  const { admit } = setting();
  const result = (execution: string, cause = execution) => ({
    type: "execution.finished",
    cause,
    data: { execution, action: "file.check", outcome: "succeeded", changed: false, started: 1, ended: 2 },
  });
  const { events } = await admit(
    eventsFrame([
      wire(1, result(mine)),
      wire(2, result(foreign)),
      wire(3, result(mine, foreign)),
      wire(4, { ...result(mine), data: { execution: mine } }),
      wire(5, result(mine)).with(7, pack({})),
    ]),
  );
  assert.deepEqual(
    events.map(({ type }) => type),
    ["execution.finished", ...Array.from({ length: 4 }, () => "event.rejected")],
  );
});

test("P7: a cause is believed of the agent's own executions; another's, an event or a task is dropped and the event kept", async () => {
  const { admit } = setting();
  const unknown = executionId(taskId("tidy", "nobody"), 1);
  const causes = [mine, foreign, unknown, "db1:e1:1", taskId("tidy", "db1:e1:1")];
  const { events } = await admit(eventsFrame(causes.map((cause, index) => wire(index + 1, { cause }))));
  assert.deepEqual(
    events.map(({ type, cause }) => [type, cause]),
    causes.map((cause) => ["test.happened", cause === mine ? mine : undefined]),
  );
});

test("P1: what comes after something that is missing is not taken, until the agent goes on from what was acknowledged", async () => {
  const { admit } = setting();
  const kinds = ({ verdicts }: { verdicts: { kind: string }[] }) => verdicts.map(({ kind }) => kind);
  assert.deepEqual(kinds(await admit(eventsFrame([wire(1)]), eventsFrame([wire(5)], { after: 3 }), eventsFrame([wire(6)], { after: 5 }))), [
    "taken",
    "rewind",
    "rewind",
  ]);
  const again = await admit(eventsFrame([wire(3)], { after: 1, resumed: true }), eventsFrame([wire(5)], { after: 3 }));
  assert.deepEqual(kinds(again), ["taken", "taken"]);
  assert.deepEqual(again.tell, []);
});

test("P4: what the agent has forgotten and the journal does not have is told as agent.gap, once, and what follows is taken", async () => {
  const { admit } = setting();
  await admit(eventsFrame([wire(4)], { lane: "low" }));
  const { verdicts, tell } = await admit(
    eventsFrame([wire(11)], { lane: "low", after: 9, resumed: true }),
    eventsFrame([wire(12)], { lane: "low", after: 11 }),
  );
  assert.deepEqual(
    verdicts.map(({ kind }) => kind),
    ["taken", "taken"],
  );
  assert.deepEqual(tell, [
    {
      type: "agent.gap",
      severity: "high",
      subject: "web1",
      data: { agent: "web1", epoch: "e1", lane: "low", after: 4, until: 9 },
    },
  ]);
});

test("numbers that do not rise are refused, and so is what is no batch of events", async () => {
  const { admit } = setting();
  const { verdicts, batches } = await admit(eventsFrame([wire(2), wire(2)]), eventsFrame([wire(3)], { after: 3, resumed: true }), {
    ...eventsFrame([wire(1)]),
    frame: Buffer.from("nonsense"),
  });
  assert.deepEqual(
    verdicts.map(({ kind }) => kind),
    ["refused", "refused", "refused"],
  );
  assert.deepEqual(batches, []);
});

test("whatever is in a batch, its numbers rise and everything has data that can be read", async () => {
  const anything = fc.oneof(
    fc.tuple(fc.integer({ min: -2, max: 50 }), fc.jsonValue()).map(([sequence, data]) => wire(sequence).with(7, pack(data))),
    fc.array(fc.jsonValue(), { maxLength: 9 }),
    fc.jsonValue(),
    fc.integer({ min: 1, max: 50 }).map((sequence) => wire(sequence)),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(anything, { minLength: 1, maxLength: 20 }), fc.constantFrom(...severities), async (values, lane) => {
      const { admit } = setting();
      const { batches } = await admit(eventsFrame(values, { lane }));
      for (const { events } of batches) {
        for (const [index, event] of events.entries()) {
          assert.equal(typeof eventData(event[7]), "object");
          assert.ok(index === 0 || event[0] > events[index - 1]![0]);
        }
      }
    }),
  );
});
