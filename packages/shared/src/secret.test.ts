import assert from "node:assert/strict";
import { test } from "node:test";
import { hideMarks, marksIn, secretMark, unmark } from "./secret.ts";

const token = secretMark("r/token", "n0nce");
const key = secretMark("r/key", "n0nce");
const args = { argv: ["curl", `Bearer ${token}`, token], env: { [key]: "name" }, count: 5, none: null };

test("marks are found wherever they stand, each once", () => {
  assert.deepEqual(marksIn(args), [token, key]);
  assert.deepEqual(marksIn(["no", { mark: "here" }, 5, null]), []);
});

test("secrets take the place of their marks, also inside a text, and nothing else changes", () => {
  const values = new Map([
    [token, "s3cret $& $1"],
    [key, "k3y"],
  ]);
  assert.deepEqual(unmark(args, values), {
    argv: ["curl", "Bearer s3cret $& $1", "s3cret $& $1"],
    env: { k3y: "name" },
    count: 5,
    none: null,
  });
});

test("a mark of which nothing is known is no secret: another name, or another nonce", () => {
  const values = new Map([[token, "s3cret"]]);
  for (const other of [secretMark("r/token", "guess"), secretMark("r/token"), secretMark("r/other", "n0nce"), token.slice(0, -1)])
    assert.equal(unmark(`a ${other}`, values), `a ${other}`);
});

test("people see stars in place of a mark", () => {
  assert.deepEqual(hideMarks({ argv: [`Bearer ${token}${key}`] }), { argv: ["Bearer ******"] });
});
