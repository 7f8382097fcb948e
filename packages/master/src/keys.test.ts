import assert from "node:assert/strict";
import { test } from "node:test";
import type { KeyState } from "@needfire/shared/api";
import { fingerprint } from "@needfire/shared/identity";
import { FakeCommit, somePublicKey, TestClock } from "./fixture.ts";
import { Keys, type KeysOptions } from "./keys.ts";

function setting(options: Partial<Pick<KeysOptions, "enrolment" | "pendingMax">> = {}) {
  const clock = new TestClock();
  const store = new FakeCommit();
  const changed: string[] = [];
  const keys = new Keys(
    {
      enrolment: "manual",
      pendingMax: 2,
      commit: store.commit,
      clock,
      onChange: ({ id, state }) => changed.push(`${id} ${state}`),
      ...options,
    },
    { keys: [], tokens: [] },
  );
  const greet = (agent: string, publicKey = somePublicKey(), token?: string) => keys.admit({ agent, publicKey, token });
  const tokenFor = async (uses: number, labels: Record<string, string> = {}) =>
    (await keys.createToken({ uses, ttlMs: 1_000, labels, by: "ann" })).token;
  return { keys, clock, store, changed, greet, tokenFor };
}

test("manual: an unknown key waits, durably and with an event, until it is accepted", async () => {
  const { keys, store, changed, greet } = setting();
  const key = somePublicKey();
  assert.ok(keys.mayConnect(key));
  assert.deepEqual(await greet("web1", key), { kind: "pending" });
  assert.deepEqual(await greet("web1", key), { kind: "pending" });
  assert.deepEqual(store.eventTypes(), ["keys.pending"]);
  assert.equal(keys.acceptedFor("web1"), undefined);
  await keys.change("web1", "accepted", "ann");
  assert.deepEqual(await greet("web1", key), { kind: "accepted" });
  assert.deepEqual(changed, ["web1 accepted"]);
  assert.equal(keys.acceptedFor("web1")?.publicKey, key);
  assert.deepEqual(store.eventTypes(), ["keys.pending", "keys.accepted"]);
});

test("token and closed: a key without a good token is turned away, with closed even before it is heard", async () => {
  const byToken = setting({ enrolment: "token" });
  assert.ok(!byToken.keys.mayConnect(somePublicKey()));
  const token = await byToken.tokenFor(1);
  assert.ok(byToken.keys.mayConnect(somePublicKey()));
  assert.equal((await byToken.greet("web1")).kind, "refused");
  assert.equal((await byToken.greet("web1", somePublicKey(), "guess")).kind, "refused");
  assert.deepEqual(await byToken.greet("web1", somePublicKey(), token), { kind: "accepted" });
  const closed = setting({ enrolment: "closed" });
  assert.ok(!closed.keys.mayConnect(somePublicKey()));
  await assert.rejects(closed.tokenFor(1), { code: "CONFLICT" });
});

test("a token with one use lets one of two in that come at once, and carries its labels", async () => {
  const { keys, greet, tokenFor } = setting({ enrolment: "token" });
  const token = await tokenFor(1, { role: "web" });
  const answers = await Promise.all([greet("web1", somePublicKey(), token), greet("web2", somePublicKey(), token)]);
  assert.deepEqual(
    answers.map(({ kind }) => kind),
    ["accepted", "refused"],
  );
  assert.deepEqual(keys.acceptedFor("web1")?.labels, { role: "web" });
  assert.ok(!keys.mayConnect(somePublicKey()));
});

test("a token of several uses ends with the last, or when its time is over", async () => {
  const { clock, greet, tokenFor } = setting({ enrolment: "token" });
  const two = await tokenFor(2);
  for (const agent of ["a", "b"]) assert.equal((await greet(agent, somePublicKey(), two)).kind, "accepted");
  assert.equal((await greet("c", somePublicKey(), two)).kind, "refused");
  const short = await tokenFor(1);
  clock.time += 1_000;
  assert.equal((await greet("c", somePublicKey(), short)).kind, "refused");
});

test("admissions wait for the disk side by side, and an operator's change waits for them", async () => {
  const { keys, store, greet, tokenFor } = setting({ enrolment: "token" });
  const token = await tokenFor(2);
  const disk = store.hold();
  const admitted = ["a", "b", "c"].map((agent) => greet(agent, somePublicKey(), token));
  // The third is answered while the first two still wait: their uses are taken.
  assert.equal((await admitted[2]!).kind, "refused");
  assert.equal(store.held, 2);
  const revoked = keys.change("a", "revoked", "ann");
  disk.resolve();
  assert.deepEqual(
    (await Promise.all(admitted)).map(({ kind }) => kind),
    ["accepted", "accepted", "refused"],
  );
  assert.equal((await revoked).state, "revoked");
  assert.equal(keys.acceptedFor("a"), undefined);
});

