import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { editLines, type LineWish } from "./line-edit.ts";

const wish = (given: Partial<LineWish> & { match?: RegExp }): LineWish => ({
  line: undefined,
  state: "present",
  found: (lines) => given.match && lines.flatMap((line, index) => (given.match!.test(line) ? [index] : [])),
  ...given,
});

const cases: [string, string, Partial<LineWish> & { match?: RegExp }, string | RegExp][] = [
  ["a line is added at the end", "a\n", { line: "b" }, "a\nb\n"],
  ["a line is added to a last line without an end", "a", { line: "b" }, "a\nb\n"],
  ["a line is added to nothing", "", { line: "b" }, "b\n"],
  ["a line that is there stays", "b\na\n", { line: "b" }, "b\na\n"],
  ["the line that is found is replaced", "x=1\ny=2\n", { line: "x=3", match: /^x=/ }, "x=3\ny=2\n"],
  ["a last line without an end is replaced by one without", "x=1", { line: "x=3", match: /^x=/ }, "x=3"],
  ["what is not found is added", "y=2\n", { line: "x=3", match: /^x=/ }, "y=2\nx=3\n"],
  ["of two that are found none is guessed", "x=1\nx=2\n", { line: "x=3", match: /^x=/ }, /^lines 1, 2 are found/],
  ["all that are found go", "x=1\ny\nx=2", { state: "absent", match: /^x=/ }, "y\n"],
  ["a line goes wherever it is", "a\nb\na\n", { state: "absent", line: "a" }, "b\n"],
  ["what is not there cannot go", "b\n", { state: "absent", line: "a" }, "b\n"],
  ["the only line goes", "a\n", { state: "absent", line: "a" }, ""],
  ["ends of Windows stay", "a\r\nx=1\r\n", { line: "x=2", match: /^x=1$/ }, "a\r\nx=2\r\n"],
  ["ends of Windows are given, too", "a\r\nb", { line: "c" }, "a\r\nb\r\nc\r\n"],
  ["a line has the end that it has, among others", "a\r\nb\n", { line: "c", match: /^a$/ }, "c\r\nb\n"],
];
for (const [title, text, given, expected] of cases) {
  test(title, () => {
    const edited = editLines(text, wish(given));
    if (typeof expected === "string") assert.deepEqual(edited.ok && edited.text, expected);
    else assert.match(edited.ok ? "" : edited.reason, expected);
  });
}

test("an edit does what it says, keeps every other line byte for byte, and a second one changes nothing", () => {
  const lines = fc.array(fc.constantFrom("", "a", "b", "x=1", "x=2", " a", "a\r"), { maxLength: 6 });
  const text = fc
    .tuple(lines, fc.constantFrom("\n", "\r\n"), fc.boolean())
    .map(([all, end, open]) => all.join(end) + (open || all.length === 0 ? "" : end));
  const match = fc.constantFrom(undefined, /^x=/, /a/);
  fc.assert(
    fc.property(
      text,
      fc.constantFrom("a", "x=1", "new"),
      fc.constantFrom("present" as const, "absent" as const),
      match,
      (before, line, state, regex) => {
        const given = wish({ line, state, ...(regex === undefined ? {} : { match: regex }) });
        const edited = editLines(before, given);
        if (!edited.ok) return;
        const bare = (all: string) => all.split(/\r?\n/).filter((each, index, { length }) => index < length - 1 || each !== "");
        const after = bare(edited.text);
        if (state === "present") assert.ok(edited.text.split("\n").some((each) => each === line || each === `${line}\r`));
        else assert.ok(!edited.text.split("\n").some((each) => (regex === undefined ? each === line : regex.test(each))));
        if (edited.changed === 0) assert.equal(edited.text, before);
        assert.ok(Math.abs(after.length - bare(before).length) <= edited.changed);
        const kept = before.split("\n").filter((each) => edited.text.split("\n").includes(each));
        assert.ok(before.split("\n").length - kept.length <= edited.changed + 1);
        if (regex === undefined || regex.test(line)) {
          const again = editLines(edited.text, given);
          assert.deepEqual(again.ok && [again.changed, again.text], [0, edited.text]);
        }
      },
    ),
    { numRuns: 2_000 },
  );
});
