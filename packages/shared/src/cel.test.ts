import assert from "node:assert/strict";
import { test } from "node:test";
import { compileCel, compileCondition } from "./cel.ts";

const scope = {
  event: { type: "cpu.high", severity: "high", data: { count: 3, load: 97.5, path: "/etc/x", list: [1, 2], nested: { a: null } } },
  agent: { id: "web1", labels: { role: "web" }, facts: {} },
};

function value(source: string): unknown {
  const compiled = compileCel(source, "event");
  assert.ok(compiled.ok, source);
  const evaluated = compiled.expression.evaluate(scope);
  assert.ok(evaluated.ok, JSON.stringify(evaluated));
  return evaluated.value;
}

test("numbers of JSON and numbers of CEL can be reckoned with each other", () => {
  for (const [source, expected] of [
    ["event.data.count + 1", 4],
    ["1 + event.data.count", 4],
    ["event.data.count * 2", 6],
    ["event.data.count / 2", 1.5],
    ["event.data.load - 7", 90.5],
    ["event.data.count % 2", 1],
    ["event.data.count > 2", true],
    ["event.data.load >= 97", true],
    ["event.data.count == 3", true],
    ["size(event.data.list) + 1", 3],
  ] as const) {
    assert.equal(value(source), expected, source);
  }
});

test("texts, lists and what is known of the agent can be asked for", () => {
  assert.equal(value('event.data.path.startsWith("/etc/")'), true);
  assert.equal(value('event.type == "cpu.high" && agent.labels.role in ["web", "db"]'), true);
  assert.equal(value("has(event.data.nope)"), false);
  assert.deepEqual(value('{"a": event.data.list, "b": event.data.nested}'), { a: [1, 2], b: { a: null } });
});

test("a field that is not there is told apart from any other trouble", () => {
  for (const [source, missing] of [
    ["event.data.nope > 1", true],
    ["agent.labels.site == 'x'", true],
    ["event.data.path > 1", false],
    ["1 / 0 > 1", false],
  ] as const) {
    const compiled = compileCel(source, "event");
    if (!compiled.ok) continue;
    const evaluated = compiled.expression.evaluate(scope);
    assert.ok(!evaluated.ok, source);
    assert.equal(evaluated.missing, missing, `${source}: ${evaluated.message}`);
    assert.doesNotMatch(evaluated.message, /\n/);
  }
});

test("what every JavaScript object has is no field of an event", () => {
  for (const name of ["constructor", "__proto__", "toString", "hasOwnProperty"]) {
    const compiled = compileCel(`event.data.${name}`, "event");
    assert.ok(compiled.ok);
    assert.equal(compiled.expression.evaluate(scope).ok, false, name);
  }
});

test("an error in an expression has its place in the text", () => {
  for (const [source, offset] of [
    ["event.type ==", 13],
    ["event.type == == 'x'", 14],
    ["evnt.type == 'x'", 0],
    ["event.type == 'x' && nope(1)", 21],
  ] as const) {
    const compiled = compileCel(source, "event");
    assert.ok(!compiled.ok, source);
    assert.ok(Math.abs(compiled.offset - offset) <= 1, `${source}: ${compiled.offset}: ${compiled.message}`);
    assert.doesNotMatch(compiled.message, /\n/);
  }
});

test("a condition is true or false; what can be neither is refused at load", () => {
  assert.ok(compileCondition("event.data.flag", "event").ok, "only the data will tell");
  for (const source of ["1 + 1", "'text'", "[1]"]) {
    const compiled = compileCondition(source, "event");
    assert.ok(!compiled.ok);
    assert.match(compiled.message, /must be true or false/);
  }
});

test("a target sees the agent and no event", () => {
  assert.ok(compileCondition("agent.labels.role == 'web'", "agent").ok);
  assert.equal(compileCondition("event.type == 'x'", "agent").ok, false);
});

test("an expression without end is refused at load", () => {
  assert.equal(compileCel(`${"(".repeat(2_000)}1${")".repeat(2_000)}`, "event").ok, false);
  assert.equal(compileCel(Array.from({ length: 5_000 }, () => "1").join(" + "), "event").ok, false);
});

