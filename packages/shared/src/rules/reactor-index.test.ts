import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { compileCondition, type Expression } from "../cel.ts";
import type { Event } from "../event.ts";
import { globMatcher } from "../glob.ts";
import { ReactorIndex } from "./reactor-index.ts";
import { conditionText, someAgent as agent, someEvent, someVars as vars } from "./condition.conformance.ts";
import type { Entry, Reactor } from "./types.ts";

function eventOf(given: Partial<Event> = {}): Event {
  const { agent: id = "web1" } = given;
  return {
    position: 1,
    id: `${id}:e1:1`,
    type: "a.b",
    source: "/",
    agent: id,
    time: 1,
    received: 2,
    severity: "normal",
    data: {},
    ...given,
  };
}

function condition(source: string): Expression {
  const compiled = compileCondition(source, "event");
  assert.ok(compiled.ok, source);
  return compiled.expression;
}

interface Given {
  on?: string[];
  when?: string | undefined;
  vars?: Record<string, unknown>;
  mode?: Reactor["mode"];
  entries?: { on: string[]; when?: string | undefined }[];
}

function reactorOf({ on = ["a.b"], when, vars = {}, mode = "live", entries = [{ on }] }: Given, number: number): Reactor {
  return {
    name: `r${number}`,
    description: "",
    owner: undefined,
    runbook: undefined,
    version: "",
    shape: "",
    file: "r.yaml",
    line: 1,
    mode,
    priority: "normal",
    followsSelf: false,
    on,
    when: when === undefined ? undefined : condition(when),
    entries: entries.map((entry, step): Entry => ({
      role: { kind: "step", step },
      on: entry.on,
      matchesType: globMatcher(entry.on),
      when: entry.when === undefined ? undefined : condition(entry.when),
      as: undefined,
    })),
    correlation: undefined,
    flow: undefined,
    inhibitedBy: [],
    muteDuring: [],
    onlyDuring: [],
    vars,
    remedy: { isLadder: false, rungs: [], otherwise: [], joinBy: undefined, lockBy: undefined, approval: undefined, beginMs: undefined },
    fleet: undefined,
    combining: undefined,
    breaker: undefined,
    perAgent: undefined,
    listensFor: [],
    onClear: [],
    keepsEvents: false,
    keysMax: 10,
  };
}

function indexOf(given: Given[]): ReactorIndex {
  return new ReactorIndex(given.map(reactorOf));
}

function candidates(given: Given[], event: Partial<Event>): string[] {
  return indexOf(given)
    .candidates(eventOf(event), agent)
    .map(({ reactor }) => reactor.name);
}

test("of many reactors on one type only those are looked at whose equality or prefix an event has", () => {
  const users = Array.from({ length: 1_000 }, (_value, number) => ({ when: `event.data.user == "user${number}" && event.data.n > 1` }));
  const paths = Array.from({ length: 1_000 }, (_value, number) => ({ when: `event.subject.startsWith("/srv/${number}/")` }));
  const given = [...users, ...paths, { when: "event.data.n > 2" }];
  assert.deepEqual(candidates(given, { subject: "/srv/12/x", data: { user: "user7" } }), ["r7", "r1012", "r2000"]);
  assert.deepEqual(candidates(given, { subject: "/srv/", data: {} }), ["r2000"]);
});

test("the more values the conditions know of a field, the rather it is asked for", () => {
  const given = Array.from({ length: 100 }, (_value, number) => ({
    when: `agent.labels.env == "prod" && event.severity == "high" && event.data.user == "user${number}"`,
  }));
  assert.deepEqual(candidates(given, { severity: "high", data: { user: "user3" } }), ["r3"]);
});

test("either of two, any of a list, and values that a reactor knows by name", () => {
  const given = [
    { when: 'event.data.a == 1 || event.data["b"].c == "x"' },
    { when: "event.data.a in [2, -3, 'y']" },
    { when: "event.data.a == vars.least || event.data.a in vars.more", vars: { least: 4, more: [5, 6] } },
    { when: "event.data.a == 7 || event.data.a > 100" },
  ];
  const of = (data: Record<string, unknown>) => candidates(given, { data });
  assert.deepEqual(of({ a: 1 }), ["r0", "r3"]);
  assert.deepEqual(of({ a: 0, b: { c: "x" } }), ["r0", "r3"]);
  assert.deepEqual(of({ a: -3 }), ["r1", "r3"]);
  assert.deepEqual(of({ a: 4 }), ["r2", "r3"]);
  assert.deepEqual(of({ a: 6 }), ["r2", "r3"]);
  assert.deepEqual(of({ a: "1" }), ["r3"]);
});

