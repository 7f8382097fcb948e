import assert from "node:assert/strict";
import { test } from "node:test";
import { loadReactors } from "../reactor.ts";
import { loadInlineTests, loadTestFile } from "./load.ts";
import { runTest, type TestResult } from "./run.ts";

/** Runs the tests that stand in the text of reactors. */
function results(text: string): TestResult[] {
  const loaded = loadReactors("r.yaml", text);
  assert.ok(loaded.ok, JSON.stringify(loaded));
  const found = loadInlineTests("r.yaml", text);
  assert.ok(found.ok, JSON.stringify(found));
  return found.tests.map((each) => runTest(each, { reactors: loaded.reactors }));
}

const bruteForce = (timeline: string) => `
name: brute-force
on: login.failed
correlate: { count: 3, within: 1m, by: event.data.address }
flow: { once: 10m }
do:
  - command.run: { argv: [block, "\${{ key[0] }}"] }
tests:
  - name: three
    timeline:
${timeline}`;

test("a timeline that goes as expected has no difference", () => {
  const [result] = results(
    bruteForce(`
      - { at: 0s, event: { type: login.failed, data: { address: 10.0.0.1 } }, repeat: { times: 3, every: 10s } }
      - { at: 5s, event: { type: login.failed, data: { address: 10.0.0.2 } } }
      - { at: 19s, expect: nothing }
      - { at: 20s, expect: [{ reactor: brute-force, agent: web1, count: 3, do: [{ command.run: { argv: [block, 10.0.0.1] } }] }] }
      - { at: 2m, event: { type: login.failed, data: { address: 10.0.0.1 } }, repeat: { times: 3 } }
      - { at: 2m, expect: [] }`),
  );
  assert.deepEqual(result!.unmet, []);
  assert.equal(result!.events.length, 7);
  assert.equal(result!.decisions.at(-1)!.reason, "throttled");
});

test("what is missing, different and unexpected is told, with the reasons of what did not fire", () => {
  const [result] = results(
    bruteForce(`
      - { at: 0s, event: { type: login.failed, data: { address: 10.0.0.1 } }, repeat: { times: 2 } }
      - { at: 1s, expect: [{ agent: web1 }] }
      - { at: 2s, event: { type: login.failed, data: { address: 10.0.0.1 } } }
      - { at: 2s, expect: [{ do: [{ command.run: { argv: [block, 10.0.0.2] } }] }] }
      - { at: 1h, event: { type: login.failed, data: { address: 10.0.0.1 } }, repeat: { times: 3 } }
      - { at: 1h, expect: nothing }`),
  );
  const [missing, different, unexpected] = result!.unmet;
  assert.deepEqual(missing!.difference.missing, [{ agent: "web1" }]);
  assert.match(missing!.decisions.at(-1)!.detail, /2 of 3/);
  assert.deepEqual(different!.difference.different[0]!.paths, [
    { path: "do[0].command.run.argv[1]", expected: "10.0.0.2", got: "10.0.0.1" },
  ]);
  assert.equal(unexpected!.difference.unexpected[0]!.reactor, "brute-force");
});

test("time alone fires: absence, at its own time", () => {
  const [result] = results(`
name: backup-late
on: backup.started
correlate: { none: { on: backup.finished }, within: 1h, by: event.agent }
do: [{ event.emit: { type: backup.late, subject: "\${{ event.agent }}" } }]
tests:
  - name: late
    timeline:
      - { at: 0s, event: { type: backup.started } }
      - { at: 59m, expect: nothing }
      - { at: 2h, expect: [{ reactor: backup-late }] }
  - name: in time
    timeline:
      - { at: 0s, event: { type: backup.started } }
      - { at: 10m, event: { type: backup.finished } }
      - { at: 2h, expect: nothing }
`);
  assert.deepEqual(result!.unmet, []);
  const made = result!.events.at(-1)!;
  assert.equal(made.type, "backup.late");
  assert.equal(made.received - result!.test.start, 3_600_000);
});

test("P7: what event.emit makes comes back with its cause, and does not fire its own reactor", () => {
  const [result] = results(`
name: first
on: a.b
do: [{ event.emit: { type: c.d } }]
tests:
  - name: a chain
    reactor: second
    timeline:
      - { at: 0s, event: { type: a.b } }
      - { at: 0s, expect: [{ reactor: second, agent: web1 }] }
---
name: second
on: c.d
do: [{ event.emit: { type: a.b } }]
`);
  assert.deepEqual(result!.unmet, []);
  assert.deepEqual(
    result!.events.map(({ type }) => type),
    ["a.b", "c.d", "a.b"],
  );
  assert.equal(result!.decisions.at(-1)!.reason, "own-effect");
});

