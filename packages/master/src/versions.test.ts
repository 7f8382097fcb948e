import assert from "node:assert/strict";
import { test } from "node:test";
import type { Reactor } from "@needfire/shared/reactor";
import { digestOf } from "./store/record.ts";
import type { FileVersion } from "./store/store.ts";
import { planRollback, versionNamed, versionsInForce, versionsOf, withPresent } from "./versions.ts";

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
