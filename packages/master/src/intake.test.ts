import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type Severity, severities } from "@needfire/shared/event";
import { inFlightBytesMax, type MasterMessage } from "@needfire/shared/wire";
import type { EventsFrame, Verdict } from "./admission.ts";
import { settled, silent, TestClock } from "./fixture.ts";
import { Intake } from "./intake.ts";
import type { Session } from "./sessions.ts";

interface Slice {
  frames: EventsFrame[];
  urgent: boolean;
  done(verdict?: (frame: EventsFrame, index: number) => Verdict): void;
  fail(): void;
}

/** A frame that is its number. */
const frameOf = (number: number, bytes = 4) => {
  const frame = Buffer.alloc(bytes);
  frame.writeUInt32BE(number);
  return frame;
};
const numberOf = ({ frame }: EventsFrame) => Buffer.from(frame).readUInt32BE();
const taken = (frame: EventsFrame): Verdict => ({ kind: "taken", lane: "low", epoch: "e1", sequence: numberOf(frame), resumed: false });

/** Intake with an engine that answers when the test says so. */
function setting({ creditEvents = 2_000, sessions = 1, sieve = (): number[] | undefined => undefined } = {}) {
  const slices: Slice[] = [];
  const said: [agent: string, message: MasterMessage][] = [];
  const open = new Map<string, Session>();
  const intake = new Intake({
    take: (shared, urgent) => {
      const { promise, resolve, reject } = Promise.withResolvers<Verdict[]>();
      const frames = shared.map((each) => ({ ...each, frame: each.frame.slice() }));
      const done: Slice["done"] = (verdict = taken) => {
        assert.deepEqual(frames, shared, "what the engine reads stays as it was until it has answered");
        resolve(frames.map(verdict));
      };
      slices.push({ frames, urgent, done, fail: () => reject(new Error("no room")) });
      return promise;
    },
    send: ({ agent }, message) => void said.push([agent, message]),
    mask: (frame) => frame,
    sieve,
    isOpen: (session) => open.get(session.agent) === session,
    sessions: () => sessions,
    clock: new TestClock(),
    log: silent,
    creditEvents,
  });
  const session = (agent: string) => {
    const made = { agent } as Session;
    open.set(agent, made);
    return made;
  };
  const acknowledged = () => said.flatMap(([, { kind, body }]) => (kind === "ack" ? [body.sequence] : []));
  const rewinds = () => said.filter(([, { kind }]) => kind === "rewind").length;
  return { intake, slices, said, open, session, acknowledged, rewinds };
}

test("P1: a batch is acknowledged when the engine has made it durable, not before", async () => {
  const { intake, slices, session, acknowledged } = setting();
  const web1 = session("web1");
  intake.take(web1, "low", frameOf(1));
  intake.take(web1, "low", frameOf(2));
  await settled();
  assert.deepEqual(slices[0]!.frames.map(numberOf), [1, 2]);
  assert.deepEqual(acknowledged(), []);
  slices[0]!.done();
  await settled();
  assert.deepEqual(acknowledged(), [1, 2]);
});

test("P8: critical events do not wait for slices of others, higher lanes go first, and within a lane the order stays", async () => {
  const { intake, slices, session } = setting();
  const web1 = session("web1");
  const big = 150_000;
  const many = Array.from({ length: 16 }, (_, index) => index + 1);
  for (const number of many) intake.take(web1, "low", frameOf(number, big));
  await settled();
  const atTheEngine = slices.length;
  assert.ok(slices.flatMap(({ frames }) => frames).length < many.length, "the rest waits here");
  intake.take(web1, "normal", frameOf(20, big));
  intake.take(web1, "critical", frameOf(30, big));
  intake.take(web1, "critical", frameOf(31, 10));
  await settled();
  const urgent = slices.slice(atTheEngine);
  assert.deepEqual(
    urgent.map(({ frames, urgent: isUrgent }) => [frames.map(numberOf), isUrgent]),
    [[[30, 31], true]],
    "although the engine has not answered yet",
  );
  const order: number[] = [];
  for (let at = 0; at < slices.length; at++) {
    order.push(...slices[at]!.frames.map(numberOf));
    slices[at]!.done();
    await settled();
  }
  assert.ok(order.indexOf(20) < order.indexOf(16));
  const low = order.filter((number) => number < 20);
  assert.deepEqual(low, many);
});

test("P8: what the engine must look at comes in slices that end soon, so that nothing has to wait long for the turn of one", async () => {
  const heardEach = 100;
  const sieve = () => Array.from({ length: heardEach }, (_, at) => at);
  const lengths = async (critical: boolean) => {
    const { intake, slices, session } = setting({ sieve });
    const web1 = session("web1");
    if (critical) intake.take(web1, "critical", frameOf(0));
    for (let number = 1; number <= 12; number++) intake.take(web1, "low", frameOf(number));
    for (let at = 0; await settled(), at < slices.length; at++) slices[at]!.done();
    const others = slices.filter(({ urgent }) => !urgent);
    assert.equal(others.flatMap(({ frames }) => frames).length, 12);
    return others.map(({ frames }) => frames.length);
  };
  assert.deepEqual(await lengths(false), [5, 5, 2]);
  assert.deepEqual(await lengths(true), [2, 2, 2, 2, 2, 2], "while critical events come");
});

