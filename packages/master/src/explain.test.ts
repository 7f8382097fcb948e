import assert from "node:assert/strict";
import { test } from "node:test";
import type { Event } from "@needfire/shared/event";
import { loadReactors } from "@needfire/shared/reactor";
import { plainRoute } from "@needfire/shared/router";
import { ReactorIndex } from "@needfire/shared/rules/reactor-index";
import { incoming } from "./fixture.ts";
import { decisionsOn, type Explaining } from "./explain.ts";
import { fromNowhere } from "./origin.ts";

const start = 1_700_000_000_000;
const emit = "do: [{ event.emit: { type: x.done } }]\n";
const steps = `name: steps\ncorrelate:\n  within: 1h\n  sequence:\n    - { on: st.a }\n    - { on: st.b, when: event.data.n > 0 }\n${emit}`;

/** Events that came minutes after the start, of which nothing is recorded but that they came. */
function setting(yaml: string, journal: [type: string, minute: number][]) {
  const loaded = loadReactors("r.yaml", yaml);
  assert.ok(loaded.ok, JSON.stringify(loaded));
  const events = journal.map(([type, minute], index): Event => {
    const at = start + minute * 60_000;
    return { ...incoming(index + 1, { type, time: at, received: at }), position: index + 1 };
  });
  const asked: string[] = [];
  const store: Explaining["store"] = {
    decisionsOn: () => [],
    tasksOfEvent: () => [],
    readCause: () => undefined,
    versionsAt: () => [{ number: 1, file: "r.yaml", digest: "?", since: 0, reactors: { any: "1" } }],
    versionText: () => yaml,
    taskWith: () => undefined,
    taskOfKey: () => undefined,
  };
  const query: Explaining["journal"]["query"] = ({ type, limit }) => {
    asked.push(type!);
    return events
      .filter((event) => event.type === type)
      .toReversed()
      .slice(0, limit);
  };
  const compiled = { index: new ReactorIndex(loaded.reactors), files: [], route: plainRoute, earlier: () => loaded.reactors };
  const told = (number: number) => {
    const event = events[number - 1]!;
    const question = { event, origin: fromNowhere(event), agent: { id: event.agent, labels: {}, facts: {} }, only: undefined };
    const [decision] = decisionsOn(question, { journal: { query }, store, compiled });
    return [decision!.decision, decision!.detail, decision!.assumed];
  };
  return { told, asked };
}

const held = "no silence, and nothing that inhibits";

test("a later step of which nothing is recorded is judged after the events before it", () => {
  const { told } = setting(steps, [
    ["st.a", 0],
    ["st.b", 10],
    ["st.b", 20],
    ["st.a", 70],
    ["st.b", 131],
  ]);
  assert.deepEqual(told(2), ["fired", "all 2 steps in their order within 1h", ["1 event of the 1h before it", held]]);
  const [decision, detail, assumed] = told(3);
  assert.deepEqual([decision, assumed], ["waiting", ["2 events of the 1h before it", held]]);
  assert.equal(detail, "nothing is waiting for it");
  assert.deepEqual(told(5).slice(0, 1), ["waiting"], "the first step was too long ago");
});

test("what was false in itself is told without a look at what came before", () => {
  const { told, asked } = setting(steps.replace("n > 0", "n > 5"), [
    ["st.a", 0],
    ["st.b", 10],
  ]);
  assert.deepEqual(told(2), ["when-false", "step2: event.data.n > 5 is false: 2 > 5", []]);
  assert.deepEqual(asked, []);
});

test("what a flow has let through before counts", () => {
  const { told } = setting(`name: once\non: st.a\nflow: { once: 1h }\n${emit}`, [
    ["st.a", 0],
    ["st.a", 10],
    ["st.a", 65],
  ]);
  assert.match(String(told(2).slice(0, 2)), /^throttled,throttled until/);
  assert.equal(told(1)[0], "fired");
});

test("an answer says which facts it takes for granted, and that there was more than it looked at", () => {
  const about = `name: all\non: st.a\nwhen: agent.id == "web1" && route.priority == "normal"\ncorrelate: { count: 3000, within: 1h }\n${emit}`;
  const { told } = setting(
    about,
    Array.from({ length: 2_500 }, () => ["st.a", 0]),
  );
  const [decision, detail, assumed] = told(2_500);
  assert.equal(decision, "waiting");
  assert.match(String(detail), /^2000 of 3000/);
  const cut = "the newest 1999 events of the 1h before it, which had more";
  assert.deepEqual(assumed, ["the host's facts of now", "the router of now", cut, held]);
});
