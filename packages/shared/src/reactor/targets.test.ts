import assert from "node:assert/strict";
import { test } from "node:test";
import type { Event } from "../event.ts";
import { loadReactors } from "../reactor.ts";
import { problemText } from "../yaml-file.ts";

const load = (lines: string) => loadReactors("r.yaml", `name: patch\non: x.y\ndo: [{ event.emit: { type: a.b } }]\n${lines}`);

function fleet(lines: string) {
  const loaded = load(lines);
  assert.ok(loaded.ok, JSON.stringify(loaded));
  return loaded.reactors[0]!.fleet;
}

const eventOf = (data: Record<string, unknown>): Event => ({
  ...{ position: 1, id: "web1:1:1", type: "x.y", source: "/agents/web1", agent: "web1", time: 1, received: 2, severity: "normal", data },
});

const host = (id: string, labels: Record<string, string> = {}) => ({ id, labels, facts: {} });

test("without targets, and with `agent`, it is for the host that the event is about", () => {
  assert.deepEqual([fleet(""), fleet("targets: agent")], [undefined, undefined]);
});

test("targets are those of beacons: a glob, a list of globs, or CEL over the agent", () => {
  const fitting = (lines: string, data: Record<string, unknown> = {}) =>
    [host("web1", { role: "web" }), host("db1"), host("agent")]
      .filter((view) => fleet(lines)!.fits(view, { event: eventOf(data), vars: { role: "web" } }))
      .map(({ id }) => id);
  assert.deepEqual(fitting("targets: 'web*'"), ["web1"]);
  assert.deepEqual(fitting("targets: [db1, agent]"), ["db1", "agent"]);
  assert.deepEqual(fitting(`targets: 'agent.labels.role == "web"'`), ["web1"]);
  const same = "targets: agent.labels.role == event.data.role";
  assert.deepEqual([fitting(same, { role: "web" }), fitting(same, { role: "db" }), fitting(same)], [["web1"], [], []]);
  assert.deepEqual(fitting("vars: { role: web }\ntargets: agent.labels.role == vars.role"), ["web1"]);
});

test("limits are numbers of hosts, or parts of them", () => {
  assert.deepEqual(fleet("targets: '*'\nlimits: { concurrent: 10%, ramp: [1, 10%, 50%], stop_after_failures: 5 }")!.limits, {
    concurrent: { percent: 10 },
    ramp: [{ hosts: 1 }, { percent: 10 }, { percent: 50 }],
    stopAfter: { hosts: 5 },
  });
  assert.deepEqual(fleet("targets: '*'")!.limits, { concurrent: undefined, ramp: [], stopAfter: undefined });
});

test("a rollout may leave out hosts for which as many tasks were made as may be", () => {
  const loaded = load("targets: '*'\nlimits: { per_agent: 3/1h }");
  assert.deepEqual(loaded.ok && loaded.reactors[0]!.perAgent, { tasks: 3, withinMs: 3_600_000 });
});

const bad: [title: string, lines: string, expected: RegExp][] = [
  ["limits of one host", "limits: { ramp: [1] }", /4:11: "ramp" is for a reactor with "targets"/],
  ["CEL that is none", "targets: 'agent.labels.role =='", /4:\d+: in the targets: /],
  ["a lock that is no CEL", "targets: '*'\nlock: ['agent.']", /5:15: Expected IDENTIFIER/],
  [
    "a lock over what only a task knows",
    "targets: '*'\nlock: [task.id]",
    /5:8: Unknown variable: task; it is known in values of otherwise only/,
  ],
  [
    "CEL over what only values know",
    `targets: 'count > 3 && agent.id == "a"'`,
    /4:11: in the targets: Unknown variable: count; it is known in values of do only/,
  ],
  ["CEL that is no condition", `targets: event.data.site + "x"`, /4:10: in the targets: a condition must be true or false/],
  ["a variable that is not there", `targets: agent.labels.site == vars.site`, /4:31: there is no variable "site" under vars/],
  [
    "hosts that are not chosen yet",
    `targets: 'size(targets) > 1'`,
    /4:16: in the targets: Unknown variable: targets; it is known in approve only/,
  ],
  [
    "hosts in a value",
    `otherwise: [{ event.emit: { type: a.b, data: { hosts: "\${{ targets }}" } } }]`,
    /4:\d+: .*Unknown variable: targets; it is known in approve only/,
  ],
  ["no hosts", "targets: '*'\nlimits: { concurrent: 0 }", /5:23: .*>= 1/],
  ["more than all", "targets: '*'\nlimits: { concurrent: 110% }", /5:23: expected a number of hosts such as 10, or a part such as 10%/],
];
for (const [title, lines, expected] of bad) {
  test(`is refused, with its place: ${title}`, () => {
    const loaded = load(lines);
    assert.match(loaded.ok ? "" : loaded.problems.map(problemText).join("\n"), expected);
  });
}
