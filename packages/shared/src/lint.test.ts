import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { compileCel } from "./cel.ts";
import { anyExpression, anyScope } from "./cel-fixture.ts";
import { eventTypes, exampleOf } from "./event-types.ts";
import { lint, type Warning } from "./lint.ts";
import { loadReactors } from "./reactor.ts";

const ending = "do:\n  - command.run: { argv: [echo] }\ntests: [{ name: x, timeline: [{ at: 0s, expect: nothing }] }]\n";

/** The warnings about a reactor that loads. */
function lintOf(text: string, tests?: string): Warning[] {
  const loaded = loadReactors("r.yaml", text);
  assert.ok(loaded.ok, loaded.ok ? "" : JSON.stringify(loaded.problems));
  return lint("r.yaml", text, { tests });
}

/** What is said of a condition, each as `code column message`. Columns count from the condition's first character. */
function said(when: string, on = "cpu.high"): string[] {
  const lead = "when: '".length;
  const text = `name: r\non: ${on}\nwhen: '${when.replaceAll("'", "''")}'\n${ending}`;
  return lintOf(text).map(({ code, line, column, message }) => {
    assert.equal(line, 3, message);
    return `${code} ${column - lead} ${message}`;
  });
}

test("a field that the event type's schema does not know is told at its place, with the name that may be meant", () => {
  assert.deepEqual(said("event.data.percnt > 90"), ['unknown-field 12 no such event has event.data.percnt; did you mean "percent"?']);
  assert.deepEqual(said("has(event.data.abov) && event.data.percent > 90"), [
    'unknown-field 16 no such event has event.data.abov; did you mean "above"?',
  ]);
  assert.deepEqual(said('event.data["percnt"] > 1'), ['unknown-field 13 no such event has event.data.percnt; did you mean "percent"?']);
  assert.deepEqual(said("event.data.?percnt.orValue(0) > 1"), [
    'unknown-field 13 no such event has event.data.percnt; did you mean "percent"?',
  ]);
  assert.deepEqual(said('event.data.before.diget == "x"', "file.changed"), [
    'unknown-field 19 no such event has event.data.before.diget; did you mean "digest"?',
  ]);
  assert.deepEqual(said("event.data.percent.high"), ["unknown-field 20 event.data.percent is a number: it has no fields"]);
});

test("fields of event, agent and route are known whatever the type", () => {
  assert.deepEqual(said('event.sevrity == "high"', "deploy.wanted"), [
    'unknown-field 7 no such event has event.sevrity; did you mean "severity"?',
  ]);
  assert.deepEqual(said('agent.label.role == "web"', "deploy.wanted"), [
    'unknown-field 7 no such event has agent.label; did you mean "labels"?',
  ]);
  assert.deepEqual(said('route.prio == "high"', "deploy.wanted"), [
    "unknown-field 7 no such event has route.prio (known: priority, owner, labels)",
  ]);
  assert.deepEqual(said('agent.labels.anything == "x" && agent.facts.any.thing > 1', "deploy.wanted"), []);
});

test("which hosts a reactor is for, and whose word it needs, is looked at like a condition", () => {
  const saidOf = (lines: string) =>
    lintOf(`name: r\non: cpu.high\n${lines}\n${ending}`).map(({ code, line, column, message }) => `${code} ${line}:${column} ${message}`);
  assert.deepEqual(saidOf("targets: agent.labels.site == event.data.sight"), [
    "unknown-field 3:42 no such event has event.data.sight (known: percent, above, clear_below, lasted_ms, cores, processes)",
  ]);
  assert.deepEqual(saidOf("approve: { if: 'size(targets) > 1 && event.data.percnt > 90', from: [ann] }"), [
    'unknown-field 3:49 no such event has event.data.percnt; did you mean "percent"?',
  ]);
  for (const targets of ["agent", "'*'", "[web1]", "agent.labels.cores == event.agent"])
    assert.deepEqual(saidOf(`targets: ${targets}`), [], targets);
});

