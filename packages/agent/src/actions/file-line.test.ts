import assert from "node:assert/strict";
import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { test, type TestContext } from "node:test";
import { Fixture } from "../beacons/fixture.ts";
import { action as fileLine } from "./file-line.ts";
import { contextOf, runner } from "./fixture.ts";

function setting(t: TestContext, content: string | Buffer = "Port 22\n#PermitRootLogin yes\n") {
  const f = new Fixture();
  t.after(() => f.end());
  const path = f.host("sshd_config");
  fs.writeFileSync(path, content, { mode: 0o600 });
  return { f, path, ...runner("file.line", fileLine, contextOf(f)) };
}

const wanted = { line: "PermitRootLogin no", match: "^#?PermitRootLogin " };

test("a line is replaced in one step, with mode and owner as they were; a second time nothing is touched", async (t) => {
  const { f, path, run, dry } = setting(t);
  if (process.getuid?.() === 0) fs.chownSync(path, 1, 2);
  const { ino, uid, gid } = fs.statSync(path);
  const planned = await dry({ path, ...wanted });
  assert.deepEqual([planned.changed, planned.message, fs.statSync(path).ino], [true, `would replace line 2 of ${path}`, ino]);
  const ending = await run({ path, ...wanted });
  assert.deepEqual([ending.outcome, ending.changed, ending.result?.lines_changed], ["succeeded", true, 1]);
  assert.equal(fs.readFileSync(path, "utf8"), "Port 22\nPermitRootLogin no\n");
  const stat = fs.statSync(path);
  assert.deepEqual([stat.mode & 0o7777, stat.uid, stat.gid], [0o600, uid, gid]);
  assert.notEqual(stat.ino, ino);
  assert.deepEqual([(await run({ path, ...wanted })).changed, fs.statSync(path).ino], [false, stat.ino]);
  assert.deepEqual(fs.readdirSync(f.host("")), ["sshd_config"]);
});

test("a line is found by its whole text as well, with nothing special in it", async (t) => {
  const { path, run } = setting(t, "a.b\na+b\naxb\n");
  assert.equal((await run({ path, line: "c", replaces: "a.b" })).changed, true);
  assert.equal((await run({ path, replaces: "a+b", state: "absent" })).changed, true);
  assert.equal(fs.readFileSync(path, "utf8"), "c\naxb\n");
});

test("bytes that are no text of today stay as they are", async (t) => {
  const odd = Buffer.from([0xff, 0xe9, 0x0a, 0x61, 0x0a, 0x00, 0x80]);
  const { path, run } = setting(t, odd);
  assert.equal((await run({ path, line: "ü", match: "^a$" })).changed, true);
  assert.deepEqual(fs.readFileSync(path), Buffer.concat([odd.subarray(0, 3), Buffer.from("ü"), odd.subarray(4)]));
});

test("a file that is not there is made only when that is wanted; none is no trouble when the line is to be gone", async (t) => {
  const { f, run, dry } = setting(t);
  const path = f.host("new/m");
  assert.equal((await run({ path, line: "a" })).outcome, "failed");
  assert.equal((await dry({ path, line: "a", create: true })).changed, true);
  assert.ok(!fs.existsSync(f.host("new")));
  assert.equal((await run({ path, line: "a", create: true })).changed, true);
  assert.equal(fs.readFileSync(path, "utf8"), "a\n");
  assert.deepEqual([(await run({ path: f.host("no"), line: "a", state: "absent" })).changed, fs.existsSync(f.host("no"))], [false, false]);
});

test("a pattern that is none is refused; one that others take for ever over is none the slower", async (t) => {
  const evil = `${"a".repeat(50_000)}!\n`;
  const { path, run } = setting(t, evil);
  assert.match((await run({ path, line: "x", match: "(" })).message ?? "", /^match: /);
  const ending = await run({ path, match: "^(a+)+$", state: "absent" });
  assert.deepEqual([ending.outcome, ending.changed], ["succeeded", false]);
  assert.equal(fs.readFileSync(path, "utf8"), evil);
});

test("a link, a directory and a file that is too large are not edited", async (t) => {
  const { f, path, run } = setting(t);
  fs.symlinkSync(path, f.host("link"));
  fs.mkdirSync(f.host("dir"));
  fs.writeFileSync(f.host("large"), Buffer.alloc(4_194_305));
  for (const name of ["link", "dir", "large"]) assert.equal((await run({ path: f.host(name), line: "x" })).outcome, "refused", name);
  assert.equal(fs.readFileSync(path, "utf8"), "Port 22\n#PermitRootLogin yes\n");
});

test("what somebody else writes meanwhile is not lost", async (t) => {
  const { path, run } = setting(t);
  const open = fs.openSync(path, "a");
  // Between the reading of the file and its replacement the new content is synced.
  const real = fs.writeSync;
  t.mock.method(fs, "writeSync", (...given: Parameters<typeof real>) => {
    if (given[0] !== open) real(open, "Added by hand\n");
    return real(...given);
  });
  syncBuiltinESMExports();
  const ending = await run({ path, ...wanted });
  t.mock.restoreAll();
  syncBuiltinESMExports();
  fs.closeSync(open);
  assert.deepEqual([ending.outcome, ending.changed], ["failed", false]);
  assert.match(ending.message ?? "", /changed by somebody else meanwhile/);
  assert.equal(fs.readFileSync(path, "utf8"), "Port 22\n#PermitRootLogin yes\nAdded by hand\n");
});
