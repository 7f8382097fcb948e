import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { action as fileRemove } from "../../actions/file-remove.ts";
import { action as fileRestore } from "../../actions/file-restore.ts";
import { contextOf } from "../../actions/fixture.ts";
import { lastNotifications } from "../../remedies.ts";
import { start as startFile } from "./file.ts";
import { definition, Fixture, sha256 } from "../fixture.ts";

const isRoot = process.getuid?.() === 0;

async function watching(
  t: TestContext,
  options: (fixture: Fixture) => Record<string, unknown>,
  prepare?: (fixture: Fixture) => void | Promise<void>,
): Promise<Fixture> {
  const fixture = new Fixture();
  t.after(() => fixture.end());
  await prepare?.(fixture);
  await fixture.beacons.apply([definition({ type: "file", settle: "20ms", ...options(fixture) })]);
  return fixture;
}

const inHost = (fixture: Fixture) => ({ paths: [fixture.host("")] });
const managedOnly = () => ({ managed: true });

test("what is there when the beacon starts is no news; a new file, a change and a removal are, with digests and diffs", async (t) => {
  const f = await watching(t, inHost);
  const path = f.host("a.conf");
  fs.writeFileSync(path, "one\n");
  const created = await f.next();
  assert.equal(created.type, "file.created");
  assert.equal(created.beacon, "test");
  assert.deepEqual(created.data.changes, ["created"]);
  assert.equal(created.data.before, null);
  assert.equal(created.data.after?.digest, sha256("one\n"));
  fs.writeFileSync(path, "two\n");
  const changed = await f.next();
  assert.equal(changed.type, "file.changed");
  assert.deepEqual(changed.data.changes, ["content"]);
  assert.equal(changed.data.before?.digest, sha256("one\n"));
  assert.equal(changed.data.after?.digest, sha256("two\n"));
  assert.match(changed.data.diff ?? "", /^--- .*\n\+\+\+ .*\n@@ .*\n-one\n\+two\n$/);
  fs.rmSync(path);
  const removed = await f.next();
  assert.equal(removed.type, "file.removed");
  assert.equal(removed.data.after, null);
  assert.match(removed.data.diff ?? "", /\+\+\+ \/dev\/null/);
});

test("a baseline is silent, and a change of mode, owner or type is told as such", async (t) => {
  const f = await watching(t, inHost, (fixture) => fs.writeFileSync(fixture.host("a"), "x", { mode: 0o644 }));
  const path = f.host("a");
  fs.chmodSync(path, 0o600);
  const mode = await f.next();
  assert.deepEqual(mode.data.changes, ["mode"]);
  assert.equal(mode.data.before?.mode, "0644");
  assert.equal(mode.data.after?.mode, "0600");
  assert.equal(mode.data.diff, undefined);
  if (isRoot) {
    fs.chownSync(path, 1, 1);
    assert.deepEqual((await f.next()).data.changes, ["owner"]);
  }
  fs.rmSync(path);
  fs.mkdirSync(path);
  const type = await f.next();
  assert.deepEqual(type.data.changes, ["type"]);
  assert.equal(type.data.after?.type, "directory");
});

test("an editor that writes by rename makes one change", async (t) => {
  const f = await watching(
    t,
    (fixture) => ({ paths: [fixture.host("a.conf")] }),
    (fixture) => fs.writeFileSync(fixture.host("a.conf"), "old\n"),
  );
  fs.writeFileSync(f.host("a.conf.new"), "new\n");
  fs.renameSync(f.host("a.conf"), f.host("a.conf~"));
  fs.renameSync(f.host("a.conf.new"), f.host("a.conf"));
  const event = await f.next();
  assert.equal(event.type, "file.changed");
  assert.equal(event.data.after?.digest, sha256("new\n"));
  await f.nothingBut(() => fs.writeFileSync(f.host("a.conf"), "newer\n"), f.host("a.conf"));
});

test("a burst of writes is one event with the last state, and a file that is never quiet is reported all the same", async (t) => {
  const f = await watching(t, (fixture) => ({ ...inHost(fixture), settle: "100ms" }));
  for (let i = 0; i < 50; i++) fs.writeFileSync(f.host("burst"), `write ${i}\n`);
  const burst = await f.next();
  assert.equal(burst.data.after?.digest, sha256("write 49\n"));
  let n = 0;
  const writer = setInterval(() => fs.writeFileSync(f.host("log"), `line ${n++}\n`), 10);
  try {
    const first = await f.next();
    assert.equal(first.subject, f.host("log"));
    assert.ok(n > 20, `it was judged after ${n} writes, before the burst could be over`);
  } finally {
    clearInterval(writer);
  }
});