test("of people's own event types nothing is known, and nothing is said", () => {
  for (const on of ["deploy.wanted", "'*'", "'*.failed'", "[cpu.high, deploy.wanted]", "files-uploaded.now"]) {
    assert.deepEqual(said("event.data.anything.at.all > 1", on), [], on);
  }
});

test("of several types the fields of each are known", () => {
  assert.deepEqual(said("event.data.percent > 1 || event.data.path != '/x'", "[cpu.high, file.changed]"), []);
  assert.deepEqual(said("event.data.nope > 1", "'file.*'").length, 1);
  assert.deepEqual(said("event.data.message != ''", "'file.*'"), []);
  assert.deepEqual(said("event.type == 'cpu.high' && event.data.nope > 1", "'*'").length, 1, "the condition itself says which type");
});

test("elements of lists are known inside of macros, whose name is theirs alone", () => {
  assert.deepEqual(said("event.data.beacons.exists(b, b.nam == 'x')", "beacon.applied"), [
    'unknown-field 32 no such event has b.nam; did you mean "name"?',
  ]);
  assert.deepEqual(said("event.data.beacons.filter(b, b.type == 'cpu').map(b, b.name)[0] == 'x'", "beacon.applied"), []);
  const shadowed = said("event.data.beacons.exists(event, event.name == 'x')", "beacon.applied");
  assert.deepEqual(shadowed, [
    'shadowed-name 27 the name "event" hides another one: inside, "event" is the element, not what it is outside; take another name',
  ]);
  assert.deepEqual(said("cel.bind(d, event.data, d.nope > 1)").length, 1);
});

test("a comparison that a field's type cannot give is told", () => {
  assert.deepEqual(said('event.data.percent == "high"'), ['wrong-value 23 event.data.percent is a number, never "high"']);
  assert.deepEqual(said('event.data.percent > "90"'), ['wrong-value 22 event.data.percent is a number, which has no order with "90"']);
  assert.deepEqual(said('event.severity == "hgih"'), [
    'wrong-value 19 event.severity is one of critical, high, normal, low, never "hgih"; did you mean "high"?',
  ]);
  assert.deepEqual(said('event.severity in ["high", "urgent"]').length, 1);
  assert.deepEqual(said('"contents" in event.data.changes', "file.changed"), [
    'wrong-value 1 an element of event.data.changes is one of created, removed, content, mode, owner, type, never "contents"; did you mean "content"?',
  ]);
  assert.deepEqual(said('event.data.percent.startsWith("9")'), ["wrong-value 1 event.data.percent is a number: startsWith is for texts"]);
  for (const fine of ["event.data.percent == 90", "event.data.percent >= 90.5", "event.data.cores == 4"])
    assert.deepEqual(said(fine), [], fine);
  assert.deepEqual(said("event.data.before == null", "file.created"), []);
});

test("what can never hold is told, and so is what always does", () => {
  for (const [when, code, on] of [
    ["false", "unreachable-condition"],
    ["true", "constant-condition"],
    ["1 + 1 == 3 || event.data.percent > 3", "unreachable-condition"],
    ['event.subject == "x" && event.subject == "y"', "unreachable-condition"],
    ['event.subject in ["x", "y"] && event.subject == "z"', "unreachable-condition"],
    ['event.subject != "x" && event["subject"] == "x"', "unreachable-condition"],
    ["event.data.percent > 5 && event.data.percent < 3", "unreachable-condition"],
    ["event.data.percent > 5 && event.data.percent <= 5", "unreachable-condition"],
    ["90 < event.data.percent && event.data.percent < 80 && event.subject != 'x'", "unreachable-condition"],
    ["event.data.cores == 4 && event.data.cores > 8", "unreachable-condition"],
    ["event.data.percent > 5 && (event.data.percent < 3 || event.subject == 'x')", "unreachable-condition"],
    ["has(event.subject) && !has(event.subject)", "unreachable-condition"],
    ["size(event.subject) > 5 && size(event.subject) < 2", "unreachable-condition"],
    ['event.type == "cpu.normal"', "unreachable-condition"],
    ['event.type in ["file.changed", "file.created"]', "unreachable-condition"],
    ['event.severity == "high"', "unreachable-condition", "task.created"],
    ['event.severity != "high"', "constant-condition", "task.created"],
    ['event.subject != "x" || event.subject != "y"', "constant-condition"],
    ["has(event.subject) || !has(event.subject)", "constant-condition"],
    ["event.data.percent > 5 && event.data.percent > 3", "constant-condition"],
    ["event.data.percent > 3 || event.data.percent < 5", "constant-condition"],
  ] as const) {
    assert.deepEqual(
      said(when, on).map((text) => text.split(" ")[0]),
      [code],
      when,
    );
  }
});

