import assert from "node:assert/strict";
import { test } from "node:test";
import { Aside, setAsideMax } from "./aside.ts";

const one = { name: "r", version: "1" };

test("what is set aside is so for one reactor of one version, and is news until that is settled", () => {
  const aside = new Aside();
  assert.ok(aside.isEmpty);
  aside.add(one, "e1", "why");
  assert.deepEqual(aside.of(one, "e1"), { why: "why", last: false, isNews: true });
  assert.deepEqual([aside.has(one), aside.has({ ...one, version: "2" }), aside.has({ ...one, name: "s" })], [true, false, false]);
  for (const [of, what] of [
    [one, "e2"],
    [{ ...one, version: "2" }, "e1"],
    [{ ...one, name: "s" }, "e1"],
  ] as const)
    assert.equal(aside.of(of, what), undefined);
  aside.settle();
  assert.equal(aside.of(one, "e1"), undefined);
  assert.ok(aside.has(one), "the next time it need not fail as often");
});

test("with the last thing that may be set aside the reactor is, and stays so until it is another", () => {
  const aside = new Aside();
  for (let thing = 1; thing <= setAsideMax; thing++) {
    assert.equal(aside.of(one, "other"), undefined);
    aside.add(one, `e${thing}`, "why");
    aside.add(one, `e${thing}`, "why");
    assert.equal(aside.of(one, `e${thing}`)?.last, thing === setAsideMax);
  }
  assert.deepEqual(aside.whole, [one]);
  aside.settle();
  assert.equal(aside.of(one, "other")?.isNews, false);
  const changed = { ...one, version: "2" };
  assert.equal(aside.of(changed, "other"), undefined);
  aside.add(changed, "e9", "why");
  assert.deepEqual(aside.whole, []);
  assert.equal(aside.of(changed, "other"), undefined, "and it is counted anew");
});

test("what was set aside to see whether that helps leaves nothing behind", () => {
  const aside = new Aside();
  aside.add(one, "e1", "why");
  aside.remove(one, "e1");
  aside.remove(one, "e1");
  assert.ok(aside.isEmpty);
});
