import assert from "node:assert/strict";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import fc from "fast-check";
import type { Event, IncomingEvent, Severity } from "@needfire/shared/event";
import { executionId, taskId } from "@needfire/shared/ids";
import type { Execution } from "@needfire/shared/task";
import { World } from "./engine-fixture.ts";
import { eventsFrame, incoming, settled, wire } from "./fixture.ts";
import { waitingMax } from "./journal/upkeep.ts";

const reactors = [
  {
    file: "restore.yaml",
    text: "name: restore\non: file.drifted\ndo:\n  - file.restore: { path: '${{ event.subject }}' }\n  - event.emit: { type: drift.handled }\n",
  },
  { file: "note.yaml", text: "name: note\non: drift.handled\ndo:\n  - event.emit: { type: drift.noted }\n" },
];

const drift = (sequence: number, given: Partial<IncomingEvent> = {}) =>
  incoming(sequence, { type: "file.drifted", subject: `/etc/${sequence}`, ...given });

const causes = (events: Event[], type: string) =>
  ofType(events, type)
    .map(({ cause }) => String(cause))
    .toSorted();
const ofType = (events: Event[], type: string) => events.filter((event) => event.type === type);

test("a reaction: task, command, result, verification, each told in the journal, and everything ends", async (t) => {
  const world = new World(t, reactors);
  world.host.happens((sequence) => drift(sequence));
  await world.quiet();
  const events = await world.end();
  assert.deepEqual(
    events.filter(({ type, data }) => data["reactor"] !== "note" && type !== "drift.noted").map(({ type }) => type),
    ["file.drifted", "task.created", "execution.finished", "drift.handled", "task.verifying", "execution.finished", "task.resolved"],
  );
  assert.deepEqual(world.problems, []);
});

test("P2: wherever it crashes, every reaction happens exactly once, every command runs once, and every task ends", async (t) => {
  const step = fc.oneof(
    fc.record({ kind: fc.constant("event" as const) }),
    fc.record({ kind: fc.constant("send" as const), batch: fc.integer({ min: 1, max: 5 }), wait: fc.boolean() }),
    fc.record({ kind: fc.constant("turns" as const), micro: fc.integer({ min: 0, max: 40 }), macro: fc.integer({ min: 0, max: 3 }) }),
    fc.record({ kind: fc.constant("crash" as const) }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 40 }), async (steps) => {
      const world = new World(t, reactors);
      let events = 0;
      for (const next of steps) {
        if (next.kind === "event") {
          events++;
          world.host.happens((sequence) => drift(sequence));
        } else if (next.kind === "crash") world.crash();
        else if (next.kind === "send") {
          const sent = world.send(next.batch);
          if (next.wait) await sent;
        } else {
          for (let turn = 0; turn < next.micro; turn++) await Promise.resolve();
          for (let turn = 0; turn < next.macro; turn++) await new Promise((done) => setImmediate(done));
        }
      }
      await world.quiet();
      const journal = await world.end();
      assert.deepEqual(world.problems, []);
      assert.equal(new Set(journal.map(({ id }) => id)).size, journal.length);
      // Two tasks for each change: one puts the file back, one notes that it was handled. Each is told of once, and ends once.
      const drifted = ofType(journal, "file.drifted");
      assert.equal(drifted.length, events);
      const handled = ofType(journal, "drift.handled");
      const expected = [...drifted.map(({ id }) => taskId("restore", id)), ...handled.map(({ id }) => taskId("note", id))].toSorted();
      assert.equal(handled.length, events);
      assert.equal(ofType(journal, "drift.noted").length, events);
      assert.deepEqual(causes(journal, "task.created"), expected);
      assert.deepEqual(causes(journal, "task.resolved"), expected);
      const commands = drifted.flatMap(({ id }) => [1, 3].map((number) => executionId(taskId("restore", id), number))).toSorted();
      assert.deepEqual([...world.host.runs.keys()].toSorted(), commands);
    }),
    { numRuns: 40 },
  );
});

test("P7: a reactor does not fire on what its own remedy did; another one may", async (t) => {
  const world = new World(t, reactors);
  world.define([
    { file: "a.yaml", text: "name: a\non: file.drifted\ndo:\n  - event.emit: { type: made.a }\n" },
    { file: "loop.yaml", text: "name: loop\non: ['made.*']\ndo:\n  - event.emit: { type: made.again }\n" },
  ]);
  world.host.happens((sequence) => drift(sequence));
  await world.quiet();
  const events = await world.end();
  assert.deepEqual(
    events.filter(({ type }) => type.startsWith("made.")).map(({ type }) => type),
    ["made.a", "made.again"],
  );
});

