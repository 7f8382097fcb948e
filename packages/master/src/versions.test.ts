import assert from "node:assert/strict";
import { chmodSync, lstatSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { Reactor } from "@needfire/shared/reactor";
import { temporaryDirectory } from "./fixture.ts";
import { digestOf } from "./store/record.ts";
import type { FileVersion } from "./store/store.ts";
import { planRollback, replaceFile, versionNamed, versionsInForce, versionsOf, withPresent } from "./versions.ts";

const kept = (number: number, text: string, reactors: Record<string, string>, file = "a.yaml"): FileVersion => ({
  number,
  file,
  text,
  digest: digestOf(text),
  reactors,
  since: number,
});
const history = [
  kept(4, "three", { r: "cccc3", other: "2" }),
  kept(3, "two-b", { r: "bbbb2", other: "2" }),
  kept(2, "two", { r: "bbbb2", other: "1" }),
  kept(1, "one", { r: "aaaa1" }),
];
const force = (text: string) => [{ file: "a.yaml", text }];

test("without a wish the way back leads to the newest version in which this reactor was another", () => {
  const to = (inForce: string, wanted?: string) => planRollback("r", wanted, versionsOf("r", history, force(inForce))).to.text;
  assert.equal(to("three"), "two-b");
  assert.equal(to("three", "aaaa1"), "one");
  assert.equal(to("three", "bbbb"), "two-b");
  assert.equal(to("three", digestOf("two")), "two");
  const other = planRollback("other", undefined, versionsOf("other", history, force("three")));
  assert.equal(other.to.text, "two", "its last change, not the file's");
});

test("there is no way back to what is in force, to what there never was, or from nothing", () => {
  const versions = versionsOf("r", history, force("three"));
  assert.throws(() => planRollback("r", "cccc3", versions), /in force already/);
  assert.throws(() => planRollback("r", "dddd", versions), { code: "NOT_FOUND" });
  assert.throws(() => planRollback("r", "bb", versions), { code: "BAD_REQUEST" });
  assert.throws(() => planRollback("r", undefined, versionsOf("r", [kept(1, "one", { r: "a" })], force("one"))), /no earlier version/);
  assert.throws(() => planRollback("r", undefined, versionsOf("r", history, [])), /no file of r is in force.*--version cccc3/);
  assert.throws(() => planRollback("r", undefined, []), { code: "NOT_FOUND" });
});

test("a beginning that two versions have is not enough", () => {
  const versions = versionsOf("r", [kept(2, "x", { r: "abcd1" }), kept(1, "y", { r: "abcd2" })], force("x"));
  assert.throws(() => versionNamed("abcd", versions, "r"), /abcd1 and abcd2/);
});

test("what is in force and not kept yet stands at the top", () => {
  const reactor = { name: "r", version: "dddd4", file: "a.yaml" } as Reactor;
  const present = (text: string) => withPresent(versionsOf("r", history, force(text)), { reactor, files: force(text), now: 9 });
  assert.deepEqual(
    present("four")
      .map(({ version, inForce }) => [version, inForce])
      .slice(0, 2),
    [
      ["dddd4", true],
      ["cccc3", false],
    ],
  );
  assert.equal(present("three").length, history.length);
  assert.equal(planRollback("r", undefined, present("four")).to.text, "three");
});

test("what is in force no more is told, once", () => {
  const gone = kept(2, "", {}, "b.yaml");
  assert.deepEqual(versionsInForce([], [], [kept(1, "one", { r: "1" }), gone]), [{ file: "a.yaml", text: "", reactors: {} }]);
});

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
