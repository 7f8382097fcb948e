import assert from "node:assert/strict";
import { test } from "node:test";
import { corruptError, isBusy, isConstraint, isCorrupt, isFull, isRefusal, isUnreadable } from "./sqlite-code.ts";

const judges = { isBusy, isConstraint, isCorrupt, isFull, isRefusal, isUnreadable };
const said = (error: unknown) => Object.entries(judges).flatMap(([name, judge]) => (judge(error) ? [name] : []));
const coded = (errcode: number) => Object.assign(new Error("as it is"), { errcode });

test("a code with its detail is judged as without, but for what cannot be read", () => {
  assert.deepEqual(said(coded(5)), ["isBusy"]);
  assert.deepEqual(said(coded(5 | (2 << 8))), ["isBusy"]);
  assert.deepEqual(said(coded(11 | (1 << 8))), ["isCorrupt"]);
  assert.deepEqual(said(coded(26)), ["isCorrupt"]);
  assert.deepEqual(said(coded(13)), ["isFull", "isRefusal"]);
  assert.deepEqual(said(coded(10 | (4 << 8))), ["isRefusal"]);
  assert.deepEqual(said(coded(10 | (1 << 8))), ["isRefusal", "isUnreadable"]);
  assert.deepEqual(said(coded(19)), ["isConstraint"]);
  assert.deepEqual(said(corruptError("the checksum")), ["isCorrupt"]);
});

test("what is no error of SQLite's means nothing of it", () => {
  for (const error of [new Error("plain"), "11", undefined, { errcode: 11 }]) assert.deepEqual(said(error), []);
});
