import assert from "node:assert/strict";
import { test } from "node:test";
import { severities, type Severity } from "@needfire/shared/event";
import { packDraft } from "./packed-event.ts";
import { Pending } from "./pending.ts";
import { draft } from "./spool-fixture.ts";

const entry = (n: number, lane: Severity, always = false) => ({ lane, event: packDraft(draft(n, { severity: lane })), always });
const order = (pending: Pending) => pending.take().map(({ lane, event }) => `${lane} ${event[2] - draft(0).time}`);

test("the highest lane comes first, each lane in its order", () => {
  const pending = new Pending();
  severities.toReversed().forEach((lane, index) => {
    pending.add(entry(index, lane));
    pending.add(entry(index + 10, lane));
  });
  assert.equal(pending.count, 8);
  assert.deepEqual(order(pending), ["critical 3", "critical 13", "high 2", "high 12", "normal 1", "normal 11", "low 0", "low 10"]);
  assert.equal(pending.count, 0);
});

test("P8: the oldest of the lowest lane goes, never one above the lane that wants room, and never a result", () => {
  const pending = new Pending();
  for (const each of [entry(1, "low", true), entry(2, "low"), entry(3, "normal"), entry(4, "high")]) pending.add(each);
  const shed = (lane: Severity) => {
    const gone = pending.shed(lane);
    return gone === undefined ? "none" : gone.lane;
  };
  assert.deepEqual(
    [shed("critical"), shed("low"), shed("normal"), shed("normal"), shed("high")],
    ["low", "none", "normal", "none", "high"],
  );
  assert.deepEqual(order(pending), ["low 1"]);
});

test("it is full at so many events, and at so many bytes", () => {
  const pending = new Pending();
  const large = packDraft(draft(1, { data: { text: "x".repeat(900_000) } }));
  let added = 0;
  for (; !pending.full; added++) pending.add({ lane: "low", event: large, always: false });
  assert.ok(added > 10 && added < 100);
  while (pending.shed("low") !== undefined);
  for (added = 0; !pending.full; added++) pending.add(entry(added, "low"));
  assert.equal(added, 10_000);
});
