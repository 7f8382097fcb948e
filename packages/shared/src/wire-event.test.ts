import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { dataFault } from "./frame-scan.ts";
import { pack } from "./pack.ts";
import { eventData, packedName, pickData } from "./wire-event.ts";

/** A text as MessagePack may say it: the short way, and two that only a stranger takes. */
const packings: ((text: string) => Buffer)[] = [
  (text) => pack(text),
  (text) => Buffer.concat([Buffer.from([0xd9, Buffer.byteLength(text)]), Buffer.from(text)]),
  (text) => Buffer.concat([Buffer.from([0xda, 0, Buffer.byteLength(text)]), Buffer.from(text)]),
];
const names = ["n", "percent", "ä", "5", "a".repeat(40), "missing"];
const key = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom(...names.slice(0, -1)).map((name) => pack(name)) },
  { weight: 1, arbitrary: fc.tuple(fc.constantFrom(...names), fc.constantFrom(...packings)).map(([name, packing]) => packing(name)) },
  { weight: 1, arbitrary: fc.constant(pack(5)) },
);
const field = fc.tuple(
  key,
  fc.jsonValue().map((value) => pack(value)),
);

test("some fields that are picked out of data are what they are in the whole, however they were packed", () => {
  fc.assert(
    fc.property(fc.array(field, { maxLength: 8 }), fc.subarray(names), fc.boolean(), (fields, wanted, isLong) => {
      const head = isLong ? [0xde, 0, fields.length] : [0x80 + fields.length];
      const data = Buffer.concat([Buffer.from(head), ...fields.flat()]);
      assert.equal(dataFault(data), undefined);
      const whole = eventData(data);
      const picked = pickData(data, wanted.map(packedName));
      for (const name of wanted) {
        assert.equal(name in picked, name in whole, name);
        assert.deepEqual(picked[name], whole[name], name);
      }
    }),
    { numRuns: 2_000 },
  );
});