test("paths that do not exist yet are found when they and their parents appear, vanish and appear again", async (t) => {
  const f = await watching(t, (fixture) => ({ paths: [fixture.host("x/y/z/late.conf")] }));
  const path = f.host("x/y/z/late.conf");
  for (let round = 0; round < 2; round++) {
    fs.mkdirSync(f.host("x/y/z"), { recursive: true });
    fs.writeFileSync(path, `round ${round}\n`);
    assert.equal((await f.next()).type, "file.created");
    fs.writeFileSync(path, `round ${round} again\n`);
    assert.equal((await f.next()).type, "file.changed");
    fs.rmSync(f.host("x"), { recursive: true });
    assert.equal((await f.next()).type, "file.removed");
  }
  fs.mkdirSync(f.host("new/y/z"), { recursive: true });
  fs.writeFileSync(f.host("new/y/z/late.conf"), "moved in\n");
  fs.renameSync(f.host("new"), f.host("x"));
  assert.equal((await f.next()).data.after?.digest, sha256("moved in\n"));
  fs.renameSync(f.host("x"), f.host("away"));
  assert.equal((await f.next()).type, "file.removed");
  assert.equal(f.events.filter(({ subject }) => subject !== path).length, 0);
});

test("globs match what they say, and what is excluded is not watched", async (t) => {
  const f = await watching(t, (fixture) => ({
    paths: [fixture.host("conf.d/*.conf"), fixture.host("tree/**/*.txt")],
    exclude: [fixture.host("conf.d/skip*"), fixture.host("tree/cache")],
  }));
  fs.mkdirSync(f.host("conf.d/deep"), { recursive: true });
  fs.mkdirSync(f.host("tree/cache"), { recursive: true });
  fs.mkdirSync(f.host("tree/a/b"), { recursive: true });
  for (const name of ["conf.d/no.txt", "conf.d/skip.conf", "conf.d/deep/no.conf", "tree/cache/no.txt", "tree/a/no.conf"])
    fs.writeFileSync(f.host(name), "x");
  await f.nothingBut(() => fs.writeFileSync(f.host("conf.d/yes.conf"), "x"), f.host("conf.d/yes.conf"));
  await f.nothingBut(() => fs.writeFileSync(f.host("tree/a/b/yes.txt"), "x"), f.host("tree/a/b/yes.txt"));
  await f.nothingBut(() => fs.writeFileSync(f.host("tree/top.txt"), "x"), f.host("tree/top.txt"));
});

test("a symbolic link is watched itself and never followed, below a directory that is reached through one too", async (t) => {
  const f = await watching(
    t,
    (fixture) => ({ paths: [fixture.host("dir/"), fixture.host("alias/file")] }),
    (fixture) => {
      fs.mkdirSync(fixture.path("outside"));
      fs.mkdirSync(fixture.host("dir"));
      fs.mkdirSync(fixture.path("real"));
      fs.writeFileSync(fixture.path("outside/secret"), "x");
      fs.symlinkSync(fixture.path("outside"), fixture.host("dir/link"));
      fs.symlinkSync(fixture.path("real"), fixture.host("alias"));
    },
  );
  fs.writeFileSync(f.path("outside/secret"), "changed");
  fs.rmSync(f.host("dir/link"));
  fs.symlinkSync("/nowhere", f.host("dir/link"));
  const event = await f.next();
  assert.equal(event.subject, f.host("dir/link"));
  assert.equal(event.data.after?.type, "symlink");
  assert.equal(event.data.after.target, "/nowhere");
  assert.equal(event.data.before?.target, f.path("outside"));
  await f.nothingBut(() => fs.writeFileSync(f.path("real/file"), "x"), f.host("alias/file"));
});

