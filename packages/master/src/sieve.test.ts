import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { EventDraft } from "@needfire/shared/event";
import { plainRoute } from "@needfire/shared/router";
import { ReactorIndex } from "@needfire/shared/rules/reactor-index";
import { Rules } from "@needfire/shared/rules/rules";
import { loadReactors } from "@needfire/shared/reactor";
import type { Reason } from "@needfire/shared/rules/types";
import { eventOfWire } from "@needfire/shared/wire-event";
import { eventsFrame, wire } from "./fixture.ts";
import { Sieve } from "./sieve.ts";

const agent = { id: "web1", labels: { role: "web" }, facts: { cpus: 4 } };

function indexOf(conditions: (string | undefined)[], on = "['test.*', 'app.*']"): ReactorIndex {
  const texts = conditions.map(
    (when, number) =>
      `name: r${number}\non: ${on}\n${when === undefined ? "" : `when: ${JSON.stringify(when)}\n`}do:\n  - event.emit: { type: x.y }\n`,
  );
  const loaded = loadReactors("r.yaml", texts.join("---\n"));
  assert.ok(loaded.ok);
  return new ReactorIndex(loaded.reactors);
}

function look(index: ReactorIndex, drafts: Partial<EventDraft>[]): number[] | undefined {
  const sieve = new Sieve({ reactors: () => index, agentView: () => agent });
  const { frame } = eventsFrame(drafts.map((draft, at) => wire(at + 1, draft)));
  const heard = sieve.look("web1", frame);
  // From now on it knows the names, and need not decode what is plain.
  assert.deepEqual(sieve.look("web1", frame), heard);
  return heard;
}

test("what no reactor waits for, and what fails every condition, is passed over", () => {
  const index = indexOf(["event.data.n > 2", "event.severity == 'high'"], "test.happened");
  const drafts = [
    { data: { n: 1 } },
    { data: { n: 3 } },
    { type: "test.other", data: { n: 3 } },
    { severity: "high" as const },
    { data: {} },
  ];
  assert.deepEqual(look(index, drafts), [1, 3]);
});

test("an event for which a verification may wait is the engine's to judge, whatever it says", () => {
  const verify = "verify: { event: { on: test.reco*, when: event.subject == matched.trigger.subject }, within: 1m }";
  const loaded = loadReactors("r.yaml", `name: r\non: test.failed\ndo: [{ steps: [{ command.run: { argv: [id] } }], ${verify} }]\n`);
  assert.ok(loaded.ok);
  const drafts = [{ type: "test.recovered" }, { type: "test.happened" }, { type: "test.failed" }];
  assert.deepEqual(look(new ReactorIndex(loaded.reactors), drafts), [0, 2]);
});

test("a result, a type of the master's own and an event with a cause are the engine's to judge", () => {
  const drafts = [{ type: "execution.finished" }, { type: "task.created" }, { cause: "t-0123456789abcdef.1" }, {}];
  assert.deepEqual(look(indexOf([]), drafts), [0, 1, 2]);
});

test("a batch with something wrong in it is left to the engine whole", () => {
  const sieve = new Sieve({ reactors: () => indexOf([]), agentView: () => agent });
  for (const events of [[wire(1), "nonsense"], [wire(1).slice(0, 7)], [wire(1).with(3, "fatal" as never)]])
    assert.equal(sieve.look("web1", eventsFrame(events).frame), undefined);
  assert.equal(sieve.look("web1", Buffer.from("nonsense")), undefined);
});

test("a condition on what the event is only given in the journal lets everything pass", () => {
  for (const condition of ["event.position > 1000", "event.received > event.time", "size(event) > 3"])
    assert.deepEqual(look(indexOf([condition]), [{}, {}]), [0, 1], condition);
});

const conditions = [
  "event.data.n == 1",
  "event.data.n + 1 > 2 && event.data.text != 'a'",
  "has(event.data.deep.a) && event.data.deep.a == 2",
  "event.data['n'] == 1",
  "event.data.list.exists(e, e == event.data.n)",
  "event.data == {'n': 1}",
  "size(event.data) > 2",
  "event.id == 'web1:e1:1' || event.source.startsWith('/agents/web1/b')",
  "event.subject == '/a' && event.beacon == 'etc'",
  "event.severity in ['high', 'critical'] && agent.labels.role == 'web'",
  "event.data.?n.orValue(0) == 1",
  "has(event.subject)",
  "agent.facts.cpus > 3 && event.time > 1500.0",
  "event.type.endsWith('happened') && event.agent == 'web1'",
];