test("a strict expectation finds its firing beside a vague one, whatever their order", () => {
  const [result] = results(`
name: r
on: a.b
do: [{ event.emit: { type: c.d } }]
tests:
  - name: both
    timeline:
      - { at: 0s, event: { type: a.b, agent: web1 } }
      - { at: 0s, event: { type: a.b, agent: web2 } }
      - { at: 0s, expect: [{ reactor: r }, { reactor: r, agent: web1 }] }
`);
  assert.deepEqual(result!.unmet, []);
});

test("of a condition that was false the part that decided is told, with its values", () => {
  const [result] = results(`
name: r
on: a.b
when: event.data.x > 1 && event.data.y > 1
do: [{ event.emit: { type: c.d } }]
tests:
  - name: never
    timeline:
      - { at: 0s, event: { type: a.b, data: { x: 2, y: 0 } } }
      - { at: 0s, expect: [{ reactor: r }] }
`);
  assert.deepEqual(
    result!.unmet[0]!.decisions.map(({ reason, detail }) => [reason, detail]),
    [["when-false", "event.data.y > 1 is false: 0 > 1"]],
  );
});

test("silences, calendars and variables are as the test says", () => {
  const found = results(`
name: r
on: a.b
vars: { least: 5 }
when: event.data.x >= vars.least
mute_during: [{ cron: "0 2 * * *", for: 1h }]
do: [{ event.emit: { type: c.d } }]
tests:
  - name: by day
    start: 2026-03-01T01:59:00Z
    vars: { least: 1 }
    timeline:
      - { at: 0s, event: { type: a.b, data: { x: 1 } } }
      - { at: 0s, expect: [{ reactor: r }] }
      - { at: 1m, event: { type: a.b, data: { x: 1 } } }
      - { at: 1m, expect: nothing }
      - { at: 62m, silence: { reactor: "r*", for: 1m } }
      - { at: 62m, event: { type: a.b, data: { x: 1 } } }
      - { at: 63m, expect: nothing }
      - { at: 63m, event: { type: a.b, data: { x: 1 } } }
      - { at: 63m, expect: [{ reactor: r }] }
  - name: its own value
    timeline:
      - { at: 0s, event: { type: a.b, data: { x: 4 } } }
      - { at: 0s, expect: nothing }
`);
  assert.deepEqual(
    found.flatMap(({ unmet }) => unmet),
    [],
  );
  assert.deepEqual(
    found[0]!.decisions.map(({ reason }) => reason),
    ["fired", "muted", "silenced", "fired"],
  );
});

test("a reactor that is off or in shadow is tested by what it would do", () => {
  const shadow = (mode: string) => `
name: r
mode: ${mode}
on: a.b
do: [{ event.emit: { type: c.d } }]
tests:
  - name: would
    timeline:
      - { at: 0s, event: { type: a.b } }
      - { at: 0s, expect: [{ planned: true, do: [{ event.emit: { type: c.d } }] }] }
`;
  for (const mode of ["off", "shadow", "plan"]) assert.deepEqual(results(shadow(mode))[0]!.unmet, [], mode);
});

test("what an event does not have is filled from its type's example, unless it is whole", () => {
  const [result] = results(`
name: r
on: cpu.high
do: [{ event.emit: { type: c.d } }]
tests:
  - name: filled
    timeline:
      - { at: 0s, event: { type: cpu.high, data: { percent: 99 } } }
      - { at: 0s, event: { type: cpu.high, whole: true } }
      - { at: 0s, event: { type: task.escalated, about: web3 } }
      - { at: 0s, expect: [{ agent: web1 }, { agent: web1 }] }
`);
  assert.deepEqual(result!.unmet, []);
  const [filled, whole] = result!.events;
  assert.equal(filled!.data["percent"], 99);
  assert.equal(typeof filled!.data["above"], "number");
  assert.deepEqual(whole!.data, {});
});

test("every problem of a test file has its place", () => {
  const loaded = loadTestFile(
    "x.test.yaml",
    `tests:
  - name: wrong
    timeline:
      - { at: 1m, expect: something }
      - { at: 1s }
      - { at: 2m, expect: [], repeat: { times: 2 } }
      - { at: soon, event: { type: a.b } }
`,
  );
  assert.ok(!loaded.ok);
  assert.ok(loaded.problems.length > 0);
  for (const { line, file } of loaded.problems) assert.ok(line > 1 && file === "x.test.yaml");
});