test("binary, large and secret contents have no diff but a note", async (t) => {
  const f = await watching(t, (fixture) => ({ ...inHost(fixture), diff_bytes_max: 100 }));
  fs.writeFileSync(f.host("binary"), Buffer.from([1, 0, 2]));
  assert.match((await f.next()).data.diff_note ?? "", /binary/);
  fs.writeFileSync(f.host("large"), "x".repeat(1_000_000));
  const large = await f.next();
  assert.match(large.data.diff_note ?? "", /too large/);
  assert.equal(large.data.after?.digest, sha256("x".repeat(1_000_000)));
  const g = await watching(t, (fixture) => ({ ...inHost(fixture), secret: true }));
  fs.writeFileSync(g.host("key"), "hunter2\n");
  const secret = await g.next();
  assert.match(secret.data.diff_note ?? "", /secret/);
  assert.ok(!JSON.stringify(secret).includes("hunter2"));
});

test("thousands of files are watched, and each of a thousand changes is told once", async (t) => {
  const f = await watching(t, inHost, (fixture) => {
    for (let d = 0; d < 30; d++) {
      fs.mkdirSync(fixture.host(`d${d}`));
      for (let i = 0; i < 100; i++) fs.writeFileSync(fixture.host(`d${d}/f${i}`), "before\n");
    }
  });
  assert.equal(f.events.length, 0);
  const changed = new Set<string>();
  for (let d = 0; d < 30; d += 3) {
    for (let i = 0; i < 100; i++) {
      fs.writeFileSync(f.host(`d${d}/f${i}`), "after\n");
      changed.add(f.host(`d${d}/f${i}`));
    }
  }
  await f.until(() => f.events.length >= changed.size, "1,000 events");
  assert.deepEqual(new Set(f.events.map(({ subject }) => subject)), changed);
  assert.equal(f.events.length, changed.size);
});

for (const [name, spoil, changes] of [
  ["written in place", (path: string) => fs.appendFileSync(path, "by hand\n"), ["content"]],
  ["renamed over", (path: string) => (fs.writeFileSync(`${path}.t`, "other\n"), fs.renameSync(`${path}.t`, path)), ["content"]],
  ["truncated", (path: string) => fs.truncateSync(path), ["content"]],
  ["removed", (path: string) => fs.rmSync(path), ["removed"]],
  ["given another mode", (path: string) => fs.chmodSync(path, 0o777), ["mode"]],
  [
    "replaced by a link to the same content",
    (path: string) => (fs.renameSync(path, `${path}.t`), fs.symlinkSync(`${path}.t`, path)),
    ["type"],
  ],
  ["replaced by a directory", (path: string) => (fs.rmSync(path), fs.mkdirSync(path)), ["type"]],
] as const) {
  test(`a managed file that is ${name} has drifted, once`, async (t) => {
    const f = await watching(
      t,
      managedOnly,
      async (fixture) => void (await fixture.manage({ [fixture.host("m.conf")]: "as it should be\n", [fixture.host("other")]: "x" })),
    );
    const path = f.host("m.conf");
    spoil(path);
    const event = await f.next();
    assert.equal(event.type, "file.drifted");
    assert.equal(event.subject, path);
    assert.deepEqual(event.data.changes, changes);
    assert.equal(event.data.before?.digest, sha256("as it should be\n"));
    assert.equal(event.cause, undefined);
    if (event.data.after?.type === "file" && changes[0] === "content") assert.match(event.data.diff ?? "", /-as it should be|\+by hand/);
    // The same state again, by another way, is not told again.
    if (changes[0] === "mode") fs.chmodSync(path, 0o777);
    await f.nothingBut(() => fs.appendFileSync(f.host("other"), "y"), f.host("other"));
  });
}

test("a managed file that is given to another owner has drifted", { skip: isRoot ? false : "only root may change owners" }, async (t) => {
  const f = await watching(t, managedOnly, async (fixture) => void (await fixture.manage({ [fixture.host("m")]: "x" })));
  fs.chownSync(f.host("m"), 1, 1);
  const event = await f.next();
  assert.deepEqual(event.data.changes, ["owner"]);
  assert.equal(event.data.after?.owner, "daemon");
});

test("a managed file that is put back by hand is no news, and the same drift after it is told anew", async (t) => {
  const f = await watching(
    t,
    managedOnly,
    async (fixture) => void (await fixture.manage({ [fixture.host("m")]: "good\n", [fixture.host("other")]: "x" })),
  );
  for (let round = 0; round < 3; round++) {
    fs.writeFileSync(f.host("m"), "bad\n");
    assert.equal((await f.next()).data.after?.digest, sha256("bad\n"));
    fs.writeFileSync(f.host("m"), "good\n");
    // What was said of it is forgotten: it is known to be as it should be.
    await f.until(
      () => [...f.memoryOf(f.host("m")).values()].every((row) => (row as unknown[]).length === 1),
      "the file to be judged as good",
    );
    await f.nothingBut(() => fs.appendFileSync(f.host("other"), "y"), f.host("other"));
  }
});

