import assert from "node:assert/strict";
import { test } from "node:test";
import { compilePattern } from "@needfire/shared/pattern";
import { takeRecords } from "./log-records.ts";

const plain = { encoding: "utf-8", lineBytesMax: 8 } as const;
const multiline = { ...plain, multiline: { begins: compilePattern("^\\S"), linesMax: 3, bytesMax: 100 } };
const whole = { midway: false, ended: false, complete: false };

function take(text: string | Buffer, options: Parameters<typeof takeRecords>[1] = plain, how: Partial<typeof whole> = {}) {
  const { records, ...rest } = takeRecords({ bytes: Buffer.from(text), ...whole, ...how }, options);
  return { texts: records.map(({ text: told, cut }) => (cut ? `${told}...` : told)), ...rest };
}

test("a line without an end waits for it, unless nothing follows", () => {
  assert.deepEqual(take("a\r\nb\nc"), { texts: ["a", "b"], bytes: 5, midway: false, open: false });
  assert.deepEqual(take("a\nb", plain, { ended: true }).texts, ["a", "b"]);
});

test("of a line that is too long the beginning is told once, and the rest passed over", () => {
  assert.deepEqual(take("0123456789ab"), { texts: ["01234567..."], bytes: 12, midway: true, open: false });
  assert.deepEqual(take("cdef", plain, { midway: true }), { texts: [], bytes: 4, midway: true, open: false });
  assert.deepEqual(take("gh\nnext\n", plain, { midway: true }), { texts: ["next"], bytes: 8, midway: false, open: false });
  assert.deepEqual(take("0123456789ab\nx\n").texts, ["01234567...", "x"]);
});

test("bytes that are no UTF-8 become U+FFFD, or are taken as Latin-1", () => {
  assert.deepEqual(take(Buffer.from([0x61, 0xe9, 0x0a])).texts, ["a\u{FFFD}"]);
  assert.deepEqual(take(Buffer.from([0x61, 0xe9, 0x0a]), { ...plain, encoding: "latin1" }).texts, ["aé"]);
});

test("a record of several lines stays open until the next begins, or is complete", () => {
  assert.deepEqual(take("A\n 1\n 2\nB\n 3\n", multiline), { texts: ["A\n 1\n 2"], bytes: 8, midway: false, open: true });
  assert.deepEqual(take("B\n 3\n", multiline, { complete: true }), { texts: ["B\n 3"], bytes: 5, midway: false, open: false });
  assert.deepEqual(take("A\n", multiline), { texts: [], bytes: 0, midway: false, open: true });
  assert.deepEqual(take("rest\nA\n", multiline, { midway: true }), { texts: [], bytes: 5, midway: false, open: true });
});

test("a record that is too long is told in parts", () => {
  assert.deepEqual(take("A\n 1\n 2\n 3\n 4\nB\n", multiline).texts, ["A\n 1\n 2", " 3\n 4"]);
  const narrow = { ...multiline, multiline: { ...multiline.multiline, bytesMax: 5 } };
  assert.deepEqual(take("A\n 123\n 2\nB\n", narrow).texts, ["A", " 123", " 2"]);
});
