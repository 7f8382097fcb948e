import assert from "node:assert/strict";
import { test } from "node:test";
import { incoming } from "./fixture.ts";
import { Outbox } from "./outbox.ts";

const own = (sequence: number, type = "task.created") => incoming(sequence, { type, agent: "master" });

function world(waiting = [own(1)]) {
  const due = Promise.withResolvers<void>();
  const outbox = new Outbox(waiting, { isAwaited: (type) => type === "awaited", onDue: () => due.resolve() });
  return { outbox, due: due.promise };
}

test("what the last life left is due", () => {
  const { outbox } = world();
  assert.equal(outbox.isDue, true);
  assert.deepEqual(
    outbox.next()?.events.map(([sequence]) => sequence),
    [1],
  );
});

test("what no reactor waits for lets a moment pass, and goes with any turn meanwhile", async () => {
  const { outbox, due } = world([]);
  assert.equal(outbox.isDue, false);
  outbox.add([own(1)]);
  assert.equal(outbox.isDue, false);
  const batch = outbox.next();
  assert.equal(batch?.events.length, 1);
  outbox.add([own(2)]);
  await due;
  assert.equal(outbox.isDue, true);
  outbox.appended(batch);
  assert.equal(outbox.reached, 1);
  assert.equal(outbox.next()?.events[0]?.[0], 2, "what came meanwhile is still there");
});

test("what a reactor waits for is due at once, with what came before it", () => {
  const { outbox } = world([]);
  outbox.add([own(1)]);
  outbox.add([own(2, "awaited")]);
  assert.equal(outbox.isDue, true);
  assert.equal(outbox.next()?.events.length, 2);
});

test("what is due stays so when more comes", () => {
  const { outbox } = world();
  outbox.add([own(2)]);
  assert.equal(outbox.isDue, true);
});

test("who hopes for an event hears when the journal has it, not before", async () => {
  const { outbox } = world([own(1), own(2)]);
  let heard = false;
  const hope = outbox.inJournal(2).then(() => (heard = true));
  await Promise.resolve();
  assert.equal(heard, false);
  outbox.appended(outbox.next()!);
  await hope;
  assert.equal(outbox.isDue, false);
});
