import assert from "node:assert/strict";
import { cpSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test, type TestContext } from "node:test";
import fc from "fast-check";
import { severities, type Severity } from "@needfire/shared/event";
import type { AgentMessage } from "@needfire/shared/wire";
import type { WireEvent } from "@needfire/shared/wire-event";
import { Pump } from "./pump.ts";
import { all, draft, inLane, openSpool, readable, spool, start, temporaryDirectory } from "./spool-fixture.ts";
import type { Spool, SpoolOptions } from "./spool.ts";

type Batch = Extract<AgentMessage, { kind: "events" }>["body"];

const none = { critical: 0, high: 0, normal: 0, low: 0 };
const execution = "t-0123456789abcdef.1";

/** A host whose state can be put back, and a master that tells what it was given. */
function setting(t: TestContext, options: Partial<SpoolOptions> = {}) {
  const base = temporaryDirectory(t);
  const directory = join(base, "state");
  mkdirSync(directory);
  let opened = openSpool(directory, options);
  t.after(() => opened.close());
  const reopened = () => {
    opened.close();
    return (opened = openSpool(directory, options));
  };
  return {
    get spool() {
      return opened;
    },
    reopened,
    path: (name: string) => join(directory, name),
    /** As of a machine that is running. */
    snapshot: () => cpSync(directory, join(base, "snapshot"), { recursive: true }),
    putBack() {
      opened.close();
      rmSync(directory, { recursive: true });
      cpSync(join(base, "snapshot"), directory, { recursive: true });
      return (opened = openSpool(directory, options));
    },
  };
}

function meet(at: Spool, marks: Partial<Record<Severity, number>>, epoch = at.epoch): boolean {
  return at.meet({ epoch, ...none, ...marks });
}

const kinds = (from: Spool) => all(from).map(({ type, data }) => data["n"] ?? type);

test("a master that is behind, level, or ahead of the acknowledgements only, is met as ever: those were lost", (t) => {
  const s = setting(t, { synchronous: "FULL" });
  spool(s.spool, draft(1), draft(2), draft(3));
  const { epoch } = s.spool;
  assert.ok(meet(s.spool, {}));
  for (const sequence of [1, 2, 3]) {
    s.spool.noteSent("normal", sequence);
    assert.ok(meet(s.spool, { normal: sequence }));
  }
  // What a life that met the master gave out may have been sent.
  spool(s.spool, draft(4));
  assert.ok(meet(s.reopened(), { normal: 4 }));
  assert.ok(meet(s.spool, {}), "a master that was put back itself");
  assert.equal(s.spool.epoch, epoch);
});

test("P1: what is said after a snapshot stands in a new numbering, what the master has of before is forgotten, and an event tells", (t) => {
  const s = setting(t, { synchronous: "FULL" });
  spool(s.spool, draft(1), draft(2), draft(3, { severity: "low" }));
  assert.ok(meet(s.spool, {}));
  s.spool.close();
  s.snapshot();
  s.putBack();
  spool(s.spool, draft(4), draft(5));
  const { epoch } = s.spool;
  // The first life went on to number 9.
  assert.equal(meet(s.spool, { normal: 9 }), false);
  assert.ok(parseInt(s.spool.epoch, 36) > parseInt(epoch, 36));
  assert.deepEqual(kinds(s.spool), [3, 4, 5, "spool.turned_back"]);
  const [told] = inLane(s.spool, "high");
  assert.deepEqual(told?.data, { epoch, after: 3, until: 9, lanes: { normal: 9 }, events: 3 });
  assert.equal(meet(s.spool, { normal: 9 }, epoch), false, "of a session that is over");
  assert.ok(meet(s.spool, {}));
  assert.ok(meet(s.reopened(), { normal: 5, low: 3 }));
});

test("it shows however many events were made meanwhile, and whatever restarts there were, as long as the master was not met", (t) => {
  for (const synchronous of ["FULL", "NORMAL"] as const) {
    const s = setting(t, { synchronous });
    spool(s.spool, draft(1));
    meet(s.spool, {});
    s.spool.close();
    s.snapshot();
    s.putBack();
    for (let n = 2; n < 20; n++) {
      spool(s.spool, draft(n));
      if (n % 5 === 0) s.reopened();
    }
    assert.equal(meet(s.spool, { normal: 7 }), false);
    assert.deepEqual(kinds(s.spool), [...Array.from({ length: 18 }, (_value, index) => index + 2), "spool.turned_back"]);
  }
});

