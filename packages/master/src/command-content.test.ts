import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { contentBytesMax } from "@needfire/shared/actions/spec";
import { withContent } from "./command-content.ts";
import { Files } from "./files.ts";
import { temporaryDirectory } from "./fixture.ts";

const sha256 = (text: string) => createHash("sha256").update(text).digest("hex");

function setting(t: TestContext) {
  const directory = temporaryDirectory(t);
  const path = (name: string) => join(directory, name);
  mkdirSync(path("root"));
  writeFileSync(path("files.yaml"), "files: []\n");
  const files = new Files({ map: path("files.yaml"), root: path("root"), blobs: path("blobs") });
  const source = (name: string, content: string | Buffer) => writeFileSync(path(`root/${name}`), content);
  const script = (args: Record<string, unknown>) => withContent({ ok: true, args, secrets: ["hush"] }, "script.run", files);
  return { path, files, source, script };
}

test("a source goes out with its digest and size, as it is at that moment, and can be asked for", (t) => {
  const { files, source, script } = setting(t);
  for (const content of ["one", "another"]) {
    source("a.sh", content);
    assert.deepEqual(script({ source: "a.sh", args: [] }), {
      ok: true,
      secrets: ["hush"],
      args: { source: "a.sh", args: [], digest: sha256(content), size: content.length },
    });
    assert.equal(files.read(sha256(content), 0)?.bytes.toString(), content);
  }
});

test("what is given out to commands stays when managed files are read again; what no command brings any more goes", (t) => {
  const { path, files, source, script } = setting(t);
  for (const content of ["one", "another"]) {
    source("a.sh", content);
    script({ source: "a.sh" });
  }
  files.load();
  assert.deepEqual(readdirSync(path("blobs")), [sha256("another")]);
  assert.ok(script({ source: "a.sh" }).ok);
});

test("a source that is not there, leads out of the root, is too large, or is not the one that is meant, is not sent", (t) => {
  const { path, source, script } = setting(t);
  writeFileSync(path("secret"), "not yours");
  symlinkSync(path("secret"), path("root/link"));
  source("large", Buffer.alloc(contentBytesMax + 1));
  source("a.sh", "one");
  const reason = (args: Record<string, unknown>) => {
    const revealed = script(args);
    return revealed.ok ? "sent" : revealed.reason;
  };
  assert.match(reason({ source: "none" }), /^there is no /);
  assert.match(reason({ source: "link" }), /leads out of the file root/);
  assert.match(reason({ source: "../secret" }), /leads out of the file root/);
  assert.match(reason({ source: "large" }), /the limit is 16777216/);
  assert.match(reason({ source: "a.sh", digest: sha256("two") }), /^a\.sh has the digest [0-9a-f]{64}, and is to have /);
  assert.equal(reason({ source: "a.sh", digest: sha256("one") }), "sent");
});

test("an argument of that name is the author's own in actions that take no content", (t) => {
  const { files } = setting(t);
  const revealed = { ok: true as const, args: { source: "none" }, secrets: [] };
  assert.equal(withContent(revealed, "command.run", files), revealed);
});
