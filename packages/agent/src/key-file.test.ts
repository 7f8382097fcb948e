import assert from "node:assert/strict";
import { chmodSync, existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { readJoinToken, removeJoinToken, writeJoinToken } from "./join-token.ts";
import { loadKeyPair } from "./key-file.ts";
import { generateKeyPair } from "./link.ts";
import { temporaryDirectory } from "./spool-fixture.ts";

const noNewPair = () => assert.fail("a new pair was made");

test("the first start makes a pair that only its owner can read; later ones find the same", (t) => {
  const directory = join(temporaryDirectory(t), "state");
  const file = join(directory, "agent.key");
  const pair = loadKeyPair(file, generateKeyPair);
  assert.equal(statSync(file).mode & 0o777, 0o600);
  assert.equal(statSync(directory).mode & 0o777, 0o700);
  assert.deepEqual(loadKeyPair(file, noNewPair), pair);
  assert.deepEqual(readdirSync(directory), ["agent.key"]);
});

test("a pair that others could have read is refused, and not replaced", (t) => {
  const file = join(temporaryDirectory(t), "agent.key");
  const pair = loadKeyPair(file, generateKeyPair);
  for (const mode of [0o640, 0o604, 0o660]) {
    chmodSync(file, mode);
    assert.throws(() => loadKeyPair(file, noNewPair), { code: "STATE_UNSAFE" });
  }
  chmodSync(file, 0o600);
  assert.deepEqual(loadKeyPair(file, noNewPair), pair);
});

test("a damaged file is refused and left as it is", (t) => {
  const file = join(temporaryDirectory(t), "agent.key");
  for (const text of ["", "{", "{}", '{"public":"short","secret":"short"}', "null"]) {
    writeFileSync(file, text, { mode: 0o600 });
    assert.throws(() => loadKeyPair(file, noNewPair), { code: "STATE_UNSAFE" });
    assert.equal(readFileSync(file, "utf8"), text);
  }
});

test("a join token is kept for its owner alone until it has done its work", (t) => {
  const state = temporaryDirectory(t);
  assert.equal(readJoinToken(state), undefined);
  writeJoinToken(state, "abc");
  assert.equal(readJoinToken(state), "abc");
  assert.equal(statSync(join(state, "join-token")).mode & 0o777, 0o600);
  writeJoinToken(state, "def");
  assert.equal(readJoinToken(state), "def");
  removeJoinToken(state);
  removeJoinToken(state);
  assert.equal(readJoinToken(state), undefined);
  assert.ok(!existsSync(join(state, "join-token")));
});
