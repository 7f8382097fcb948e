import assert from "node:assert/strict";
import { test } from "node:test";
import type { Event } from "../event.ts";
import { loadReactors } from "../reactor.ts";
import { ReactorIndex } from "./reactor-index.ts";

const agent = { id: "web1", labels: {}, facts: {} };
const loaded = loadReactors(
  "r.yaml",
  `name: one
on: a.b
do: [{ event.emit: { type: x.y } }]
---
name: two
correlate: { all: [{ on: a.* }, { on: c.d }], within: 1m }
do: [{ event.emit: { type: x.y } }]
---
name: off
on: "*"
mode: off
do: [{ event.emit: { type: x.y } }]
`,
);
assert.ok(loaded.ok);
const index = new ReactorIndex(loaded.reactors);

function candidates(type: string): string[] {
  const event: Event = { position: 1, id: "e", type, source: "s", agent: "web1", time: 0, received: 0, severity: "low", data: {} };
  return index.candidates(event, agent).map(({ name }) => name);
}

test("a reactor is found by the types of each of its ways in, in order of definition, unless it is off", () => {
  assert.deepEqual([candidates("a.b"), candidates("a.x"), candidates("c.d"), candidates("x.y")], [["one", "two"], ["two"], ["two"], []]);
  assert.deepEqual([index.hearsType("c.d"), index.hearsType("x.y")], [true, false]);
  assert.equal(index.reactors.length, 3);
});
