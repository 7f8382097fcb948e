import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { compileCel } from "./cel.ts";
import { conditionText, someAgent, someEvent, someVars } from "./rules/condition.conformance.ts";

function evaluate(source: string, scope: object): unknown {
  const compiled = compileCel(source, "event");
  assert.ok(compiled.ok, source);
  return compiled.expression.evaluate(scope);
}

test("whatever the expression and the event: the short way says what CEL says", () => {
  let answered = 0;
  fc.assert(
    fc.property(conditionText, fc.array(someEvent, { minLength: 1, maxLength: 5 }), (source, events) => {
      for (const event of events) {
        const scope = { event, agent: someAgent, vars: someVars };
        const said = evaluate(source, scope);
        // A list and its first element: for that there is no short way.
        const expected = evaluate(`[${source}][0]`, scope) as { ok: boolean; missing?: boolean };
        if (expected.ok) answered++;
        if (expected.ok) assert.deepEqual(said, expected, source);
        else assert.deepEqual([(said as typeof expected).ok, (said as typeof expected).missing], [false, expected.missing], source);
      }
    }),
    { numRuns: 3_000 },
  );
  assert.ok(answered > 1_000);
});

test("what every object of JavaScript has is no field, and an error says what is wrong", () => {
  const scope = { event: { data: { n: 1, text: "a" } }, agent: { id: "a", labels: {}, facts: {} }, vars: {} };
  for (const field of ["toString", "constructor", "__proto__", "text.length", "constructor.name"]) {
    const said = evaluate(`event.data.${field} == "Object"`, scope) as { ok: boolean };
    assert.equal(said.ok, false, field);
    assert.deepEqual(evaluate(`has(event.data.${field.split(".")[0]}) && event.data.n == 2`, scope), { ok: true, value: false }, field);
  }
  assert.deepEqual(evaluate("event.data.nope == 1", scope), { ok: false, missing: true, message: "No such key: nope" });
  assert.match((evaluate("event.data.text > 1", scope) as { message: string }).message, /no such overload/);
});
