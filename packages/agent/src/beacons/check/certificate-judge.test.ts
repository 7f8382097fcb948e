import assert from "node:assert/strict";
import { test } from "node:test";
import { type Certificate, judge, type Known, type Seen } from "./certificate-judge.ts";

const day = 86_400_000;
const days = [30, 7, 1];

function certificate(fingerprint: string, notAfterDays: number, names = ["a.example"]): Certificate {
  return { fingerprint, names, notAfter: notAfterDays * day, notBefore: -day, commonName: "a", issuer: "b", serial: "1" };
}

/** What is told of looks, one after the other, each on its day. */
function story(looks: (readonly [number, Seen])[]): string[] {
  let known: Known = {};
  return looks.flatMap(([at, seen]) => {
    const judged = judge(known, seen, { days, now: at * day });
    known = judged.known;
    return judged.tell.map(
      ({ type, data }) =>
        `${at} ${type.slice("certificate.".length)} ${String(data["threshold_days"] ?? data["reason"] ?? data["fingerprint_sha256"])}`,
    );
  });
}

const chain = (...all: Certificate[]): Seen => ({ chain: all });

for (const [promise, looks, expected] of [
  [
    "each threshold is told once, and the end",
    [0, 50, 70, 80, 93.5, 94, 99.5, 100.5, 101].map((at) => [at, chain(certificate("x", 100))] as const),
    ["80 expiring 30", "93.5 expiring 7", "99.5 expiring 1", "100.5 expired x"],
  ],
  ["at the first look only the narrowest threshold is told", [[99.5, chain(certificate("x", 100))]], ["99.5 expiring 1"]],
  [
    "a renewal is told, and its end is counted anew",
    [
      [95, chain(certificate("x", 100))],
      [96, chain(certificate("y", 190))],
      [185, chain(certificate("y", 190))],
    ],
    ["95 expiring 7", "96 renewed y", "185 expiring 7"],
  ],
  [
    "another certificate for other names, or for a shorter time, is no renewal",
    [
      [0, chain(certificate("x", 100))],
      [1, chain(certificate("y", 200, ["b.example"]))],
      [2, chain(certificate("z", 150, ["b.example"]))],
    ],
    ["1 changed y", "2 changed z"],
  ],
  [
    "of a chain the one that ends first counts, and the leaf is what changes",
    [
      [0, chain(certificate("x", 100), certificate("i", 20))],
      [1, chain(certificate("x", 100), certificate("j", 500))],
      [80, chain(certificate("x", 100), certificate("j", 500))],
    ],
    ["0 expiring 30", "80 expiring 30"],
  ],
  [
    "what is wrong is told once, another reason anew, and that it is over",
    [
      [0, { ...chain(certificate("x", 100)), invalid: { reason: "untrusted", message: "" } }],
      [1, { ...chain(certificate("x", 100)), invalid: { reason: "untrusted", message: "" } }],
      [2, { ...chain(certificate("x", 100)), invalid: { reason: "wrong_name", message: "" } }],
      [3, chain(certificate("x", 100))],
    ],
    ["0 invalid untrusted", "2 invalid wrong_name", "3 valid x"],
  ],
  [
    "one that cannot be read for a while is not forgotten",
    [
      [0, chain(certificate("x", 10))],
      [1, { chain: [], invalid: { reason: "unreadable", message: "" } }],
      [2, chain(certificate("y", 10))],
    ],
    ["0 expiring 30", "1 invalid unreadable", "2 changed y", "2 valid y", "2 expiring 30"],
  ],
] as const) {
  test(promise, () => assert.deepEqual(story(looks as unknown as (readonly [number, Seen])[]), expected));
}