test("types are found exactly and by glob, once each and in order of definition", () => {
  const given = [{ on: ["*"] }, { on: ["a.*", "a.b", "{a,b}.b"] }, { on: ["b.*"] }, { on: ["a.b"] }, { on: ["a.?"] }];
  const index = indexOf(given);
  const names = (type: string) => index.ofType(type).hearers.map(({ reactor }) => reactor.name);
  assert.deepEqual(names("a.b"), ["r0", "r1", "r3", "r4"]);
  assert.deepEqual(names("b.b"), ["r0", "r1", "r2"]);
  assert.deepEqual(names("a.bc"), ["r0", "r1"]);
  assert.equal(indexOf(given.slice(1)).hearsType("c.d"), false);
});

test("a reactor that is off hears nothing", () => {
  const index = indexOf([{ mode: "off" }, { mode: "shadow" }]);
  assert.deepEqual(candidates([{ mode: "off" }, { mode: "shadow" }], {}), ["r1"]);
  assert.equal(index.reactors.length, 2);
});

test("a reactor's own condition and that of its entry both count, for the entries that hear the type", () => {
  const given = [
    {
      when: "event.data.n > 0",
      entries: [
        { on: ["a.b"], when: "event.data.user == 'x'" },
        { on: ["c.d"], when: "event.data.user == 'y'" },
      ],
    },
  ];
  assert.deepEqual(candidates(given, { data: { user: "x" } }), ["r0"]);
  assert.deepEqual(candidates(given, { data: { user: "y" } }), []);
  assert.deepEqual(candidates(given, { type: "c.d", data: { user: "y" } }), ["r0"]);
});

test("more types than are remembered are told apart as before", () => {
  const index = indexOf([{ on: ["*"] }, { on: ["made.up-7"] }]);
  for (let number = 0; number < 20_050; number++) index.hearsType(`made.up-${number + 100}`);
  assert.equal(index.ofType("made.up-7").hearers.length, 2);
  assert.equal(index.ofType("made.up-8").hearers.length, 1);
});

const on = fc.subarray(["a.b", "a.*", "*", "x.y"], { minLength: 1 });

test("whatever the conditions and the events: no reactor is missed, and they come in order of definition", () => {
  const whenOf = fc.option(conditionText, { nil: undefined });
  const reactor = fc.record({ when: whenOf, entries: fc.array(fc.record({ on, when: whenOf }), { minLength: 1, maxLength: 3 }) });
  fc.assert(
    fc.property(
      fc.array(reactor, { minLength: 1, maxLength: 8 }),
      fc.array(someEvent, { minLength: 1, maxLength: 10 }),
      (given, events) => {
        const index = indexOf(given.map((each) => ({ ...each, vars })));
        const holds = (when: Expression | undefined, of: Event) => {
          if (when === undefined) return true;
          const result = when.evaluate({ event: of, agent, vars } as Parameters<Expression["evaluate"]>[0]);
          return result.ok && result.value === true;
        };
        for (const each of events) {
          const whole = eventOf(each as Partial<Event>);
          const hearers = index.candidates(whole, agent);
          const found = hearers.map(({ reactor }) => reactor);
          for (const { reactor: one, entries } of hearers)
            assert.deepEqual(
              entries,
              one.entries.filter((entry) => entry.matchesType(whole.type)),
            );
          const expected = index.reactors.filter(
            (one) => holds(one.when, whole) && one.entries.some((entry) => entry.matchesType(whole.type) && holds(entry.when, whole)),
          );
          for (const one of expected) assert.ok(found.includes(one), `${one.name} is missed`);
          assert.deepEqual(
            found,
            index.reactors.filter((one) => found.includes(one)),
          );
          for (const one of found) assert.ok(one.entries.some((entry) => entry.matchesType(whole.type)));
        }
      },
    ),
    { numRuns: 1_000 },
  );
});
