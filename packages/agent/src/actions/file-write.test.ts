import assert from "node:assert/strict";
import * as fs from "node:fs";
import { test, type TestContext } from "node:test";
import { Fixture, sha256 } from "../beacons/fixture.ts";
import { action as fileMode } from "./file-mode.ts";
import { action as fileWrite } from "./file-write.ts";
import { contextOf, runner } from "./fixture.ts";
import { NeedfireError } from "@needfire/shared/errors";

const isRoot = process.getuid?.() === 0;
const rootOnly = { skip: isRoot ? false : "only root may give files away" };

function setting(t: TestContext, contents: Record<string, string> = {}) {
  const f = new Fixture();
  t.after(() => f.end());
  const content = async ({ digest }: { digest: string }) => {
    const found = Object.values(contents).find((each) => sha256(each) === digest);
    if (found === undefined) throw new NeedfireError("NOT_FOUND", "the master has no such content");
    return Buffer.from(found);
  };
  const context = contextOf(f, { content });
  return { f, context, write: runner("file.write", fileWrite, context), mode: runner("file.mode", fileMode, context) };
}

const stat = (path: string) => fs.lstatSync(path);
const modeOf = (path: string) => (stat(path).mode & 0o7777).toString(8);

test("a file is written with its content and mode, its directories are made, and a second time nothing is touched", async (t) => {
  const { f, write } = setting(t);
  const path = f.host("new/deep/m");
  const args = { path, content: "hello\n", mode: "0640" };
  const planned = await write.dry(args);
  assert.deepEqual(
    [planned.changed, planned.message, fs.existsSync(f.host("new"))],
    [true, `would write ${path}, and make its directory`, false],
  );
  const first = await write.run(args);
  assert.deepEqual([first.outcome, first.changed, first.result], ["succeeded", true, { path, digest: sha256("hello\n"), bytes: 6 }]);
  assert.deepEqual([fs.readFileSync(path, "utf8"), modeOf(path)], ["hello\n", "640"]);
  const { ino, ctimeMs } = stat(path);
  for (const again of [await write.run(args), await write.dry(args)])
    assert.deepEqual([again.outcome, again.changed], ["succeeded", false]);
  assert.deepEqual([stat(path).ino, stat(path).ctimeMs, fs.readdirSync(f.host("new/deep"))], [ino, ctimeMs, ["m"]]);
});

test("what is not said of mode and owner stays as it is", async (t) => {
  const { f, write } = setting(t);
  const path = f.host("m");
  fs.writeFileSync(path, "old", { mode: 0o600 });
  if (isRoot) fs.chownSync(path, 1, 2);
  const { uid, gid } = stat(path);
  assert.match((await write.dry({ path, content: "new" })).message ?? "", /^would write /);
  assert.equal(fs.readFileSync(path, "utf8"), "old");
  assert.equal((await write.run({ path, content: "new" })).changed, true);
  assert.deepEqual([fs.readFileSync(path, "utf8"), modeOf(path), stat(path).uid, stat(path).gid], ["new", "600", uid, gid]);
});

test("content of the file root comes by its digest; without one, or when it cannot be had, nothing is written", async (t) => {
  const { f, write } = setting(t, { a: "from the root" });
  const path = f.host("m");
  const of = (text: string) => ({ path, source: "a", digest: sha256(text), size: text.length });
  assert.equal((await write.run({ path, source: "a" })).outcome, "refused");
  const missing = await write.run(of("other"));
  assert.deepEqual([missing.outcome, missing.message], ["failed", `${path}: the master has no such content`]);
  assert.ok(!fs.existsSync(path));
  assert.equal((await write.run(of("from the root"))).changed, true);
  assert.equal(fs.readFileSync(path, "utf8"), "from the root");
});

