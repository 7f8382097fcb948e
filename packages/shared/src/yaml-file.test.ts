import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { parseYaml, problemText, type YamlDocument } from "./yaml-file.ts";

function only(text: string): YamlDocument {
  const parsed = parseYaml("x.yaml", text);
  assert.ok(parsed.ok, JSON.stringify(parsed));
  assert.equal(parsed.documents.length, 1);
  return parsed.documents[0]!;
}

/** Line and column of a problem, as `2:7`. */
function place(
  document: YamlDocument,
  ...at: Parameters<YamlDocument["problemAt"]> extends [infer P, unknown, ...infer R] ? [P, ...R] : never
): string {
  const { line, column } = document.problemAt(at[0], "wrong", at[1]);
  return `${line}:${column}`;
}

const text = `name: heal
on: file.changed
do:
  - file.restore:
      path: "\${{ event.subject }}"
  - command.run: { argv: [echo, 'it''s'] }
8080: port
`;

test("a problem stands at the value, at the key, or inside the text, as asked", () => {
  const document = only(text);
  assert.equal(place(document, ["name"]), "1:7");
  assert.equal(place(document, ["name"], { key: true }), "1:1");
  assert.equal(place(document, ["do", 0, "file.restore"], { key: true }), "4:5");
  assert.equal(place(document, ["do", 0, "file.restore", "path"]), "5:13");
  assert.equal(place(document, ["on"], { offset: 5 }), "2:10", "plain");
  assert.equal(place(document, ["do", 0, "file.restore", "path"], { offset: 4 }), "5:18", "quoted: one for the quote");
  assert.equal(place(document, ["do", 1, "command.run", "argv", 1]), "6:33");
});

test("a place inside a text is found however the text is written", () => {
  const document = only(String.raw`literal: |
  one == 1 &&

    two == wrong
folded: >-  # a comment
  one == 1 &&
  two == wrong
plain: one == 1 &&
  two == wrong
double: "one \"\u0041\" == 1 &&\n two == wrong"
single: 'one ''A'' == 1 && two == wrong'
end: one ==
`);
  const found = ["literal", "folded", "plain", "double", "single"].map((key) => {
    const value = (document.value as Record<string, string>)[key]!;
    return place(document, [key], { offset: value.indexOf("wrong") });
  });
  assert.deepEqual(found, ["4:12", "7:10", "9:10", "10:42", "11:35"]);
  assert.equal(place(document, ["single"], { offset: 4 }), "11:14", "just behind a space");
  assert.equal(place(document, ["end"], { offset: 6 }), "12:12");
});

test("a key that is a number in the file is found by its text", () => {
  assert.equal(place(only(text), [8080]), "7:7");
  assert.equal(place(only(text), ["8080"]), "7:7");
  assert.equal(place(only('"80": x\n'), [80]), "1:7");
});

test("a problem of something that is not there stands at the nearest place above it", () => {
  const document = only(text);
  assert.equal(place(document, ["when"]), "1:1");
  assert.equal(place(document, ["do", 0, "file.restore", "mode"]), "5:7");
  assert.equal(place(document, ["do", 7]), "4:3");
});

test("each document of a file knows its own lines", () => {
  const parsed = parseYaml("x.yaml", "# first\nname: a\n---\n\nname: b\n---\n# nothing\n");
  assert.ok(parsed.ok);
  assert.deepEqual(
    parsed.documents.map((document) => problemText(document.problemAt(["name"], "wrong"))),
    ["x.yaml:2:7: wrong", "x.yaml:5:7: wrong"],
  );
});

test("a key that is no text is refused with its place: somebody meant an expression", () => {
  const parsed = parseYaml("x.yaml", "a: 1\npath: {{ event.subject }}\n");
  assert.ok(!parsed.ok);
  assert.deepEqual(parsed.problems.map(problemText), [
    "x.yaml:2:8: expected a text as the key, got a list or a map; an expression is written ${{ ... }}, in quotes",
  ]);
  assert.ok(!parseYaml("x.yaml", "a: &x b\n*x : 1\n").ok);
});

test("what is not YAML is refused with its place", () => {
  for (const [bad, line] of [
    ["a: [1, 2\nb: 3\n", 2],
    ["a: 1\na: 2\n", 2],
    ['a: "unfinished\n', 1],
    ["a: 1\n\tb: 2\n", 2],
  ] as const) {
    const parsed = parseYaml("x.yaml", bad);
    assert.ok(!parsed.ok, bad);
    assert.ok(parsed.problems[0]!.line >= line && parsed.problems[0]!.column >= 1, JSON.stringify(parsed.problems));
  }
});

test("what is no YAML in one document hides no other", () => {
  const parsed = parseYaml("x.yaml", "a: 1\na: 2\n---\nname: b\n---\n{{ x }}: 1\n---\nname: c\n");
  assert.ok(!parsed.ok);
  assert.deepEqual(
    parsed.documents.map(({ value }) => value),
    [{ name: "b" }, { name: "c" }],
  );
  assert.deepEqual(
    parsed.problems.map(({ line }) => line),
    [2, 6],
  );
});

test("an alias bomb, a bottomless nesting and a giant file are problems, not an end of the program", () => {
  const bomb = `a: &a [x, x, x, x, x, x, x, x, x]\n${"bcdefgh"
    .split("")
    .map((name, index) => `${name}: &${name} [${Array.from({ length: 9 }, () => `*${"abcdefg"[index]}`).join(", ")}]`)
    .join("\n")}\n`;
  for (const hostile of [bomb, "[".repeat(100_000), "x".repeat(5 * 1024 * 1024)]) assert.equal(parseYaml("x.yaml", hostile).ok, false);
});

test("any text is either documents or problems, and never throws", () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom(..."abc: -[]{}\"'&*!|>\n\t#%,?".split("")), maxLength: 60 }), (any) => {
      const parsed = parseYaml("x.yaml", any);
      if (!parsed.ok) assert.ok(parsed.problems.length > 0 && parsed.problems.every(({ line, column }) => line >= 1 && column >= 1));
    }),
    { numRuns: 2_000 },
  );
});
