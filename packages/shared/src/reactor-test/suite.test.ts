import assert from "node:assert/strict";
import { test } from "node:test";
import { loadReactors } from "../reactor.ts";
import type { ReactorCoverage } from "./coverage.ts";
import { loadInlineTests, loadTestFile } from "./load.ts";
import { runSuite, type SuiteResult, type TestedFile } from "./suite.ts";

/** `tests`: of the file beside it. */
function fileOf(file: string, text: string, tests?: string): TestedFile {
  const loaded = loadReactors(file, text);
  assert.ok(loaded.ok, JSON.stringify(loaded));
  const inline = loadInlineTests(file, text);
  const beside = tests === undefined ? { ok: true as const, tests: [] } : loadTestFile(file.replace(".yaml", ".test.yaml"), tests);
  assert.ok(inline.ok && beside.ok, JSON.stringify([inline, beside]));
  return { file, reactors: loaded.reactors, tests: [...inline.tests, ...beside.tests] };
}

function coverageOf(text: string): ReactorCoverage {
  const suite = runSuite([fileOf("r.yaml", text)]);
  assert.deepEqual(failures(suite), []);
  return suite.coverage[0]!;
}

function failures({ files, problems }: SuiteResult): unknown[] {
  return [...problems, ...files.flatMap(({ results }) => results.flatMap(({ unmet }) => unmet.map(({ difference }) => difference)))];
}

const emits = (name: string, on: string, type: string) => `name: ${name}\non: ${on}\ndo: [{ event.emit: { type: ${type} } }]\n`;
const fires = (reactor: string, type: string) =>
  `tests: [{ name: it fires, timeline: [{ at: 0s, event: { type: ${type} } }, { at: 0s, expect: [{ reactor: ${reactor} }] }] }]`;

test("what other files hold changes no test; whom a test names takes part, and so does whoever inhibits", () => {
  const files = [
    fileOf("a.yaml", emits("a", "x.y", "from.a"), fires("a", "x.y")),
    fileOf("b.yaml", emits("b", "x.y", "from.b"), fires("b", "x.y")),
    fileOf(
      "c.yaml",
      emits("c", "from.a", "from.c"),
      "tests: [{ name: alone, timeline: [{ at: 0s, event: { type: x.y } }, { at: 0s, expect: nothing }] }]",
    ),
    fileOf(
      "d.yaml",
      emits("d", "from.a", "from.d"),
      "tests: [{ name: behind a, timeline: [{ at: 0s, event: { type: x.y } }, { at: 0s, expect: [{ reactor: a }, { reactor: d }] }] }]",
    ),
    fileOf(
      "e.yaml",
      `${emits("e", "x.y", "from.e")}inhibited_by: [a]\n`,
      "tests: [{ name: held back, timeline: [{ at: 0s, event: { type: x.y } }, { at: 1s, event: { type: x.y } }, { at: 1s, expect: [{ reactor: e }] }] }]",
    ),
  ];
  assert.deepEqual(failures(runSuite(files)), []);
});

test("a name that is not there is a problem at its place, and its test does not run", () => {
  const tests = `tests:
  - name: wrong
    vars: { leest: 1 }
    timeline:
      - { at: 0s, event: { type: a.b } }
      - { at: 0s, expect: [{ reactor: bruteforce }] }
`;
  const { problems, files } = runSuite([fileOf("r.yaml", `${emits("brute-force", "a.b", "c.d")}vars: { least: 1 }\n`, tests)]);
  assert.deepEqual(
    problems.map(({ line, column, message }) => `${line}:${column} ${message}`),
    [
      '3:13 no reactor of this test has a variable "leest"; did you mean "least"?',
      '6:39 there is no reactor "bruteforce" in what is tested; did you mean "brute-force"?',
    ],
  );
  assert.deepEqual(files[0]!.results, []);
});

