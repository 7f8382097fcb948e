import assert from "node:assert/strict";
import { cpSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import fc from "fast-check";
import { severities, type Severity } from "@needfire/shared/event";
import { type AgentMessage, decodeFromAgent, encode, frameBytesMax, inFlightBytesMax } from "@needfire/shared/wire";
import { checkWireEvent } from "@needfire/shared/wire-event";
import { Pump } from "./pump.ts";
import { draft, inLane, openSpool, readable, spool, start, temporaryDirectory } from "./spool-fixture.ts";
import type { Spool, SpoolOptions } from "./spool.ts";

type Batch = Extract<AgentMessage, { kind: "events" }>["body"];

function eventsOf({ events }: Batch) {
  return events.map((value) => {
    const checked = checkWireEvent(value);
    assert.ok(checked.ok, JSON.stringify(checked));
    return readable(checked.event);
  });
}

/** A pump whose link can be full, and keeps what it was handed as it would arrive. */
function pumpOn(opened: Spool) {
  const batches: Batch[] = [];
  const link = { full: false };
  const pump = new Pump(opened, (message) => {
    const frame = encode(message);
    if (link.full) return false;
    const decoded = decodeFromAgent(frame);
    assert.ok(decoded.ok && decoded.message.kind === "events");
    batches.push(decoded.message.body);
    return true;
  });
  const sequences = () => batches.map((batch) => eventsOf(batch).map(({ sequence }) => sequence));
  /** `lane after: numbers` of each batch. */
  const sent = () => batches.map((batch, index) => `${batch.lane} ${batch.after}: ${sequences()[index]!.join(" ")}`);
  const acknowledge = (sequence: number, { lane = "normal" as Severity, epoch = opened.epoch, creditEvents = 100 } = {}) =>
    pump.acknowledge({ lane, epoch, sequence, creditEvents });
  return { pump, link, batches, sequences, sent, acknowledge };
}

function setting(t: TestContext, count: number, options: Partial<SpoolOptions> = { bytesMax: 20 * frameBytesMax }) {
  const directory = temporaryDirectory(t);
  let opened = openSpool(directory, options);
  spool(opened, ...Array.from({ length: count }, (_value, index) => draft(index + 1)));
  let made = pumpOn(opened);
  const end = () => {
    made.pump.close();
    opened.close();
  };
  t.after(end);
  const restarted = () => {
    end();
    opened = openSpool(directory, options);
    return (made = pumpOn(opened));
  };
  return { restarted, opened, ...made };
}

const of = (severity: Severity) => (n: number) => draft(n, { severity });

test("nothing goes out without a session; then in order, and no more than the credit allows", (t) => {
  const { pump, opened, sequences, acknowledge } = setting(t, 5);
  assert.deepEqual(sequences(), []);
  pump.open(4);
  assert.deepEqual(sequences(), [[1, 2, 3]]);
  acknowledge(2, { creditEvents: 4 });
  assert.deepEqual(sequences(), [
    [1, 2, 3],
    [4, 5],
  ]);
  spool(opened, draft(6), draft(7));
  assert.deepEqual(sequences().slice(2), []);
  acknowledge(5, { creditEvents: 4 });
  assert.deepEqual(sequences().slice(2), [[6, 7]]);
});

test("the window may shrink and grow with each acknowledgement", (t) => {
  const { pump, sequences, acknowledge } = setting(t, 20);
  pump.open(12);
  acknowledge(9, { creditEvents: 1 });
  acknowledge(9, { creditEvents: 4 });
  acknowledge(20, { creditEvents: 20 });
  assert.deepEqual(sequences(), [[1, 2, 3, 4, 5, 6, 7, 8, 9], [10], [11, 12], [13, 14, 15, 16, 17, 18, 19, 20].slice(0, 8)]);
});

test("P8: each lane in its own order, the critical first, and a part of the credit is for it alone", (t) => {
  const { pump, opened, sent, acknowledge } = setting(t, 0);
  spool(opened, ...[1, 2, 3, 4].map(of("low")), of("high")(5), of("critical")(6), of("normal")(7));
  spool(opened, of("critical")(8));
  pump.open(8);
  const first = inLane(opened, "critical").map(({ sequence }) => sequence);
  assert.deepEqual(sent()[0], `critical 0: ${first.join(" ")}`);
  assert.deepEqual(
    sent().map((batch) => batch.split(" ")[0]),
    ["critical", "high", "normal", "low"],
  );
  // Two critical and six others: the others may use six of eight at most.
  assert.equal(sent().flatMap((batch) => batch.split(": ")[1]!.split(" ")).length, 8);
  acknowledge(first[0]!, { lane: "critical", creditEvents: 8 });
  acknowledge(first[1]!, { lane: "critical", creditEvents: 8 });
  spool(opened, ...[9, 10].map(of("low")));
  assert.equal(sent().length, 4);
  spool(opened, ...[11, 12, 13].map(of("critical")));
  assert.equal(sent().at(-1)?.split(": ")[0], `critical ${first[1]}`);
  assert.equal(sent().at(-1)?.split(": ")[1]?.split(" ").length, 2);
});

test("however much of the lower lanes is on its way, in events or in bytes, a critical event goes at once", (t) => {
  const { pump, opened, batches } = setting(t, 0);
  const big = { text: "x".repeat(frameBytesMax / 4) };
  spool(opened, ...Array.from({ length: 20 }, (_value, n) => draft(n, { severity: "low", data: big })));
  pump.open(1_000);
  const bytes = batches.flatMap(({ events }) => events as unknown[][]).reduce((total, event) => total + (event[7] as Uint8Array).length, 0);
  assert.ok(bytes <= (inFlightBytesMax * 3) / 4 && bytes > inFlightBytesMax / 2);
  spool(opened, draft(100, { severity: "critical", data: big }));
  assert.equal(batches.at(-1)?.lane, "critical");
});

test("a large event waits for its room, and what is below it does not take that away", (t) => {
  const { pump, opened, sent, acknowledge } = setting(t, 0);
  const text = (bytes: number) => ({ text: "x".repeat(bytes) });
  spool(opened, ...[1, 2, 3, 4, 5, 6].map((n) => draft(n, { severity: "low", data: text(250_000) })));
  pump.open(100);
  spool(opened, draft(7, { severity: "critical", data: text(1_000_000) }), draft(8, { severity: "low" }));
  const low = sent().length;
  for (const sequence of [1, 2, 3]) {
    acknowledge(sequence, { lane: "low" });
    if (sent().length > low) break;
  }
  assert.match(sent()[low]!, /^critical/);
});

test("P1: what was acknowledged is forgotten; all else goes out again with the next session, and after a restart", (t) => {
  const { restarted, pump, opened, sent, acknowledge } = setting(t, 4);
  pump.open(100);
  acknowledge(2);
  pump.close();
  spool(opened, draft(5));
  assert.deepEqual(sent(), ["normal 0: 1 2 3 4"]);
  pump.open(100);
  assert.deepEqual(sent().slice(1), ["normal 2: 3 4 5"]);
  const second = restarted();
  second.pump.open(100);
  assert.deepEqual(second.sent(), ["normal 2: 3 4 5"]);
  second.acknowledge(5, { epoch: opened.epoch });
  const third = restarted();
  third.pump.open(100);
  assert.deepEqual(third.sent(), []);
});

test("`after` is what was sent before in the lane, also across a restart with nothing left in it, and whatever was shed", (t) => {
  const { restarted, pump, opened, sent, acknowledge } = setting(t, 2);
  pump.open(100);
  spool(opened, of("low")(3));
  spool(opened, draft(4));
  acknowledge(4);
  acknowledge(3, { lane: "low" });
  assert.deepEqual(sent(), ["normal 0: 1 2", "low 0: 3", "normal 2: 4"]);
  const second = restarted();
  second.pump.open(100);
  assert.deepEqual(second.sent(), []);
});

test("no more is forgotten than was sent, whatever is acknowledged; nor by an acknowledgement of another numbering", (t) => {
  const { pump, opened, acknowledge } = setting(t, 5);
  pump.open(3);
  acknowledge(2, { epoch: "another" });
  acknowledge(5, { creditEvents: 1 });
  pump.close();
  spool(opened, draft(6));
  opened.shedAged(); // with other chores what was acknowledged goes, too
  assert.deepEqual(
    inLane(opened, "normal").map(({ sequence }) => sequence),
    [3, 4, 5, 6],
  );
});

test("a link that takes no more is tried again with the next thing that happens, and nothing is passed over", (t) => {
  const { pump, link, opened, sequences } = setting(t, 2);
  link.full = true;
  pump.open(10);
  link.full = false;
  spool(opened, draft(3));
  assert.deepEqual(sequences(), [[1, 2, 3]]);
});

test("without an acknowledgement what is on its way goes out again after a while, and what is sent meanwhile does not put that off", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { pump, opened, sequences, acknowledge } = setting(t, 1);
  pump.open(10);
  t.mock.timers.tick(10_000);
  spool(opened, draft(2));
  t.mock.timers.tick(5_000);
  assert.deepEqual(sequences(), [[1], [2], [1, 2]]);
  acknowledge(2);
  t.mock.timers.tick(60_000);
  assert.equal(sequences().length, 3);
});

