import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { BatchWalker } from "./batch-walk.ts";
import type { EventDraft } from "./event.ts";
import { unpack } from "./pack.ts";
import { decodeFromAgent, encode } from "./wire.ts";
import { checkWireEvent, wireEvent, type WireEvent } from "./wire-event.ts";

const names = { types: ["file.changed", "cpu.high", "app.x"], beacons: ["etc", "load"] };

function knowing(): BatchWalker {
  const walker = new BatchWalker();
  for (const type of names.types)
    for (const beacon of names.beacons) walker.learn(wireEvent(1, { type, beacon, time: 0, severity: "low", data: {} }));
  return walker;
}

function frameOf(events: readonly unknown[], more: { resumed?: boolean; lane?: "low" } = {}): Buffer {
  const body = { lane: "low" as const, epoch: "e1", after: 0, ...more, events: [...events] };
  return encode({ kind: "events", body }, { session: "s".repeat(40), counter: 70_000 });
}

/** What the decoder says: the events, or nothing when something is wrong. */
function decoded(frame: Buffer): WireEvent[] | undefined {
  const found = decodeFromAgent(frame);
  if (!found.ok || found.message.kind !== "events") return undefined;
  const checked = found.message.body.events.map((event) => checkWireEvent(event));
  return checked.every(({ ok }) => ok) ? (found.message.body.events as WireEvent[]) : undefined;
}

const draft = fc.record(
  {
    type: fc.constantFrom(...names.types),
    severity: fc.constantFrom<EventDraft["severity"]>("critical", "high", "normal", "low"),
    time: fc.oneof(fc.integer({ min: 0, max: 2 ** 40 }), fc.double({ min: 0, max: 8e15, noNaN: true }), fc.integer({ min: 0, max: 300 })),
    subject: fc.oneof(fc.string({ maxLength: 300 }), fc.constant("/etc/ü")),
    beacon: fc.constantFrom(...names.beacons),
    data: fc.dictionary(fc.string(), fc.jsonValue(), { maxKeys: 20 }),
  },
  { requiredKeys: ["type", "severity", "time", "data"] },
) as fc.Arbitrary<EventDraft>;
const batch = fc.array(fc.tuple(fc.integer({ min: 1, max: 2 ** 50 }), draft), { minLength: 1, maxLength: 20 });
const eventsOf = (drafts: readonly (readonly [number, EventDraft])[]) => drafts.map(([number, each]) => wireEvent(number, each));

test("a plain batch is walked through, and what is wanted of it lies where it says", () => {
  const plain = batch.filter((drafts) => drafts.every(([, { subject = "" }]) => Buffer.byteLength(subject) === subject.length));
  fc.assert(
    fc.property(plain, fc.subarray(names.types), fc.boolean(), (drafts, wanted, resumed) => {
      const events = eventsOf(drafts);
      const frame = frameOf(events, resumed ? { resumed } : {});
      const walked = knowing().walk(frame, (type) => wanted.includes(type));
      assert.ok(walked !== undefined);
      assert.deepEqual([walked.epoch, walked.events], ["e1", events.length]);
      const found: [number, unknown][] = [];
      for (let at = 0; at < walked.wanted.length; at += 3)
        found.push([walked.wanted[at]!, unpack(frame.subarray(walked.wanted[at + 1], walked.wanted[at + 2]))]);
      assert.deepEqual(
        found,
        [...events.entries()].filter(([, [, type]]) => wanted.includes(type)).map(([at, event]) => [at, event]),
      );
    }),
  );
});

test("whatever bytes are changed, cut or doubled: what is walked through is what the decoder takes", () => {
  const change = fc.record({
    at: fc.nat(),
    byte: fc.integer({ min: 0, max: 255 }),
    how: fc.constantFrom("set", "cut", "insert", "remove"),
  });
  let taken = 0;
  fc.assert(
    fc.property(batch, fc.array(change, { maxLength: 3 }), (drafts, changes) => {
      let frame = frameOf(eventsOf(drafts));
      for (const { at, byte, how } of changes) {
        const place = at % frame.length;
        const [before, after] = [frame.subarray(0, place), frame.subarray(how === "insert" ? place : place + 1)];
        if (how === "cut") frame = Buffer.from(before);
        else frame = Buffer.concat(how === "remove" ? [before, after] : [before, Buffer.of(byte), after]);
        if (frame.length === 0) return;
      }
      const walked = knowing().walk(frame, () => true);
      if (walked === undefined) return;
      taken++;
      const events = decoded(frame);
      assert.ok(events !== undefined, frame.toString("hex"));
      assert.equal(walked.events, events.length);
      for (let at = 0; at < events.length; at++)
        assert.deepEqual(unpack(frame.subarray(walked.wanted[at * 3 + 1], walked.wanted[at * 3 + 2])), events[at]);
    }),
    { numRuns: 3_000 },
  );
  assert.ok(taken > 100, `${taken}`);
});

test("what is not plain is left to the decoder: an unknown name, a cause, letters beyond ASCII, another order, another kind, no events", () => {
  const walk = (frame: Buffer) => knowing().walk(frame, () => true);
  const event = wireEvent(1, { type: "cpu.high", time: 1, severity: "high", subject: "all", data: {} });
  assert.ok(walk(frameOf([event])) !== undefined);
  const others: WireEvent[] = [
    event.with(1, "cpu.low") as WireEvent,
    event.with(5, "unknown") as WireEvent,
    event.with(6, "t-0123456789abcdef.1") as WireEvent,
    event.with(4, "ä") as WireEvent,
    event.with(4, "x".repeat(5_000)) as WireEvent,
    event.with(2, -1) as WireEvent,
    event.with(0, 0) as WireEvent,
    event.with(0, 1.5) as WireEvent,
    event.with(3, "fatal") as WireEvent,
    event.with(7, Buffer.from("c0", "hex")) as WireEvent,
    event.with(7, null) as unknown as WireEvent,
    event.slice(0, 7) as unknown as WireEvent,
  ];
  for (const other of others) assert.equal(walk(frameOf([event, other])), undefined, JSON.stringify(other));
  assert.equal(walk(encode({ kind: "ping", body: {} })), undefined);
  assert.equal(walk(frameOf([])), undefined);
  assert.equal(walk(Buffer.alloc(0)), undefined);
});
