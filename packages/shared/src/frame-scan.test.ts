import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { dataFault, frameFault } from "./frame-scan.ts";
import { pack, unpack } from "./pack.ts";

const bytes = (hex: string) => Buffer.from(hex, "hex");

test("what JSON can say has no fault, whatever it is and however deep its maps and lists are in each other", () => {
  fc.assert(fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (value) => void assert.equal(dataFault(pack(value)), undefined)));
  assert.equal(dataFault(pack({ a: { b: [{ c: [] }, {}], d: {} }, e: [[{}], { f: null }] })), undefined);
});

test("a key that is a list, a map or binary is refused, in any map: the decoder would fail on it when the event is looked at", () => {
  const reason = "a key is a list, a map or binary";
  for (const [what, hex] of [
    ["a list", "8191a16105"],
    ["a long map", "81de000005"],
    ["a map, further in", "81a16192a178818005c0"],
    ["the second key of two", "82a16101dc000002"],
  ] as const) {
    assert.deepEqual([frameFault(bytes(hex)), dataFault(bytes(hex))], [reason, reason], what);
    assert.throws(() => unpack(bytes(hex)), /Invalid property type/, what);
  }
  assert.equal(frameFault(bytes("81c4016105")), reason);
});

test("bytes of any kind have a fault, or can be unpacked and said in JSON", () => {
  const pieces = fc.constantFrom(
    "80",
    "81",
    "82",
    "90",
    "91",
    "92",
    "a161",
    "a0",
    "01",
    "c0",
    "c3",
    "d90162",
    "de0001",
    "dc0001",
    "cb4004000000000000",
    "df00000001",
  );
  fc.assert(
    fc.property(fc.array(pieces, { minLength: 1, maxLength: 12 }), (parts) => {
      const data = bytes(parts.join(""));
      if (dataFault(data) === undefined) JSON.stringify(unpack(data));
    }),
    { numRuns: 5_000 },
  );
});
