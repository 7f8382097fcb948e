import assert from "node:assert/strict";
import { test } from "node:test";
import { Settle } from "./settle.ts";

test("a path is due once, after its last touch", async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  const due: string[] = [];
  let last = 0;
  const settle = new Settle(30, (path) => {
    due.push(path);
    resolve();
  });
  let touches = 0;
  const touching = setInterval(() => {
    settle.touch("/a");
    last = performance.now();
    if (++touches === 10) clearInterval(touching);
  }, 5);
  await promise;
  assert.equal(touches, 10);
  assert.deepEqual(due, ["/a"]);
  assert.ok(performance.now() - last >= 29);
});

test("without a settle time a path is due at the end of the turn, once for any number of touches", async () => {
  const due: string[] = [];
  const settle = new Settle(0, (path) => due.push(path));
  settle.touch("/a");
  settle.touch("/b");
  settle.touch("/a");
  assert.deepEqual(due, []);
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(due, ["/a", "/b"]);
});

test("after clear nothing is due", async () => {
  const due: string[] = [];
  const settle = new Settle(0, (path) => due.push(path));
  settle.touch("/a");
  settle.clear();
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(due, []);
});