test("a test that promises what cannot be is a problem: data that no such event has, actions that are not there, nothing expected", () => {
  const loaded = loadTestFile(
    "x.test.yaml",
    `tests:
  - name: wrong
    timeline:
      - at: 0s
        event: { type: cpu.high, data: { percnt: 1 } }
      - { at: 1s, expect: [{ do: [{ comand.run: { argv: [ps] } }] }] }
  - name: says nothing
    timeline:
      - { at: 0s, event: { type: a.b } }
  - name: far too much
    timeline:
      - { at: 0s, expect: nothing }
      - { at: 1s, event: { type: a.b }, repeat: { times: 10000 } }
${"      - { at: 1s, event: { type: a.b }, repeat: { times: 10000 } }\n".repeat(10)}`,
  );
  assert.ok(!loaded.ok);
  const [data, action, nothing, much] = loaded.problems;
  assert.match(data!.message, /no event cpu\.high has such data: .*percnt.*did you mean "percent"/);
  assert.deepEqual([action!.line, action!.column], [6, 37]);
  assert.match(action!.message, /there is no action "comand\.run"; did you mean "command\.run"\?/);
  assert.match(nothing!.message, /cannot fail/);
  assert.match(much!.message, /at most 100000/);
});

test("a test's own router is what the master's would be: priority, owner, labels, and route in CEL", () => {
  const [result] = results(`
name: full
on: disk.full
when: route.labels.team == "storage"
do: [{ event.emit: { type: disk.told, data: { to: "\${{ route.owner }}" } } }]
tests:
  - name: by the router
    agents: { web1: { labels: { service: shop } } }
    router:
      rules:
        - { when: agent.labels.service == "shop", impact: high, urgency: high, owner: ann, labels: { team: storage } }
    timeline:
      - { at: 0s, event: { type: disk.full } }
      - { at: 0s, expect: [{ priority: critical, owner: ann, labels: { team: storage }, do: [{ event.emit: { data: { to: ann } } }] }] }
      - { at: 1s, event: { type: disk.full, agent: web2 } }
      - { at: 1s, expect: nothing }
`);
  assert.deepEqual(result!.unmet, []);
  const loaded = loadInlineTests(
    "r.yaml",
    "tests:\n  - name: x\n    router: { rules: [{ when: 'event.' }] }\n    timeline: [{ at: 0s, expect: nothing }]\n",
  );
  assert.match(JSON.stringify(loaded), /"line":3,"column":\d+,"message":"in the condition/);
});

test("of a ladder the rungs are expected with their values, and what is done otherwise as it is written where it speaks of the task", () => {
  const ladder = (expected: string) => `
name: revive
on: service.failed
task: { key: [event.agent, event.subject] }
do:
  - steps: [{ command.run: { argv: [reload, "\${{ event.subject }}"] } }]
    retry: { attempts: 3 }
    verify: { command.run: { argv: [check] }, after: 1s }
  - steps: [{ command.run: { argv: [restart] } }]
    undo: { after: 1h, steps: [{ command.run: { argv: [back] } }] }
otherwise: [{ command.run: { argv: [page, "\${{ task.reason }}"] } }]
tests:
  - name: a ladder
    timeline:
      - { at: 0s, event: { type: service.failed, subject: nginx } }
      - { at: 0s, expect: [{ ${expected} }] }
`;
  const good = `task: { key: [web1, nginx] }, otherwise: [{ command.run: { argv: [page, "\${{ task.reason }}"] } }], do: [
          { steps: [{ command.run: { argv: [reload, nginx] } }], retry: { attempts: 3 }, verify: { command.run: { argv: [check] } } },
          { steps: [{ command.run: { argv: [restart] } }], undo: { steps: [{ command.run: { argv: [back] } }] } }]`;
  assert.deepEqual(results(ladder(good))[0]!.unmet, []);
  const [wrong] = results(ladder(good.replace("[restart]", "[stop]").replace("attempts: 3", "attempts: 2")))[0]!.unmet;
  assert.deepEqual(
    wrong!.difference.different[0]!.paths.map(({ path }) => path),
    ["do[0].retry.attempts", "do[1].steps[0].command.run.argv[0]"],
  );
});

test("a reactor with targets fires for those of the test's hosts that fit, and does on each what its values come to", () => {
  const [result] = results(`
name: patch
on: patch.wanted
targets: 'agent.labels.role == "web"'
do:
  - event.emit: { type: patch.done, subject: "\${{ agent.id }}", data: { by: "\${{ event.subject }}" } }
tests:
  - name: all web servers
    agents: { web2: { labels: { role: web } }, web1: { labels: { role: web } }, db1: {} }
    timeline:
      - { at: 0s, event: { type: patch.wanted, agent: db1, subject: openssl } }
      - at: 0s
        expect: [{ agent: db1, hosts: [web1, web2], do: [{ event.emit: { type: patch.done, subject: web1, data: { by: openssl } } }] }]
      - { at: 1s, event: { type: patch.wanted } }
      - { at: 1s, expect: [{ hosts: [web1] }] }
`);
  assert.deepEqual(
    result!.unmet.map(({ difference }) => difference.different[0]!.paths),
    [[{ path: "hosts", expected: ["web1"], got: ["web1", "web2"] }]],
  );
  const emitted = result!.events.filter(({ type }) => type === "patch.done").map(({ subject }) => subject);
  assert.deepEqual(emitted.slice(0, 2), ["web1", "web2"]);
});
