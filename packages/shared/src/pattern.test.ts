import assert from "node:assert/strict";
import { test } from "node:test";
import { compilePattern, patternProblem } from "./pattern.ts";

test("named groups that took part are given, others are not", () => {
  const pattern = compilePattern("^(?<host>\\S+) (?:user=(?<user>\\w+)|(?P<anonymous>-))");
  assert.deepEqual(pattern.find("web1 user=ann x"), { host: "web1", user: "ann" });
  assert.deepEqual(pattern.find("web1 - x"), { host: "web1", anonymous: "-" });
  assert.equal(pattern.find("web1 x"), undefined);
});

test("text that holds a backtracking engine up for ever is judged at once", () => {
  for (const expression of ["(a+)+$", "(a|aa)*b", "(?:a*)*b", ".*a.*a.*a.*a.*a.*b(?<x>c)", "(a{1,30}){1,30}b"])
    assert.equal(compilePattern(expression).find(`${"a".repeat(8_192)}c`), undefined, expression);
});

test("what the engine does not have, or what is no expression, is told", () => {
  for (const expression of ["(?!x)", "(a)\\1", "(a", "a{2000}", "((a{1000}){1000}){1000}"])
    assert.match(patternProblem(expression) ?? "", /expected a regular expression of RE2/, expression);
  assert.equal(patternProblem("(?i)out of memory"), undefined);
});