test("P8: while critical events come the others go to the engine one slice at a time, and by themselves when they are over", async () => {
  const { intake, slices, session } = setting({ sieve: () => Array.from({ length: 200 }, (_, at) => at) });
  const web1 = session("web1");
  intake.take(web1, "critical", frameOf(0));
  for (let number = 1; number <= 8; number++) {
    intake.take(web1, "low", frameOf(number));
    await settled();
  }
  const open = () => slices.filter(({ urgent }) => !urgent);
  assert.equal(open().length, 1);
  for (let at = 0; at < slices.length; at++) {
    slices[at]!.done();
    // One more comes in the very moment in which the last one ends.
    if (at === 4) intake.take(web1, "low", frameOf(9));
    await settled();
  }
  assert.deepEqual(
    open().flatMap(({ frames }) => frames.map(numberOf)),
    [1, 2, 3, 4, 5, 6, 7, 8, 9],
  );
});

test("a batch that cannot be looked at is asked for again, and what waits behind it is taken", async () => {
  let looks = 0;
  const sieve = () => {
    if (++looks === 1) throw new Error("a condition that throws");
    return [];
  };
  const { intake, slices, session, rewinds } = setting({ sieve });
  intake.take(session("web1"), "low", frameOf(1));
  await settled();
  intake.take(session("web2"), "low", frameOf(2));
  await settled();
  assert.deepEqual(slices[0]!.frames.map(numberOf), [2]);
  assert.equal(rewinds(), 1);
});

test("P4: more than a session may have here is left out, and asked for once when there is room", async () => {
  const { intake, slices, session, rewinds } = setting();
  const web1 = session("web1");
  const frames = 8;
  for (let number = 1; number <= frames; number++) intake.take(web1, "low", frameOf(number, inFlightBytesMax));
  await settled();
  assert.equal(rewinds(), 0);
  for (let at = 0; at < slices.length; at++) {
    slices[at]!.done();
    await settled();
  }
  assert.ok(slices.flatMap((slice) => slice.frames).length < frames);
  assert.equal(rewinds(), 1);
});

test("one that is told to begin anew is told so once, whatever else of it is on its way", async () => {
  const { intake, slices, session, rewinds } = setting();
  const web1 = session("web1");
  const early = (frame: EventsFrame): Verdict => ({ kind: "rewind", lane: "low", resumed: numberOf(frame) === 9 });
  for (const number of [3, 4, 5]) intake.take(web1, "low", frameOf(number));
  await settled();
  slices[0]!.done(early);
  await settled();
  intake.take(web1, "low", frameOf(6));
  await settled();
  slices[1]!.done(early);
  await settled();
  assert.equal(rewinds(), 1);
  // It began anew, and again something is missing.
  intake.take(web1, "low", frameOf(9));
  await settled();
  slices[2]!.done(early);
  await settled();
  assert.equal(rewinds(), 2);
});

test("what an engine could not take at all is asked for again", async () => {
  const { intake, slices, session, rewinds, acknowledged } = setting();
  const web1 = session("web1");
  intake.take(web1, "low", frameOf(1));
  await settled();
  slices[0]!.fail();
  await settled();
  assert.equal(rewinds(), 1);
  assert.deepEqual(acknowledged(), []);
});

test("a session that was closed gives nothing more: neither what waits is taken, nor is anything acknowledged", async () => {
  const { intake, slices, session, open, said } = setting();
  const web1 = session("web1");
  const frames = 6;
  for (let number = 1; number <= frames; number++) intake.take(web1, "low", frameOf(number, 390_000));
  await settled();
  open.delete("web1");
  for (let at = 0; at < slices.length; at++) {
    slices[at]!.done();
    await settled();
  }
  assert.ok(slices.flatMap((slice) => slice.frames).length < frames);
  assert.deepEqual(said, []);
});

test("what no honest agent sends is dropped without an answer, and what comes after it is taken", async () => {
  const { intake, slices, session, said, acknowledged } = setting();
  const web1 = session("web1");
  intake.take(web1, "low", frameOf(1));
  intake.take(web1, "low", frameOf(2));
  await settled();
  slices[0]!.done((frame) => (numberOf(frame) === 1 ? { kind: "refused", reason: "numbers" } : taken(frame)));
  await settled();
  assert.deepEqual(acknowledged(), [2]);
  assert.equal(said.length, 1);
});

test("credit: what is configured for a few agents, a share of what there is room for among very many, never nothing", () => {
  assert.equal(setting({ creditEvents: 500, sessions: 3 }).intake.credit(), 500);
  assert.equal(setting({ sessions: 1_000 }).intake.credit(), 200);
  assert.equal(setting({ sessions: 1_000_000 }).intake.credit(), 20);
  assert.equal(setting({ sessions: 0 }).intake.credit(), 2_000);
});

test("every frame of an open session is taken once and in its lane's order, or the session is asked to begin anew", async () => {
  const step = fc.record({ lane: fc.constantFrom(...severities), kilobytes: fc.integer({ min: 1, max: 1_000 }), answer: fc.boolean() });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
      const { intake, slices, session, rewinds } = setting();
      const web1 = session("web1");
      const given: Record<Severity, number[]> = { critical: [], high: [], normal: [], low: [] };
      let answered = 0;
      for (const [number, { lane, kilobytes, answer }] of steps.entries()) {
        given[lane].push(number);
        intake.take(web1, lane, frameOf(number, kilobytes * 1_000));
        await Promise.resolve();
        if (answer && answered < slices.length) slices[answered++]!.done();
        await settled();
      }
      for (; answered < slices.length; answered++) {
        slices[answered]!.done();
        await settled();
      }
      const order = slices.flatMap(({ frames }) => frames.map(numberOf));
      for (const lane of severities) {
        const expected = given[lane];
        const found = order.filter((number) => expected.includes(number));
        assert.deepEqual(
          found,
          [...found].toSorted((a, b) => a - b),
        );
        if (found.length < expected.length) assert.ok(rewinds() > 0);
      }
    }),
    { numRuns: 100 },
  );
});
