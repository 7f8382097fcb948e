/**
 * The catalogue of event types and what is really emitted must not drift apart. The testbed looks at the journal of every test; this
 * finds the types that no test makes: those that stand in the source.
 */
import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { reservedPrefixes } from "@needfire/shared/event";
import { eventTypes } from "@needfire/shared/event-types";

const root = dirname(import.meta.dirname);
const prefixes = [...new Set([...reservedPrefixes, ...Object.keys(eventTypes).map((type) => type.slice(0, type.indexOf(".") + 1))])];
const emitted = /\btype: "([a-z]+\.[a-z_]+)"/g;

test("every event type that the source of master, agent and engine names is in the catalogue", () => {
  const files = globSync("packages/{agent,master,shared}/src/**/*.ts", { cwd: root }).filter(
    (file) => !/\.(test|conformance)\.ts$|fixture\.ts$/.test(file),
  );
  const found = new Set<string>();
  for (const file of files) {
    for (const [, type] of readFileSync(join(root, file), "utf8").matchAll(emitted)) {
      if (!prefixes.some((prefix) => type!.startsWith(prefix))) continue;
      found.add(type!);
      assert.ok(Object.hasOwn(eventTypes, type!), `${file} emits ${type!}, which packages/shared/src/event-types.ts does not know`);
    }
  }
  assert.ok(found.size > 15, `only ${found.size} types were found: the pattern does not fit the source any more`);
});
