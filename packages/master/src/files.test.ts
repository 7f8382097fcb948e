import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { blobChunkBytes } from "@needfire/shared/wire";
import { Files } from "./files.ts";
import { temporaryDirectory } from "./fixture.ts";

const sha256 = (content: string | Buffer) => createHash("sha256").update(content).digest("hex");

function setting(t: TestContext) {
  const directory = temporaryDirectory(t);
  const path = (name: string) => join(directory, name);
  mkdirSync(path("root"));
  const options = { map: path("files.yaml"), root: path("root"), blobs: path("blobs") };
  const files = new Files(options);
  const source = (name: string, content: string | Buffer) => writeFileSync(join(path("root"), name), content);
  const map = (...entries: string[]) =>
    writeFileSync(path("files.yaml"), `files:\n${entries.map((entry) => `  - { ${entry} }\n`).join("")}`);
  const list = () => files.all().map(({ managed }) => `${managed.path} ${managed.digest}`);
  return { directory, path, options, files, source, map, list };
}

test("a managed file is announced with digest, size and mode, and its content is kept, for the master alone", (t) => {
  const { path, files, source, map } = setting(t);
  source("motd", "welcome");
  map("path: /etc/motd, source: motd, mode: '0600', owner: alice, secret: true");
  assert.deepEqual(files.load(), []);
  assert.deepEqual(
    files.all().map(({ managed }) => managed),
    [{ path: "/etc/motd", digest: sha256("welcome"), size: 7, mode: 0o600, owner: "alice", group: "root", secret: true }],
  );
  assert.equal(statSync(path("blobs")).mode & 0o777, 0o700);
  assert.equal(statSync(join(path("blobs"), sha256("welcome"))).mode & 0o777, 0o600);
});

test("what is given out is what was announced, whatever happens to the source meanwhile", (t) => {
  const { files, source, map } = setting(t);
  source("motd", "welcome");
  map("path: /etc/motd, source: motd");
  files.load();
  source("motd", "changed");
  const piece = files.read(sha256("welcome"), 0);
  assert.equal(piece?.bytes.toString(), "welcome");
  assert.equal(files.read(sha256("changed"), 0), undefined);
  files.load();
  assert.equal(files.read(sha256("changed"), 0)?.bytes.toString(), "changed");
});

test("a large content comes in pieces, and nothing comes from behind its end", (t) => {
  const { files, source, map } = setting(t);
  const content = Buffer.alloc(blobChunkBytes + 10, "x");
  content[blobChunkBytes] = 0x79;
  source("large", content);
  map("path: /etc/large, source: large");
  files.load();
  const digest = sha256(content);
  assert.equal(files.read(digest, 0)?.bytes.length, blobChunkBytes);
  assert.equal(files.read(digest, blobChunkBytes)?.bytes.toString(), "yxxxxxxxxx");
  assert.deepEqual(files.read(digest, content.length + 5), { bytes: Buffer.alloc(0), total: content.length });
});

test("a source may not lead out of the file root, not by a link either; nor be a directory or a pipe", (t) => {
  const { path, files, source, map, list } = setting(t);
  writeFileSync(path("secret"), "not yours");
  symlinkSync(path("secret"), join(path("root"), "link"));
  symlinkSync(path("root"), join(path("root"), "self"));
  mkdirSync(join(path("root"), "folder"));
  execFileSync("mkfifo", [join(path("root"), "pipe")]);
  source("inside", "fine");
  symlinkSync(join(path("root"), "inside"), join(path("root"), "inner-link"));
  map(...["link", "self", "folder", "pipe", "inner-link"].map((name) => `path: /etc/${name}, source: ${name}`));
  assert.deepEqual(
    files.load().map(({ line, message }) => `${line}: ${message.replaceAll(path("root"), "ROOT")}`),
    [
      "2: the source leads out of the file root ROOT",
      "3: the source leads out of the file root ROOT",
      "4: ROOT/folder is not a file",
      "5: ROOT/pipe is not a file",
    ],
  );
  assert.deepEqual(list(), [`/etc/inner-link ${sha256("fine")}`]);
});

test("a source that is missing leaves its own entry as it was, and no other", (t) => {
  const { path, files, source, map, list } = setting(t);
  source("web", "for webs");
  source("db", "for dbs");
  map("path: /etc/x, source: web, targets: 'web*'", "path: /etc/x, source: db, targets: 'db*'");
  files.load();
  rmSync(join(path("root"), "web"));
  source("db", "for dbs, new");
  const [problem] = files.load();
  assert.equal(problem?.line, 2);
  assert.match(problem.message, /there is no .*root\/web/);
  assert.deepEqual(list(), [`/etc/x ${sha256("for webs")}`, `/etc/x ${sha256("for dbs, new")}`]);
  assert.equal(files.read(sha256("for webs"), 0)?.bytes.toString(), "for webs");
});

test("a map that is bad, or gone, leaves the old list in force", (t) => {
  const { path, files, source, map, list } = setting(t);
  source("motd", "welcome");
  map("path: /etc/motd, source: motd");
  files.load();
  const before = list();
  map("path: etc/motd, source: motd");
  assert.equal(files.load()[0]?.line, 2);
  assert.deepEqual(list(), before);
  rmSync(path("files.yaml"));
  assert.match(files.load()[0]!.message, /cannot be read/);
  assert.deepEqual(list(), before);
});

test("contents that nothing names any more are removed, and so is what a crash left half written", (t) => {
  const { path, files, source, map } = setting(t);
  source("motd", "old");
  map("path: /etc/motd, source: motd");
  files.load();
  writeFileSync(join(path("blobs"), `${sha256("other")}.new`), "half");
  source("motd", "new");
  files.load();
  assert.deepEqual(readdirSync(path("blobs")), [sha256("new")]);
});

test("without a map there are no managed files", (t) => {
  const { options } = setting(t);
  const files = new Files({ ...options, map: undefined });
  assert.deepEqual(files.load(), []);
  assert.deepEqual(files.all(), []);
});