test("what a life before has left is judged at the start, page by page, each once and in order", async (t) => {
  const world = new World(t, reactors, { start: false });
  const every = "name: every\non: test.wanted\ndo:\n  - event.emit: { type: was.wanted, data: { n: '${{ event.data.n }}' } }\n";
  world.define([{ file: "every.yaml", text: every }]);
  const total = 25_000;
  const size = 500;
  const wanted: number[] = [];
  for (let after = 0; after < total; after += size) {
    const events = Array.from({ length: size }, (_value, index) => {
      const sequence = after + index + 1;
      const isWanted = sequence % 499 === 0;
      if (isWanted) wanted.push(sequence);
      return wire(sequence, { type: isWanted ? "test.wanted" : "test.other" });
    });
    assert.equal((await world.engine.take([eventsFrame(events, { after })]))[0]?.kind, "taken");
  }
  await world.engine.start();
  await world.quiet();
  const journal = await world.end();
  assert.deepEqual(
    ofType(journal, "was.wanted").map(({ data }) => data["n"]),
    wanted,
  );
});

test("what waits for more goes on waiting over a restart although its file is bad by then, and that is told", async (t) => {
  const text = "name: two\non: file.drifted\ncorrelate: { count: 2, within: 1h }\ndo:\n  - event.emit: { type: made.two }\n";
  const world = new World(t, [{ file: "two.yaml", text }]);
  world.host.received = () => Date.now();
  await world.engine.keepVersions();
  world.host.happens((sequence) => drift(sequence));
  await world.quiet();
  world.write([{ file: "two.yaml", text: `${text}whne: 'true'\n` }]);
  // Twice: the record has not lost it by the first time.
  for (let restart = 0; restart < 2; restart++) {
    world.crash();
    await world.engine.keepVersions();
  }
  assert.equal(world.problems.filter((problem) => problem.includes('unknown key "whne"')).length, 2);
  world.host.happens((sequence) => drift(sequence));
  await world.quiet();
  assert.equal(ofType(await world.end(), "made.two").length, 1);
});

test("frames of one go are one turn: the verdicts come in their order, and what came twice is there once", async (t) => {
  const world = new World(t, reactors);
  const frames = [
    eventsFrame([wire(1), wire(2)]),
    eventsFrame([wire(3)], { after: 2 }),
    eventsFrame([wire(1), wire(2)], { resumed: true }),
    eventsFrame([wire(9)], { after: 7 }),
    eventsFrame([wire(1)], { lane: "critical" }),
    { ...eventsFrame([wire(1)]), agent: "db1" },
  ];
  const verdicts = await world.engine.take(frames);
  assert.deepEqual(
    verdicts.map((verdict) => (verdict.kind === "taken" ? verdict.sequence : verdict.kind)),
    [2, 3, 2, "rewind", 1, 1],
  );
  const journal = await world.end();
  assert.deepEqual(
    journal.map(({ id }) => id),
    ["web1:e1:1", "web1:e1:2", "web1:e1:3", "web1:e1:1", "db1:e1:1"],
  );
});

test("P1: the marks of an agent's numbering are told with all that was taken of it before, and not those of another", async (t) => {
  const world = new World(t, reactors);
  const { engine } = world;
  const none = { critical: 0, high: 0, normal: 0, low: 0 };
  assert.deepEqual(await engine.marks("web1", "e1"), none);
  const taken = engine.take([eventsFrame([wire(1), wire(2)])]);
  const urgent = engine.take([eventsFrame([wire(3, { severity: "critical" })], { lane: "critical" })], true);
  const [marks, other] = await Promise.all([engine.marks("web1", "e1"), engine.marks("web1", "e2")]);
  assert.deepEqual(marks, { ...none, normal: 2, critical: 3 });
  assert.deepEqual(other, none);
  await Promise.all([taken, urgent]);
  await world.end();
});

test("a command that is given up escalates its task with the reason, and a late result changes nothing", async (t) => {
  const world = new World(t, reactors);
  const started: Execution[] = [];
  world.host.take = (execution) => void started.push(execution);
  world.host.happens((sequence) => drift(sequence));
  await world.quiet();
  assert.equal(started.length, 1);
  world.engine.expire([{ execution: started[0]!, reason: "nobody answered" }]);
  world.engine.expire([{ execution: started[0]!, reason: "nobody answered" }]);
  await world.quiet();
  const data = { execution: started[0]!.id, action: "file.restore", outcome: "succeeded", changed: true, started: 1, ended: 2 };
  world.host.happens((sequence) => incoming(sequence, { type: "execution.finished", cause: started[0]!.id, data }));
  await world.quiet();
  const journal = await world.end();
  assert.deepEqual(
    ofType(journal, "task.escalated").map((event) => event.data["reason"]),
    ["nobody answered"],
  );
  assert.deepEqual(ofType(journal, "task.resolved"), []);
  assert.equal(world.read((reader) => reader.executions(taskId("restore", "web1:e1:1")))[0]?.state, "expired");
});

