/** For tests: CEL expressions of every kind, and what they may see. Never part of the program. */
import fc from "fast-check";
import type { Scope } from "./cel.ts";

const fields = [
  "event.data.a",
  "event.data.b",
  "event.data.c.d",
  "event.data.nope",
  "event.severity",
  "agent.labels.role",
  'event.data["a"]',
];
const constants = ["1", "2", "2.5", '"x"', "'(y'", "true", "false", "null", '["x", 1]', "[true]"];
const comparisons = ["==", "!=", "<", "<=", ">", ">="];

const leaf = fc.oneof({ weight: 3, arbitrary: fc.constantFrom(...fields) }, { weight: 1, arbitrary: fc.constantFrom(...constants) });

/** Conditions that compile: what can only be told at run time is `dyn`, and so may be anything. */
const part = fc.oneof(
  fc.tuple(fc.constantFrom(...fields), fc.constantFrom("==", "!="), leaf).map((words) => words.join(" ")),
  fc.tuple(fc.constantFrom(...fields), fc.constantFrom(...comparisons), fc.constantFrom(...fields)).map((words) => words.join(" ")),
  fc.tuple(fc.constantFrom(...fields), fc.constantFrom("<", ">="), fc.constantFrom("1", "2.5", '"x"')).map((words) => words.join(" ")),
  fc.constantFrom(...fields.slice(0, 6)).map((field) => `has(${field})`),
  fc.constantFrom(...fields).map((field) => `${field} in ["x", 2, ")"]`),
  fc.constantFrom(...fields).map((field) => `${field}.startsWith("x")`),
  fc.constantFrom(...fields).map((field) => `[1, 2].exists(event, event == ${field.replace(/^event\./, "agent.")})`),
  fc.constantFrom(...fields),
  fc.constantFrom("true", "false", "1 == 1", "event.data.?a.orValue(false)"),
);

export const anyExpression: fc.Arbitrary<string> = fc.letrec<{ condition: string }>((tie) => ({
  condition: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    part,
    fc
      .tuple(tie("condition"), fc.constantFrom("&&", "||"), tie("condition"))
      .map(([left, operator, right]) => `(${left}) ${operator} ( ${right} )`),
    fc.tuple(part, fc.constantFrom("&&", "||"), tie("condition")).map(([left, operator, right]) => `${left} ${operator} ${right}`),
    tie("condition").map((inner) => `!(${inner})`),
    fc.tuple(tie("condition"), part, part).map(([condition, then, otherwise]) => `(${condition}) ? [${then}, 1][0] : [${otherwise}, 1][0]`),
  ),
})).condition;

const anyValue = fc.constantFrom<unknown>(1, 2, 2.5, "x", "(y", true, false, null, ["x", 1], [], { d: 1 }, { d: true });

/** Some of the fields are not there. */
export const anyScope: fc.Arbitrary<Scope> = fc.record({
  event: fc.record(
    { data: fc.record({ a: anyValue, b: anyValue, c: anyValue }, { requiredKeys: [] }), severity: anyValue },
    { requiredKeys: ["data"] },
  ),
  agent: fc.record({
    id: fc.constant("web1"),
    labels: fc.record({ role: anyValue }, { requiredKeys: [] }),
    data: fc.record({ a: anyValue }),
  }),
});