test("a file that has drifted already, or becomes managed, is told at once", async (t) => {
  const f = await watching(t, managedOnly, async (fixture) => {
    await fixture.manage({ [fixture.host("early")]: "good\n" });
    fs.writeFileSync(fixture.host("early"), "bad\n");
  });
  assert.equal((await f.next()).subject, f.host("early"));
  await f.manage({ [f.host("early")]: "good\n", [f.host("new/dir/late")]: "x" }, { write: false });
  const late = await f.next();
  assert.equal(late.subject, f.host("new/dir/late"));
  assert.deepEqual(late.data.changes, ["removed"]);
  fs.mkdirSync(f.host("new/dir"), { recursive: true });
  fs.writeFileSync(f.host("new/dir/late"), "wrong");
  assert.deepEqual((await f.next()).data.after?.digest, sha256("wrong"));
});

test("the diff of a secret managed file is masked", async (t) => {
  const f = await watching(
    t,
    managedOnly,
    async (fixture) => void (await fixture.manage({ [fixture.host("m")]: "hunter2\n" }, { secret: true })),
  );
  fs.writeFileSync(f.host("m"), "hunter3\n");
  const event = await f.next();
  assert.match(event.data.diff_note ?? "", /secret/);
  assert.ok(!JSON.stringify(event).includes("hunter"));
});

test("what a restore does is no news, and a drift after it is (P7)", async (t) => {
  const f = await watching(
    t,
    (fixture) => ({ managed: true, paths: [fixture.host("")], settle: "0ms" }),
    async (fixture) => void (await fixture.manage({ [fixture.host("m")]: "good\n" })),
  );
  for (let round = 0; round < 5; round++) {
    fs.writeFileSync(`${f.host("m")}.t`, "bad\n");
    const temporary = await f.next();
    assert.equal(temporary.type, "file.created");
    fs.renameSync(`${f.host("m")}.t`, f.host("m"));
    const two = [await f.next(), await f.next()].map(({ type }) => type).sort();
    assert.deepEqual(two, ["file.drifted", "file.removed"]);
    f.remedies.begin("t-0000000000000000.1", { path: f.host("m") });
    const ending = await fileRestore.run({ path: f.host("m") }, contextOf(f));
    f.remedies.end("t-0000000000000000.1");
    assert.equal(ending.changed, true);
  }
  await f.nothingBut(() => fs.writeFileSync(f.host("proof"), "x"), f.host("proof"));
});

test("judgement waits for a remedy of this path; a foreign change meanwhile is told afterwards, without a cause", async (t) => {
  const f = await watching(
    t,
    (fixture) => ({ managed: true, paths: [fixture.host("")] }),
    async (fixture) => void (await fixture.manage({ [fixture.host("m")]: "good\n" })),
  );
  f.remedies.begin("t-0000000000000000.1", { path: f.host("m") });
  fs.writeFileSync(f.host("m"), "foreign\n");
  await f.nothingBut(() => fs.writeFileSync(f.host("other"), "x"), f.host("other"));
  f.remedies.end("t-0000000000000000.1");
  const event = await f.next();
  assert.equal(event.type, "file.drifted");
  assert.equal(event.cause, undefined);
});

test("a remedy that did not help is no news; the same drift made again during it is", async (t) => {
  const f = await watching(
    t,
    (fixture) => ({ managed: true, paths: [fixture.host("")] }),
    async (fixture) => void (await fixture.manage({ [fixture.host("m")]: "good\n" })),
  );
  fs.writeFileSync(f.host("m"), "bad\n");
  await f.next();
  f.remedies.begin("t-0000000000000000.1", { path: f.host("m") });
  f.remedies.end("t-0000000000000000.1");
  await f.nothingBut(() => fs.writeFileSync(f.host("other"), "x"), f.host("other"));
  f.remedies.begin("t-0000000000000000.2", { path: f.host("m") });
  fs.writeFileSync(f.host("m"), "good\n");
  fs.writeFileSync(f.host("m"), "bad\n");
  f.remedies.end("t-0000000000000000.2");
  const again = await f.next();
  assert.equal(again.subject, f.host("m"));
  assert.equal(again.data.after?.digest, sha256("bad\n"));
});

