import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { contentBytesMax } from "@needfire/shared/actions/spec";
import { fetchContent } from "./command-content.ts";

const content = Buffer.from("0123456789");
const announced = { digest: createHash("sha256").update(content).digest("hex"), size: content.length };
const signal = new AbortController().signal;
/** A master that gives three bytes at a time of what it has. */
const master = (has: Buffer) => async (_digest: string, offset: number) => ({ bytes: has.subarray(offset, offset + 3), total: has.length });

test("content comes piece by piece, and is what was announced", async () => {
  assert.deepEqual(await fetchContent(announced, master(content), signal), content);
  const nothing = { digest: createHash("sha256").digest("hex"), size: 0 };
  assert.equal((await fetchContent(nothing, () => Promise.reject(new Error("asked for nothing")), signal)).length, 0);
});

test("other bytes, fewer and more than announced, and too many at all, are not taken", async () => {
  const mismatch = { code: "BLOB_MISMATCH" };
  await assert.rejects(fetchContent(announced, master(Buffer.from("0123456780")), signal), mismatch);
  await assert.rejects(fetchContent(announced, master(content.subarray(1)), signal), mismatch);
  await assert.rejects(
    fetchContent(announced, async () => ({ bytes: Buffer.alloc(20), total: 10 }), signal),
    mismatch,
  );
  await assert.rejects(
    fetchContent(announced, async () => ({ bytes: Buffer.alloc(0), total: 10 }), signal),
    mismatch,
  );
  await assert.rejects(fetchContent({ ...announced, size: contentBytesMax + 1 }, master(content), signal), mismatch);
});

test("what is not wanted any more is not asked for", async () => {
  const stopped = AbortSignal.abort(new Error("it was cancelled"));
  await assert.rejects(fetchContent(announced, master(content), stopped), /it was cancelled/);
});
