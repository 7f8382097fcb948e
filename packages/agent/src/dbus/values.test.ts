import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";

import { encodeMessage, type Message, messageBytesMax, MessageReader } from "./message.ts";
import { DbusFormatError, readValues, Variant, writeValues } from "./values.ts";

test("values of every type come back as they were written, wherever they lie", () => {
  const signature = "ybnqiuxtdsogvaya{sv}a(st)aai";
  const values = [
    ...[255, true, -32_768, 65_535, -2_147_483_648, 4_294_967_295, -9_223_372_036_854_775_808n, 18_446_744_073_709_551_615n, 0.5],
    ...["café\n", "/org/x", "a{sv}", "inner", new Uint8Array([1, 2, 3])],
    ...[new Map([["key", 7]]), [["a", 1n]], [[1], [], [2, 3]]],
  ];
  const written: unknown[] = values.map((value) => (value === "inner" ? new Variant("s", value) : value));
  written[14] = new Map([["key", new Variant("u", 7)]]);
  const bytes = writeValues(signature, written);
  const { values: read, end } = readValues(bytes, { signature, offset: 0, little: true });
  assert.deepEqual(read, values);
  assert.equal(end, bytes.length);
});

test("messages come out whole however the stream was cut", () => {
  const messages: Message[] = [
    { type: "call", serial: 1, path: "/a", member: "Do", destination: "x.y", signature: "as", body: [["one", "two"]] },
    { type: "signal", serial: 2, path: "/a/b", interface: "x.y.z", member: "Done", body: [] },
    { type: "error", serial: 3, replySerial: 1, errorName: "x.y.Bad", signature: "s", body: ["no"] },
  ];
  const stream = Buffer.concat(messages.map((message) => encodeMessage(message)));
  fc.assert(
    fc.property(fc.array(fc.nat(stream.length)), (cuts) => {
      const reader = new MessageReader();
      const at = [0, ...cuts.toSorted((a, b) => a - b), stream.length];
      const read = at.slice(1).flatMap((end, i) => reader.push(stream.subarray(at[i], end)));
      assert.deepEqual(read, messages);
    }),
  );
});

test("big-endian values are read, too", () => {
  const bytes = Buffer.from("00000002616200000000002a", "hex");
  assert.deepEqual(readValues(bytes, { signature: "su", offset: 0, little: false }).values, ["ab", 42]);
});

test("what claims to be longer than it may be is refused at its first bytes", () => {
  const head = encodeMessage({ type: "signal", serial: 1, path: "/a", body: [] });
  head.writeUInt32LE(messageBytesMax, 4);
  assert.throws(() => new MessageReader().push(head.subarray(0, 16)), /more than 16777216/);
});

test("nesting has an end, in signatures and in variants", () => {
  assert.throws(() => readValues(Buffer.alloc(8), { signature: "a".repeat(200) + "y", offset: 0, little: true }), DbusFormatError);
  const nested = Buffer.from("017600".repeat(200), "hex");
  assert.throws(() => readValues(nested, { signature: "v", offset: 0, little: true }), DbusFormatError);
});

test("mutated messages are read or refused, and nothing else happens", () => {
  const body = [new Map([["ActiveState", new Variant("s", "active")], ["Job", new Variant("(uo)", [3, "/job/3"])]]), ["x"]]; // prettier-ignore
  const original = encodeMessage({ type: "signal", serial: 9, path: "/a/b", signature: "a{sv}as", body });
  const mutation = fc.record({ at: fc.nat(original.length - 1), byte: fc.nat(255) });
  fc.assert(
    fc.property(fc.array(mutation, { minLength: 1, maxLength: 6 }), (mutations) => {
      const bytes = Buffer.from(original);
      for (const { at, byte } of mutations) bytes[at] = byte;
      try {
        new MessageReader().push(bytes);
      } catch (error) {
        assert.ok(error instanceof DbusFormatError, String(error));
      }
    }),
    { numRuns: 3_000 },
  );
});
