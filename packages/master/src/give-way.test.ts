import assert from "node:assert/strict";
import { getPriority } from "node:os";
import { test } from "node:test";
import { Worker } from "node:worker_threads";
import { threadId } from "./give-way.ts";

test("the thread that gives way does, and no other", async () => {
  const before = getPriority(threadId());
  const source = `
    const { parentPort } = require("node:worker_threads");
    const { getPriority } = require("node:os");
    import(${JSON.stringify(new URL("./give-way.ts", import.meta.url).href)}).then(({ giveWay, threadId }) => {
      const before = getPriority(threadId());
      giveWay();
      parentPort.postMessage([threadId(), before, getPriority(threadId())]);
    });`;
  const worker = new Worker(source, { eval: true });
  const [thread, first, then] = await new Promise<number[]>((resolve, reject) => worker.once("message", resolve).once("error", reject));
  assert.notEqual(thread, threadId());
  assert.deepEqual([first, then], [before, Math.max(before, 10)]);
  assert.equal(getPriority(threadId()), before);
  await worker.terminate();
});