test("a rewind sends all that is not acknowledged anew, once for many, and nothing goes out before it", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { pump, opened, sent, acknowledge } = setting(t, 3);
  pump.open(100);
  acknowledge(1);
  pump.rewind();
  pump.rewind();
  spool(opened, draft(4), of("critical")(5));
  assert.deepEqual(sent(), ["normal 0: 1 2 3"]);
  t.mock.timers.tick(20);
  t.mock.timers.tick(20);
  assert.deepEqual(sent().slice(1), ["critical 0: 4", "normal 1: 2 3 5"]);
});

test("an event on its way is not read back from the spool, unless something was left before it", (t) => {
  const { pump, opened, sequences, acknowledge } = setting(t, 0);
  const read = t.mock.method(opened, "read");
  pump.open(4);
  const calls = () => read.mock.calls.filter(({ result }) => (result?.length ?? 0) > 0).length;
  spool(opened, draft(1), draft(2), draft(3), draft(4), draft(5));
  assert.deepEqual([sequences(), calls()], [[[1, 2, 3]], 0]);
  acknowledge(3, { creditEvents: 4 });
  assert.deepEqual([sequences().at(-1), calls()], [[4, 5], 1]);
});

const lane = fc.constantFrom(...severities);
const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant("spool" as const), lanes: fc.array(lane, { minLength: 1, maxLength: 8 }) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("ack" as const), credit: fc.integer({ min: 1, max: 9 }) }) },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constantFrom("break" as const, "full" as const, "free" as const, "rewind" as const, "crash" as const),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("lose" as const), frames: fc.integer({ min: 1, max: 3 }) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("restart" as const) }) },
);

