import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { compileCel } from "./cel.ts";
import { anyExpression } from "./cel-fixture.ts";
import { childrenOf, operandsOf, pathOf, textOf, walk } from "./cel-tree.ts";

function tree(source: string) {
  const compiled = compileCel(source, "event");
  assert.ok(compiled.ok, source);
  return compiled.expression.tree();
}

test("a node's text is whole, whatever parentheses, texts and comments stand in it", () => {
  for (const [source, parts] of [
    ["( event.a ) && event.b", ["event.a", "event.b"]],
    ["(event.a || event.b) && (event.c)", ["event.a || event.b", "event.c"]],
    ['((event.a == ")")) && event.b == "("', ['event.a == ")"', 'event.b == "("']],
    ["((event.a == 'it\\'s )') || event.b) && event.c", ["(event.a == 'it\\'s )') || event.b", "event.c"]],
    ['event.a == r"\\(" && (event.b == """)"""  // )\n)', ['event.a == r"\\("', 'event.b == """)"""']],
  ] as const) {
    const operands = operandsOf(tree(source), "and");
    assert.deepEqual(
      operands.map((operand) => textOf(operand, source)),
      parts,
      source,
    );
  }
});

test("the text of every node compiles by itself, unless a macro's name stands in it", () => {
  fc.assert(
    fc.property(anyExpression, (source) => {
      walk(tree(source), (node, bound) => {
        const text = textOf(node, source);
        if (bound.size === 0) assert.ok(compileCel(text, "event").ok, `${text} of ${source}`);
      });
    }),
  );
});

test("a macro gives its name away inside of its body only", () => {
  const seen: string[] = [];
  walk(tree("event.data.list.exists(event, event.a > 1) && cel.bind(agent, event.x, agent.y) == event.z"), (node, bound) => {
    const path = pathOf(node);
    if (path !== undefined && path.length > 1) seen.push(`${bound.has(path[0]!) ? "bound " : ""}${path.join(".")}`);
  });
  assert.deepEqual(seen, ["event.data.list", "event.data", "bound event.a", "event.x", "bound agent.y", "event.z"]);
});

test("a field is one however it is written; an index is none", () => {
  assert.deepEqual(pathOf(tree('event["data"].?a[?"b c"]')), ["event", "data", "a", "b c"]);
  assert.equal(pathOf(tree("event.data.list[0]")), undefined);
  assert.equal(pathOf(tree("event.data[event.type]")), undefined);
});

test("every kind of node has its children", () => {
  const kinds = new Set<string>();
  const source =
    'has(event.a) ? !event.b || [-event.c, event.d[0]].exists(x, x in {"k": 1 + 2}) : event.e.startsWith("x") && event.?f.orValue(true)';
  const visit = (node: ReturnType<typeof tree>): void => {
    kinds.add(node.kind);
    childrenOf(node).forEach(visit);
  };
  visit(tree(source));
  assert.deepEqual([...kinds].toSorted(), [
    "and",
    "arithmetic",
    "call",
    "choose",
    "compare",
    "field",
    "index",
    "list",
    "macro",
    "map",
    "method",
    "minus",
    "name",
    "not",
    "or",
    "value",
  ]);
});
