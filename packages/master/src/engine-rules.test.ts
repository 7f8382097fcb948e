/** Correlation, flow and timers as the engine lives them: over crashes, turns that fail, overtaking, and a clock that is set. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { isoTime } from "@needfire/shared/clock";
import type { Event } from "@needfire/shared/event";
import { taskId } from "@needfire/shared/ids";
import { loadReactors } from "@needfire/shared/reactor";
import { plainRoute } from "@needfire/shared/router";
import { ReactorIndex } from "@needfire/shared/rules/reactor-index";
import { Rules } from "@needfire/shared/rules/rules";
import type { Decision } from "@needfire/shared/rules/types";
import type { Task } from "@needfire/shared/task";
import { World } from "./engine-fixture.ts";
import { eventsFrame, incoming, settled, TestClock, wire } from "./fixture.ts";
import { originOf } from "./origin.ts";
import { open } from "./worker-replay.ts";
import { SqliteStoreReader } from "./store/sqlite-reader.ts";
import { StoreWriter } from "./store/sqlite.ts";
import type { DecisionRecord, Writes } from "./store/store.ts";

const emit = (type: string) => `do:\n  - event.emit: { type: ${type}, data: { count: "\${{ count }}", first: "\${{ events[0].id }}" } }\n`;
const rule = (name: string, text: string) => `name: ${name}\n${text}\n${emit(`made.${name.replace("-", ".")}`)}`;
const text = [
  rule("count", "on: test.a\ncorrelate: { count: 3, within: 10s, by: event.data.n }"),
  rule(
    "sliding",
    "on: test.a\ncorrelate: { count: 2, within: 4s, distinct: event.data.n, consume: false }\nflow: { rate: 2/6s, overflow: delay }",
  ),
  rule("absence", "on: test.a\ncorrelate:\n  none: { on: test.b, when: event.data.n == matched.first.data.n }\n  within: 5s"),
  rule(
    "pair",
    "correlate:\n  sequence:\n    - { on: test.a, as: one }\n    - { on: test.b, when: event.data.n == matched.one.data.n }\n  within: 8s",
  ),
  rule("both", "correlate:\n  all: [{ on: test.a }, { on: test.b }]\n  within: 3s\n  consume: false\nflow: { once: 2s, overflow: merge }"),
  rule("quiet", "on: test.b\nflow: { debounce: 2s }"),
  rule("bundle", "on: test.*\nflow: { collect: 3s, by: event.type }\ninhibited_by: [trouble]"),
  `name: trouble\nraise: { on: test.b }\nclear: { on: test.a }\nfor: 2s\n${emit("made.trouble")}on_clear:\n  - event.emit: { type: made.relief }\n`,
  rule("effects", "on: made.count\ncorrelate: { count: 2, within: 20s }"),
].join("---\n");
const reactors = [{ file: "rules.yaml", text }];
const names = [...text.matchAll(/^name: (.+)$/gm)].map(([, name]) => name!);

const longest = 60_000;
/** Of such events a replay of the journal's own sees nothing. */
const unheard = "noise.made";

/** What the same rules make of the journal, from its first event to its last, without a crash. */
async function replay(journal: readonly Event[], until: number, readTask: (id: string) => Promise<Task | undefined>): Promise<Decision[]> {
  const loaded = loadReactors("rules.yaml", text);
  assert.ok(loaded.ok);
  const view = (id: string) => ({ id, labels: {}, facts: {} });
  const rules = new Rules(new ReactorIndex(loaded.reactors), { agentView: view, route: plainRoute, silence: () => undefined });
  const decisions: Decision[] = [];
  for (const event of journal) decisions.push(...rules.hear({ event, ...(await originOf(event, readTask)) }).decisions);
  decisions.push(...rules.tick(until).decisions);
  return decisions;
}

interface Replayed {
  /** Reactor, event, and what else is to be the same. */
  firings: unknown[][];
  reasons: unknown;
}

/** The same as an operator has it, which looks only at what is heard. */
async function replayCommand({
  directory,
  until,
  files = reactors,
}: {
  directory: string;
  until: number;
  files?: typeof reactors;
}): Promise<Replayed> {
  const firings: unknown[][] = [];
  const period = { since: 0, until, diff: false, firings_max: 100_000 };
  const { run, close } = open({ database: join(directory, "master.db"), files, sources: {}, router: undefined, ...period }, (lines) => {
    for (const line of lines)
      if (line.kind === "firing") firings.push([line.reactor, line.event, line.at, line.branch, line.count, line.do?.[0]?.args]);
  });
  const summary = await run();
  await close();
  return { firings, reasons: Object.fromEntries(summary!.reactors.map(({ reactor, reasons }) => [reactor, reasons])) };
}

