import assert from "node:assert/strict";
import { test } from "node:test";
import { NeedfireError } from "@needfire/shared/errors";
import { Room } from "./room.ts";

function world({ makesRoom = 0 } = {}) {
  const told: unknown[] = [];
  const refused: string[] = [];
  const stop = new AbortController();
  let now = 0;
  const room = new Room({
    clock: { now: () => ++now },
    signal: stop.signal,
    makeRoom: () => makesRoom-- > 0,
    onFull: (error) => told.push(error),
    onRoom: (from, to) => told.push({ from, to }),
    retryMs: 1,
  });
  const refuse = (error: NeedfireError) => void refused.push(error.code);
  return { room, told, refused, refuse, stop };
}

/** Fails so often. */
function refusing(times: number, error: Error = new NeedfireError("DISK_FULL", "no room")) {
  return () => {
    if (times-- > 0) throw error;
    return "taken";
  };
}

test("what the disk takes is tried once, and nobody hears of it", async () => {
  const { room, told, refused, refuse } = world();
  assert.equal(await room.untilTaken(refusing(0), refuse), "taken");
  assert.deepEqual([told, refused, room.isFull], [[], [], false]);
});

test("a full disk is tried until it takes it: told once when it begins and once when it ends, and each time nobody is left waiting", async () => {
  const { room, told, refused, refuse } = world();
  const full: boolean[] = [];
  const work = refusing(3);
  const tried = () => {
    full.push(room.isFull);
    return work();
  };
  assert.equal(await room.untilTaken(tried, refuse), "taken");
  assert.deepEqual(told, ["no room", { from: 1, to: 2 }]);
  assert.deepEqual(full, [false, true, true, true]);
  assert.deepEqual(refused, ["DISK_FULL", "DISK_FULL", "DISK_FULL"]);
  assert.equal(room.isFull, false);
});

test("where room can be made, nobody hears that there was none; what still fails after that is told", async () => {
  const { room, told, refused, refuse } = world({ makesRoom: 2 });
  assert.equal(await room.untilTaken(refusing(1), refuse), "taken");
  assert.deepEqual([told, refused, room.isFull], [[], [], false]);
  assert.equal(await room.untilTaken(refusing(2), refuse), "taken");
  assert.deepEqual([told.length, refused], [2, ["DISK_FULL"]]);
  assert.throws(() => room.taken(refusing(1)), { code: "DISK_FULL" });
});

test("what is not the disk's fault is thrown, and says nothing of its room", async () => {
  const { room, told, refused, refuse } = world();
  await assert.rejects(room.untilTaken(refusing(1, new Error("a bug")), refuse), /a bug/);
  assert.deepEqual([told, refused, room.isFull], [[], [], false]);
});

test("the trying ends with the engine", async () => {
  const { room, refuse, stop } = world();
  const trying = room.untilTaken(refusing(Infinity), refuse);
  stop.abort();
  await assert.rejects(trying, { code: "DISK_FULL", message: /stopped/ });
  assert.equal(room.isFull, true);
});