test("whatever the conditions and the events: what would fire is never passed over, and what it would not is", () => {
  const data = fc.record(
    {
      n: fc.oneof(fc.integer({ min: -1, max: 3 }), fc.constant("1"), fc.constant(null)),
      text: fc.constantFrom("a", "b", "x".repeat(40)),
      deep: fc.oneof(fc.record({ a: fc.integer({ min: 1, max: 3 }) }), fc.constant(5)),
      list: fc.array(fc.integer({ min: 0, max: 3 }), { maxLength: 20 }),
      other: fc.jsonValue(),
    },
    { requiredKeys: [] },
  );
  const draft = fc.record(
    {
      type: fc.constantFrom("test.happened", "app.changed", "else.where"),
      severity: fc.constantFrom("critical", "high", "low"),
      subject: fc.constantFrom("/a", "/b"),
      beacon: fc.constantFrom("etc", "b"),
      time: fc.constantFrom(1_000, 2_000),
      data,
    },
    { requiredKeys: ["data"] },
  );
  fc.assert(
    fc.property(
      fc.subarray(conditions, { minLength: 1, maxLength: 4 }),
      fc.array(draft, { minLength: 1, maxLength: 10 }),
      (some, drafts) => {
        const index = indexOf(some);
        const rules = new Rules(index, { agentView: () => agent, route: plainRoute, silence: () => undefined });
        const fires = drafts.flatMap((each, at) => {
          const event = eventOfWire({ agent: "web1", epoch: "e1", received: 0 }, wire(at + 1, each as Partial<EventDraft>), 0);
          const { decisions } = rules.hear({ event, agent: "web1", ancestry: [], root: event.id });
          return decisions.some(({ reason }) => reason === "fired") ? [at] : [];
        });
        assert.deepEqual(look(index, drafts as Partial<EventDraft>[]), fires);
      },
    ),
    { numRuns: 300 },
  );
});

const rules = [
  "when: event.data.n > 0\ncorrelate: { count: 2, within: 1m, by: [event.data.text] }",
  "correlate:\n  sequence: [{ when: event.data.n == 1, as: a }, { on: app.changed, when: event.data.text == matched.a.data.text }]\n  within: 1m",
  "correlate:\n  none: { on: app.changed, when: 'event.data.text == \"a\" && event.subject == matched.first.subject' }\n  within: 1m",
  "raise: { when: event.data.n == 3 }\nclear: { when: event.data.n == 0 }\non_clear: [{ event.emit: { type: x.y } }]",
  "correlate:\n  all: [{ on: test.happened, when: event.data.n == 1 }, { on: app.*, when: event.severity == 'high' }]\n  within: 1m",
  "when: route.priority == 'high' && event.data.text == vars.text\nvars: { text: a }\nflow: { once: 1m }",
  "when: event.data.text in vars.texts\nvars: { texts: [a, b] }\nflow: { collect: 1m }",
];

test("whatever the reactors keep in mind: what the engine would say anything of but that a condition does not hold is never passed over", () => {
  const anyEvent = fc.record(
    {
      type: fc.constantFrom("test.happened", "app.changed", "else.where"),
      severity: fc.constantFrom<EventDraft["severity"]>("high", "low"),
      subject: fc.constantFrom("/a", "/b"),
      data: fc.record({ n: fc.integer({ min: 0, max: 3 }), text: fc.constantFrom("a", "b", "c") }, { requiredKeys: [] }),
    },
    { requiredKeys: ["data"] },
  );
  const refusals = new Set<Reason>(["when-false", "when-missing-field", "when-error"]);
  fc.assert(
    fc.property(fc.subarray(rules, { minLength: 1 }), fc.array(anyEvent, { minLength: 1, maxLength: 15 }), (some, given) => {
      const texts = some.map((rule, number) => `name: r${number}\non: ['test.*', 'app.*']\n${rule}\ndo:\n  - event.emit: { type: x.y }\n`);
      const loaded = loadReactors("r.yaml", texts.join("---\n"));
      assert.ok(loaded.ok, loaded.ok ? "" : JSON.stringify(loaded.problems));
      const index = new ReactorIndex(loaded.reactors);
      const world = { agentView: () => agent, route: plainRoute, silence: () => undefined };
      const engine = new Rules(index, world);
      const sieved = new Rules(index, world);
      const drafts = given as Partial<EventDraft>[];
      const heard = new Set(look(index, drafts));
      for (const [at, draft] of drafts.entries()) {
        const event = eventOfWire({ agent: "web1", epoch: "e1", received: 1_000 + at }, wire(at + 1, draft), at + 1);
        const seen = { event, agent: "web1", ancestry: [], root: event.id };
        const { decisions } = engine.hear(seen);
        const said = decisions.filter(({ reason }) => !refusals.has(reason)).map(({ reactor, reason }) => [reactor.name, reason]);
        // A later step whose event is asked about one that never came says that it waits: nothing follows from it.
        if (!heard.has(at))
          assert.deepEqual(
            said.filter(([, reason]) => reason !== "waiting"),
            [],
          );
        else
          assert.deepEqual(
            sieved
              .hear(seen)
              .decisions.map(({ reactor, reason }) => [reactor.name, reason])
              .filter(([, reason]) => !refusals.has(reason as Reason)),
            said,
          );
      }
      assert.deepEqual(sieved.nextDue(), engine.nextDue());
    }),
    { numRuns: 300 },
  );
});
