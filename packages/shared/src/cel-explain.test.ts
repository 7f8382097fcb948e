import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { compileCel } from "./cel.ts";
import { explain } from "./cel-explain.ts";
import { anyExpression, anyScope } from "./cel-fixture.ts";

function compile(source: string) {
  const compiled = compileCel(source, "event");
  assert.ok(compiled.ok, `${source}: ${compiled.ok ? "" : compiled.message}`);
  return compiled.expression;
}

const event = {
  type: "cpu.high",
  severity: "high",
  data: { percent: 71, above: 90, path: "/tmp/x", tags: ["a"], after: null, flag: true },
};
const scope = { event, agent: { id: "web1", labels: { role: "web" }, facts: {} } };
const blame = (source: string) => explain(compile(source), scope).blame;

test("an explanation comes to what the library makes of the whole, value or failure", () => {
  fc.assert(
    fc.property(anyExpression, anyScope, (source, seen) => {
      const expression = compile(source);
      assert.deepEqual(explain(expression, seen).outcome, expression.evaluate(seen), source);
    }),
    { numRuns: 1_000 },
  );
});

test("every part that is named is what the library makes of it", () => {
  fc.assert(
    fc.property(anyExpression, anyScope, (source, seen) => {
      for (const { source: part, ...said } of explain(compile(source), seen).parts) {
        const outcome = compile(part).evaluate(seen);
        assert.deepEqual(said, outcome.ok ? { value: outcome.value } : { error: outcome.message }, `${part} of ${source}`);
      }
    }),
    { numRuns: 300 },
  );
});

test("a comparison is told with the values of both its sides", () => {
  assert.equal(blame("event.data.percent >= event.data.above"), "event.data.percent >= event.data.above is false: 71 >= 90");
  assert.equal(blame('event.severity in ["low", "normal"]'), 'event.severity in ["low", "normal"] is false: "high" in ["low","normal"]');
});

test("of && the first part that is false is to blame, of || all are", () => {
  assert.equal(
    blame('event.severity == "high" && event.data.percent > 80 && event.data.above > 95'),
    "event.data.percent > 80 is false: 71 > 80",
  );
  assert.equal(
    blame('event.severity == "low" || (event.data.percent > 80)'),
    'event.severity == "low" is false: "high" == "low"; event.data.percent > 80 is false: 71 > 80',
  );
  assert.equal(blame('!(event.data.flag) && event.severity == "high"'), "event.data.flag is true");
});

test("anything else is told with the fields that it reads", () => {
  assert.equal(blame('event.data.path.startsWith("/etc/")'), 'event.data.path.startsWith("/etc/") is false: event.data.path is "/tmp/x"');
  assert.equal(
    blame('event.data.tags.exists(event, event == "b")'),
    'event.data.tags.exists(event, event == "b") is false: event.data.tags is ["a"]',
  );
  assert.equal(blame("has(event.data.nope)"), "has(event.data.nope) is false: there is no event.data.nope");
});

test("a field that is missing is named, the outermost one", () => {
  assert.equal(blame('agent.labels.site == "x"'), 'agent.labels.site == "x" cannot be told: there is no agent.labels.site');
  assert.equal(blame("event.data.a.b.c > 1"), "event.data.a.b.c > 1 cannot be told: there is no event.data.a");
  assert.equal(blame("event.data.nope > 1 || event.data.percent > 80"), "event.data.nope > 1 cannot be told: there is no event.data.nope");
});

test("values that cannot be compared are told as they are", () => {
  assert.match(blame("event.data.path > 1"), /^event\.data\.path > 1 cannot be told: no such overload.* \("\/tmp\/x" > 1\)$/);
});

test("long values are cut", () => {
  const long = { ...scope, event: { ...event, data: { path: "x".repeat(5_000) } } };
  assert.ok(explain(compile('event.data.path == "y"'), long).blame.length < 200);
});
