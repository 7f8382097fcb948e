import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import fc from "fast-check";
import { type AgentMessage, decodeFromAgent, encode, frameBytesMax } from "@needfire/shared/wire";
import { Pump } from "./pump.ts";
import { draft, openSpool, spool, temporaryDirectory } from "./spool-fixture.ts";
import type { Spool } from "./spool.ts";

type Batch = Extract<AgentMessage, { kind: "events" }>["body"];

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
  const sequences = () => batches.map(({ events }) => events.map((event) => (event as { sequence: number }).sequence));
  const acknowledge = (sequence: number, epoch = opened.epoch) => pump.acknowledge({ epoch, sequence });
  return { pump, link, batches, sequences, acknowledge };
}

function setting(t: TestContext, count: number) {
  const directory = temporaryDirectory(t);
  let opened = openSpool(directory, { bytesMax: 10 * frameBytesMax });
  spool(opened, ...Array.from({ length: count }, (_value, index) => draft(index + 1)));
  let made = pumpOn(opened);
  const end = () => {
    made.pump.close();
    opened.close();
  };
  t.after(end);
  const restarted = () => {
    end();
    opened = openSpool(directory);
    return (made = pumpOn(opened));
  };
  return { restarted, opened, ...made };
}

test("nothing goes out without a session; then in order, and no more than the credit allows", (t) => {
  const { pump, opened, sequences, acknowledge } = setting(t, 5);
  assert.deepEqual(sequences(), []);
  pump.open(3);
  assert.deepEqual(sequences(), [[1, 2, 3]]);
  acknowledge(2);
  assert.deepEqual(sequences(), [
    [1, 2, 3],
    [4, 5],
  ]);
  spool(opened, draft(6), draft(7));
  assert.deepEqual(sequences().slice(2), []);
  acknowledge(5);
  assert.deepEqual(sequences().slice(2), [[6, 7]]);
});

test("P1: what was acknowledged is forgotten; all else goes out again with the next session, and after a restart", (t) => {
  const { restarted, pump, opened, sequences, acknowledge } = setting(t, 4);
  pump.open(10);
  acknowledge(2);
  pump.close();
  spool(opened, draft(5));
  assert.deepEqual(sequences(), [[1, 2, 3, 4]]);
  pump.open(10);
  assert.deepEqual(sequences().slice(1), [[3, 4, 5]]);
  const second = restarted();
  second.pump.open(10);
  assert.deepEqual(second.sequences(), [[3, 4, 5]]);
});

test("no more is forgotten than was sent, whatever is acknowledged; nor by an acknowledgement of another numbering", (t) => {
  const { pump, opened, acknowledge } = setting(t, 5);
  pump.open(2);
  acknowledge(2, "another");
  acknowledge(5);
  pump.close();
  spool(opened, draft(6));
  assert.deepEqual(
    opened.read(2, 10, 10_000).map(({ sequence }) => sequence),
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

test("P4: an event that fits no frame goes out under its number without what is large in it; a result stays a result", (t) => {
  const { pump, opened, batches, sequences } = setting(t, 1);
  const text = "x".repeat(frameBytesMax);
  const result = {
    execution: "t-0123456789abcdef.1",
    action: "command.run",
    outcome: "succeeded",
    changed: true,
    result: { text },
    started: 1,
    ended: 2,
  };
  spool(opened, draft(2, { data: { text } }), draft(3, { type: "execution.finished", data: result }), draft(4));
  pump.open(100);
  assert.deepEqual(sequences().flat(), [1, 2, 3, 4]);
  const [, large, cut] = batches.flatMap(({ events }) => events as { type: string; data: Record<string, unknown> }[]);
  assert.match(String(large?.data["message"]), /left out: .* does not fit a frame/);
  assert.deepEqual(
    [large?.data["text"], cut?.type, cut?.data["result"], cut?.data["outcome"]],
    [undefined, "execution.finished", undefined, "succeeded"],
  );
});

test("whatever is sent, lost, acknowledged and broken off, every event arrives, in order, within the credit", async (t) => {
  const step = fc.oneof(
    fc.record({ kind: fc.constantFrom("spool", "break", "full", "free") }),
    fc.record({ kind: fc.constant("ack"), upTo: fc.integer({ min: 1, max: 10 }) }),
  );
  const credit = 4;
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const { pump, link, opened, sequences, acknowledge } = setting(t, 1);
      let made = 1;
      let acknowledged = 0;
      const arrived = () => sequences().flat();
      /** As the master acknowledges: the last of what it has without a gap. */
      const continuous = () => {
        let high = acknowledged;
        const have = new Set(arrived());
        while (have.has(high + 1)) high++;
        return high;
      };
      pump.open(credit);
      for (const next of steps) {
        if (next.kind === "spool") spool(opened, draft(++made));
        else if (next.kind === "full") link.full = true;
        else if (next.kind === "free") link.full = false;
        else if (next.kind === "break") {
          pump.close();
          pump.open(credit);
        } else if ("upTo" in next) {
          acknowledged = Math.max(acknowledged, Math.min(continuous(), acknowledged + next.upTo));
          if (acknowledged > 0) acknowledge(acknowledged);
        }
        assert.ok(Math.max(0, ...arrived()) - acknowledged <= credit);
      }
      link.full = false;
      pump.close();
      pump.open(credit);
      while (acknowledged < made) acknowledge((acknowledged = continuous()));
      assert.deepEqual(
        [...new Set(arrived())],
        Array.from({ length: made }, (_value, index) => index + 1),
      );
    }),
    { numRuns: 50 },
  );
});