test("what an expression reads of an event, and what it requires of it, is known without running it", () => {
  const about = (source: string) => {
    const compiled = compileCondition(source, "event");
    assert.ok(compiled.ok);
    const { reads, requires } = compiled.expression;
    return { event: reads.event && [...reads.event], data: reads.data && [...reads.data], requires: Object.fromEntries(requires) };
  };
  assert.deepEqual(about('event.severity == "high" && event.data.percent > 900'), {
    event: ["severity"],
    data: ["percent"],
    requires: { severity: "high" },
  });
  assert.deepEqual(about('"a.b" == event.type && (event.agent == "web1" && agent.labels.role == "x")').requires, {
    type: "a.b",
    agent: "web1",
  });
  assert.deepEqual(about('event.severity == "high" || event.type == "a.b"').requires, {});
  assert.deepEqual(about('!(event.severity == "high")').requires, {});
  assert.deepEqual(about('event.severity == event.type && event.data.x == "high"').requires, {});
  assert.deepEqual(about("size(event) > 2"), { event: undefined, data: undefined, requires: {} });
  assert.deepEqual(about("size(event.data) > 2 && event.subject != ''"), { event: ["subject"], data: undefined, requires: {} });
});

test("every name that is read is known with its place, and whether what it gives is handed on as it is", () => {
  const accesses = (source: string) => {
    const compiled = compileCel(source, "firing");
    assert.ok(compiled.ok, JSON.stringify(compiled));
    return compiled.expression.accesses.map(({ path, offset, intact }) => `${path.join(".")}@${offset}${intact ? "" : " used"}`);
  };
  assert.deepEqual(accesses('matched.begin.data["x"] == vars.?limit.orValue(1)'), ["matched.begin.data.x@0 used", "vars.limit@27 used"]);
  assert.deepEqual(accesses('"a" + vars.a'), ["vars.a@6"]);
  assert.deepEqual(accesses('{"a": [vars.a], "b": event.type == "x" ? vars.b : "c"}'), ["vars.a@7", "event.type@21 used", "vars.b@41"]);
  assert.deepEqual(accesses("event.data[vars.name].x"), ["event.data@0 used", "vars.name@11 used"]);
  assert.deepEqual(accesses('events.exists(vars, vars.type == "x")'), ["events@0 used"], "a name of its own is no variable");
  assert.deepEqual(accesses("cel.bind(x, event.type, x)"), ["event.type@12 used"]);
  assert.deepEqual(accesses("has(vars.a) && size(vars.a) > 0"), ["vars.a@4 used", "vars.a@20 used"]);
});

test("which variables are read is known", () => {
  const variables = (source: string) => {
    const compiled = compileCel(source, "firing");
    assert.ok(compiled.ok);
    return [...compiled.expression.reads.variables].toSorted();
  };
  assert.deepEqual(variables("events.map(e, e.id) + [string(count)] + key"), ["count", "events", "key"]);
  assert.deepEqual(variables('route.priority == "high" && agent.id == matched.a.agent'), ["agent", "matched", "route"]);
  assert.deepEqual(variables("1 + 1"), []);
});

test("each place knows its own variables, and says where another is known", () => {
  const message = (source: string, sees: Parameters<typeof compileCel>[1]) => {
    const compiled = compileCel(source, sees);
    return compiled.ok ? "known" : compiled.message;
  };
  assert.equal(message("count", "firing"), "known");
  assert.equal(message("count", "step"), "Unknown variable: count; it is known in values of do only");
  assert.equal(message("matched.a", "step"), "known");
  assert.equal(message("matched.a", "event"), "Unknown variable: matched; it is known in later steps and in values of do only");
  assert.equal(message("vars.a", "plain"), "Unknown variable: vars; it is known in reactors only");
  assert.equal(message("event.a", "agent"), "Unknown variable: event; a target sees the agent only");
  assert.equal(message("agnet.id", "agent"), 'Unknown variable: agnet; did you mean "agent"?');
  assert.equal(message("x", "event"), "Unknown variable: x (known: event, agent, vars, route)");
});

test("how many there were can be set against whole numbers and fractions", () => {
  for (const source of [
    "count > 4",
    "count == 5",
    "count >= 4.5",
    "count + 1 == 6",
    "count in [5]",
    "string(count) == '5'",
    "size(events) == 2",
  ]) {
    const compiled = compileCel(source, "firing");
    assert.ok(compiled.ok, source);
    assert.deepEqual(compiled.expression.evaluate({ count: 5, events: [{}, {}] }), { ok: true, value: true }, source);
  }
});
