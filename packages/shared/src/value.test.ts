import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { compileTemplate, expressionType, render } from "./value.ts";

function rendered(value: unknown, data: Record<string, unknown>): unknown {
  const { template, problems } = compileTemplate(value, []);
  assert.deepEqual(problems, []);
  const result = render(template, { event: { data }, agent: {} });
  assert.ok(result.ok, JSON.stringify(result));
  return result.value;
}

test("an expression that is the whole of a text keeps its type", () => {
  const data = { count: 3, flag: true, list: [1, "a"], map: { a: 1 }, nothing: null, text: "x" };
  for (const key of Object.keys(data) as (keyof typeof data)[])
    assert.deepEqual(rendered(`\${{ event.data.${key} }}`, data), data[key], key);
});

test("an expression inside a text becomes part of it", () => {
  assert.equal(rendered("${{ event.data.a }}-${{event.data.b}}!", { a: 1, b: "x" }), "1-x!");
  assert.equal(rendered("list: ${{ event.data.list }}", { list: [1, { a: 2 }] }), 'list: [1,{"a":2}]');
});

test("texts without expressions, and everything that is no text, stay what they are", () => {
  const value = { text: "$x {{ }} ${x}", number: 1.5, list: [true, null], empty: "" };
  const { template } = compileTemplate(value, []);
  assert.ok(template.literal);
  assert.deepEqual(rendered(value, {}), value);
});

test("braces inside an expression do not end it", () => {
  assert.deepEqual(rendered("${{ {'a': {'b': 1}} }}", {}), { a: { b: 1 } });
  assert.equal(rendered("${{ '}}' + \"}}\" }}", {}), "}}}}");
  assert.equal(rendered("${{ 'it\\'s }}' }}", {}), "it's }}");
});

test("what a host sends stays data, whatever it holds", () => {
  const hostile = fc.oneof(
    fc.string({ unit: fc.constantFrom("a", "\n", "\r", "\u0000", "\u001b", "\u2028", "$", "{", "}", '"', "'", "\\", "\ud800", "é") }),
    fc.constantFrom(
      "${{ event.data.secret }}",
      "a\n- command.run: { argv: [id] }\n",
      '"; rm -rf / #',
      "$(id)",
      "`id`",
      "'}} ${{ 1 }}",
      "{{ x }}",
    ),
  );
  fc.assert(
    fc.property(hostile, (text) => {
      const data = { text, secret: "secret" };
      assert.equal(rendered("${{ event.data.text }}", data), text);
      assert.equal(rendered("a ${{ event.data.text }} b", data), `a ${text} b`);
      assert.deepEqual(rendered({ argv: ["echo", "${{ event.data.text }}"] }, data), { argv: ["echo", text] });
      assert.deepEqual(rendered("${{ event.data }}", data), data);
    }),
  );
});

test("an expression that fails is named, and nothing is rendered", () => {
  const { template } = compileTemplate({ a: "fine", b: "x ${{ event.data.nope }}" }, []);
  const result = render(template, { event: { data: {} }, agent: {} });
  assert.deepEqual(result, { ok: false, message: "${{ event.data.nope }}: No such key: nope" });
});

test("an error has the path of its value and the place inside the text", () => {
  const { problems } = compileTemplate({ list: ["ok", "ab ${{ 1 + }} ${{ 2"] }, ["do", 0]);
  assert.deepEqual(
    problems.map(({ path }) => path),
    [
      ["do", 0, "list", 1],
      ["do", 0, "list", 1],
    ],
  );
  assert.ok(problems[0]!.offset >= 7 && problems[0]!.offset <= 10, String(problems[0]!.offset));
  assert.equal(problems[1]!.offset, 14);
  assert.match(problems[1]!.message, /has no "}}"/);
});

test("the static type of a value is known where CEL knows it", () => {
  const { template } = compileTemplate({ a: "${{ 1 + 1 }}", b: "${{ event.data.x }}", c: "x${{ 1 }}", d: ["${{ true }}"], e: 5 }, []);
  assert.equal(expressionType(template, ["a"]), "int");
  assert.equal(expressionType(template, ["b"]), "dyn");
  assert.equal(expressionType(template, ["c"]), "string");
  assert.equal(expressionType(template, ["d", 0]), "bool");
  assert.equal(expressionType(template, ["e"]), undefined);
});
