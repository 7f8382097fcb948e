/** Conditions of all kinds and events that may fit them, for property tests. */
import fc from "fast-check";
import { compileCondition } from "../cel.ts";

export const someAgent = { id: "web1", labels: { role: "web", env: "prod" }, facts: { cpus: 4 } };
export const someVars = { v: "x", list: ["xy", 1] };

const field = fc.constantFrom(
  "event.data.a",
  "event.data['b']",
  "event.data.deep.c",
  "event.subject",
  "event.severity",
  "event.beacon",
  "event.agent",
  "agent.id",
  "agent.labels.role",
  "agent.labels.env",
  "event.type",
  "event.data.n",
);
const constant = fc.constantFrom("'x'", "'xy'", "'web'", "'high'", "''", "1", "1.0", "-0.0", "true", "vars.v", "null", "2u");
const comparison = fc.oneof(
  fc.tuple(field, constant).map(([left, right]) => `${left} == ${right}`),
  fc.tuple(field, constant).map(([left, right]) => `${right} == ${left}`),
  fc.tuple(field, constant).map(([left, right]) => `${left} != ${right}`),
  fc.tuple(field, fc.constantFrom("<", "<=", ">", ">="), constant).map(([left, sign, right]) => `${left} ${sign} ${right}`),
  fc.tuple(field, fc.constantFrom("==", "!=", "<"), field).map(([left, sign, right]) => `${left} ${sign} ${right}`),
  fc
    .tuple(field, fc.constantFrom("endsWith", "contains"), fc.constantFrom("'x'", "''", "'y'"))
    .map(([left, test, text]) => `${left}.${test}(${text})`),
  fc.constantFrom("has(event.data.a)", "has(event.data.deep.c)", "has(event.subject)", "has(event.data.nope.c)", "has(agent.labels.role)"),
  field,
  fc.tuple(field, fc.array(constant, { maxLength: 3 })).map(([left, list]) => `${left} in [${list.join(", ")}]`),
  fc.tuple(field, fc.constantFrom("'x'", "''", "'we'", "vars.v")).map(([left, text]) => `${left}.startsWith(${text})`),
  field.map((left) => `has(event.data.a) && ${left} in vars.list`),
  field.map((left) => `cel.bind(event, {'subject': 'x'}, ${left.startsWith("event") ? "event.subject" : left} == 'x')`),
  field.map((left) => `[1].exists(agent, ${left} == 'x' || true)`),
  fc.constantFrom(
    "event.data.list.exists(e, e == event.data.a)",
    "event.data.?a.orValue('x') == 'x'",
    "event.position == 1",
    "true",
    "false",
  ),
);
const { tree } = fc.letrec<{ tree: string }>((tie) => ({
  tree: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    comparison,
    fc.tuple(tie("tree"), tie("tree")).map(([a, b]) => `(${a}) && (${b})`),
    fc.tuple(tie("tree"), tie("tree")).map(([a, b]) => `(${a}) || (${b})`),
    tie("tree").map((a) => `!(${a})`),
    fc.tuple(comparison, tie("tree"), tie("tree")).map(([a, b, c]) => `(${a}) ? (${b}) : (${c})`),
  ),
}));

const value = fc.constantFrom<unknown>(2.5, -1, Number.NaN, "x", "xy", "web", "high", "", 1, 0, true, null, 2, ["x"], { c: "x" });
export const someEvent = fc.record(
  {
    type: fc.constantFrom("a.b", "a.c", "x.y"),
    subject: fc.constantFrom("x", "xy", "web", ""),
    severity: fc.constantFrom("high", "low"),
    beacon: fc.constantFrom("x", "web"),
    agent: fc.constantFrom("web1", "x"),
    data: fc.record(
      { a: value, b: value, n: value, deep: fc.oneof(value, fc.record({ c: value })), list: fc.array(value) },
      { requiredKeys: [] },
    ),
  },
  { requiredKeys: ["data"] },
);

/** What the compiler can tell to be wrong it refuses. */
export const conditionText = tree.filter((source) => compileCondition(source, "event").ok);