test("a reactor that no test is for is told", () => {
  const text = [emits("a", "x.y", "from.a"), emits("b", "x.y", "from.b")].join("---\n");
  const of = (tests?: string) => runSuite([fileOf("ab.yaml", text, tests)]).untested.map(({ name }) => name);
  assert.deepEqual(of(), ["a", "b"]);
  const one = "tests: [{ name: x, reactor: a, timeline: [{ at: 0s, expect: nothing }] }]";
  assert.deepEqual(of(one), ["b"]);
  assert.deepEqual(of(one.replace("reactor: a, ", "")), []);
});

test("coverage: a condition and each of its parts, true and false; what && did not need was not seen", () => {
  const coverage = coverageOf(`
name: r
on: a.b
when: event.data.x > 1 && (event.data.y > 1 || !has(event.data.z))
do: [{ event.emit: { type: c.d } }]
tests:
  - name: some
    timeline:
      - { at: 0s, event: { type: a.b, data: { x: 0 } } }
      - { at: 0s, event: { type: a.b, data: { x: 2, y: 2 } } }
      - { at: 0s, expect: [{ reactor: r }] }
`);
  assert.deepEqual(
    coverage.conditions.map((row) => [row.source, row.true, row.false]),
    [
      ["event.data.x > 1 && (event.data.y > 1 || !has(event.data.z))", true, true],
      ["event.data.x > 1", true, true],
      ["event.data.y > 1", true, false],
      ["has(event.data.z)", false, false],
    ],
  );
  assert.deepEqual([coverage.seen, coverage.goals], [6, 9]);
});

test("coverage: the steps of a sequence, with and without a condition, when it is their turn", () => {
  const coverage = coverageOf(`
name: r
correlate:
  sequence:
    - { on: a.b }
    - { on: c.d, when: event.data.x == 1 }
    - { on: e.f }
  within: 1m
do: [{ event.emit: { type: g.h } }]
tests:
  - name: two of three
    timeline:
      - { at: 0s, event: { type: e.f } }
      - { at: 0s, event: { type: a.b } }
      - { at: 0s, event: { type: c.d, data: { x: 1 } } }
      - { at: 0s, expect: nothing }
`);
  assert.deepEqual(
    coverage.conditions.map((row) => [row.place, row.true, row.false]),
    [
      ["correlate.sequence[0]", true, undefined],
      ["correlate.sequence[1].when", true, false],
      ["correlate.sequence[2]", false, undefined],
    ],
  );
  assert.deepEqual(coverage.outcomes, [
    { outcome: "fires", seen: false },
    { outcome: "waiting", seen: true },
  ]);
});

test("coverage: each way to end that the reactor has keys for", () => {
  const outcomes = (keys: string) =>
    coverageOf(`name: r\non: a.b\n${keys}\ndo: [{ event.emit: { type: c.d } }]\n`).outcomes.map(({ outcome }) => outcome);
  assert.deepEqual(outcomes(""), ["fires"]);
  assert.deepEqual(outcomes("flow: { once: 1m }"), ["fires", "throttled"]);
  assert.deepEqual(outcomes("flow: { rate: 2/1m, overflow: merge }"), ["fires", "merged"]);
  assert.deepEqual(outcomes("flow: { once: 1m, overflow: delay }"), ["fires", "delayed"]);
  assert.deepEqual(outcomes("flow: { debounce: 1m }"), ["fires", "debounced"]);
  assert.deepEqual(outcomes("flow: { collect: 1m }"), ["fires", "collecting"]);
  assert.deepEqual(outcomes("correlate: { count: 2, within: 1m }\ninhibited_by: [x]"), ["fires", "waiting", "inhibited"]);
  assert.deepEqual(outcomes('only_during: [{ cron: "0 2 * * *", for: 1h }]'), ["fires", "muted"]);
  assert.deepEqual(outcomes("raise: {}\nclear: { on: e.f }\nfor: 1s\non_clear: [{ event.emit: { type: c.d } }]"), [
    "fires",
    "on_clear",
    "cancelled",
  ]);
});
