import assert from "node:assert/strict";
import { test } from "node:test";
import { loadReactors } from "../reactor.ts";
import { problemText } from "../yaml-file.ts";

const load = (lines: string) => loadReactors("r.yaml", `name: patch\non: x.y\ndo: [{ event.emit: { type: a.b } }]\n${lines}`);

function fleet(lines: string) {
  const loaded = load(lines);
  assert.ok(loaded.ok, JSON.stringify(loaded));
  return loaded.reactors[0]!.fleet;
}

const host = (id: string, labels: Record<string, string> = {}) => ({ id, labels, facts: {} });

test("without targets, and with `agent`, it is for the host that the event is about", () => {
  assert.deepEqual([fleet(""), fleet("targets: agent")], [undefined, undefined]);
});

test("targets are those of beacons: a glob, a list of globs, or CEL over the agent", () => {
  const fitting = (lines: string) =>
    [host("web1", { role: "web" }), host("db1"), host("agent")].filter(fleet(lines)!.fits).map(({ id }) => id);
  assert.deepEqual(fitting("targets: 'web*'"), ["web1"]);
  assert.deepEqual(fitting("targets: [db1, agent]"), ["db1", "agent"]);
  assert.deepEqual(fitting(`targets: 'agent.labels.role == "web"'`), ["web1"]);
});

test("limits are numbers of hosts, or parts of them", () => {
  assert.deepEqual(fleet("targets: '*'\nlimits: { concurrent: 10%, ramp: [1, 10%, 50%], stop_after_failures: 5 }")!.limits, {
    concurrent: { percent: 10 },
    ramp: [{ hosts: 1 }, { percent: 10 }, { percent: 50 }],
    stopAfter: { hosts: 5 },
  });
  assert.deepEqual(fleet("targets: '*'")!.limits, { concurrent: undefined, ramp: [], stopAfter: undefined });
});

const bad: [title: string, lines: string, expected: RegExp][] = [
  ["limits of one host", "limits: { ramp: [1] }", /4:11: "ramp" is for a reactor with "targets"/],
  ["CEL that is none", "targets: 'agent.labels.role =='", /4:\d+: in the targets: /],
  ["CEL over the event", `targets: 'event.agent == "a"'`, /4:\d+: in the targets: /],
  ["a lock that is no CEL", "targets: '*'\nlock: ['agent.']", /5:15: Expected IDENTIFIER/],
  [
    "a lock over what only a task knows",
    "targets: '*'\nlock: [task.id]",
    /5:8: Unknown variable: task; it is known in values of otherwise only/,
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
