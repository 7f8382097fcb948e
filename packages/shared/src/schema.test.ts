import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { test } from "node:test";
import { Ajv2020 } from "ajv/dist/2020.js";
import { actions, executionReportSchema } from "./action.ts";
import * as api from "./api.ts";
import { beaconTypes } from "./beacons/types.ts";
import { agentConfigSchema, masterConfigSchema } from "./config.ts";
import { eventSchema } from "./event.ts";
import { wireEventSchema } from "./wire-event.ts";
import { fileMapSchema, managedFileSchema } from "./managed-file.ts";
import { reactorSchema } from "./reactor/schema.ts";
import { checker, didYouMean, doorChecker, problemsText, schemaFingerprint, untypedChecker, untypedDoorChecker } from "./schema.ts";
import { masterMessageSchemas } from "./wire.ts";

const schema = {
  type: "object",
  properties: {
    name: { type: "string", pattern: "^[a-z]+$", description: "a name of lower-case letters" },
    priority: { enum: ["high", "low"], default: "low" },
    count: { type: "integer", minimum: 1 },
    on: { anyOf: [{ type: "string" }, { type: "array", items: { type: "string" } }], description: "a type or a list of them" },
    off: { anyOf: [{ type: "string" }, { type: "array", items: { type: "string" } }], description: "a type or a list of them" },
    list: { type: "array", items: { anyOf: [{ type: "string" }, { type: "boolean" }], description: "text or a truth" } },
  },
  required: ["name"],
  additionalProperties: false,
} as const;
const check = checker(schema);

function messages(value: unknown): string[] {
  const checked = check(value);
  return checked.ok ? [] : checked.problems.map(({ path, message }) => `${path.join(".")}: ${message}`);
}

test("a value that fits comes back with its defaults", () => {
  assert.deepEqual(check({ name: "a" }), { ok: true, value: { name: "a", priority: "low" } });
});

test("an unknown key names the one that was probably meant", () => {
  assert.deepEqual(messages({ name: "a", prority: "low" }), ['prority: unknown key "prority"; did you mean "priority"?']);
  assert.match(messages({ name: "a", zzz: 1 })[0]!, /unknown key "zzz" \(known: name, priority,/);
  const checked = check({ name: "a", prority: "low" });
  assert.ok(!checked.ok && checked.problems[0]!.atKey, "it points at the key");
});

test("what was expected and what was found are both said", () => {
  assert.deepEqual(messages({ name: "A1" }), ['name: expected a name of lower-case letters, got "A1"']);
  assert.deepEqual(messages({ name: 5 }), ["name: expected a name of lower-case letters, got 5"]);
  assert.deepEqual(messages({ name: "a", count: "5" }), ['count: expected integer, got "5"']);
  assert.deepEqual(messages({ name: "a", priority: "hihg" }), ['priority: expected one of high, low, got "hihg"; did you mean "high"?']);
  assert.deepEqual(messages({}), [': the key "name" is missing']);
  assert.match(messages({ name: "a", count: 0 })[0]!, /must be >= 1, got 0/);
  assert.match(messages({ name: "x".repeat(500).toUpperCase() })[0]!, /^.{60,130}\.\.\.$/, "a long value is cut");
});

test("a failed choice is one problem, and every failed choice is told", () => {
  assert.deepEqual(messages({ name: "a", on: 5 }), ["on: expected a type or a list of them, got 5"]);
  assert.deepEqual(messages({ name: "a", on: 5, off: 6 }), [
    "on: expected a type or a list of them, got 5",
    "off: expected a type or a list of them, got 6",
  ]);
  assert.deepEqual(messages({ name: "a", list: [1, true, 2] }), [
    "list.0: expected text or a truth, got 1",
    "list.2: expected text or a truth, got 2",
  ]);
});

test("of a list that may stand for one value the item that is wrong is told, and how many there may be", () => {
  assert.deepEqual(messages({ name: "a", on: ["x", 5] }), ["on.1: expected string, got 5"]);
  const bounded = checker({ type: "array", minItems: 2 } as const)([1]);
  assert.deepEqual(!bounded.ok && bounded.problems[0]!.message, "expected a list of at least 2, got a list of 1");
});

test("several problems are one line where there is no file to point into", () => {
  const checked = check({ nmae: "a" });
  assert.ok(!checked.ok);
  assert.match(problemsText(checked.problems), /the key "name" is missing; nmae: unknown key "nmae"; did you mean "name"\?/);
});

test("a nearly right word is recognised, another is not", () => {
  assert.equal(didYouMean("whne", ["when", "on"]), '; did you mean "when"?');
  assert.equal(didYouMean("file.restroe", ["file.restore", "file.remove"]), '; did you mean "file.restore"?');
  assert.equal(didYouMean("banana", ["when", "on"]), "");
});

test("at the door nothing is filled in and one problem is enough", () => {
  const door = doorChecker({
    type: "object",
    properties: { a: { type: "string", default: "x" }, b: { type: "integer" } },
    additionalProperties: false,
  } as const);
  const value = {};
  assert.ok(door(value).ok);
  assert.deepEqual(value, {});
  const checked = door({ a: 1, b: "x", c: 2 });
  assert.ok(!checked.ok && checked.problems.length === 1);
});

test("a checker that was compiled beforehand says what one says that is compiled on the spot", () => {
  const wrong = [5, {}, { type: 1, name: "A", above: "x", paths: "etc" }, { nmae: "a", pahts: [1, "x"], argv: [], master: { kee: "" } }];
  const compiled = createRequire(import.meta.url)("./schema-compiled.cjs") as object;
  for (const schema of [agentConfigSchema, ...Object.values(beaconTypes).map(({ options }) => options), actions["command.run"].args]) {
    assert.ok(Object.hasOwn(compiled, schemaFingerprint("all", schema)), "npm run checkers");
    const onTheSpot = untypedChecker({ ...schema, $comment: "another fingerprint" });
    for (const value of wrong) assert.deepEqual(untypedChecker(schema)(structuredClone(value)), onTheSpot(structuredClone(value)));
  }
  for (const [kind, schema] of Object.entries(masterMessageSchemas)) {
    assert.ok(Object.hasOwn(compiled, schemaFingerprint("first", schema)), "npm run checkers");
    const onTheSpot = untypedDoorChecker({ ...schema, $comment: "another fingerprint" });
    for (const value of [5, {}, { version: 1, nonce: 5, execution: "x" }])
      assert.deepEqual(untypedDoorChecker(schema)(value), onTheSpot(value), kind);
  }
});

test("our schemas fit the meta-schema, which the checkers take for granted", () => {
  const ajv = new Ajv2020({ strict: true, allowUnionTypes: true });
  const schemas: Record<string, object> = {
    ...{ agentConfigSchema, masterConfigSchema, eventSchema, executionReportSchema, fileMapSchema, managedFileSchema },
    reactorSchema,
    wireEventSchema,
    ...Object.fromEntries(Object.entries(api).filter(([name, value]) => name.endsWith("Schema") && typeof value === "object")),
    ...Object.fromEntries(
      Object.entries(actions).flatMap(([name, { args, result }]) => [
        [`${name} args`, args],
        [`${name} result`, result],
      ]),
    ),
    ...Object.fromEntries(Object.entries(beaconTypes).map(([name, { options }]) => [`${name} options`, options])),
  };
  assert.ok(Object.keys(schemas).length > 15);
  for (const [name, schema] of Object.entries(schemas)) assert.ok(ajv.validateSchema(schema), `${name}: ${ajv.errorsText()}`);
  assert.ok(!ajv.validateSchema({ type: "objekt" }));
});