test("what can go either way is not touched", () => {
  for (const [when, on] of [
    ["event.data.percent > 5 && event.data.percent < 30"],
    ["event.data.percent >= 5 && event.data.percent <= 5"],
    ['event.subject == "x" || event.subject == "y"'],
    ['event.subject > "a" && event.subject < "b"'],
    ["event.data.percent > event.data.above && event.data.percent < event.data.clear_below"],
    ['event.severity == "high"', "cpu.high"],
    ['event.severity == "high"', "'task.*'"],
    ['event.type == "cpu.high" || event.subject == "x"', "'cpu.*'"],
    ['event.subject != "x" && event.subject != "y"'],
    ["!(event.data.percent > 5) || event.subject == 'x'"],
    ['[1, 2].exists(x, x == 1 && event.subject == "x")'],
  ] as const) {
    assert.deepEqual(said(when, on ?? "cpu.high"), [], when);
  }
});

test("what is said to hold never or always does so over random conditions and events", () => {
  fc.assert(
    fc.property(anyExpression, fc.array(anyScope, { minLength: 5, maxLength: 5 }), (when, scopes) => {
      const text = JSON.stringify({
        name: "r",
        on: "deploy.wanted",
        when,
        do: [{ "command.run": { argv: ["x"] } }],
        tests: [{ name: "x", timeline: [{ at: "0s", expect: "nothing" }] }],
      });
      if (!loadReactors("r.yaml", text).ok) return;
      const compiled = compileCel(when, "event");
      assert.ok(compiled.ok);
      const values = scopes.map((scope) => compiled.expression.evaluate(scope)).flatMap((result) => (result.ok ? [result.value] : []));
      for (const { code, column, message } of lint("r.yaml", text)) {
        const isWhole = column === text.indexOf(JSON.stringify(when)) + 2 && message.startsWith(`${when} `);
        if (code === "unreachable-condition" && isWhole) assert.ok(!values.includes(true), `${when}: ${message}`);
        if (code === "constant-condition" && isWhole) assert.ok(!values.includes(false), `${when}: ${message}`);
      }
    }),
    { numRuns: 500 },
  );
});

const operators = ["<", "<=", ">", ">=", "=="] as const;
const comparison = fc
  .tuple(fc.constantFrom(...operators), fc.constantFrom(0, 1, 2), fc.boolean())
  .map(([operator, bound, turned]) => (turned ? `${bound} ${operator} event.data.n` : `event.data.n ${operator} ${bound}`));
const anyComparison = fc.oneof(
  comparison,
  comparison.map((inner) => `!(${inner})`),
  fc.constantFrom("event.data.n in [0, 2]", "event.data.n != 1", "event.data.n in [1]"),
);
const numbers = [-0.5, 0, 0.5, 1, 1.5, 2, 2.5];

/** For which of the numbers a condition holds, and the codes of what is said of it. */
function tried(when: string): { holds: boolean[]; codes: string[] } {
  const compiled = compileCel(when, "event");
  assert.ok(compiled.ok);
  const holds = numbers.map((n) => {
    const result = compiled.expression.evaluate({ event: { data: { n } } });
    return result.ok && result.value === true;
  });
  return { holds, codes: said(when, "deploy.wanted").map((text) => text.split(" ")[0]!) };
}

test("&& of comparisons with one field is said to hold never when it holds for no number, and only then", () => {
  fc.assert(
    fc.property(fc.array(comparison, { minLength: 2, maxLength: 4 }), (parts) => {
      const { holds, codes } = tried(parts.join(" && "));
      assert.equal(codes.includes("unreachable-condition"), !holds.includes(true), parts.join(" && "));
    }),
  );
  fc.assert(
    fc.property(fc.array(anyComparison, { minLength: 2, maxLength: 4 }), (parts) => {
      const { holds, codes } = tried(parts.join(" && "));
      if (codes.includes("unreachable-condition")) assert.ok(!holds.includes(true), parts.join(" && "));
    }),
  );
});

