import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { loadReactors } from "../reactor.ts";
import { loadInlineTests, loadTestFile } from "./load.ts";
import { runSuite } from "./suite.ts";

const reactors = `name: r
on: [a.b, cpu.high]
vars: { least: 1 }
when: event.data.x >= vars.least || agent.labels.role == "web"
correlate: { count: 2, within: 1m, by: event.subject, consume: false }
flow: { once: 1m, overflow: delay }
mute_during: [{ cron: "0 2 * * *", for: 1h, zone: Europe/Berlin }]
do: [{ event.emit: { type: c.d, subject: "\${{ event.subject }}" } }]
---
name: s
on: c.d
raise: {}
clear: { on: e.f }
for: 10s
do: [{ event.emit: { type: a.b } }]
on_clear: [{ command.run: { argv: [echo, "\${{ event.id }}"] } }]
`;
const tests = `tests:
  - name: one
    reactor: r
    agents: { web1: { labels: { role: web }, facts: { cores: 4 } } }
    vars: { least: 2 }
    start: 2026-01-01T00:00:00Z
    timeline:
      - at: 0s
        event: { type: a.b, agent: web1, subject: x, severity: high, beacon: b, data: { x: 1 } }
        repeat: { times: 3, every: 5s }
      - { at: 20s, event: { type: cpu.high, whole: true } }
      - { at: 30s, silence: { reactor: r, agent: "web*", for: 1h } }
      - { at: 40s, event: { type: e.f, about: web2 } }
      - at: 1h
        expect:
          - { reactor: s, agent: web1, priority: normal, count: 1, key: [web1, x], branch: do, do: [{ event.emit: { type: a.b } }] }
      - { at: 2h, expect: nothing }
`;
const loaded = loadReactors("r.yaml", reactors);
assert.ok(loaded.ok);
const inForce = loaded.reactors;

const pieces = [
  "0s",
  "99999w",
  "-1",
  "null",
  "[]",
  "{}",
  '""',
  "nothing",
  "a.b",
  "true",
  "1e99",
  "*x",
  "&x",
  "__proto__",
  "expect",
  "event",
  "\t",
  "\u0000",
  "- ",
  ": ",
  "\n",
];
/** The text with some of its words changed, doubled or gone. */
const mutated = fc
  .array(fc.record({ at: fc.nat(), what: fc.constantFrom("put", "cut", "twice"), piece: fc.constantFrom(...pieces) }), {
    minLength: 1,
    maxLength: 4,
  })
  .map((changes) =>
    changes.reduce((text, { at, what, piece }) => {
      const words = text.split(/(?<=[\s,{}[\]:])/);
      const index = at % words.length;
      const put = { put: [`${piece} `], cut: [], twice: [words[index]!, words[index]!] }[what];
      return words.toSpliced(index, 1, ...put!).join("");
    }, tests),
  );

test("whatever stands in a test file, it has problems with places, or tests that run", () => {
  let ran = 0;
  fc.assert(
    fc.property(mutated, (text) => {
      const lines = text.split("\n").length;
      const found = loadTestFile("r.test.yaml", text);
      const suite = found.ok ? runSuite([{ file: "r.yaml", reactors: inForce, tests: found.tests }]) : undefined;
      if (suite !== undefined && suite.problems.length === 0) ran++;
      for (const { file, line, column, message } of found.ok ? suite!.problems : found.problems) {
        assert.equal(file, "r.test.yaml");
        assert.ok(line >= 1 && line <= lines && column >= 1 && message !== "");
      }
    }),
    { numRuns: 400 },
  );
  assert.ok(ran > 20, `only ${ran} of them ran`);
});

test("the same for tests in a file of reactors", () => {
  fc.assert(
    fc.property(mutated, (text) => {
      const found = loadInlineTests("r.yaml", `${reactors}${text}`);
      if (found.ok) runSuite([{ file: "r.yaml", reactors: inForce, tests: found.tests }]);
      else for (const { line, column } of found.problems) assert.ok(line >= 1 && column >= 1);
    }),
    { numRuns: 100 },
  );
});
