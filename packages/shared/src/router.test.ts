import assert from "node:assert/strict";
import { test } from "node:test";
import type { Event } from "./event.ts";
import { loadRouter, plainRoute, priorityMatrix, type RouteOf } from "./router.ts";
import { problemText } from "./yaml-file.ts";

const agent = { id: "web1", labels: { role: "web" }, facts: {} };

function event(data: Record<string, unknown>, severity: Event["severity"] = "normal"): Event {
  return { position: 1, id: "web1:e:1", type: "a.b", source: "/agents/web1", agent: "web1", time: 0, received: 0, severity, data };
}

function router(text: string): RouteOf {
  const loaded = loadRouter("router.yaml", text);
  assert.ok(loaded.ok, JSON.stringify(loaded));
  return loaded.route;
}

function problems(text: string): string[] {
  const loaded = loadRouter("router.yaml", text);
  return loaded.ok ? [] : loaded.problems.map(problemText);
}

test("the first rule that holds decides; a missing field makes it not hold", () => {
  const route = router(`rules:
  - { name: shop, when: event.data.service == "shop", impact: high, urgency: medium, owner: shop, labels: { team: a } }
  - { when: agent.labels.role == "web", owner: web }
  - { priority: low }
`);
  assert.deepEqual(route(event({ service: "shop" }), agent), { priority: "high", owner: "shop", labels: { team: "a" } });
  assert.deepEqual(route(event({}, "critical"), agent), { priority: "critical", owner: "web", labels: {} }, "priority: its severity");
  assert.deepEqual(route(event({}), { ...agent, labels: {} as { role: string } }), { priority: "low", owner: undefined, labels: {} });
});

test("an event that no rule is about keeps its severity, and so does every event without a router", () => {
  for (const route of [router(""), router("rules: []\n"), router('rules: [{ when: event.type == "x.y", priority: low }]\n'), plainRoute])
    assert.deepEqual(route(event({}, "high"), agent), { priority: "high", owner: undefined, labels: {} });
});

test("more impact or more urgency is never less priority", () => {
  const grades = ["low", "medium", "high"] as const;
  const order = ["low", "normal", "high", "critical"];
  for (const other of grades)
    for (const [less, more] of [
      ["low", "medium"],
      ["medium", "high"],
    ] as const) {
      assert.ok(order.indexOf(priorityMatrix[more][other]) >= order.indexOf(priorityMatrix[less][other]));
      assert.ok(order.indexOf(priorityMatrix[other][more]) >= order.indexOf(priorityMatrix[other][less]));
    }
  assert.equal(priorityMatrix.high.high, "critical");
  assert.equal(priorityMatrix.low.low, "low");
});

test("what is wrong is told with its place, all at once", () => {
  assert.deepEqual(
    problems(`rules:
  - { when: evnt.type == "a" }
  - { when: vars.x, impact: high }
  - { priority: low, impact: high, urgency: high }
  - { when: event.type == "a", urgency: low }
`),
    [
      'router.yaml:2:13: in the condition: Unknown variable: evnt; did you mean "event"?',
      "router.yaml:3:13: in the condition: Unknown variable: vars; it is known in reactors only",
      'router.yaml:3:21: "impact" needs "urgency" beside it: high, medium or low',
      'router.yaml:4:22: "priority" is given already: "impact" and "urgency" would work out another',
      'router.yaml:5:5: never reached: rule 3 has no "when" and takes every event',
      'router.yaml:5:32: "urgency" needs "impact" beside it: high, medium or low',
    ],
  );
  assert.deepEqual(problems("rules: [{ prority: low }]\n"), ['router.yaml:1:11: unknown key "prority"; did you mean "priority"?']);
  assert.deepEqual(problems("rules: []\n---\nrules: []\n"), ["router.yaml:3:1: a second document: one list of rules is wanted"]);
  assert.deepEqual(problems("- name: x\n"), ["router.yaml:1:1: expected object, got a list of 1"]);
});
