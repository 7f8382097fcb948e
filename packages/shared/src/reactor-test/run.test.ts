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