/** What that must be. */
function commandOf(decisions: readonly Decision[]): Replayed {
  const reasons: Record<string, Record<string, number>> = Object.fromEntries(names.map((name) => [name, {}]));
  for (const { reactor, reason } of decisions) {
    const counts = reasons[reactor.name]!;
    if (!reason.startsWith("when-")) counts[reason] = (counts[reason] ?? 0) + 1;
  }
  const firings = decisions.flatMap(({ at, firing }) => {
    if (firing === undefined) return [];
    const { reactor, trigger, branch, count, plan } = firing;
    return [[reactor.name, trigger.event.id, isoTime(at), branch, count, plan.ok ? plan.rungs[0]!.steps[0]?.args : undefined]];
  });
  return { firings, reasons };
}

const isRecorded = ({ reason }: Decision) => reason !== "when-false" && reason !== "when-missing-field";

/** In one order, whichever: a timer's decision on an event stands between others. */
function told(decisions: readonly (Decision | DecisionRecord)[]): string[] {
  const nameOf = (reactor: Decision["reactor"] | string) => (typeof reactor === "string" ? reactor : reactor.name);
  return decisions.map(({ reactor, event, at, reason, detail }) => JSON.stringify([event, nameOf(reactor), at, reason, detail])).toSorted();
}

/** The clock is set back for a while in which nothing comes that is heard. */
async function detour(world: World, clock: TestClock, { back, forth }: { back: number; forth: number }): Promise<void> {
  world.host.received = () => clock.time;
  await world.quiet();
  clock.time -= back;
  // By the second the journal has the new time.
  for (let sent = 0; sent < 2; sent++) {
    world.host.happens((sequence) => incoming(sequence, { type: unheard, data: {} }));
    await world.quiet();
  }
  clock.time += forth;
}

const step = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant("event" as const),
      type: fc.constantFrom("test.a", "test.b", unheard),
      n: fc.integer({ min: 1, max: 2 }),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constant("send" as const), lag: fc.constantFrom(0, 0, 500, 3_000, 20_000), wait: fc.boolean() }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant("time" as const),
      by: fc.oneof(fc.integer({ min: 0, max: 4_000 }), fc.constantFrom(-400, -20_000, 30_000)),
      wait: fc.boolean(),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("turns" as const),
      micro: fc.integer({ min: 0, max: 40 }),
      macro: fc.integer({ min: 0, max: 3 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("detour" as const),
      back: fc.integer({ min: 4_000, max: 30_000 }),
      forth: fc.integer({ min: 0, max: 40_000 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("crash" as const) }) },
);

test("P2: with crashes anywhere, timers and a clock that is set, every firing happens once, and is what a replay of the journal finds", async (t) => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 40 }), async (steps) => {
      const clock = new TestClock(1_700_000_000_000);
      const world = new World(t, reactors, { clock });
      for (const next of steps) {
        if (next.kind === "event") {
          const { type, n } = next;
          world.host.happens((sequence) => incoming(sequence, { type, data: { n } }));
        } else if (next.kind === "crash") world.crash();
        else if (next.kind === "time") {
          clock.time += next.by;
          world.engine.tell([]);
          if (next.wait) await settled();
        } else if (next.kind === "detour") await detour(world, clock, next);
        else if (next.kind === "send") {
          const { lag } = next;
          world.host.received = () => clock.time - lag;
          const sent = world.send(5);
          if (next.wait) await sent;
        } else {
          for (let turn = 0; turn < next.micro; turn++) await Promise.resolve();
          for (let turn = 0; turn < next.macro; turn++) await new Promise((done) => setImmediate(done));
        }
      }
      // Until nothing waits any more: what is due may lead to what waits again.
      for (let left = 0; left < 4; left++) {
        world.host.received = () => clock.time;
        await world.quiet();
        clock.time += longest;
        world.engine.tell([]);
        await settled();
      }
      await world.quiet();
      const journal = await world.end();
      assert.deepEqual(world.problems, []);

      const store = new SqliteStoreReader({ file: join(world.directory, "master.db") });
      const taskOf = (id: string) => store.readTask(id);
      const decisions = await replay(journal, clock.time, async (id) => taskOf(id));
      const expected = decisions.flatMap(({ firing }) => firing ?? []);
      const created = journal.filter(({ type }) => type === "task.created").map(({ cause }) => taskOf(cause!)!);
      const recorded = journal.flatMap(({ id }) => store.decisionsOn(id));
      store.close();
      assert.deepEqual(told(recorded), told(decisions.filter(isRecorded)), "P5: what is recorded is what a replay decides");
      assert.deepEqual(await replayCommand({ directory: world.directory, until: clock.time }), commandOf(decisions));
      assert.deepEqual(
        created.map(({ id, branch, key, events, count, rungs }) => ({ id, branch, key, events, count, args: rungs[0]?.steps[0]?.args })),
        expected.map(({ reactor, trigger, branch, key, events, count, plan }) => ({
          id: taskId(reactor.name, trigger.event.id),
          branch,
          key,
          events,
          count,
          args: plan.ok ? plan.rungs[0]!.steps[0]?.args : undefined,
        })),
      );
    }),
    { numRuns: 60 },
  );
});