test("a token is not spent, nor a key let in, when that could not be made durable", async () => {
  const { keys, store, greet, tokenFor } = setting({ enrolment: "token" });
  const token = await tokenFor(1);
  const key = somePublicKey();
  store.failing = new Error("no room");
  await assert.rejects(greet("web1", key, token), /no room/);
  assert.equal(keys.get(key), undefined);
  store.failing = undefined;
  assert.equal((await greet("web1", key, token)).kind, "accepted");
});

test("only so many unknown keys may wait; one that is decided makes room for another", async () => {
  const { keys, greet } = setting({ pendingMax: 2 });
  const answers = await Promise.all(["a", "b", "c"].map((agent) => greet(agent)));
  assert.deepEqual(
    answers.map(({ kind }) => kind),
    ["pending", "pending", "refused"],
  );
  assert.ok(!keys.mayConnect(somePublicKey()));
  await keys.change("a", "rejected", "ann");
  assert.ok(keys.mayConnect(somePublicKey()));
  assert.equal((await greet("c")).kind, "pending");
});

test("a rejected key is turned away and may be accepted later; a revoked one is out for good, whatever is tried", async () => {
  const { keys, greet } = setting();
  const key = somePublicKey();
  await greet("web1", key);
  await keys.change("web1", "rejected", "ann");
  assert.ok(!keys.mayConnect(key));
  assert.equal((await greet("web1", key)).kind, "refused");
  await keys.change("web1", "accepted", "ann");
  await keys.change("web1", "revoked", "ann");
  assert.ok(!keys.mayConnect(key));
  for (const state of ["accepted", "rejected"] satisfies KeyState[]) {
    await assert.rejects(keys.change("web1", state, "ann"), { code: "CONFLICT", message: /for good/ });
  }
  assert.equal(keys.get(key)?.state, "revoked");
  assert.equal(keys.acceptedFor("web1"), undefined);
});

test("P6: one id has one accepted key at a time, and a key has one id", async () => {
  const { keys, greet, tokenFor } = setting();
  const [first, second] = [somePublicKey(), somePublicKey()];
  await greet("web1", first);
  await greet("web1", second);
  await keys.change(fingerprint(first).slice(0, 9), "accepted", "ann");
  await assert.rejects(keys.change(fingerprint(second), "accepted", "ann"), { code: "CONFLICT", message: /another key/ });
  assert.match(JSON.stringify(await greet("web1", somePublicKey(), await tokenFor(1))), /another key is accepted/);
  assert.match(JSON.stringify(await greet("web2", first)), /a key has one id/);
  assert.equal((await greet("master")).kind, "refused");
  // By its id the one that can be revoked is meant, although another waits under the same.
  assert.equal((await keys.change("web1", "revoked", "ann")).publicKey, first);
  assert.equal((await keys.change("web1", "accepted", "ann")).publicKey, second);
});

test("a key is named by its id or the beginning of its fingerprint; what fits none, several or too little is refused", async () => {
  const { keys, greet } = setting();
  const [first, second] = [somePublicKey(), somePublicKey()];
  await greet("web1", first);
  await greet("web1", second);
  await assert.rejects(keys.change("web1", "accepted", "ann"), { code: "CONFLICT", message: new RegExp(fingerprint(second)) });
  await assert.rejects(keys.change("web9", "accepted", "ann"), { code: "NOT_FOUND" });
  await assert.rejects(keys.change(fingerprint(first).slice(0, 3), "accepted", "ann"), { code: "NOT_FOUND" });
  assert.equal((await keys.change(fingerprint(second).slice(0, 14), "accepted", "ann")).publicKey, second);
});

test("what is known at the start is in force: accepted keys, waiting ones against the limit, live tokens", async () => {
  const before = setting();
  const key = somePublicKey();
  await before.greet("web1", key);
  await before.keys.change("web1", "accepted", "ann");
  await before.greet("web2");
  const { record } = await before.keys.createToken({ uses: 1, ttlMs: 1_000, labels: {}, by: "ann" });
  const options: KeysOptions = { enrolment: "manual", pendingMax: 1, commit: before.store.commit, clock: before.clock, onChange: () => {} };
  const after = new Keys(options, { keys: before.keys.list(), tokens: [record] });
  assert.equal(after.acceptedFor("web1")?.publicKey, key);
  assert.equal((await after.admit({ agent: "web3", publicKey: somePublicKey(), token: undefined })).kind, "refused");
  assert.ok(after.mayConnect(somePublicKey()));
});