test("what was settled stays so in the new numbering, and what was begun is not begun again", (t) => {
  const s = setting(t, { synchronous: "FULL" });
  assert.ok(s.spool.begin({ execution, action: "command.run", priority: "normal" }));
  const report = { execution, action: "command.run", outcome: "succeeded", changed: true, started: start, ended: start } as const;
  s.spool.finish(report, { priority: "normal" });
  meet(s.spool, {});
  s.spool.noteSent("normal", 1);
  s.spool.acknowledge({ epoch: s.spool.epoch, lane: "normal", sequence: 1 });
  assert.equal(meet(s.spool, { low: 7 }), false);
  assert.equal(s.spool.begin({ execution, action: "command.run", priority: "normal" }), false);
  assert.deepEqual(kinds(s.spool), ["spool.turned_back"]);
  s.reopened();
  assert.deepEqual(s.spool.reportInterrupted(), []);
});

test("P3: records that the disk has lost are told, and no command is taken in their numbering, also after a restart", (t) => {
  for (const [what, sql] of [
    ["of a command", "DELETE FROM execution"],
    ["of its end, and the number with it", "DELETE FROM execution; DELETE FROM event_normal; UPDATE numbering SET last = 1"],
  ] as const) {
    const s = setting(t, { synchronous: "FULL" });
    spool(s.spool, draft(1));
    meet(s.spool, {});
    s.spool.begin({ execution, action: "command.run", priority: "normal" });
    const report = { execution, action: "command.run", outcome: "succeeded", changed: true, started: start, ended: start } as const;
    if (what !== "of a command") s.spool.finish(report, { priority: "normal" });
    const { epoch } = s.spool;
    s.spool.close();
    const database = new DatabaseSync(s.path("spool.db"));
    database.exec(sql);
    database.close();
    s.reopened();
    assert.equal(inLane(s.spool, "high")[0]?.type, "spool.damaged", what);
    s.reopened();
    assert.equal(s.spool.epoch, epoch);
    assert.equal(meet(s.spool, {}), false, what);
    assert.deepEqual(
      inLane(s.spool, "high").map(({ type }) => type),
      ["spool.damaged", "spool.turned_back"],
    );
    assert.ok(meet(s.spool, {}));
    assert.ok(meet(s.reopened(), {}));
  }
});

test("a crash on the way into the new numbering, before or after it is on the disk, is nothing to be told", (t) => {
  for (const isThere of [true, false]) {
    const s = setting(t, { synchronous: "FULL" });
    spool(s.spool, draft(1));
    meet(s.spool, {});
    s.snapshot();
    const { epoch } = s.spool;
    assert.equal(meet(s.spool, { low: 7 }), false);
    const next = s.spool.epoch;
    if (!isThere) s.putBack();
    const before = kinds(s.spool);
    s.spool.close();
    writeFileSync(s.path("spool.db-mark"), `${epoch} 1 open 1 none ${next}`.padEnd(127) + "\n");
    s.reopened();
    assert.equal(s.spool.epoch, isThere ? next : epoch);
    assert.deepEqual(kinds(s.spool), before);
    assert.equal(meet(s.spool, { low: 7 }), false);
  }
});

test("a machine that goes on from a snapshot with its memory is found out by what it has sent itself", (t) => {
  const s = setting(t);
  meet(s.spool, {});
  spool(s.spool, draft(1), draft(2));
  s.spool.noteSent("normal", 1);
  assert.ok(meet(s.spool, { normal: 1 }));
  assert.equal(meet(s.spool, { normal: 2 }), false);
  assert.deepEqual(kinds(s.spool), [2, "spool.turned_back"]);
});

/** Takes what follows what it has, drops what it has; each numbering for itself. */
class ModelMaster {
  readonly marks = new Map<string, Record<Severity, number>>();
  readonly delivered: number[] = [];
  readonly numbers = new Set<string>();

