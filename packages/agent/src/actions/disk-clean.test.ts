import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import fs from "node:fs";
import { dirname, join } from "node:path";
import { test, type TestContext } from "node:test";
import { Fixture } from "../beacons/fixture.ts";
import { action as diskClean } from "./disk-clean.ts";
import { contextOf, runner } from "./fixture.ts";
import { interleaved } from "./interleaved-fixture.ts";

const isRoot = process.getuid?.() === 0;
const day = 86_400_000;

function setting(t: TestContext) {
  const f = new Fixture();
  t.after(() => f.end());
  /** A file of so many days and bytes. */
  const file = (name: string, days = 0, bytes = 10) => {
    const path = join(f.host(""), name);
    fs.mkdirSync(dirname(path), { recursive: true });
    fs.writeFileSync(path, "x".repeat(bytes));
    const at = new Date(Date.now() - days * day);
    fs.utimesSync(path, at, at);
    return path;
  };
  const left = () =>
    execFileSync("find", [f.host(""), "!", "-type", "d", "-printf", "%P\n"], { encoding: "utf8" })
      .split("\n")
      .filter((name) => name !== "")
      .toSorted();
  const context = contextOf(f);
  return { f, file, left, context, path: f.host(""), ...runner("disk.clean", diskClean, context) };
}

test("files go by glob, age and size, and so many of the newest stay; a dry run lists what would go", async (t) => {
  const { file, left, path, run, dry } = setting(t);
  for (const [name, days, bytes] of [
    ["a.log", 9, 10],
    ["b.log", 8, 10_000],
    ["c.log", 1, 10_000],
    ["sub/d.log", 9, 10_000],
    ["e.txt", 9, 10_000],
  ] as const)
    file(name, days, bytes);
  const before = left();
  const args = { path, match: ["**/*.log"], older_than: "7d", larger_than: 100 };
  const planned = await dry(args);
  assert.deepEqual(
    [planned.outcome, planned.changed, planned.result?.removed, planned.result?.files.toSorted()],
    ["succeeded", true, 2, ["b.log", "sub/d.log"]],
  );
  assert.deepEqual(left(), before);
  const ending = await run(args);
  assert.deepEqual([ending.changed, ending.result?.removed, ending.result?.failed], [true, 2, 0]);
  assert.ok((ending.result?.bytes ?? 0) >= 20_000);
  assert.deepEqual(left(), ["a.log", "c.log", "e.txt"]);
  const again = await run(args);
  assert.deepEqual([again.outcome, again.changed], ["succeeded", false]);
});

test("keep counts the newest of all that match, whatever their age", async (t) => {
  const { file, left, path, run } = setting(t);
  for (const days of [1, 2, 3, 4]) file(`dump-${days}`, days);
  file("other", 99);
  await run({ path, match: ["dump-*"], keep: 2, older_than: "12h" });
  assert.deepEqual(left(), ["dump-1", "dump-2", "other"]);
});

test("one star stays in the directory; links, pipes and directories are no files, and no link is followed", async (t) => {
  const { f, file, left, path, run } = setting(t);
  file("a");
  file("sub/b");
  fs.mkdirSync(f.path("outside"));
  fs.writeFileSync(f.path("outside/c"), "x");
  fs.symlinkSync(f.path("outside"), f.host("link"));
  fs.symlinkSync(f.path("outside/c"), f.host("link-c"));
  execFileSync("mkfifo", [f.host("pipe")]);
  await run({ path, match: ["*"] });
  assert.deepEqual(left(), ["link", "link-c", "pipe", "sub/b"]);
  await run({ path, match: ["**"] });
  assert.deepEqual(left(), ["link", "link-c", "pipe"]);
  assert.ok(fs.existsSync(f.path("outside/c")));
});

test("managed files, and what the policy keeps, stay and are counted", async (t) => {
  const { f, file, left, path, context } = setting(t);
  for (const name of ["a", "managed", "kept/b"]) file(name);
  await f.manage({ [f.host("managed")]: "good" });
  const { run } = runner("disk.clean", diskClean, {
    ...context,
    refusesPath: (each) => (each.startsWith(f.host("kept")) ? "kept" : undefined),
  });
  const ending = await run({ path, match: ["**"] });
  assert.deepEqual([ending.result?.removed, ending.result?.refused, left()], [1, 2, ["kept/b", "managed"]]);
});

test("with more entries than it may look at nothing is removed; nor in the root, or where there are no disks", async (t) => {
  const { file, left, path, run } = setting(t);
  for (const name of ["a", "b", "c"]) file(name);
  const ending = await run({ path, match: ["**"], looks_max: 2 });
  assert.deepEqual([ending.outcome, ending.changed, left().length], ["failed", false, 3]);
  assert.match(ending.message ?? "", /more than looks_max 2/);
  for (const place of ["/", "/proc/self", `${path}/../host`, `${path}/`])
    assert.equal((await run({ path: place, match: ["none-of-this-name"] })).outcome, "refused", place);
  assert.equal((await run({ path: `${path}/none`, match: ["*"] })).outcome, "failed");
});

test(
  "a mount below is left alone unless it is asked for, a bind mount of the same disk too",
  { skip: isRoot ? false : "only root can mount" },
  async (t) => {
    const { f, file, left, path, run } = setting(t);
    file("a");
    fs.mkdirSync(f.host("mnt"));
    fs.mkdirSync(f.path("elsewhere"));
    fs.writeFileSync(f.path("elsewhere/b"), "x");
    try {
      execFileSync("mount", ["--bind", f.path("elsewhere"), f.host("mnt")], { stdio: "pipe" });
    } catch {
      return t.skip("this machine lets nobody mount");
    }
    try {
      await run({ path, match: ["**"] });
      assert.deepEqual(left(), ["mnt/b"]);
      await run({ path, match: ["**"], cross_mounts: true });
      assert.deepEqual(left(), []);
    } finally {
      execFileSync("umount", [f.host("mnt")]);
    }
  },
);

test("a directory that is swapped for a link at any moment, even one of root's own, leads nowhere", async (t) => {
  const { f, path, context } = setting(t);
  const { run } = runner("disk.clean", diskClean, context);
  const victim = f.path("victim");
  fs.mkdirSync(victim);
  for (const name of ["a", "b"]) fs.writeFileSync(join(victim, name), "mine");
  let moments = 0;
  for (let at = 1, calls = at; at <= calls; at++) {
    fs.rmSync(f.host("sub"), { recursive: true, force: true });
    fs.rmSync(f.path("aside"), { recursive: true, force: true });
    fs.mkdirSync(f.host("sub"));
    for (const name of ["a", "b"]) fs.writeFileSync(f.host(`sub/${name}`), "junk");
    const swap = (call: number) => {
      if (call !== at) return;
      fs.renameSync(f.host("sub"), f.path("aside"));
      fs.symlinkSync(victim, f.host("sub"));
    };
    calls = await interleaved(t, () => run({ path, match: ["**"] }), swap);
    assert.deepEqual(fs.readdirSync(victim), ["a", "b"], `call ${at} of ${calls}`);
    moments++;
  }
  assert.ok(moments > 20, `${moments} moments`);
});
