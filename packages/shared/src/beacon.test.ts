import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { checkBeacon, loadBeacons } from "./beacon.ts";
import { beaconTypes } from "./beacons/types.ts";
import { problemText } from "./yaml-file.ts";

const good = `name: etc
type: file
targets: web*
paths: [/etc/nginx, "/etc/*.conf"]
---
name: load
type: cpu
above: 90
clear_below: 70
`;

test("definitions come with their defaults and their targets", () => {
  const loaded = loadBeacons("b.yaml", good);
  assert.ok(loaded.ok, JSON.stringify(loaded));
  const [etc, load] = loaded.beacons;
  assert.deepEqual(
    [
      etc!.definition.severity,
      etc!.definition.type === "file" && etc!.definition.settle,
      load!.definition.type === "cpu" && load!.definition.for,
    ],
    ["normal", "50ms", "10s"],
  );
  const agent = (id: string) => ({ id, labels: {}, facts: {} });
  assert.deepEqual([etc!.test(agent("web1")), etc!.test(agent("db1")), load!.test(agent("db1"))], [true, false, true]);
});

for (const [what, text, expected] of [
  ["an unknown type", "name: a\ntype: flie\n", /^b\.yaml:2:7: there is no beacon type "flie"; did you mean "file"\?$/],
  ["no type", "name: a\npaths: [/etc]\n", /^b\.yaml:1:1: a beacon needs a "type": .*cpu.*file/],
  ["a type that every object has by birth", "name: a\ntype: constructor\n", /^b\.yaml:2:7: there is no beacon type "constructor"/],
  ["an option of another type", "name: a\ntype: file\npaths: [/etc]\nabove: 5\n", /^b\.yaml:4:1: unknown key "above"/],
  ["a relative path", "name: a\ntype: file\npaths: [/etc, x]\n", /^b\.yaml:3:15: expected an absolute path or glob, got "x"$/],
  ["a duration that is none", "name: a\ntype: cpu\nabove: 5\nfor: 10 s\n", /^b\.yaml:4:6: expected .*got "10 s"$/],
  [
    "thresholds that contradict each other",
    "name: a\ntype: cpu\nabove: 5\nclear_below: 50\n",
    /^b\.yaml:4:14: clear_below \(50\) is over above \(5\)/,
  ],
  ["a rate that is none", "name: a\ntype: cpu\nabove: 5\nrate: 10/s\n", /^b\.yaml:4:7: expected .*got "10\/s"$/],
  ["a rate per day", "name: a\ntype: cpu\nabove: 5\nrate: 10/1d\n", /^b\.yaml:4:7: a rate is per 100ms to 1h, got "10\/1d"$/],
  ["nothing to watch", "name: a\ntype: file\n", /^b\.yaml:1:1: nothing to watch/],
  ["a target that is no CEL", "name: a\ntype: file\nmanaged: true\ntargets: agent.labels.role ==\n", /^b\.yaml:4:\d+: /],
  [
    "a name twice",
    "name: a\ntype: file\nmanaged: true\n---\nname: a\ntype: cpu\nabove: 5\n",
    /^b\.yaml:5:7: a second beacon of the name "a" in this file$/,
  ],
  [
    "a unit that is a template",
    "name: a\ntype: service\nunits: [ssh, app@]",
    /^b\.yaml:3:14: "app@" is a template and never runs itself: name an instance, or "app@\*"$/,
  ],
  ["a process beacon of all processes", "name: a\ntype: process", /^b\.yaml:1:1: which processes\? give "names", "command"/],
  [
    "none at all that must be there",
    "name: a\ntype: process\nnames: [x]\nmax: 0",
    /^b\.yaml:4:6: max \(0\) is under min \(1\): .*"min: 0"/,
  ],
  ["an expression that is none", 'name: a\ntype: process\ncommand: "(x"', /^b\.yaml:3:10: error parsing regexp: missing closing \)/],
  ["no range", "name: a\ntype: connection\nlocal_addresses: [::1, 10.0.0/8]", /^b\.yaml:3:24: no address or range: "10\.0\.0\/8"/],
  ["ports the wrong way round", "name: a\ntype: connection\nlocal_ports: [22, 90-80]", /^b\.yaml:3:19: no ports: "90-80"/],
  [
    "a remote port without connections",
    "name: a\ntype: connection\nremote_ports: [22]",
    /^b\.yaml:3:15: remote_ports is about connections: watch "inbound" or "outbound", too$/,
  ],
] as const) {
  test(`${what} is refused with line and column`, () => {
    const loaded = loadBeacons("b.yaml", text);
    assert.ok(!loaded.ok);
    assert.equal(loaded.problems.length, 1, JSON.stringify(loaded.problems));
    assert.match(problemText(loaded.problems[0]!), expected);
  });
}

test("a definition from the wire is checked again", () => {
  assert.ok(checkBeacon({ name: "a", type: "cpu", above: 90 }).ok);
  for (const bad of [
    undefined,
    null,
    5,
    [],
    {},
    { type: "cpu" },
    { name: "a", type: "__proto__" },
    { name: "../a", type: "cpu", above: 90 },
  ]) {
    assert.equal(checkBeacon(bad).ok, false, JSON.stringify(bad));
  }
});

test("every ready definition in beacons/ is sound, each of another name, and there is one of every type", () => {
  const folder = join(import.meta.dirname, "..", "..", "..", "beacons");
  const ready = readdirSync(folder).flatMap((name) => {
    const loaded = loadBeacons(name, readFileSync(join(folder, name), "utf8"));
    assert.ok(loaded.ok, loaded.ok ? "" : loaded.problems.map(problemText).join("\n"));
    return loaded.beacons.map(({ definition }) => definition);
  });
  assert.equal(new Set(ready.map(({ name }) => name)).size, ready.length);
  assert.deepEqual([...new Set(ready.map(({ type }) => type))].toSorted(), Object.keys(beaconTypes));
});
