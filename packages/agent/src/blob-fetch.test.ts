import assert from "node:assert/strict";
import { test } from "node:test";
import type { AgentMessage } from "@needfire/shared/wire";
import { BlobFetch } from "./blob-fetch.ts";

const digest = "a".repeat(64);
const bytes = Buffer.from("content");

function setting() {
  const asked: AgentMessage[] = [];
  const link = { up: true };
  const fetch = new BlobFetch((message) => {
    asked.push(message);
    return link.up;
  });
  return { fetch, asked, link };
}

test("an answer goes to the question about the same piece, in any order", async () => {
  const { fetch, asked } = setting();
  const [first, second] = [fetch.fetch(digest, 0), fetch.fetch(digest, 4)];
  assert.deepEqual(
    asked.map(({ body }) => body),
    [
      { digest, offset: 0 },
      { digest, offset: 4 },
    ],
  );
  fetch.answer({ digest, offset: 4, total: 7, bytes: bytes.subarray(4) });
  fetch.answer({ digest: "b".repeat(64), offset: 0, total: 7, bytes });
  fetch.answer({ digest, offset: 0, total: 7, bytes: bytes.subarray(0, 4) });
  assert.equal(Buffer.from((await first).bytes).toString(), "cont");
  assert.deepEqual(await second, { bytes: bytes.subarray(4), total: 7 });
});

test("what the master does not have, and a link that is down, fail the question at once", async () => {
  const { fetch, link } = setting();
  const unknown = fetch.fetch(digest, 0);
  fetch.answer({ digest, offset: 0, total: -1, bytes: Buffer.alloc(0) });
  await assert.rejects(unknown, { code: "NOT_FOUND" });
  link.up = false;
  await assert.rejects(fetch.fetch(digest, 0), { code: "PEER_GONE" });
});

test("two that want the same piece at one time ask once, and both get it", async () => {
  const { fetch, asked } = setting();
  const both = [fetch.fetch(digest, 0), fetch.fetch(digest, 0)];
  assert.equal(asked.length, 1);
  fetch.answer({ digest, offset: 0, total: 7, bytes });
  for (const piece of await Promise.all(both)) assert.deepEqual(piece, { bytes, total: 7 });
});

test("the end of the session fails every question; answers that come later find none", async () => {
  const { fetch } = setting();
  const waiting = [fetch.fetch(digest, 0), fetch.fetch(digest, 4)];
  fetch.failAll();
  for (const question of waiting) await assert.rejects(question, { code: "PEER_GONE", message: /session ended/ });
  fetch.answer({ digest, offset: 0, total: 7, bytes });
});

test("a question that is not answered in time fails, and the same piece can be asked for again", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { fetch } = setting();
  const lost = assert.rejects(fetch.fetch(digest, 0), { code: "PEER_GONE", message: /did not answer/ });
  t.mock.timers.tick(10_000);
  await lost;
  const again = fetch.fetch(digest, 0);
  fetch.answer({ digest, offset: 0, total: 7, bytes });
  assert.equal((await again).total, 7);
});