  of(epoch: string): Record<Severity, number> {
    if (!this.marks.has(epoch)) this.marks.set(epoch, { ...none });
    return this.marks.get(epoch)!;
  }

  take({ lane, epoch, after, events }: Batch): void {
    const marks = this.of(epoch);
    assert.ok(after <= marks[lane], "the master misses something");
    for (const event of events as WireEvent[]) {
      const { sequence, type, data } = readable(event);
      if (sequence <= marks[lane]) continue;
      marks[lane] = sequence;
      assert.ok(!this.numbers.has(`${epoch}:${sequence}`), "a number twice");
      this.numbers.add(`${epoch}:${sequence}`);
      if (type === "test.happened") this.delivered.push(Number(data["n"]));
    }
  }
}

/** A session: of what the spool has, `frames` batches arrive, and are acknowledged or not. */
function converse(at: Spool, master: ModelMaster, { frames, acknowledges }: { frames: number; acknowledges: boolean }): void {
  const arrived: Batch[] = [];
  const pump = new Pump(at, (message) => {
    assert.ok(message.kind === "events");
    if (arrived.length >= frames) return false;
    arrived.push(structuredClone(message.body));
    return true;
  });
  while (!at.meet({ epoch: at.epoch, ...master.of(at.epoch) }));
  pump.open(20);
  for (const batch of arrived) {
    master.take(batch);
    const { epoch, lane } = batch;
    if (acknowledges) pump.acknowledge({ epoch, lane, sequence: master.of(epoch)[lane], creditEvents: 20 });
  }
  pump.close();
}

const lane = fc.constantFrom(...severities);
const step = fc.oneof(
  { weight: 5, arbitrary: fc.record({ kind: fc.constant("spool" as const), lanes: fc.array(lane, { minLength: 1, maxLength: 6 }) }) },
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constant("talk" as const), frames: fc.integer({ min: 0, max: 5 }), acknowledges: fc.boolean() }),
  },
  { weight: 4, arbitrary: fc.record({ kind: fc.constantFrom("restart" as const, "snapshot" as const, "back" as const, "back" as const) }) },
);

test("P1: however often a host is put back, every event made afterwards is in the journal once, and what waited in the snapshot is there", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  fc.assert(
    fc.property(fc.constantFrom("FULL" as const, "NORMAL" as const), fc.array(step, { maxLength: 30 }), (synchronous, steps) => {
      // Each start is a later one, as on a real host.
      let now = start;
      const s = setting(t, { synchronous, clock: { now: () => now++ } });
      const master = new ModelMaster();
      /** What the present life has made or begun with, and the snapshot's the same. */
      let made = new Set<number>();
      let kept: { made: Set<number>; waiting: Set<number> } | undefined;
      /** What waited in a snapshot comes again with each life that begins with it. */
      const mayComeAgain = new Set<number>();
      let n = 0;
      for (const next of steps) {
        if (next.kind === "spool") {
          for (const severity of next.lanes) {
            made.add(++n);
            spool(s.spool, draft(n, { severity }));
          }
        } else if (next.kind === "talk") converse(s.spool, master, next);
        else if (next.kind === "restart") s.reopened();
        else if (next.kind === "snapshot") {
          const waiting = new Set(all(s.spool).flatMap(({ data }) => (typeof data["n"] === "number" ? [data["n"]] : [])));
          kept = { made: new Set(made), waiting };
          s.snapshot();
        } else if (kept !== undefined) {
          for (const each of kept.waiting) mayComeAgain.add(each);
          made = new Set(kept.made);
          s.putBack();
        }
      }
      for (let rounds = 0; rounds < 100; rounds++) converse(s.spool, master, { frames: 10, acknowledges: true });
      s.spool.close();
      const counts = new Map<number, number>();
      for (const each of master.delivered) counts.set(each, (counts.get(each) ?? 0) + 1);
      for (const each of made) assert.ok(counts.has(each), `${each} is missing`);
      for (const [each, count] of counts) assert.ok(count === 1 || mayComeAgain.has(each), `${each} is there ${count} times`);
    }),
    { numRuns: 150 },
  );
});
