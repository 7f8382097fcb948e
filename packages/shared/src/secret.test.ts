import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { hideMarks, marksIn, mask, secretMark, unmark } from "./secret.ts";

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

test("a secret that comes back is masked, as it is and as JSON writes it", () => {
  const secret = 'two\n"lines"';
  assert.deepEqual(mask({ out: `a ${secret} b`, log: JSON.stringify({ secret }) }, [secret]), { out: "a *** b", log: '{"secret":"***"}' });
  assert.equal(mask("the key is abc", ["abc\n"]), "the key is ***", "without the line break that a program left out");
  assert.equal(mask("abcdef abc", ["abc", "abcdef"]), "*** ***", "the longer one first");
  assert.equal(mask("text", ["", "\n"]), "text", "nothing is masked for a secret that is nothing");
});

test("whatever is masked holds no secret any more", () => {
  fc.assert(
    fc.property(fc.jsonValue(), fc.string({ minLength: 1 }), fc.string({ minLength: 3 }), (value, around, secret) => {
      fc.pre(secret.trim() !== "" && !"***".includes(secret.trim()) && !secret.includes("*"));
      const masked = mask([value, `${around}${secret}${around}`], [secret]);
      assert.ok(!(masked[1] as string).includes(secret));
      assert.deepEqual(mask(value, []), value);
    }),
  );
});