test("a command that never reached its host expires its task, and what its reactor says otherwise is done, once", async (t) => {
  const reactor = {
    file: "r.yaml",
    text: reactors[0]!.text.trimEnd() + "\notherwise: [{ event.emit: { type: ticket.wanted, data: { why: '${{ task.reason }}' } } }]\n",
  };
  const world = new World(t, [reactor]);
  const started: Execution[] = [];
  world.host.take = (execution) => void started.push(execution);
  world.host.happens((sequence) => drift(sequence));
  await world.quiet();
  world.engine.expire([{ execution: started[0]!, reason: "web1 was not there", untried: true }]);
  await world.until("ticket.wanted", 1);
  world.crash();
  await world.quiet();
  const journal = await world.end();
  assert.deepEqual(
    ["task.expired", "ticket.wanted"].map((type) => ofType(journal, type).map(({ data }) => data["reason"] ?? data["why"])),
    [["web1 was not there"], ["web1 was not there"]],
  );
  assert.deepEqual(ofType(journal, "task.escalated"), []);
  assert.deepEqual(
    world.read((reader) => reader.tasks({ state: "expired", limit: 10 })).map(({ id }) => id),
    [started[0]!.task],
  );
});

test("what the master says before the engine starts comes after what it had said before it crashed", async (t) => {
  const world = new World(t, reactors);
  await world.engine.commit({ events: [{ type: "master.before", severity: "low", data: {} }] });
  // The journal has not been told: that takes a turn. What is committed after the crash must not overtake it.
  world.crash({ start: false });
  await world.engine.commit({ events: [{ type: "master.after", severity: "low", data: {} }] });
  await settled();
  await world.engine.start();
  await world.quiet();
  const journal = await world.end();
  assert.deepEqual(
    journal.map(({ type }) => type),
    ["master.before", "master.after"],
  );
});

test("P3: what an agent says of itself is not durable before the marks of what it was sent earlier", async (t) => {
  const world = new World(t, [{ file: "run.yaml", text: "name: run\non: file.drifted\ndo:\n  - command.run: { argv: [x] }\n" }]);
  // It never answers.
  world.host.take = () => {};
  world.host.happens((sequence) => drift(sequence));
  await world.send(1);
  await settled();
  world.crash();
  const [open] = world.engine.state().openExecutions;
  assert.equal(open?.epoch, undefined);
  world.engine.mark([{ execution: open!.id, state: "sent", at: 1, epoch: "e1" }]);
  const presence = { state: "present" as const, since: 1 };
  await world.engine.commit({ agents: [{ id: "web1", facts: {}, labels: {}, lastSeen: 1, presence, epoch: "e2" }] });
  world.crash({ start: false });
  const { agents, openExecutions } = world.engine.state();
  assert.deepEqual([agents[0]?.epoch, openExecutions.map(({ epoch }) => epoch)], ["e2", ["e1"]]);
  await world.end();
});

test("P8: while sealing is behind, what is not urgent waits for it, and what is urgent does not", async (t) => {
  // Until it is started nothing is sealed.
  const world = new World(t, [], { start: false, partitionEventsMax: 1 });
  const frame = (sequence: number, given: { agent?: string; lane?: Severity } = {}) =>
    world.engine.take(
      [{ ...eventsFrame([wire(sequence)], { after: sequence - 1, ...given }), received: Date.now() }],
      given.lane === "critical",
    );
  let taken = 0;
  const frames = Array.from({ length: waitingMax + 10 }, (_value, index) => frame(index + 1).then(() => taken++));
  // One is live, and with another one too many wait.
  await frames[waitingMax + 1];
  for (let sequence = 1; sequence <= 3; sequence++) await frame(sequence, { agent: "db1", lane: "critical" });
  assert.equal(taken, waitingMax + 2);
  void world.engine.start();
  await Promise.all(frames);
  const events = await world.end();
  assert.deepEqual(
    ofType(events, "journal.behind").map(({ data }) => data["held"]),
    [true],
  );
  assert.equal(new Set(ofType(events, "test.happened").map(({ id }) => id)).size, frames.length + 3);
});

test("P4: a damage that was noted is told of once, over every life", async (t) => {
  const world = new World(t, []);
  const noted = new DatabaseSync(join(world.directory, "master.db"));
  noted.exec("CREATE TABLE salvaged (body TEXT NOT NULL) STRICT");
  const damage = { reason: "a page", aside: "/master.db.damaged", kept: {}, torn: [], cursor: 0, repaired: true };
  noted.prepare("INSERT INTO salvaged VALUES (?)").run(JSON.stringify(damage));
  noted.close();
  world.crash();
  await world.until("journal.damaged", 1);
  world.crash();
  await world.engine.emit({ type: "test.last", severity: "low", data: {} });
  await world.until("test.last", 1);
  assert.equal(world.found("journal.damaged").length, 1);
  await world.end();
});
