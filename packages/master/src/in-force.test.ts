import assert from "node:assert/strict";
import { test } from "node:test";
import { InForce } from "./in-force.ts";

const good = { file: "r.yaml", text: "name: r\non: a.b\ndo: [{ event.emit: { type: c.d } }]\n" };

test("what does not compile in the engine is said, and leaves in force what was", () => {
  const inForce = new InForce();
  const { reactors } = inForce.setReactors([good], {});
  assert.throws(() => inForce.setReactors([{ file: "r.yaml", text: "name: r\n" }], {}), /does not compile in the engine: r\.yaml:1:/);
  assert.throws(() => inForce.setReactors([good], { router: { file: "router.yaml", text: "rules: 1\n" } }), /router\.yaml:1:/);
  assert.equal(inForce.setReactors([good], {}).reactors[0], reactors[0], "nor is it compiled again");
});
