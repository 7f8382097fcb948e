import assert from "node:assert/strict";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { sha256 } from "./beacons/fixture.ts";
import { BlobStore } from "./blobs.ts";

function store(t: TestContext) {
  const parent = fs.mkdtempSync(join(tmpdir(), "needfire-test-"));
  t.after(() => fs.rmSync(parent, { recursive: true }));
  const dir = join(parent, "state/blobs");
  return { dir, blobs: new BlobStore(dir) };
}

async function put(blobs: BlobStore, content: string): Promise<string> {
  const writer = blobs.writer(sha256(content), content.length);
  for (const part of content.match(/.{1,3}/gs) ?? []) await writer.append(Buffer.from(part));
  await writer.finish();
  return sha256(content);
}

test("what comes in in pieces goes out whole, and nobody else can read it", async (t) => {
  const { dir, blobs } = store(t);
  const digest = await put(blobs, "some content");
  assert.ok(blobs.has(digest));
  assert.equal((await blobs.read(digest)).toString(), "some content");
  assert.equal(fs.statSync(dir).mode & 0o777, 0o700);
  assert.equal(fs.statSync(join(dir, digest)).mode & 0o777, 0o600);
  const empty = await put(blobs, "");
  assert.equal((await blobs.read(empty)).length, 0);
});

test("content of another digest or size is not kept, nor what was aborted", async (t) => {
  const { dir, blobs } = store(t);
  const digest = sha256("right");
  const wrong = blobs.writer(digest, 5);
  await wrong.append(Buffer.from("wrong"));
  await assert.rejects(wrong.finish(), { code: "BLOB_MISMATCH" });
  const short = blobs.writer(digest, 5);
  await short.append(Buffer.from("rig"));
  await assert.rejects(short.finish(), { code: "BLOB_MISMATCH" });
  await assert.rejects(blobs.writer(digest, 5).append(Buffer.from("right and more")), { code: "BLOB_MISMATCH" });
  const aborted = blobs.writer(digest, 5);
  await aborted.append(Buffer.from("right"));
  await aborted.abort();
  assert.ok(!blobs.has(digest));
  assert.deepEqual(fs.readdirSync(dir), []);
});

test("damage on the disk is found when it is read, and the damaged copy is gone", async (t) => {
  const { dir, blobs } = store(t);
  const digest = await put(blobs, "some content");
  fs.writeFileSync(join(dir, digest), "some c0ntent");
  await assert.rejects(blobs.read(digest), { code: "BLOB_MISMATCH" });
  assert.ok(!blobs.has(digest));
  await assert.rejects(blobs.read(digest), { code: "NOT_FOUND" });
});

test("pruning keeps what is needed and clears what a crash left", async (t) => {
  const { dir, blobs } = store(t);
  const [kept, gone] = [await put(blobs, "kept"), await put(blobs, "gone")];
  fs.writeFileSync(join(dir, `.${gone}.needfire-0123`), "half");
  await blobs.prune(new Set([kept]));
  assert.deepEqual(fs.readdirSync(dir), [kept]);
});

test("a digest cannot be a path", (t) => {
  const { blobs } = store(t);
  assert.throws(() => blobs.has("../../etc/passwd"), { code: "BAD_REQUEST" });
});
