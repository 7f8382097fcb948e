import assert from "node:assert/strict";
import * as fs from "node:fs";
import { dirname } from "node:path";
import { test, type TestContext } from "node:test";
import type { ManagedFile } from "@needfire/shared/managed-file";
import { Fixture } from "../beacons/fixture.ts";
import { action as fileCheck } from "./file-check.ts";
import { contextOf } from "./fixture.ts";
import { action as fileRemove } from "./file-remove.ts";
import { action as fileRestore } from "./file-restore.ts";

const isRoot = process.getuid?.() === 0;
const rootOnly = { skip: isRoot ? false : "only root may give files away" };

async function managing(t: TestContext, contents: (f: Fixture) => Record<string, string>, options?: Parameters<Fixture["manage"]>[1]) {
  const f = new Fixture();
  t.after(() => f.end());
  const files = await f.manage(contents(f), options);
  const context = contextOf(f);
  return {
    f,
    files,
    context,
    restore: (path: string) => fileRestore.run({ path }, context),
    check: (path: string) => fileCheck.run({ path }, context),
    remove: (path: string) => fileRemove.run({ path }, context),
  };
}

/** The list again, with something else about its one file. */
function change(f: Fixture, file: ManagedFile, other: Partial<ManagedFile>): Promise<void> {
  return f.managed.apply("changed", [{ ...file, ...other }], () => Promise.reject(new Error("it is here")), new AbortController().signal);
}

const one = (f: Fixture) => ({ [f.host("m")]: "good\n" });

test("a restore puts content and mode back, a check confirms it, and a second restore changes nothing", async (t) => {
  const { f, restore, check } = await managing(t, one);
  const path = f.host("m");
  fs.writeFileSync(path, "bad\n");
  fs.chmodSync(path, 0o777);
  const before = await check(path);
  assert.deepEqual([before.outcome, before.message], ["failed", "differs: content, mode"]);
  const ending = await restore(path);
  assert.deepEqual([ending.outcome, ending.changed, ending.result?.bytes], ["succeeded", true, 5]);
  assert.equal(fs.readFileSync(path, "utf8"), "good\n");
  assert.equal(fs.statSync(path).mode & 0o7777, 0o644);
  assert.equal((await check(path)).outcome, "succeeded");
  const { ino, ctimeMs } = fs.statSync(path);
  assert.equal((await restore(path)).changed, false);
  assert.deepEqual([fs.statSync(path).ino, fs.statSync(path).ctimeMs], [ino, ctimeMs]);
  assert.deepEqual(fs.readdirSync(dirname(path)), ["m"]);
});

test("a reader never sees half a file: the old one stays whole under whoever has it open", async (t) => {
  const { f, restore } = await managing(t, one);
  fs.writeFileSync(f.host("m"), "bad\n");
  const fd = fs.openSync(f.host("m"), "r");
  t.after(() => fs.closeSync(fd));
  await restore(f.host("m"));
  assert.equal(fs.readFileSync(fd, "utf8"), "bad\n");
});

test("where only the mode or the owner differs, only that is changed", async (t) => {
  const { f, restore } = await managing(t, one);
  const { ino } = fs.statSync(f.host("m"));
  fs.chmodSync(f.host("m"), 0o600);
  if (isRoot) fs.chownSync(f.host("m"), 1, 1);
  assert.equal((await restore(f.host("m"))).changed, true);
  const { ino: same, mode, uid } = fs.statSync(f.host("m"));
  assert.deepEqual([same, mode & 0o7777, uid], [ino, 0o644, process.getuid?.()]);
});

test("owner, group and set-user-id bits are as the list says", rootOnly, async (t) => {
  const { f, files, restore } = await managing(t, one);
  await change(f, files[0]!, { owner: "daemon", group: "1", mode: 0o4755 });
  for (const spoil of [() => undefined, () => fs.rmSync(f.host("m")), () => fs.writeFileSync(f.host("m"), "bad")]) {
    spoil();
    assert.equal((await restore(f.host("m"))).changed, true);
    const { mode, uid, gid } = fs.statSync(f.host("m"));
    assert.deepEqual([mode & 0o7777, uid, gid], [0o4755, 1, 1]);
    fs.chmodSync(f.host("m"), 0o600);
  }
});

test("an owner or a group that this host does not know is said, and nothing is touched", async (t) => {
  const { f, files, restore, check } = await managing(t, one);
  fs.writeFileSync(f.host("m"), "bad\n");
  await change(f, files[0]!, { owner: "nobody-such" });
  const ending = await restore(f.host("m"));
  assert.equal(ending.outcome, "failed");
  assert.match(ending.message ?? "", /no user "nobody-such"/);
  await change(f, files[0]!, { group: "no-such" });
  assert.match((await restore(f.host("m"))).message ?? "", /no group "no-such"/);
  assert.equal(fs.readFileSync(f.host("m"), "utf8"), "bad\n");
  assert.equal((await check(f.host("m"))).outcome, "failed");
});

test("a symbolic link at the target is replaced, and what it points to is not touched", async (t) => {
  const { f, restore } = await managing(t, one);
  fs.rmSync(f.host("m"));
  fs.writeFileSync(f.path("victim"), "mine");
  fs.symlinkSync(f.path("victim"), f.host("m"));
  assert.equal((await restore(f.host("m"))).changed, true);
  assert.ok(fs.lstatSync(f.host("m")).isFile());
  assert.equal(fs.readFileSync(f.path("victim"), "utf8"), "mine");
});

