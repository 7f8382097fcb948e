import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ByteSearch, patternBytesMin } from "./byte-search.ts";

/** Bytes of few kinds, so that patterns overlap and nearly match. */
const few = (minLength: number, maxLength: number) =>
  fc.array(fc.constantFrom(97, 98, 255), { minLength, maxLength }).map((bytes) => Uint8Array.from(bytes));

test("whatever stands in the bytes is found, in its order, and nothing else", () => {
  fc.assert(
    fc.property(fc.array(few(patternBytesMin, 12), { minLength: 1, maxLength: 6 }), few(0, 20), few(0, 20), (patterns, before, behind) => {
      const bytes = Buffer.concat([before, patterns[0]!, behind]);
      const search = new ByteSearch(patterns);
      const found: number[] = [];
      for (let at = search.next(bytes, 0); at >= 0; at = search.next(bytes, at + 1)) found.push(at);
      const begins = (at: number) =>
        patterns.some(
          (pattern) => bytes.subarray(at).indexOf(pattern.subarray(0, patternBytesMin)) === 0 && at + patternBytesMin <= bytes.length,
        );
      assert.deepEqual(
        found,
        [...bytes.keys()].filter((at) => begins(at)),
      );
    }),
  );
});

test("the longest pattern counts, and one that breaks off at the end counts as far as it goes", () => {
  const search = new ByteSearch([
    Buffer.from("password"),
    Buffer.from("password-of-web1"),
    Buffer.from("passwords"),
    Buffer.from("not a half!!!!!!!!!!!"),
  ]);
  const lengths = ["my password.", "my password-of-web1.", "my password-of-w", "my password-of-db", "my passwor", "a half", "not a ha"].map(
    (text) => {
      const bytes = Buffer.from(text);
      const at = search.next(bytes, 0);
      return at < 0 ? undefined : search.lengthAt(bytes, at);
    },
  );
  assert.deepEqual(lengths, [8, 16, 13, 8, undefined, undefined, 0]);
});