/** The master as the protocol has it: takes a batch that follows what it has, drops what it has already, asks for the rest anew. */
class ModelMaster {
  readonly delivered: Record<Severity, number[]> = { critical: [], high: [], normal: [], low: [] };
  readonly last: Record<Severity, number> = { critical: 0, high: 0, normal: 0, low: 0 };
  rewindWanted = false;

  take(batch: Batch): void {
    const name = batch.lane;
    if (batch.after > this.last[name]) {
      this.rewindWanted = true;
      return;
    }
    for (const { sequence, data, time } of eventsOf(batch)) {
      assert.equal(time, start + Number(data["n"] ?? 0));
      if (sequence <= this.last[name]) continue;
      this.last[name] = sequence;
      this.delivered[name].push(Number(data["n"]));
    }
  }
}

test("whatever is sent, lost, refused, broken off, killed and started again, every event arrives once, in its lane's order", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const base = temporaryDirectory(t);
      let directory = join(base, "0");
      mkdirSync(directory);
      const master = new ModelMaster();
      const made: Record<Severity, number[]> = { critical: [], high: [], normal: [], low: [] };
      let opened = openSpool(directory);
      let at = pumpOn(opened);
      let n = 0;
      let lose = 0;
      let lives = 0;
      let heard = 0;
      let credit = 8;
      const hear = () => {
        for (; heard < at.batches.length; heard++) {
          if (lose > 0) lose--;
          else master.take(at.batches[heard]!);
        }
      };
      const acknowledge = () => {
        for (const name of severities) {
          if (master.last[name] > 0) at.acknowledge(master.last[name], { lane: name, creditEvents: credit });
        }
        if (master.rewindWanted) at.pump.rewind();
        master.rewindWanted = false;
        t.mock.timers.tick(20);
      };
      const begin = () => {
        at = pumpOn(opened);
        heard = 0;
        at.pump.open(credit);
      };
      at.pump.open(credit);
      for (const next of steps) {
        if (next.kind === "spool") {
          spool(
            opened,
            ...next.lanes.map((severity) => {
              made[severity].push(++n);
              return draft(n, { severity });
            }),
          );
        } else if (next.kind === "ack") {
          credit = next.credit;
          hear();
          acknowledge();
        } else if (next.kind === "full") at.link.full = true;
        else if (next.kind === "free") at.link.full = false;
        else if (next.kind === "lose") lose = next.frames;
        else if (next.kind === "rewind") {
          at.pump.rewind();
          t.mock.timers.tick(20);
        } else if (next.kind === "break") {
          hear();
          at.pump.close();
          at.pump.open(credit);
        } else if (next.kind === "restart") {
          at.pump.close();
          opened.close();
          opened = openSpool(directory);
          begin();
        } else {
          // What a killed process leaves behind: its files as they are.
          at.pump.close();
          const after = join(base, String(++lives));
          cpSync(directory, after, { recursive: true });
          opened.close();
          directory = after;
          opened = openSpool(directory);
          begin();
        }
      }
      at.link.full = false;
      lose = 0;
      at.pump.close();
      at.pump.open(credit);
      for (let rounds = 0; rounds < 400 && opened.count() > 0; rounds++) {
        hear();
        acknowledge();
        t.mock.timers.tick(1_000);
      }
      at.pump.close();
      assert.equal(opened.count(), 0, "all of it is acknowledged");
      opened.close();
      assert.deepEqual(master.delivered, made);
    }),
    { numRuns: 40 },
  );
});

