import assert from "node:assert/strict";
import { test } from "node:test";
import { Ajv2020 } from "ajv/dist/2020.js";
import { beaconTypes } from "./beacons/types.ts";
import { severities } from "./event.ts";
import { dataProblem, eventTypeGroups, eventTypes, eventTypesOn, exampleOf } from "./event-types.ts";
import { eventTypePattern, masterAgent } from "./ids.ts";

test("every event type has a description, a severity and an example that its schema takes", () => {
  for (const [type, { description, severity }] of Object.entries(eventTypes)) {
    assert.match(type, new RegExp(eventTypePattern));
    assert.match(description, /^[A-Z].*\.$/s, type);
    assert.ok(severities.includes(severity), type);
    assert.equal(dataProblem(type, exampleOf(type)!.data), undefined, type);
  }
});

/** What others print is theirs: nothing is known of it. */
const openTypes = new Set(["exec.reported"]);

test("every schema is a sound JSON Schema that names its fields and lets in no others", () => {
  const ajv = new Ajv2020({ strict: true, allowUnionTypes: true });
  for (const [type, { data }] of Object.entries(eventTypes)) {
    assert.ok(ajv.validateSchema(data as object), `${type}: ${ajv.errorsText()}`);
    if (!openTypes.has(type)) assert.equal((data as { additionalProperties?: unknown }).additionalProperties, false, type);
  }
});

test("every event of every beacon type is in the catalogue, with the beacon's own schema", () => {
  for (const { events } of Object.values(beaconTypes)) {
    for (const [type, { data }] of Object.entries(events)) assert.equal(eventTypes[type]?.data, data, type);
  }
});

test("a type belongs to one maker", () => {
  const names = Object.values(eventTypeGroups).flatMap((group) => Object.keys(group));
  assert.deepEqual(names.toSorted(), Object.keys(eventTypes).toSorted());
});

test("data that is not as the schema says is told; of people's own types nothing is known", () => {
  assert.match(dataProblem("cpu.high", { percent: "97" })!, /percent: expected number, got "97"/);
  assert.match(dataProblem("agent.connected", { agent: "web1", extra: 1 })!, /unknown key "extra"/);
  assert.equal(dataProblem("deploy.wanted", { anything: true }), undefined);
  assert.equal(dataProblem("toString", {}), undefined);
  assert.equal(exampleOf("deploy.wanted"), undefined);
});

test("an example can be changed without changing the next one", () => {
  const example = exampleOf("cpu.high")!;
  example.data["percent"] = 1;
  assert.equal(exampleOf("cpu.high")!.data["percent"], 97.2);
  assert.deepEqual([exampleOf("cpu.high")!.beacon, exampleOf("cpu.high")!.agent], ["example", "web1"]);
  assert.equal(exampleOf("agent.lost")!.agent, masterAgent);
});

test("a glob lets in the known types that it fits", () => {
  assert.deepEqual(eventTypesOn(["cpu.*", "file.changed"]), ["cpu.high", "cpu.normal", "file.changed"]);
  assert.deepEqual(eventTypesOn(["deploy.*"]), []);
});
