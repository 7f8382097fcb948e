import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Packr } from "msgpackr";
import type { EventDraft } from "./event.ts";
import { frameFault } from "./frame-scan.ts";
import { pack } from "./pack.ts";
import { checkWireEvent, eventOfWire, wireEvent } from "./wire-event.ts";
import { decodeFromAgent, decodeFromMaster, encode, frameBytesMax, glance, wireVersion } from "./wire.ts";
import { fromAgent, fromMaster } from "./wire-fixture.ts";

const digest = "0123456789abcdef".repeat(4);
const execution = "t-3f9a1c0b27d40000.1";
const draft = {
  type: "file.changed",
  time: 1.5e12,
  severity: "high" as const,
  subject: "/etc/motd",
  data: { path: "/etc/motd", n: null, list: [1, -2, 2.5, true] },
} satisfies EventDraft;
const event = wireEvent(7, draft);
const envelope = { session: "secret", counter: 42 };

test("every kind of message comes back as it was", () => {
  for (const message of fromAgent) assert.deepEqual(decodeFromAgent(encode(message, envelope)), { ok: true, envelope, message });
  for (const message of fromMaster) assert.deepEqual(decodeFromMaster(encode(message, envelope)), { ok: true, envelope, message });
});

test("a message of one side is none of the other's", () => {
  for (const message of fromAgent) assert.equal(decodeFromMaster(encode(message)).ok, false, message.kind);
  for (const message of fromMaster) assert.equal(decodeFromAgent(encode(message)).ok, false, message.kind);
});

test("a key without a value is left out, not sent as something that the other side refuses", () => {
  const message = { kind: "facts", body: { facts: { known: 1, unknown: undefined }, labels: {}, beacons: "", files: "" } } as const;
  const decoded = decodeFromAgent(encode(message));
  assert.ok(decoded.ok && decoded.message.kind === "facts");
  assert.deepEqual(decoded.message.body.facts, { known: 1 });
});

test("a mutated frame never throws and never becomes a message that does not fit", () => {
  const frames = [...fromAgent, ...fromMaster].map((message) => encode(message, envelope));
  const mutation = fc.record({
    frame: fc.nat({ max: frames.length - 1 }),
    at: fc.nat({ max: 400 }),
    bytes: fc.uint8Array({ minLength: 0, maxLength: 6 }),
    cut: fc.nat({ max: 6 }),
  });
  fc.assert(
    fc.property(mutation, ({ frame, at, bytes, cut }) => {
      const original = frames[frame]!;
      const place = at % original.length;
      const mutated = Buffer.concat([original.subarray(0, place), bytes, original.subarray(place + cut)]);
      for (const decode of [decodeFromAgent, decodeFromMaster]) {
        const decoded = decode(mutated);
        if (!decoded.ok) assert.equal(typeof decoded.reason, "string");
        // What was taken fits the schema: its own encoding is taken again.
        else assert.deepEqual(decode(encode(decoded.message, decoded.envelope)), decoded);
      }
    }),
    { numRuns: 10_000 },
  );
});

test("random bytes never throw and are never a message", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      assert.equal(decodeFromAgent(bytes).ok, false);
      assert.equal(decodeFromMaster(bytes).ok, false);
    }),
    { numRuns: 5_000 },
  );
});

test("extensions of MessagePack are refused before anything is built of them", () => {
  const rich = new Packr({ useRecords: false, moreTypes: true, structuredClone: true });
  const cycle: Record<string, unknown> = {};
  cycle["self"] = cycle;
  const hostile = {
    date: new Date(),
    set: new Set([1]),
    pattern: /(a+)+$/,
    error: new Error("x"),
    big: 2n ** 200n,
    typed: new Float64Array(2),
    nothing: [undefined],
    cycle,
  };
  for (const [name, value] of Object.entries(hostile)) {
    const frame = rich.pack([wireVersion, "facts", "", 1, { facts: { value }, labels: {}, beacons: "", files: "" }]);
    const decoded = decodeFromAgent(frame);
    assert.ok(!decoded.ok, name);
    assert.match(decoded.reason, /holds an extension/, name);
  }
  const records = new Packr({ useRecords: true }).pack([wireVersion, "ping", "", 1, {}, { a: 1 }]);
  assert.match(String(frameFault(records)), /holds an extension/);
});

test("lengths that a frame cannot hold, depth without end and leftovers are refused", () => {
  for (const hex of ["ddffffffff", "dfffffffff", "dbffffffff", "c6ffffffff", "95", "", "dc"]) {
    assert.equal(frameFault(Buffer.from(hex, "hex")), "it ends too early", hex);
  }
  assert.match(String(frameFault(Buffer.alloc(frameBytesMax, 0x91))), /nested deeper/);
  assert.match(String(frameFault(Buffer.from("c0c0", "hex"))), /something follows/);
  assert.equal(frameFault(Buffer.from("93c0a161cb0000000000000000", "hex")), undefined);
});

test("the scan and the decoder agree about every value that JSON can hold", () => {
  const plain = new Packr({ useRecords: false });
  fc.assert(fc.property(fc.jsonValue({ maxDepth: 6 }), (value) => assert.equal(frameFault(plain.pack(value)), undefined)));
});

test("a frame over the cap is neither sent nor read", () => {
  const large = { kind: "facts", body: { facts: { text: "x".repeat(frameBytesMax) }, labels: {}, beacons: "", files: "" } } as const;
  assert.throws(() => encode(large), { code: "FRAME_TOO_LARGE" });
  const decoded = decodeFromAgent(Buffer.alloc(frameBytesMax + 1));
  assert.ok(!decoded.ok);
  assert.match(decoded.reason, /over the limit/);
});

