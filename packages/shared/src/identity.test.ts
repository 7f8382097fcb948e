import assert from "node:assert/strict";
import { generateKeyPairSync, randomBytes } from "node:crypto";
import { test } from "node:test";
import fc from "fast-check";
import {
  fingerprint,
  formatJoinString,
  helloProof,
  type KeyPair,
  parseJoinString,
  proofHolds,
  rawKey,
  sharedSecret,
  z85Decode,
  z85Encode,
} from "./identity.ts";

function newKeys(): KeyPair {
  const jwk = generateKeyPairSync("x25519").privateKey.export({ format: "jwk" });
  return { publicKey: z85Encode(Buffer.from(jwk.x!, "base64url")), secretKey: z85Encode(Buffer.from(jwk.d!, "base64url")) };
}

test("Z85 is as in RFC 32", () => {
  const bytes = Buffer.from("864fd26fb559f75b", "hex");
  assert.equal(z85Encode(bytes), "HelloWorld");
  assert.deepEqual(z85Decode("HelloWorld"), bytes);
});

test("Z85 comes back for any bytes, and what is not Z85 is refused", () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 0, maxLength: 64 }), (any) => {
      const bytes = any.subarray(0, any.length - (any.length % 4));
      assert.deepEqual(new Uint8Array(z85Decode(z85Encode(bytes))!), new Uint8Array(bytes));
    }),
  );
  for (const text of ["Hello", "#####", "Hell", "Hell\u0000", "He lo", 'He"lo']) {
    const decoded = z85Decode(text);
    if (text !== "Hello") assert.equal(decoded, undefined, JSON.stringify(text));
  }
});

test("a key is 40 characters of Z85, and nothing else is one", () => {
  assert.equal(rawKey(newKeys().publicKey).length, 32);
  for (const text of ["", "HelloWorld", "#".repeat(40), " ".repeat(40)]) assert.throws(() => rawKey(text), { code: "STATE_UNSAFE" });
});

test("both ends compute the same secret, and nobody else does", () => {
  const [agent, master, stranger] = [newKeys(), newKeys(), newKeys()];
  const secret = sharedSecret(agent, master.publicKey);
  assert.deepEqual(sharedSecret(master, agent.publicKey), secret);
  assert.notDeepEqual(sharedSecret(stranger, master.publicKey), secret);
});

test("the keys with which everybody would share a secret are refused with our code", () => {
  assert.throws(() => sharedSecret(newKeys(), z85Encode(Buffer.alloc(32))), { code: "STATE_UNSAFE" });
});

test("a hello's proof holds for what it binds together, and for nothing else", () => {
  const [agent, master] = [newKeys(), newKeys()];
  const secret = sharedSecret(master, agent.publicKey);
  const claim = { routingId: randomBytes(16), challenge: randomBytes(16), agent: "web1", publicKey: agent.publicKey };
  const proof = helloProof(sharedSecret(agent, master.publicKey), claim);
  assert.ok(proofHolds(secret, claim, proof));
  assert.ok(!proofHolds(secret, { ...claim, agent: "web2" }, proof));
  assert.ok(!proofHolds(secret, { ...claim, routingId: randomBytes(16) }, proof));
  assert.ok(!proofHolds(secret, { ...claim, challenge: randomBytes(16) }, proof));
  assert.ok(!proofHolds(secret, { ...claim, publicKey: newKeys().publicKey }, proof));
  assert.ok(!proofHolds(sharedSecret(newKeys(), agent.publicKey), claim, proof));
  assert.ok(!proofHolds(secret, claim, proof.subarray(0, 31)));
  assert.ok(!proofHolds(secret, claim, Buffer.alloc(0)));
});

test("a fingerprint is short enough to compare and the same on both sides", () => {
  const { publicKey } = newKeys();
  assert.match(fingerprint(publicKey), /^([0-9a-f]{4}-){7}[0-9a-f]{4}$/);
  assert.equal(fingerprint(publicKey), fingerprint(publicKey));
  assert.notEqual(fingerprint(publicKey), fingerprint(newKeys().publicKey));
});

test("a join string comes back, with and without a token", () => {
  for (const address of ["master.example.org:4510", "127.0.0.1:1", "[::1]:4510"]) {
    for (const token of [undefined, "abc_DEF-123"]) {
      const join = { address, masterKey: newKeys().publicKey, token };
      const text = formatJoinString(join);
      assert.doesNotMatch(text, /['"$`\\&;|<>() ]/, "it survives an unquoted shell word but for the question mark");
      assert.deepEqual(parseJoinString(` ${text}\n`), join);
    }
  }
});

test("what is no join string is refused in a sentence", () => {
  const good = formatJoinString({ address: "a:1", masterKey: newKeys().publicKey });
  for (const text of [
    "",
    "needfire://",
    good.replace("needfire", "http"),
    `${good}x`,
    `${good}?token=`,
    `${good}?token=a&b`,
    good.replace("a:1", "a"),
    good.replace("a:1", "a b:1"),
  ]) {
    assert.throws(() => parseJoinString(text), { code: "JOIN_STRING_INVALID", message: /expected needfire:\/\/HOST:PORT\/KEY/ }, text);
  }
});
