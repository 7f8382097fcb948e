import assert from "node:assert/strict";
import { test } from "node:test";
import { NeedfireError } from "@needfire/shared/errors";
import { startThread } from "./thread.ts";
import type { Served } from "./worker-fixture.ts";

const module = new URL("./worker-fixture.ts", import.meta.url);

async function serve(options: object = {}) {
  const notices: unknown[] = [];
  const death = Promise.withResolvers<Error>();
  const deaths: Error[] = [];
  const onDeath = (error: Error) => {
    deaths.push(error);
    death.resolve(error);
  };
  const thread = await startThread<Served>({ module, options, onNotice: (notice) => notices.push(notice), onDeath });
  return { ...thread, notices, death: death.promise, deaths };
}

test("methods answer with values as they were, each its own question, in any order of asking", async () => {
  const { remote, stop } = await serve();
  const value = { list: [1, "two", { three: undefined }], bytes: new Uint8Array([1, 2]) };
  assert.deepEqual(await remote.echo(value), value);
  assert.deepEqual(await Promise.all([remote.later("a"), remote.echo(1), remote.later("b")]), ["a", 1, "a,b"]);
  await stop();
});

test("an error crosses with its code; a full disk gets its own; what has no code has none", async () => {
  const { remote, stop } = await serve();
  await assert.rejects(
    remote.fail("coded"),
    (error) => error instanceof NeedfireError && error.code === "NOT_FOUND" && error.message === "not here",
  );
  await assert.rejects(remote.fail("late"), { code: "CONFLICT" });
  await assert.rejects(remote.fail("full"), { code: "DISK_FULL" });
  await assert.rejects(remote.fail("plain"), (error) => !(error instanceof NeedfireError));
  await assert.rejects((remote as unknown as { nothing(): Promise<void> }).nothing());
  assert.equal(await remote.echo("still there"), "still there");
  await stop();
});

test("what cannot be opened fails the start with its reason, and is no death", async () => {
  const deaths: Error[] = [];
  await assert.rejects(startThread({ module, options: { fail: true }, onDeath: (error) => deaths.push(error) }), {
    code: "STATE_LOCKED",
    message: "somebody has it",
  });
  assert.deepEqual(deaths, []);
});

test("what the object says unasked is heard before the answers that come after it", async () => {
  const { remote, stop, notices } = await serve();
  await remote.say({ n: 1 });
  assert.deepEqual(notices, [{ n: 1 }]);
  await stop();
});

test("a thread that dies fails everything that waits and everything asked later, and is told of once", async () => {
  const { remote, stop, death, deaths } = await serve();
  const waiting = remote.hang();
  const dying = remote.die();
  await Promise.all([assert.rejects(waiting, { code: "THREAD_DIED" }), assert.rejects(dying, { code: "THREAD_DIED" })]);
  await death;
  await assert.rejects(remote.echo(1), { code: "THREAD_DIED" });
  await stop();
  assert.equal(deaths.length, 1);
});

test("stopping closes the object, fails what hangs, and is no death", async () => {
  const { remote, stop, notices, deaths } = await serve();
  const hanging = assert.rejects(remote.hang(), { code: "THREAD_DIED" });
  await stop();
  await hanging;
  assert.deepEqual(notices, ["closed"]);
  assert.deepEqual(deaths, []);
});
