/**
 * Who is who on the bus. CURVE keys in their three spellings (raw, Z85, base64url), fingerprints for people to compare, the proof in
 * `hello` that ties a connection to a key (P6), and the join string. Computes only; keys are read and written elsewhere.
 */
import { createHash, createHmac, createPrivateKey, createPublicKey, diffieHellman, type KeyObject, timingSafeEqual } from "node:crypto";
import { NeedfireError } from "./errors.ts";

/** A CURVE key pair: X25519, 32 bytes each, as Z85 text of 40 characters (https://rfc.zeromq.org/spec/32/). */
export interface KeyPair {
  publicKey: string;
  secretKey: string;
}

export const routingIdBytes = 16;
export const challengeBytes = 16;

const z85Alphabet = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#";

export function z85Encode(bytes: Uint8Array): string {
  let text = "";
  for (let at = 0; at < bytes.length; at += 4) {
    let value = ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;
    let group = "";
    for (let digit = 0; digit < 5; digit++) {
      group = z85Alphabet[value % 85]! + group;
      value = Math.floor(value / 85);
    }
    text += group;
  }
  return text;
}

/** Undefined when the text is not Z85 of whole 4-byte groups. */
export function z85Decode(text: string): Buffer | undefined {
  if (text.length % 5 !== 0) return undefined;
  const bytes = Buffer.alloc((text.length / 5) * 4);
  for (let group = 0; group < text.length / 5; group++) {
    let value = 0;
    for (let digit = 0; digit < 5; digit++) {
      const index = z85Alphabet.indexOf(text[group * 5 + digit]!);
      if (index < 0) return undefined;
      value = value * 85 + index;
    }
    if (value > 0xffff_ffff) return undefined;
    bytes.writeUInt32BE(value, group * 4);
  }
  return bytes;
}

/** The raw 32 bytes of a key in Z85. */
export function rawKey(z85: string): Buffer {
  const raw = z85.length === 40 ? z85Decode(z85) : undefined;
  if (raw === undefined) throw new NeedfireError("STATE_UNSAFE", "this is not a CURVE key: expected 40 characters of Z85");
  return raw;
}

/** What people compare: the first 16 bytes of the SHA-256 of a public key, as `3f9a-1c0b-27d4-88aa-5e01-c2d3-9b44-7f60`. */
export function fingerprint(publicKey: string): string {
  const hex = createHash("sha256").update(rawKey(publicKey)).digest("hex").slice(0, 32);
  return hex.match(/.{4}/g)!.join("-");
}

/**
 * The X25519 secret that only the holders of the two keys can compute. Throws `STATE_UNSAFE` for text that is no key and for the few
 * keys (all zeros, say) with which everybody would share a secret: a peer may claim any.
 */
export function sharedSecret(own: KeyPair, peerPublicKey: string): Buffer {
  const keys = { privateKey: privateKeyOf(own), publicKey: publicKeyOf(peerPublicKey) };
  try {
    return diffieHellman(keys);
  } catch (cause) {
    throw new NeedfireError("STATE_UNSAFE", "no secret can be shared with this public key", { cause });
  }
}

/** A master proves thousands of peers against one pair, and reading a private key costs more than the secret itself. */
const privateKeys = new WeakMap<KeyPair, KeyObject>();

function privateKeyOf(pair: KeyPair): KeyObject {
  const known = privateKeys.get(pair);
  if (known !== undefined) return known;
  const jwk = {
    kty: "OKP",
    crv: "X25519",
    x: rawKey(pair.publicKey).toString("base64url"),
    d: rawKey(pair.secretKey).toString("base64url"),
  };
  const key = createPrivateKey({ key: jwk, format: "jwk" });
  privateKeys.set(pair, key);
  return key;
}

function publicKeyOf(publicKey: string): KeyObject {
  return createPublicKey({ key: { kty: "OKP", crv: "X25519", x: rawKey(publicKey).toString("base64url") }, format: "jwk" });
}

/** Everything that a `hello` binds together: this connection, this challenge, this name, this key. */
export interface HelloClaim {
  routingId: Uint8Array;
  challenge: Uint8Array;
  agent: string;
  publicKey: string;
}

export function helloProof(secret: Uint8Array, { routingId, challenge, agent, publicKey }: HelloClaim): Buffer {
  const mac = createHmac("sha256", secret).update("needfire hello 1\0");
  return mac.update(routingId).update(challenge).update(`${agent}\0${publicKey}`).digest();
}

export function proofHolds(secret: Uint8Array, claim: HelloClaim, proof: Uint8Array): boolean {
  const expected = helloProof(secret, claim);
  return proof.length === expected.length && timingSafeEqual(expected, proof);
}

/** How to reach a master and be sure that it is the right one. `address`: `host:port`. */
export interface JoinString {
  address: string;
  masterKey: string;
  token?: string | undefined;
}

/** `needfire://HOST:PORT/MASTER-KEY?token=TOKEN`; the key in base64url, since Z85 holds characters that shells and URLs mind. */
export function formatJoinString({ address, masterKey, token }: JoinString): string {
  return `needfire://${address}/${rawKey(masterKey).toString("base64url")}${token === undefined ? "" : `?token=${token}`}`;
}

export function parseJoinString(text: string): JoinString {
  const match =
    /^needfire:\/\/((?:\[[0-9a-fA-F:]+\]|[A-Za-z0-9.-]+):[0-9]{1,5})\/([A-Za-z0-9_-]{43})(?:\?token=([A-Za-z0-9_-]{1,100}))?$/.exec(
      text.trim(),
    );
  if (!match) {
    throw new NeedfireError(
      "JOIN_STRING_INVALID",
      "this is not a join string: expected needfire://HOST:PORT/KEY?token=TOKEN, as `needfire keys token create` prints it",
    );
  }
  return { address: match[1]!, masterKey: z85Encode(Buffer.from(match[2]!, "base64url")), token: match[3] };
}

/** A key pair as the text of a key file. */
export function formatKeyFile({ publicKey, secretKey }: KeyPair): string {
  return `${JSON.stringify({ public: publicKey, secret: secretKey })}\n`;
}

/** Throws `STATE_UNSAFE` when others could read the file (`mode`: its permission bits) or it holds no key pair. */
export function parseKeyFile(file: string, text: string, mode: number): KeyPair {
  if ((mode & 0o077) !== 0) {
    throw new NeedfireError(
      "STATE_UNSAFE",
      `${file} can be read by others, who could pose as its owner: make new keys, or chmod 600 if nobody has read it`,
    );
  }
  try {
    const { public: publicKey, secret: secretKey } = JSON.parse(text) as { public: string; secret: string };
    rawKey(publicKey);
    rawKey(secretKey);
    return { publicKey, secretKey };
  } catch (error) {
    throw new NeedfireError(
      "STATE_UNSAFE",
      `${file} is damaged: expected a key pair as JSON. Restore it from a backup, or remove it to make new keys`,
      {
        cause: error,
      },
    );
  }
}
