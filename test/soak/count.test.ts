import assert from "node:assert/strict";
import { test } from "node:test";
import { countAccount } from "./count.ts";

const count = (expected: [string, number][], told: [string, number][], allowed: string[] = []) =>
  countAccount({ name: "x", changes: 1, expected: new Map(expected), told: new Map(told), allowed: new Set(allowed) }).mismatches;

test("what came as often as it must is no mismatch; what was due at the very end may have come or not", () => {
  assert.deepEqual(count([["a", 2]], [["a", 2]], ["b"]), []);
  assert.deepEqual(
    count(
      [["a", 2]],
      [
        ["a", 2],
        ["b", 1],
      ],
      ["b"],
    ),
    [],
  );
});

test("an event that is missed, doubled or of nobody's making is named, also one that was only allowed and came twice", () => {
  assert.deepEqual(count([["a", 2]], [["a", 1]]), ["missed: a (1 of 2)"]);
  assert.deepEqual(count([["a", 1]], [["a", 2]]), ["told too often: a (2 instead of 1)"]);
  assert.deepEqual(
    count(
      [["a", 1]],
      [
        ["a", 1],
        ["beacon.degraded x", 1],
      ],
    ),
    ["told, and nobody did it: beacon.degraded x (1)"],
  );
  assert.deepEqual(count([], [["b", 2]], ["b"]), ["told, and nobody did it: b (2)"]);
});
