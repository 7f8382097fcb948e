import assert from "node:assert/strict";
import * as fs from "node:fs";
import { test, type TestContext } from "node:test";
import type { ManagedFile } from "@needfire/shared/managed-file";
import { Fixture, sha256 } from "./beacons/fixture.ts";
import { NeedfireError } from "@needfire/shared/errors";
import { BlobStore } from "./blobs.ts";
import { type FetchPiece, ManagedFiles } from "./managed-files.ts";

const never = new AbortController().signal;

function setting(t: TestContext) {
  const f = new Fixture();
  t.after(() => f.end());
  return f;
}

/** What the agent finds when it starts again. */
async function restarted(f: Fixture): Promise<ManagedFiles> {
  const managed = new ManagedFiles({ blobs: new BlobStore(f.path("state/blobs")), listFile: f.path("state/files.json"), log: f.log });
  await managed.load();
  return managed;
}

function file(path: string, content: string): ManagedFile {
  return { path, digest: sha256(content), size: Buffer.byteLength(content), mode: 0o644, owner: "root", group: "root", secret: false };
}

function source(...contents: string[]) {
  const asked: string[] = [];
  const fetch: FetchPiece = async (digest, offset) => {
    asked.push(`${digest.slice(0, 4)}:${offset}`);
    const bytes = contents.map((content) => Buffer.from(content)).find((candidate) => sha256(candidate) === digest);
    if (bytes === undefined) throw new NeedfireError("NOT_FOUND", "the master has no such content");
    return { bytes: bytes.subarray(offset, offset + 4), total: bytes.length };
  };
  return { fetch, asked };
}

test("a list with its content survives a restart, and content that is here is not fetched again", async (t) => {
  const f = setting(t);
  const { fetch, asked } = source("content of a", "content of b");
  let told = 0;
  f.managed.onChange(() => told++);
  await f.managed.apply("v1", [file("/a", "content of a")], fetch, never);
  assert.equal(told, 1);
  assert.equal(asked.length, 3);
  await f.managed.apply("v2", [file("/a", "content of a"), file("/b", "content of b"), file("/a2", "content of a")], fetch, never);
  assert.equal(asked.length, 6);
  const again = await restarted(f);
  assert.equal(again.version, "v2");
  assert.deepEqual(
    again.all().map(({ path }) => path),
    ["/a", "/b", "/a2"],
  );
  assert.equal((await again.content(again.get("/b")!)).toString(), "content of b");
  await f.managed.apply("v3", [file("/b", "content of b")], fetch, never);
  assert.deepEqual(fs.readdirSync(f.path("state/blobs")), [sha256("content of b")]);
});

test("a file whose content cannot be had stays as it was; the others go on; the list counts as incomplete", async (t) => {
  const f = setting(t);
  await f.managed.apply("v1", [file("/a", "old a")], source("old a").fetch, never);
  await f.managed.apply("v2", [file("/a", "new a"), file("/b", "b"), file("/c/../d", "b")], source("b").fetch, never);
  assert.equal(f.managed.get("/a")?.digest, sha256("old a"));
  assert.equal(f.managed.get("/b")?.digest, sha256("b"));
  assert.equal(f.managed.get("/c/../d"), undefined);
  assert.equal(f.managed.version, "");
});

test("content that does not fit its digest is not managed", async (t) => {
  const f = setting(t);
  await f.managed.apply("v1", [file("/a", "right")], async () => ({ bytes: Buffer.from("wrong"), total: 5 }), never);
  assert.equal(f.managed.get("/a"), undefined);
});

test("when the master goes away the old list stays in force, and the next call fetches the rest", async (t) => {
  const f = setting(t);
  const { fetch } = source("a", "b");
  await f.managed.apply("v1", [file("/a", "a")], fetch, never);
  const gone: FetchPiece = () => Promise.reject(new NeedfireError("PEER_GONE", "the session ended"));
  await assert.rejects(f.managed.apply("v2", [file("/b", "b")], gone, never), { code: "PEER_GONE" });
  assert.equal(f.managed.version, "v1");
  await assert.rejects(f.managed.apply("v2", [file("/b", "b")], fetch, AbortSignal.abort()));
  await f.managed.apply("v2", [file("/b", "b")], fetch, never);
  assert.equal(f.managed.version, "v2");
});

test("of calls side by side the last one wins, whichever answer is slow", async (t) => {
  const f = setting(t);
  const { fetch } = source("one", "two", "three");
  const slow = Promise.withResolvers<void>();
  const begun = Promise.withResolvers<void>();
  const first = f.managed.apply(
    "v1",
    [file("/f", "one")],
    async (digest, offset) => (begun.resolve(), await slow.promise, fetch(digest, offset)),
    never,
  );
  await begun.promise;
  const second = f.managed.apply("v2", [file("/f", "two")], fetch, never);
  const third = f.managed.apply("v3", [file("/f", "three")], fetch, never);
  slow.resolve();
  await Promise.all([first, second, third]);
  assert.equal(f.managed.version, "v3");
  assert.equal(f.managed.get("/f")?.digest, sha256("three"));
  assert.deepEqual(fs.readdirSync(f.path("state/blobs")), [sha256("three")]);
});

test("a damaged list is set aside and nothing is managed; lost content makes the list incomplete", async (t) => {
  const f = setting(t);
  await f.managed.apply("v1", [file("/a", "a"), file("/b", "b")], source("a", "b").fetch, never);
  fs.rmSync(f.path(`state/blobs/${sha256("b")}`));
  const lost = await restarted(f);
  assert.deepEqual([lost.version, lost.all().map(({ path }) => path)], ["", ["/a"]]);
  fs.rmSync(f.path(`state/blobs/${sha256("a")}`));
  await assert.rejects(lost.content(lost.get("/a")!), { code: "NOT_FOUND" });
  fs.writeFileSync(f.path("state/files.json"), fs.readFileSync(f.path("state/files.json")).subarray(0, 50));
  const damaged = await restarted(f);
  assert.deepEqual([damaged.version, damaged.all()], ["", []]);
  assert.ok(fs.existsSync(f.path("state/files.json.damaged")));
});
