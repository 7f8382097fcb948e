import assert from "node:assert/strict";
import { chmodSync, lstatSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { temporaryDirectory } from "./fixture.ts";
import { replaceFile } from "./replace-file.ts";

test("a file is replaced in one step: its mode stays, a link to it stays a link, and nothing is left beside it", (t) => {
  const directory = temporaryDirectory(t);
  const [file, link] = [join(directory, "a.yaml"), join(directory, "link.yaml")];
  writeFileSync(file, "old");
  chmodSync(file, 0o640);
  symlinkSync(file, link);
  replaceFile(link, { expected: "old", text: "new" });
  assert.deepEqual([readFileSync(file, "utf8"), statSync(file).mode & 0o777, lstatSync(link).isSymbolicLink()], ["new", 0o640, true]);
  assert.deepEqual(readdirSync(directory).toSorted(), ["a.yaml", "link.yaml"]);
});

test("a file is not replaced that is another by now, or is not there, or cannot be written", (t) => {
  const directory = temporaryDirectory(t);
  const file = join(directory, "a.yaml");
  writeFileSync(file, "mine");
  assert.throws(() => replaceFile(file, { expected: "old", text: "new" }), /changed on disk and is not in force/);
  assert.deepEqual([readFileSync(file, "utf8"), readdirSync(directory)], ["mine", ["a.yaml"]]);
  assert.throws(() => replaceFile(join(directory, "b.yaml"), { expected: "", text: "new" }), { code: "CONFLICT", message: /cannot write/ });
  // For root nothing is unwritable but what the kernel itself makes.
  assert.throws(() => replaceFile("/proc/version", { expected: "", text: "new" }), { code: "CONFLICT", message: /cannot write/ });
});
