import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { PrefixTable } from "./prefix-table.ts";

test("whatever the prefixes and the text: each prefix of the text is found once, the longest first", () => {
  const text = fc.string({ unit: fc.constantFrom("a", "b", "/", "\u{1F525}"), maxLength: 8 });
  fc.assert(
    fc.property(fc.array(text, { maxLength: 30 }), text, (prefixes, whole) => {
      const table = new PrefixTable(new Map(prefixes.map((prefix) => [prefix, prefix])));
      const found: string[] = [];
      table.each(whole, (prefix) => found.push(prefix));
      const expected = [...new Set(prefixes)].filter((prefix) => whole.startsWith(prefix));
      assert.deepEqual(
        found,
        expected.toSorted((a, b) => b.length - a.length),
      );
    }),
    { numRuns: 2_000 },
  );
});