test("a key __proto__ from a host changes no prototype", () => {
  const facts = new Map<string, unknown>([
    ["__proto__", { polluted: true }],
    ["constructor", { prototype: { polluted: true } }],
  ]);
  const decoded = decodeFromAgent(
    new Packr({ useRecords: false }).pack([wireVersion, "facts", "", 1, { facts, labels: {}, beacons: "", files: "" }]),
  );
  assert.equal(({} as Record<string, unknown>)["polluted"], undefined);
  assert.ok(decoded.ok && decoded.message.kind === "facts");
  assert.equal(Object.getPrototypeOf(decoded.message.body.facts), Object.prototype);
});

test("kinds that objects have by birth are no kinds of message", () => {
  for (const kind of ["constructor", "__proto__", "toString", ""]) {
    assert.equal(decodeFromAgent(new Packr({ useRecords: false }).pack([wireVersion, kind, "", 1, {}])).ok, false, kind);
  }
});

test("a version that is no number is refused in few words, also one that cannot become text", () => {
  const plain = new Packr({ useRecords: false });
  for (const version of [
    { toString: 1 },
    { valueOf: null, toString: null },
    Array.from({ length: 100_000 }, () => "x"),
    "x".repeat(100_000),
    null,
  ]) {
    const decoded = decodeFromAgent(plain.pack([version, "ping", "", 1, {}]));
    assert.ok(!decoded.ok);
    assert.ok(decoded.reason.length < 100, decoded.reason.slice(0, 200));
  }
});

test("an agent cannot say more of an event than is its to say", () => {
  assert.ok(checkWireEvent(event).ok);
  assert.equal(checkWireEvent([...event, "web2:1:1"]).ok, false);
  assert.equal(checkWireEvent(event.slice(0, 7)).ok, false);
  assert.equal(checkWireEvent({ ...draft, sequence: 1 }).ok, false);
  const bad: [index: number, value: unknown][] = [
    [0, 0],
    [0, 1.5],
    [1, "changed"],
    [2, Number.NaN],
    [3, "fatal"],
    [4, 5],
    [4, "x".repeat(5_000)],
    [5, "../beacon"],
    [6, {}],
    [7, { n: 1 }],
    [7, null],
    [7, pack([1])],
    [7, pack("text")],
    [7, pack({ binary: Buffer.from("x") })],
    [7, pack({ n: 1 }).subarray(0, 2)],
    [7, Buffer.from([0x81, 0xa1, 0x61, 0xd4, 0x01, 0x00])],
  ];
  for (const [index, value] of bad) assert.equal(checkWireEvent(event.with(index, value as never)).ok, false, `${index}: ${String(value)}`);
  // What has been taken as a beacon's name is no type, and the other way round.
  assert.ok(checkWireEvent(event.with(5, "etc")).ok);
  assert.equal(checkWireEvent(event.with(1, "etc")).ok, false);
  assert.equal(checkWireEvent(event.with(5, "file.changed")).ok, false);
});

test("an event comes out of a frame as it was drafted", () => {
  const arrival = { agent: "web1", epoch: "mi4k2x", received: 5 };
  assert.deepEqual(eventOfWire(arrival, event, 9), {
    ...draft,
    position: 9,
    id: "web1:mi4k2x:7",
    source: "/agents/web1",
    agent: "web1",
    received: 5,
  });
  const whole = { ...draft, beacon: "etc", cause: execution };
  const decoded = decodeFromAgent(encode({ kind: "events", body: { lane: "high", epoch: "e1", after: 0, events: [wireEvent(1, whole)] } }));
  assert.ok(decoded.ok && decoded.message.kind === "events");
  const checked = checkWireEvent(decoded.message.body.events[0]);
  assert.ok(checked.ok);
  assert.deepEqual(eventOfWire(arrival, checked.event, 1), {
    ...whole,
    position: 1,
    id: "web1:mi4k2x:1",
    source: "/agents/web1/beacons/etc",
    agent: "web1",
    received: 5,
  });
});

test("a glance tells of a frame what decoding it would, of all that is ours, and never throws", () => {
  for (const counter of [0, 1, 127, 128, 255, 256, 65_536, 2 ** 32, 2 ** 40]) {
    for (const message of fromAgent) {
      const lane = message.kind === "events" ? message.body.lane : undefined;
      assert.deepEqual(glance(encode(message, { session: "s".repeat(40), counter })), {
        ok: true,
        kind: message.kind,
        envelope: { session: "s".repeat(40), counter },
        lane,
      });
    }
  }
  const frames = fromAgent.map((message) => encode(message, envelope));
  fc.assert(
    fc.property(fc.nat({ max: frames.length - 1 }), fc.nat({ max: 60 }), fc.uint8Array({ maxLength: 6 }), (index, at, bytes) => {
      const frame = Buffer.from(frames[index]!);
      Buffer.from(bytes).copy(frame, Math.min(at, frame.length));
      const seen = glance(frame);
      const decoded = decodeFromAgent(frame);
      // What a glance sees is what decoding sees.
      if (decoded.ok && seen.ok) assert.deepEqual([seen.kind, seen.envelope], [decoded.message.kind, decoded.envelope]);
      glance(frame.subarray(0, at));
    }),
  );
});

test("a master's command names an action that exists, and a blob holds bytes", () => {
  const unknown = decodeFromMaster(encode({ kind: "execute", body: { execution, action: "rm.everything", args: {}, priority: "low" } }));
  assert.deepEqual(unknown, { ok: false, reason: 'there is no action "rm.everything"' });
  assert.equal(decodeFromMaster(encode({ kind: "blob", body: { digest, offset: 0, total: 1, bytes: "x" } })).ok, false);
});