test("what a command changes is told when it ended, with the command as its cause", async (t) => {
  const f = await watching(
    t,
    (fixture) => ({ managed: true, paths: [fixture.host("")], settle: "0ms" }),
    async (fixture) => void (await fixture.manage({ [fixture.host("m")]: "good\n" })),
  );
  f.remedies.begin("t-0000000000000000.7", "host");
  fs.writeFileSync(f.host("m"), "by the command\n");
  fs.writeFileSync(f.host("plain"), "by the command\n");
  await lastNotifications();
  f.remedies.end("t-0000000000000000.7");
  // Whoever has heard of the end is not taken for the command, however soon.
  fs.writeFileSync(f.host("later"), "by hand\n");
  const three = [await f.next(), await f.next(), await f.next()];
  assert.deepEqual(three.map(({ type, cause }) => `${type} by ${cause}`).sort(), [
    "file.created by t-0000000000000000.7",
    "file.created by undefined",
    "file.drifted by t-0000000000000000.7",
  ]);
  fs.writeFileSync(f.host("plain"), "by hand\n");
  assert.equal((await f.next()).cause, undefined);
});

test("a managed file that drifts while a long command runs is told at once, with the command as its cause", async (t) => {
  const f = await watching(
    t,
    (fixture) => ({ managed: true, paths: [fixture.host("")], settle: "0ms" }),
    async (fixture) => void (await fixture.manage({ [fixture.host("m")]: "good\n" })),
  );
  f.remedies.begin("t-0000000000000000.7", "host");
  fs.writeFileSync(f.host("plain"), "waits\n");
  fs.writeFileSync(f.host("m"), "by somebody\n");
  const drift = await f.next();
  assert.deepEqual([drift.type, drift.cause], ["file.drifted", "t-0000000000000000.7"]);
  f.remedies.end("t-0000000000000000.7");
  assert.equal((await f.next()).subject, f.host("plain"));
});

test("what changes while a long command runs is told long before its end, as its effect; what was touched before it began is not", async (t) => {
  const f = new Fixture({
    start: (wanted, context) => startFile(wanted as Extract<typeof wanted, { type: "file" }>, context, { heldMs: 100 }),
  });
  t.after(() => f.end());
  await f.beacons.apply([definition({ type: "file", settle: "300ms", ...inHost(f) })]);
  fs.writeFileSync(f.host("before"), "by hand\n");
  await lastNotifications();
  f.remedies.begin("t-0000000000000000.7", "host");
  fs.writeFileSync(f.host("during"), "by somebody\n");
  const two = [await f.next(), await f.next()].map(({ subject, cause }) => `${subject?.split("/").at(-1)} by ${cause}`);
  assert.deepEqual(two.sort(), ["before by undefined", "during by t-0000000000000000.7"]);
  // It runs on, and what changes again is told again.
  fs.writeFileSync(f.host("during"), "again\n");
  assert.equal((await f.next()).cause, "t-0000000000000000.7");
  f.remedies.end("t-0000000000000000.7");
  await f.nothingBut(() => fs.writeFileSync(f.host("after"), "x"), f.host("after"));
});

test("a change just before a command and the command's own of the same file are two, each with its cause (P7)", async (t) => {
  const f = await watching(t, (fixture) => ({ ...inHost(fixture), settle: "200ms" }));
  fs.writeFileSync(f.host("file"), "by hand\n");
  await lastNotifications();
  f.remedies.begin("t-0000000000000000.7", "host");
  fs.appendFileSync(f.host("file"), "by the command\n");
  await lastNotifications();
  f.remedies.end("t-0000000000000000.7");
  const byHand = await f.next();
  assert.deepEqual([byHand.type, byHand.cause, byHand.data.after?.digest], ["file.created", undefined, sha256("by hand\n")]);
  const byCommand = await f.next();
  assert.deepEqual([byCommand.type, byCommand.cause], ["file.changed", "t-0000000000000000.7"]);
  await f.nothingBut(() => fs.writeFileSync(f.host("proof"), "x"), f.host("proof"));
});

test("what file.remove removes is told with its cause", async (t) => {
  const f = await watching(t, inHost, (fixture) => fs.writeFileSync(fixture.host("junk"), "x"));
  f.remedies.begin("t-0000000000000000.3", { path: f.host("junk") });
  await fileRemove.run({ path: f.host("junk") }, contextOf(f));
  f.remedies.end("t-0000000000000000.3");
  const event = await f.next();
  assert.equal(event.type, "file.removed");
  assert.equal(event.cause, "t-0000000000000000.3");
});

