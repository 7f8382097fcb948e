import assert from "node:assert/strict";
import { test } from "node:test";
import { DefinitionParts } from "./definition-parts.ts";

const part = (version: string, number: number, parts: number, items: string[]) => ({ version, part: number, parts, items });

test("a set is whole when all its parts are there, in whatever order they come, and each counts once", () => {
  const parts = new DefinitionParts<string>();
  assert.deepEqual(parts.take(part("v1", 2, 3, ["e"])), { kind: "partial" });
  assert.deepEqual(parts.take(part("v1", 0, 3, ["a", "b"])), { kind: "partial" });
  assert.deepEqual(parts.take(part("v1", 0, 3, ["a", "b"])), { kind: "partial" });
  assert.deepEqual(parts.take(part("v1", 1, 3, ["c", "d"])), { kind: "whole", items: ["a", "b", "c", "d", "e"] });
  assert.deepEqual(parts.take(part("v1", 1, 3, ["c", "d"])), { kind: "repeated" });
  assert.deepEqual(parts.take(part("v2", 0, 1, [])), { kind: "whole", items: [] });
});

test("parts of another version, or of another session, do not mix", () => {
  const parts = new DefinitionParts<string>();
  parts.take(part("v1", 0, 2, ["old"]));
  assert.deepEqual(parts.take(part("v2", 1, 2, ["b"])), { kind: "partial" });
  assert.deepEqual(parts.take(part("v1", 1, 2, ["old"])), { kind: "partial" });
  parts.reset();
  assert.deepEqual(parts.take(part("v1", 0, 2, ["a"])), { kind: "partial" });
  assert.deepEqual(parts.take(part("v1", 5, 2, ["x"])), { kind: "partial" }, "a part that the set does not have");
  assert.deepEqual(parts.take(part("v1", 1, 2, ["b"])), { kind: "whole", items: ["a", "b"] });
});
