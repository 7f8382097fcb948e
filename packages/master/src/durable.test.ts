import assert from "node:assert/strict";
import { test } from "node:test";
import { Durable } from "./durable.ts";
import { settled } from "./fixture.ts";

const alone = { alone: true, urgent: false };
const crowded = { alone: false, urgent: false };
const urgent = { alone: false, urgent: true };

/** A log whose syncs end when they are told to. */
function world() {
  const syncs: PromiseWithResolvers<void>[] = [];
  const said: string[] = [];
  let now = 0;
  const log = {
    sync: () => {
      const sync = Promise.withResolvers<void>();
      syncs.push(sync);
      return sync.promise;
    },
    syncNow: () => void now++,
  };
  const durable = new Durable(log);
  const say = (what: string, haste: typeof alone) => durable.say(() => said.push(what), haste);
  return { log, durable, say, said, syncs, syncsNow: () => now };
}

test("with nobody else waiting it is synced and said at once", () => {
  const { say, said, syncs, syncsNow } = world();
  say("a", alone);
  say("b", alone);
  assert.deepEqual(said, ["a", "b"]);
  assert.equal(syncsNow(), 2);
  assert.equal(syncs.length, 0);
});

test("P1, P2: nothing is said before a sync that began after it came has ended; one sync is for all that waited", async () => {
  const { durable, say, said, syncs } = world();
  say("a", crowded);
  say("b", alone);
  say("c", crowded);
  await settled();
  assert.deepEqual(said, []);
  assert.equal(syncs.length, 1, "one at a time");
  syncs[0]!.resolve();
  await settled();
  assert.deepEqual(said, ["a"]);
  assert.equal(syncs.length, 2);
  syncs[1]!.resolve();
  await durable.settled();
  assert.deepEqual(said, ["a", "b", "c"]);
});

test("P8: what is urgent has a sync of its own beside the one under way, for all that waits; ending waits for both", async () => {
  const { durable, say, said, syncs } = world();
  say("a", crowded);
  say("b", crowded);
  say("now", urgent);
  assert.equal(syncs.length, 2);
  syncs[1]!.resolve();
  await settled();
  assert.deepEqual(said, ["b", "now"]);
  let ended = false;
  const end = durable.settled().then(() => (ended = true));
  await settled();
  assert.equal(ended, false);
  syncs[0]!.resolve();
  await end;
  assert.deepEqual(said, ["b", "now", "a"]);
});

test("after a sync that failed nothing is said any more, and the failure is left for the thread to die of", async () => {
  for (const first of [alone, crowded]) {
    const { log, durable, say, said, syncs } = world();
    const failing = { ...log, syncNow: () => assert.fail("the disk") };
    const dying = first === alone ? new Durable(failing) : durable;
    const sayHere = first === alone ? (what: string) => dying.say(() => said.push(what), alone) : (what: string) => say(what, crowded);
    sayHere("a");
    // Somebody listens here, so that the test's process goes on.
    const end = assert.rejects(dying.settled(), /the disk/);
    syncs[0]?.reject(new Error("the disk"));
    await end;
    sayHere("b");
    await settled();
    assert.deepEqual(said, []);
  }
});