test("when the kernel's watches run out, that is said once and polling sees the rest, a change of mode included", async (t) => {
  const f = new Fixture({
    start: (wanted, context) => {
      assert.equal(wanted.type, "file");
      return startFile(wanted as Extract<typeof wanted, { type: "file" }>, context, {
        watch: (_scope, listener) => {
          const error = Object.assign(new Error("ENOSPC: System limit for number of file watchers reached"), { code: "ENOSPC" });
          setImmediate(() => listener.exhausted(error));
          return { ready: new Promise((resolve) => void setImmediate(resolve)), close: () => Promise.resolve() };
        },
      });
    },
  });
  t.after(() => f.end());
  fs.writeFileSync(f.host("a"), "x", { mode: 0o644 });
  await f.manage({ [f.host("m")]: "good\n" });
  await f.beacons.apply([definition({ type: "file", managed: true, paths: [f.host("")], poll: "20ms" })]);
  const overflow = await f.next();
  assert.equal(overflow.type, "beacon.overflow");
  assert.equal(overflow.severity, "high");
  assert.match((overflow.data as unknown as { message: string }).message, /fs\.inotify\.max_user_watches/);
  fs.chmodSync(f.host("a"), 0o600);
  assert.deepEqual((await f.next()).data.changes, ["mode"]);
  fs.writeFileSync(f.host("m"), "bad\n");
  assert.equal((await f.next()).type, "file.drifted");
  fs.rmSync(f.host("a"));
  assert.equal((await f.next()).type, "file.removed");
  assert.equal(f.events.length, 4);
});

const canLower = spawnSync("/usr/bin/env", ["unshare", "-Ur", "sh", "-c", "echo 3 > /proc/sys/user/max_inotify_watches"]).status === 0;
test(
  "the kernel's real limit leads to polling",
  { skip: canLower ? false : "no user namespace can be made here to lower the limit in" },
  () => {
    const script = `
    import * as fs from "node:fs";
    import { definition, Fixture } from ${JSON.stringify(join(import.meta.dirname, "..", "fixture.ts"))};
    const f = new Fixture();
    for (let i = 0; i < 20; i++) fs.mkdirSync(f.host("d" + i));
    await f.beacons.apply([definition({ type: "file", paths: [f.host("")], poll: "20ms" })]);
    const overflow = await f.next();
    fs.writeFileSync(f.host("d17/file"), "x");
    const created = await f.next();
    console.log(overflow.type, created.type);
    await f.end();`;
    // A user namespace has a limit of its own: the machine's stays as it is.
    const run = spawnSync(
      "/usr/bin/env",
      [
        "unshare",
        "-Ur",
        "sh",
        "-c",
        'echo 3 > /proc/sys/user/max_inotify_watches && exec "$0" --input-type=module-typescript -e "$1"',
        process.execPath,
        script,
      ],
      {
        encoding: "utf8",
        timeout: 30_000,
      },
    );
    assert.equal(run.stdout.trim(), "beacon.overflow file.created", run.stderr);
  },
);

test("a file and a directory that cannot be read are told once each", () => {
  const script = `
    import * as fs from "node:fs";
    import { definition, Fixture } from ${JSON.stringify(join(import.meta.dirname, "..", "fixture.ts"))};
    const f = new Fixture();
    fs.writeFileSync(f.host("file"), "x", { mode: 0 });
    fs.mkdirSync(f.host("dir"), { mode: 0 });
    await f.beacons.apply([definition({ type: "file", paths: [f.host("")], settle: "0ms" })]);
    fs.writeFileSync(f.host("other"), "x");
    await f.until(() => f.events.some(({ type }) => type === "file.created"), "the last event");
    console.log(f.events.map(({ type, subject }) => type + " " + subject.slice(f.host("").length + 1)).sort().join(", "));
    fs.chmodSync(f.host("dir"), 0o700);
    await f.end();`;
  const run = spawnSync(process.execPath, ["--input-type=module-typescript", "-e", script], {
    encoding: "utf8",
    timeout: 30_000,
    cwd: "/",
    ...(isRoot ? { uid: 65_534, gid: 65_534 } : {}), // root reads everything
  });
  assert.equal(run.stdout.trim(), "file.created other, file.unreadable dir, file.unreadable file", run.stderr);
});
