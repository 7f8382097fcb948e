import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as nextRound } from "node:timers/promises";
import { MarkPost } from "./mark-post.ts";
import type { Mark } from "./store/store.ts";

const mark = (execution: string): Mark => ({ execution, state: "accepted", at: 1 });

test("marks of one round go together, and nothing that flushes first overtakes them", async () => {
  const posted: string[][] = [];
  const post = new MarkPost((marks) => void posted.push(marks.map(({ execution }) => execution)));
  post.add([]);
  post.add([mark("a"), mark("b")]);
  post.add([mark("c")]);
  assert.deepEqual(posted, []);
  await nextRound();
  await nextRound();
  assert.deepEqual(posted, [["a", "b", "c"]]);
  post.add([mark("d")]);
  post.flush();
  assert.deepEqual(posted, [["a", "b", "c"], ["d"]]);
  post.add([mark("e")]);
  await nextRound();
  await nextRound();
  assert.deepEqual(posted.slice(2), [["e"]]);
});