test("neither a managed file nor a directory nor a pipe is written over; a link is replaced, and what it leads to stays", async (t) => {
  const { f, write } = setting(t);
  await f.manage({ [f.host("managed")]: "good" });
  fs.mkdirSync(f.host("dir"));
  fs.writeFileSync(f.path("outside"), "outside");
  fs.symlinkSync(f.path("outside"), f.host("link"));
  for (const name of ["managed", "dir"]) assert.equal((await write.run({ path: f.host(name), content: "x" })).outcome, "refused", name);
  assert.equal(fs.readFileSync(f.host("managed"), "utf8"), "good");
  assert.equal((await write.run({ path: f.host("link"), content: "x" })).changed, true);
  assert.ok(stat(f.host("link")).isFile());
  assert.equal(fs.readFileSync(f.path("outside"), "utf8"), "outside");
  assert.equal((await write.run({ path: f.host("m"), content: "x", owner: "nobody-of-this-name" })).outcome, "failed");
  assert.ok(!fs.existsSync(f.host("m")));
});

test("a path that the policy keeps is written by no way that leads there, nor is a directory made in it", async (t) => {
  const { f, context } = setting(t);
  fs.mkdirSync(f.path("kept"));
  fs.symlinkSync(f.path("kept"), f.host("way"));
  const refusesPath = (path: string) => (path.startsWith(f.path("kept")) ? "kept by the policy" : undefined);
  const { run, dry } = runner("file.write", fileWrite, { ...context, refusesPath });
  for (const name of ["way/m", "way/new/deep/m"])
    for (const ending of [await run({ path: f.host(name), content: "x" }), await dry({ path: f.host(name), content: "x" })])
      assert.deepEqual([ending.outcome, ending.message], ["refused", "kept by the policy"], name);
  assert.deepEqual(fs.readdirSync(f.path("kept")), []);
});

test("file.mode sets mode, owner and group, of directories too, and says so; a second time nothing", rootOnly, async (t) => {
  const { f, mode } = setting(t);
  for (const path of [f.host("m"), f.host("dir")]) {
    if (path.endsWith("m")) fs.writeFileSync(path, "x", { mode: 0o600 });
    else fs.mkdirSync(path, 0o700);
    const args = { path, mode: "2755", owner: "1", group: "2" };
    const before = modeOf(path);
    assert.equal((await mode.dry(args)).changed, true);
    assert.equal(modeOf(path), before);
    const ending = await mode.run(args);
    assert.deepEqual([ending.outcome, ending.changed, ending.result?.mode], ["succeeded", true, "2755"]);
    assert.deepEqual([modeOf(path), stat(path).uid, stat(path).gid], ["2755", 1, 2]);
    assert.equal((await mode.run(args)).changed, false);
  }
  assert.deepEqual([(await mode.run({ path: f.host("no"), mode: "0644" })).outcome, fs.existsSync(f.host("no"))], ["failed", false]);
});

test("file.mode changes neither what a link leads to nor what has a second name", async (t) => {
  const { f, mode } = setting(t);
  const victim = f.path("victim");
  fs.writeFileSync(victim, "x", { mode: 0o600 });
  fs.symlinkSync(victim, f.host("link"));
  fs.linkSync(victim, f.host("second"));
  for (const name of ["link", "second"]) assert.equal((await mode.run({ path: f.host(name), mode: "0666" })).outcome, "refused", name);
  assert.equal(modeOf(victim), "600");
});

test("a directory that somebody else made a link of leads none of them anywhere", rootOnly, async (t) => {
  const { f, write, mode } = setting(t);
  fs.mkdirSync(f.path("victim"));
  fs.writeFileSync(f.path("victim/m"), "mine", { mode: 0o600 });
  fs.symlinkSync(f.path("victim"), f.host("dir"));
  fs.lchownSync(f.host("dir"), 1, 1);
  const path = f.host("dir/m");
  assert.equal((await write.run({ path, content: "x" })).outcome, "refused");
  assert.equal((await mode.run({ path, mode: "0666" })).outcome, "refused");
  assert.deepEqual([fs.readFileSync(f.path("victim/m"), "utf8"), modeOf(f.path("victim/m"))], ["mine", "600"]);
});
