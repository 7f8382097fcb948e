import assert from "node:assert/strict";
import { test } from "node:test";
import type { FileState } from "@needfire/shared/beacons/file";
import { diffBetween, drift, judgePlain } from "./file-judge.ts";

const file: FileState = { type: "file", digest: "a".repeat(64), size: 1, mode: "0644", owner: "root", group: "root" };
const link: FileState = { ...file, type: "symlink", digest: null, size: 0, mode: "0777", target: "/a" };
const directory: FileState = { ...file, type: "directory", digest: null, size: 0 };

test("each difference has its name, and of another type only the type is told", () => {
  assert.deepEqual(judgePlain(null, null), { kind: "same" });
  assert.deepEqual(judgePlain(file, { ...file }), { kind: "same" });
  assert.deepEqual(judgePlain(file, { ...file, digest: "b".repeat(64), mode: "0600", group: "adm" }), {
    kind: "event",
    type: "file.changed",
    changes: ["content", "mode", "owner"],
  });
  assert.deepEqual(judgePlain(link, { ...link, target: "/b", mode: "0755" }), {
    kind: "event",
    type: "file.changed",
    changes: ["content"],
  });
  assert.deepEqual(drift(file, link), ["type"]);
  assert.deepEqual(drift(file, directory), ["type"]);
  assert.deepEqual(drift(file, null), ["removed"]);
});

test("a content that could not be read differs only when its size does", () => {
  assert.deepEqual(drift(file, { ...file, digest: null }), []);
  assert.deepEqual(drift(file, { ...file, digest: null, size: 2 }), ["content"]);
});

test("a diff that would be too dear or too long becomes a note, and names cannot break its form", () => {
  const other = { ...file, digest: "b".repeat(64) };
  const lines = (seed: number) => Array.from({ length: 20_000 }, (_, i) => `${(i * seed) % 65_537}`).join("\n");
  const begun = performance.now();
  const dear = diffBetween("/f", { before: { state: file, text: lines(3) }, after: { state: other, text: lines(7) }, secret: false });
  assert.match(dear.diff_note ?? "", /too little in common|longer/);
  assert.ok(performance.now() - begun < 2_000);
  const long = diffBetween("/f", {
    before: { state: null },
    after: { state: other, text: `${"x".repeat(1_000)}\n`.repeat(300) },
    secret: false,
  });
  assert.match(long.diff_note ?? "", /longer/);
  const hostile = diffBetween("/f\n+++ /etc/passwd", {
    before: { state: file, text: "a\n" },
    after: { state: other, text: "b\n" },
    secret: false,
  });
  assert.equal(hostile.diff?.split("\n").length, 6);
});