test("|| of two comparisons with one field is said to hold always when it holds for every number, and only then", () => {
  fc.assert(
    fc.property(comparison, comparison, (left, right) => {
      const { holds, codes } = tried(`${left} || ${right}`);
      assert.equal(codes.includes("constant-condition"), !holds.includes(false), `${left} || ${right}`);
    }),
  );
});

test("every field of every example is known: no warning for what the catalogue itself shows", () => {
  for (const type of Object.keys(eventTypes)) {
    for (const field of Object.keys(exampleOf(type)!.data))
      assert.deepEqual(said(`has(event.data.${field})`, type), [], `${type} ${field}`);
  }
});

test("each part of a reactor is looked at with the events that it sees", () => {
  const text = `name: r
on: [cpu.high, cpu.normal]
correlate:
  sequence:
    - { on: cpu.high, as: high, when: event.data.percnt > 1 }
    - { on: file.changed, when: matched.high.data.percen > 1 && event.data.pat != "" }
  within: 1m
  by: [event.data.core]
flow: { once: 1m, by: event.agnt }
do:
  - command.run: { argv: [echo, "of \${{ matched.high.data.core }}", "\${{ event.data.dif }}"] }
tests: [{ name: x, timeline: [{ at: 0s, expect: nothing }] }]
`;
  const lines = text.split("\n");
  assert.deepEqual(
    lintOf(text).map(({ line, column, message }) => {
      const [word] = /^\w+/.exec(lines[line - 1]!.slice(column - 1)) ?? [];
      return `${line} ${word} ${/"(\w+)"\?/.exec(message)?.[1]}`;
    }),
    ["5 percnt percent", "6 percen percent", "6 pat path", "8 core cores", "9 agnt agent", "11 core cores", "11 dif diff"],
  );
});

test("raise and clear: what clears must not raise as well", () => {
  const raised = (raise: string, clear: string) =>
    lintOf(`name: r\non: 'cpu.*'\nraise: ${raise}\nclear: ${clear}\n${ending}on_clear:\n  - command.run: { argv: [echo] }\n`).map(
      ({ code, line }) => `${line} ${code}`,
    );
  assert.deepEqual(raised("{ when: event.data.percent > 9 }", "{ when: event.data.percent > 9 }"), ["4 unreachable-condition"]);
  assert.deepEqual(raised("{}", "{ when: event.data.percent < 9 }"), ["4 unreachable-condition"]);
  assert.deepEqual(raised("{ on: cpu.high }", "{ on: cpu.normal }"), []);
  assert.deepEqual(raised("{ when: event.data.percent > 9 }", "{ when: event.data.percent < 5 }"), []);
});

test("the reactor's own condition counts for its entries", () => {
  const text = `name: r\non: cpu.high\nwhen: event.data.percent > 50\nraise: { when: event.data.percent < 20 }\nclear: { on: cpu.normal }\n${ending}`;
  assert.deepEqual(
    lintOf(text).map(({ code, line, message }) => `${line} ${code} ${message}`),
    ["4 unreachable-condition event.data.percent < 20 can never hold here: event.data.percent > 50"],
  );
});

test("a step that is called like a variable is told", () => {
  const text = `name: r\non: cpu.high\ncorrelate: { all: [{ as: event }, { as: other }], within: 1m }\n${ending}`;
  assert.deepEqual(
    lintOf(text).map(({ code, line, column }) => `${line}:${column} ${code}`),
    ["3:26 shadowed-name"],
  );
});