test("a replay knows that the clock was set back while nothing came that it hears", async (t) => {
  const clock = new TestClock(1_700_000_000_000);
  const files = [{ file: "rules.yaml", text: rule("sum", "on: test.a\ncorrelate: { count: 2, within: 10s }") }];
  const world = new World(t, files, { clock });
  const happens = async () => {
    world.host.received = () => clock.time;
    world.host.happens((sequence) => incoming(sequence, { type: "test.a", data: { n: 1 } }));
    await world.quiet();
  };
  await happens();
  // By the clock on the wall no second has passed, by that of the engine a minute has.
  await detour(world, clock, { back: 60_000, forth: 60_000 });
  await happens();
  await happens();
  const journal = await world.end();
  const made = journal.filter(({ type }) => type === "task.created").map(({ data }) => data["event"]);
  assert.deepEqual(made, ["web1:e1:5"]);
  const { firings } = await replayCommand({ directory: world.directory, until: clock.time, files });
  assert.deepEqual(
    firings.map(([, event]) => event),
    made,
  );
});

test("an event that comes late, after a time that something was due at, is received after it", async (t) => {
  const clock = new TestClock(1_700_000_000_000);
  const world = new World(t, reactors, { clock });
  const happens = (type: string) => world.host.happens((sequence) => incoming(sequence, { type, data: { n: 1 } }));
  world.host.received = () => clock.time;
  happens("test.a");
  await world.quiet();
  clock.time += 6_000;
  world.engine.tell([]);
  await settled();
  // It came in time, and waited on its way: by then its absence has been acted on.
  world.host.received = () => clock.time - 2_000;
  happens("test.b");
  await world.quiet();
  const journal = await world.end();
  const times = journal.map(({ received }) => received);
  assert.deepEqual(
    times,
    times.toSorted((a, b) => a - b),
    "no time in the journal goes back",
  );
  assert.equal(journal.filter(({ type }) => type === "made.absence").length, 1);
  assert.ok(journal.find(({ type }) => type === "test.b")!.received >= 1_700_000_005_000);
});

test("P2: a turn that fails after rules have moved is judged again from what is in the store", async (t) => {
  const clock = new TestClock(1_700_000_000_000);
  const world = new World(t, reactors, { clock });
  world.host.received = () => clock.time;
  const happens = () => world.host.happens((sequence) => incoming(sequence, { type: "test.a", data: { n: 1 } }));
  happens();
  await world.quiet();
  happens();
  let failing = 0;
  const real = StoreWriter.prototype.commitAll;
  t.mock.method(StoreWriter.prototype, "commitAll", function (this: StoreWriter, writes: Writes[]) {
    if (writes.some(({ rules = [] }) => rules.some(({ reactor }) => reactor === "count")) && failing++ < 2) throw new Error("it cannot be");
    return real.call(this, writes);
  });
  await assert.rejects(world.send(5), /it cannot be/);
  assert.equal(world.problems.length, 1);
  await world.quiet();
  happens();
  await world.quiet();
  const journal = await world.end();
  const created = journal.filter(({ type, data }) => type === "task.created" && data["reactor"] === "count");
  assert.deepEqual(
    created.map(({ data }) => [data["event"], data["count"]]),
    [["web1:e1:3", 3]],
  );
});

test("P4: what the master has to say when a turn fails is said by a later one, once", async (t) => {
  const world = new World(t, reactors, { clock: new TestClock(1_700_000_000_000) });
  await world.quiet();
  let failing = 0;
  const real = StoreWriter.prototype.commitAll;
  t.mock.method(StoreWriter.prototype, "commitAll", function (this: StoreWriter, writes: Writes[]) {
    const says = writes.some(({ events = [] }) => events.some(({ type }) => type === "agent.connected"));
    // The second try is the engine's own, without what others asked for.
    if (says && failing++ < 2) throw new Error("it cannot be");
    return real.call(this, writes);
  });
  world.engine.tell([{ type: "agent.connected", severity: "low", subject: "web1", data: { agent: "web1" } }]);
  const hasFailed = () => failing >= 2;
  while (!hasFailed()) await settled();
  await world.engine.emit({ type: "test.end", severity: "low", data: {} });
  const journal = await world.end();
  assert.equal(journal.filter(({ type }) => type === "agent.connected").length, 1);
});

test("an event that waits while other rules come into force is judged by them, whatever the sieve made of it by the old ones", async (t) => {
  const world = new World(t, [{ file: "rules.yaml", text: rule("old", "on: test.a\nwhen: event.data.n == 1") }], { start: false });
  await world.engine.start();
  const sieved = { ...eventsFrame([wire(1, { type: "test.a", data: { n: 2 } })], { after: 0 }), heard: [] };
  const taking = world.engine.take([sieved]);
  world.define([{ file: "rules.yaml", text: rule("new", "on: test.a\nwhen: event.data.n == 2") }]);
  await taking;
  assert.equal((await world.until("made.new", 1)).length, 1);
  await world.end();
});