test("P4: with a full spool every event arrives in its lane's order or is counted as shed", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const sizes = fc.record({ severity: lane, bytes: fc.integer({ min: 1, max: 900 }) });
  const burst = fc.record({ drafts: fc.array(sizes, { minLength: 1, maxLength: 12 }), hear: fc.boolean() });
  fc.assert(
    fc.property(fc.array(burst, { maxLength: 12 }), (bursts) => {
      const opened = openSpool(temporaryDirectory(t), { bytesMax: 4_000 });
      const at = pumpOn(opened);
      let n = 0;
      let heard = 0;
      const last: Partial<Record<Severity, number>> = {};
      const arrived: Partial<Record<Severity, number[]>> = {};
      const shed: Partial<Record<Severity, number>> = {};
      const hear = () => {
        for (; heard < at.batches.length; heard++) {
          const batch = at.batches[heard]!;
          assert.ok(batch.after <= (last[batch.lane] ?? 0));
          for (const { sequence, type, data } of eventsOf(batch)) {
            if (sequence <= (last[batch.lane] ?? 0)) continue;
            last[batch.lane] = sequence;
            if (type === "spool.shed") {
              for (const [name, count] of Object.entries(data["lanes"] as object))
                shed[name as Severity] = (shed[name as Severity] ?? 0) + Number(count);
            } else (arrived[batch.lane] ??= []).push(Number(data["n"]));
          }
          at.acknowledge(last[batch.lane]!, { lane: batch.lane });
        }
      };
      const made: Partial<Record<Severity, number[]>> = {};
      at.pump.open(3);
      for (const { drafts, hear: listening } of bursts) {
        spool(
          opened,
          ...drafts.map(({ severity, bytes }) => {
            (made[severity] ??= []).push(++n);
            return draft(n, { severity, data: { n, text: "x".repeat(bytes) } });
          }),
        );
        if (listening) hear();
      }
      for (let rounds = 0; rounds < 30; rounds++) {
        hear();
        t.mock.timers.tick(1_000);
      }
      at.pump.close();
      opened.close();
      for (const name of severities) {
        const came = arrived[name] ?? [];
        assert.deepEqual(
          came,
          came.toSorted((a, b) => a - b),
        );
        // What was shed after it had been sent, and arrived all the same, is counted in both.
        assert.ok(
          came.length + (shed[name] ?? 0) >= (made[name] ?? []).length,
          `${name}: ${came.length} and ${shed[name]} of ${made[name]?.length}`,
        );
        assert.ok((shed[name] ?? 0) <= (made[name] ?? []).length);
      }
    }),
    { numRuns: 40 },
  );
});