test("a type that is nearly a known one, or that nobody may make, is told; people's own never", () => {
  const types = (on: string) => lintOf(`name: r\non: ${on}\n${ending}`).map(({ code, message }) => `${code} ${message}`);
  assert.deepEqual(types("file.chnaged"), ['unknown-type Needfire makes no "file.chnaged"; did you mean "file.changed"?']);
  assert.deepEqual(types("[cpu.high, fiel.removed]"), ['unknown-type Needfire makes no "fiel.removed"; did you mean "file.removed"?']);
  assert.deepEqual(types("'flie.*'"), ['unknown-type Needfire makes no "flie.*"; did you mean "file.*"?']);
  assert.deepEqual(types("task.ready"), ['unknown-type nobody makes "task.ready": types under "task." are the master\'s own']);
  for (const own of ["login.failed", "deploy.wanted", "disk.high", "backup.created", "'deploy.*'", "'*'", "mail.changed"])
    assert.deepEqual(types(own), [], own);
});

test("a reactor without a test is told; tests may stand in it, or in the file beside it", () => {
  const text = "name: r\non: cpu.high\ndo:\n  - command.run: { argv: [echo] }\n";
  assert.deepEqual(
    lintOf(text).map(({ code, line, column }) => `${line}:${column} ${code}`),
    ["1:7 no-test"],
  );
  assert.deepEqual(lintOf(text, "tests:\n  - { name: fires, reactor: r }\n"), []);
  assert.deepEqual(lintOf(text, "tests:\n  - { name: fires }\n"), []);
  assert.equal(lintOf(text, "tests:\n  - { name: fires, reactor: another }\n").length, 1);
  for (const broken of ["tests: [", "", "tests: 3", "- 1"]) assert.equal(lintOf(text, broken).length, 1, broken);
});

test("a file that is no YAML has no warnings: what is wrong with it is told by the loader", () => {
  assert.deepEqual(lint("r.yaml", "name: ["), []);
});

test("a reactor that inhibits and is not there is told when its name is nearly another's", () => {
  const text = `name: r\non: cpu.high\ninhibited_by: [host-dwon, elsewhere, { reactor: r2 }]\n${ending}`;
  const warned = lint("r.yaml", text, { reactors: ["r", "host-down", "r2"] }).map(
    ({ line, column, message }) => `${line}:${column} ${message}`,
  );
  assert.deepEqual(warned, ['3:16 there is no reactor "host-dwon" here; did you mean "host-down"?']);
  const named = `name: r\non: cpu.high\ninhibited_by: { reactors: [down2] }\n${ending}---\nname: down1\non: cpu.high\n${ending}`;
  assert.deepEqual(
    lintOf(named).map(({ code, line, column }) => `${code} ${line}:${column}`),
    ["unknown-reactor 3:28"],
  );
});

test("a value that is another one on each host is told where firings are to be combined, and nowhere else", () => {
  const tests = "tests: [{ name: x, timeline: [{ at: 0s, expect: nothing }] }]\n";
  const told = (lines: string, on = "file.drifted") =>
    lintOf(`name: r\non: ${on}\n${lines}\n${tests}`).map(({ code, line }) => `${line} ${code}`);
  const run = (value: string) => `do:\n  - command.run: { argv: ${JSON.stringify(["fix", `\${{ ${value} }}`])} }`;
  for (const value of ["event.id", "agent.id", "event.agent", "'of ' + event.agent"]) {
    assert.deepEqual(told(`combine: 2s\n${run(value)}`), ["5 never-combines"], value);
    assert.deepEqual(told(run(value)), [], value);
  }
  for (const value of ["event.subject", 'event.agent == "web1" ? "a" : "b"', "event.data.path", "agent.facts.distro"])
    assert.deepEqual(told(`combine: 2s\n${run(value)}`), [], value);
  // By whom these are told is not known.
  for (const on of ["deploy.wanted", "task.escalated"]) assert.deepEqual(told(`combine: 2s\n${run("event.agent")}`, on), [], on);
  const lines = `combine: 2s\napprove: { from: [ann], message: "fix \${{ event.agent }}?" }\n${run("event.subject")}`;
  const otherwise = 'otherwise: [{ event.emit: { type: x.y, subject: "${{ event.agent }}", data: { why: "${{ task.reason }}" } } }]';
  assert.deepEqual(told(`${lines}\n${otherwise}`), ["4 never-combines", "7 never-combines"]);
});