test("a hard link to somebody's file is replaced, so that the other file keeps its mode", async (t) => {
  const { f, restore } = await managing(t, one);
  fs.rmSync(f.host("m"));
  fs.writeFileSync(f.path("victim"), "good\n", { mode: 0o600 });
  fs.linkSync(f.path("victim"), f.host("m"));
  assert.equal((await restore(f.host("m"))).changed, true);
  assert.equal(fs.statSync(f.path("victim")).mode & 0o777, 0o600);
  assert.equal(fs.statSync(f.host("m")).mode & 0o777, 0o644);
});

test("a directory at the target and a path that nobody manages are refused", async (t) => {
  const { f, restore, check } = await managing(t, one);
  fs.rmSync(f.host("m"));
  fs.mkdirSync(f.host("m"));
  assert.equal((await restore(f.host("m"))).outcome, "refused");
  assert.equal((await restore("/etc/passwd")).outcome, "refused");
  assert.equal((await check("/etc/passwd")).outcome, "refused");
});

test("missing parent directories are made, 0755 whatever the umask", async (t) => {
  const { f, restore } = await managing(t, (g) => ({ [g.host("a/b/m")]: "good\n" }), { write: false });
  const old = process.umask(0o077);
  try {
    assert.equal((await restore(f.host("a/b/m"))).changed, true);
  } finally {
    process.umask(old);
  }
  assert.equal(fs.statSync(f.host("a")).mode & 0o7777, 0o755);
  assert.equal(fs.statSync(f.host("a/b")).mode & 0o7777, 0o755);
  assert.equal(fs.statSync(f.host("a/b/m")).mode & 0o7777, 0o644);
});

test("a parent that is the agent's own link is followed, somebody else's is refused", async (t) => {
  const { f, restore, remove } = await managing(t, (g) => ({ [g.host("link/m")]: "good\n" }), { write: false });
  fs.mkdirSync(f.path("elsewhere"));
  fs.symlinkSync("../elsewhere", f.host("link"));
  assert.equal((await restore(f.host("link/m"))).changed, true);
  assert.equal(fs.readFileSync(f.path("elsewhere/m"), "utf8"), "good\n");
  fs.writeFileSync(f.path("elsewhere/junk"), "x");
  if (isRoot) {
    fs.lchownSync(f.host("link"), 1, 1);
    fs.writeFileSync(f.path("elsewhere/m"), "bad\n");
    const ending = await restore(f.host("link/m"));
    assert.equal(ending.outcome, "refused");
    assert.match(ending.message ?? "", /symbolic link/);
    assert.equal((await remove(f.host("link/junk"))).outcome, "refused");
    assert.equal(fs.readFileSync(f.path("elsewhere/m"), "utf8"), "bad\n");
    fs.lchownSync(f.host("link"), 0, 0);
  }
  assert.equal((await remove(f.host("link/junk"))).changed, true);
  fs.rmSync(f.host("link"));
  fs.symlinkSync("link", f.host("link"));
  assert.match((await restore(f.host("link/m"))).message ?? "", /too many symbolic links/);
});

test("a restore that fails leaves nothing behind and says why", async (t) => {
  const { f, restore } = await managing(t, one);
  fs.writeFileSync(f.host("m"), "bad\n");
  fs.rmSync(f.path("state/blobs"), { recursive: true });
  const lost = await restore(f.host("m"));
  assert.equal(lost.outcome, "failed");
  assert.match(lost.message ?? "", /not on this host/);
  assert.deepEqual(fs.readdirSync(f.host("")), ["m"]);
  const g = await managing(t, (h) => ({ [h.host("file/m")]: "good\n" }), { write: false });
  fs.writeFileSync(g.f.host("file"), "not a directory");
  assert.match((await g.restore(g.f.host("file/m"))).message ?? "", /not a directory/);
});

test("content that was damaged on the agent's disk is never put in place", async (t) => {
  const { f, files, restore } = await managing(t, one);
  fs.writeFileSync(f.host("m"), "bad\n");
  fs.writeFileSync(f.path(`state/blobs/${files[0]!.digest}`), "evil\n");
  assert.equal((await restore(f.host("m"))).outcome, "failed");
  assert.equal(fs.readFileSync(f.host("m"), "utf8"), "bad\n");
});

test("a remove takes files and links, never directories or managed files, and is content when nothing is there", async (t) => {
  const { f, remove } = await managing(t, one);
  fs.writeFileSync(f.host("file"), "x");
  fs.symlinkSync(f.host("file"), f.host("link"));
  assert.deepEqual(await remove(f.host("link")), { outcome: "succeeded", changed: true, result: { path: f.host("link") } });
  assert.ok(fs.existsSync(f.host("file")));
  assert.equal((await remove(f.host("file"))).changed, true);
  assert.deepEqual(await remove(f.host("file")), { outcome: "succeeded", changed: false, result: { path: f.host("file") } });
  assert.equal((await remove(f.host("no/such/dir/file"))).outcome, "succeeded");
  assert.equal((await remove(f.host(""))).outcome, "refused");
  fs.mkdirSync(f.host("dir"));
  assert.equal((await remove(f.host("dir"))).outcome, "refused");
  assert.equal((await remove(f.host("m"))).outcome, "refused");
  assert.ok(fs.existsSync(f.host("m")));
});
