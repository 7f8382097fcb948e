import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { appendFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import type { ExecutionReport } from "@needfire/shared/action";
import { severities } from "@needfire/shared/event";
import { dataProblem } from "@needfire/shared/event-types";
import { frameBytesMax } from "@needfire/shared/wire";
import type { Spool, SpoolOptions } from "./spool.ts";
import { all, day, draft, inLane, openSpool, spool, start, temporaryDirectory } from "./spool-fixture.ts";

function setting(t: TestContext, options: Partial<SpoolOptions> = {}) {
  const directory = temporaryDirectory(t);
  let opened = openSpool(directory, options);
  t.after(() => opened.close());
  return {
    directory,
    get spool() {
      return opened;
    },
    reopened(again: Partial<SpoolOptions> = options): Spool {
      opened.close();
      return (opened = openSpool(directory, again));
    },
  };
}

const numbers = (from: Spool) => all(from).map(({ sequence }) => sequence);
const acknowledge = (at: Spool, lane: "critical" | "high" | "normal" | "low", sequence: number, epoch = at.epoch) =>
  at.acknowledge({ epoch, lane, sequence });
const begin = (at: Spool, execution: string) => at.begin({ execution, action: "command.run", priority: "normal" });
const large = (n: number, given = {}) => draft(n, { data: { text: "x".repeat(700) }, ...given });

function report(execution: string): ExecutionReport {
  return { execution, action: "command.run", outcome: "succeeded", changed: true, started: start + 1, ended: start + 2 };
}

const one = "t-0123456789abcdef.1";
const two = "t-0123456789abcdef.2";

test("events are numbered from one on without a gap, whatever their lanes, and come back as they were", (t) => {
  const s = setting(t);
  spool(s.spool, draft(1, { subject: "/etc/motd", beacon: "etc" }));
  spool(s.spool, draft(2, { severity: "low" }));
  spool(s.spool, draft(3, { severity: "critical" }));
  const { subject, beacon, ...plain } = { ...draft(1, { subject: "/etc/motd", beacon: "etc" }), sequence: 1, cause: null };
  assert.deepEqual(inLane(s.spool, "normal"), [{ ...plain, subject, beacon }]);
  assert.deepEqual(numbers(s.spool), [1, 2, 3]);
  assert.deepEqual(
    severities.map((lane) => inLane(s.spool, lane).map(({ sequence }) => sequence)),
    [[3], [], [1], [2]],
  );
  assert.deepEqual(inLane(s.spool, "normal", 1), []);
});

test("a page is of at most so many bytes, but of one event at least", (t) => {
  const s = setting(t);
  spool(s.spool, ...[1, 2, 3].map((n) => draft(n, { data: { text: "x".repeat(1_000) } })));
  assert.equal(s.spool.read("normal", { after: 0, limit: 10, bytesMax: 2_500 }).length, 2);
  assert.equal(s.spool.read("normal", { after: 0, limit: 10, bytesMax: 10 }).length, 1);
});

test("listeners hear of events only when they are on the disk: what they read then is there", async (t) => {
  const s = setting(t);
  const heard = Promise.withResolvers<number[]>();
  s.spool.onAppend(() => heard.resolve(numbers(s.spool)));
  s.spool.append(draft(1));
  s.spool.append(draft(2));
  assert.deepEqual(numbers(s.spool), []);
  assert.equal(s.spool.count(), 2);
  assert.deepEqual(await heard.promise, [1, 2]);
  assert.equal(s.spool.count(), 2);
});

test("P1: what is acknowledged in its lane is forgotten, the rest is kept, and no number is given twice, also after a restart", (t) => {
  const s = setting(t);
  spool(s.spool, draft(1), draft(2), draft(3));
  spool(s.spool, draft(4, { severity: "low" }));
  acknowledge(s.spool, "normal", 3, "another");
  acknowledge(s.spool, "normal", 2);
  const { epoch } = s.spool;
  assert.deepEqual(numbers(s.reopened()), [3, 4]);
  assert.equal(s.spool.epoch, epoch);
  acknowledge(s.spool, "normal", 3);
  acknowledge(s.spool, "low", 4);
  s.reopened();
  spool(s.spool, draft(5));
  assert.deepEqual(numbers(s.spool), [5]);
  assert.deepEqual(
    severities.map((lane) => s.spool.acknowledged(lane)),
    [0, 0, 3, 4],
  );
});

test("a write takes along what was acknowledged when it is much; a little waits for a quiet moment", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const s = setting(t);
  const many = 300;
  spool(s.spool, ...Array.from({ length: many }, (_, index) => draft(index + 1)));
  acknowledge(s.spool, "normal", 1);
  spool(s.spool, draft(many + 1));
  assert.equal(s.spool.count(), many + 1);
  acknowledge(s.spool, "normal", many);
  spool(s.spool, draft(many + 2));
  assert.deepEqual(numbers(s.spool), [many + 1, many + 2]);
  acknowledge(s.spool, "normal", many + 1);
  t.mock.timers.tick(1_000);
  assert.deepEqual(numbers(s.spool), [many + 2]);
});

test("what an acknowledgement frees can be used again", (t) => {
  const s = setting(t, { bytesMax: 1_000 });
  spool(s.spool, large(1));
  acknowledge(s.spool, "normal", 1);
  spool(s.spool, large(2));
  assert.deepEqual(numbers(s.spool), [2]);
  s.reopened();
  assert.deepEqual(
    all(s.spool).map(({ type }) => type),
    ["test.happened"],
  );
});

test("P4: at its limit the oldest of the lowest lane goes, and an event says how many, of which lanes and from when to when", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const s = setting(t, { bytesMax: 2_500 });
  spool(s.spool, large(1, { severity: "low" }), large(2, { severity: "low" }), large(3, { severity: "low" }));
  spool(s.spool, large(4, { severity: "critical" }));
  spool(s.spool, large(5));
  assert.deepEqual(
    all(s.spool).map(({ severity, time }) => `${severity} ${time - start}`),
    ["low 3", "critical 4", "normal 5"],
  );
  spool(s.spool, large(6), large(7));
  t.mock.timers.tick(10_000);
  const told = all(s.spool).at(-1)!;
  assert.deepEqual([told.type, told.severity], ["spool.shed", "high"]);
  assert.equal(dataProblem(told.type, told.data), undefined);
  assert.deepEqual(told.data, {
    cause: "bytes",
    limit: "2500 bytes",
    events: 4,
    lanes: { low: 3, normal: 1 },
    from: start + 1,
    to: start + 5,
  });
});

test("P8: a lower event never takes the place of a higher one: it is the one that is shed", (t) => {
  const s = setting(t, { bytesMax: 1_700 });
  spool(s.spool, large(1, { severity: "high" }), large(2, { severity: "critical" }));
  spool(s.spool, large(3, { severity: "normal" }));
  assert.deepEqual(numbers(s.spool), [1, 2]);
  // One that would not fit if all below it went takes nothing with it.
  spool(s.spool, draft(4, { severity: "critical", data: { text: "x".repeat(2_000) } }));
  assert.deepEqual(numbers(s.spool), [1, 2]);
  s.reopened();
  const { data } = all(s.spool).at(-1)!;
  assert.deepEqual([data["events"], data["lanes"]], [2, { normal: 1, critical: 1 }]);
});

test("what is on its way is shed last", (t) => {
  const s = setting(t, { bytesMax: 2_500 });
  spool(s.spool, large(1), large(2), large(3));
  s.spool.noteSent("normal", 2);
  spool(s.spool, large(4));
  assert.deepEqual(numbers(s.spool), [1, 2, 4]);
  s.spool.noteSent("normal", 4);
  spool(s.spool, large(5));
  assert.deepEqual(numbers(s.spool), [2, 4, 5]);
});

test("P4: what was shed is told also after a restart, and also when nothing fits any more", (t) => {
  const s = setting(t, { bytesMax: 300 });
  spool(s.spool, draft(1, { data: { text: "x".repeat(200) } }), draft(2, { data: { text: "x".repeat(200) } }));
  assert.deepEqual(
    all(s.reopened()).map(({ type }) => type),
    ["test.happened", "spool.shed"],
  );
});

test("P4: what waits for too long is shed, and told with the cause", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout", "setInterval"] });
  let now = start;
  const s = setting(t, { clock: { now: () => now }, ageMaxMs: day });
  spool(s.spool, draft(1), draft(2, { severity: "critical" }), draft(day));
  now = start + day + 1_000;
  t.mock.timers.tick(60_000);
  assert.deepEqual(
    all(s.spool).map(({ time }) => time),
    [start + day],
  );
  t.mock.timers.tick(10_000);
  assert.deepEqual(all(s.spool).at(-1)?.data, {
    cause: "age",
    limit: `${day} ms`,
    events: 2,
    lanes: { normal: 1, critical: 1 },
    from: start + 1,
    to: start + 2,
  });
});

test("P4: an event that fits no frame is kept without what is large in it; a result stays a result", (t) => {
  const s = setting(t, { bytesMax: 10 * frameBytesMax });
  const text = "x".repeat(frameBytesMax);
  begin(s.spool, one);
  spool(s.spool, draft(1, { data: { text } }));
  s.spool.finish({ ...report(one), result: { text } }, { priority: "high" });
  const [event, result] = all(s.spool);
  assert.match(String(event!.data["message"]), /left out: .* do not fit a frame/);
  assert.equal(event!.data["text"], undefined);
  assert.deepEqual([result!.type, result!.data["result"], result!.data["outcome"]], ["execution.finished", undefined, "succeeded"]);
});

test("a result is always taken, however full it is, and is not shed for anything", (t) => {
  const s = setting(t, { bytesMax: 900 });
  assert.ok(begin(s.spool, one));
  spool(s.spool, large(1));
  s.spool.finish({ ...report(one), message: "y".repeat(700) }, { priority: "low", subject: "/etc/motd" });
  spool(s.spool, large(2, { severity: "critical" }));
  const [result] = inLane(s.spool, "low");
  assert.deepEqual(
    { type: result?.type, cause: result?.cause, subject: result?.subject, severity: result?.severity, data: result?.data },
    {
      type: "execution.finished",
      cause: one,
      subject: "/etc/motd",
      severity: "normal",
      data: { ...report(one), message: "y".repeat(700) },
    },
  );
});

test("P3: a command begins once, also after a restart and after its end", (t) => {
  const s = setting(t);
  assert.equal(begin(s.spool, one), true);
  assert.equal(begin(s.spool, one), false);
  assert.equal(begin(s.reopened(), one), false);
  s.spool.finish(report(one), { priority: "normal" });
  assert.equal(begin(s.reopened(), one), false);
  assert.equal(begin(s.spool, two), true);
});

test("P3: what was under way when the agent died is reported as interrupted, once and in its lane; what had ended is not", (t) => {
  const s = setting(t, { clock: { now: () => start + 7 } });
  s.spool.begin({ execution: one, action: "command.run", priority: "low" });
  s.spool.begin({ execution: two, action: "file.restore", priority: "critical" });
  s.spool.finish(report(one), { priority: "low" });
  acknowledge(s.spool, "low", 1);
  assert.deepEqual(s.spool.reportInterrupted(), []);
  s.reopened({ clock: { now: () => start + 9 } });
  assert.deepEqual(s.spool.reportInterrupted(), [two]);
  const [interrupted, ...more] = inLane(s.spool, "critical");
  assert.ok(interrupted);
  const { cause, data } = interrupted;
  assert.equal(cause, two);
  assert.deepEqual(
    { outcome: data["outcome"], action: data["action"], started: data["started"], ended: data["ended"] },
    { outcome: "interrupted", action: "file.restore", started: start + 7, ended: start + 9 },
  );
  assert.deepEqual(more, []);
  assert.deepEqual(s.reopened().reportInterrupted(), []);
});

test("a second agent on the same file is refused, and the first goes on", (t) => {
  const s = setting(t);
  assert.throws(() => openSpool(s.directory), { code: "STATE_LOCKED" });
  spool(s.spool, draft(1));
  assert.deepEqual(numbers(s.spool), [1]);
});

const full = { skip: process.getuid?.() === 0 ? false : "only root can mount a small file system" };

test(
  "P4: while the disk is full the lowest go first from memory, and when there is room all else is written and the loss told",
  full,
  (t) => {
    t.mock.timers.enable({ apis: ["setTimeout"] });
    const directory = temporaryDirectory(t);
    const mounted = spawnSync("mount", ["-t", "tmpfs", "-o", "size=1m", "tmpfs", directory]);
    if (mounted.status !== 0) return t.skip(`no file system could be mounted: ${String(mounted.stderr)}`);
    try {
      fillAndFree(directory, (ms) => t.mock.timers.tick(ms));
    } finally {
      spawnSync("umount", ["--lazy", directory]);
    }
  },
);

function fillAndFree(directory: string, tick: (ms: number) => void): void {
  const troubles: unknown[] = [];
  const opened = openSpool(directory, { onTrouble: (error) => troubles.push(error) });
  const ballast = join(directory, "ballast");
  try {
    for (;;) appendFileSync(ballast, Buffer.alloc(4_096));
  } catch {
    // Full.
  }
  for (let n = 0; n < 9_999; n++) opened.append(draft(n, { severity: n < 5 ? "low" : "high", data: { text: "x".repeat(20) } }));
  opened.append(draft(10_000, { severity: "critical" }));
  opened.flush();
  assert.ok(troubles.length > 0);
  for (let n = 1; n <= 7; n++) opened.append(draft(20_000 + n, { severity: "critical" }));
  opened.append(draft(30_000, { severity: "low" }));
  assert.throws(() => begin(opened, one), /full/);
  rmSync(ballast);
  // The file system is made larger, since all of it needs more.
  assert.equal(spawnSync("mount", ["-o", "remount,size=64m", directory]).status, 0);
  tick(1_000);
  assert.equal(opened.count(), 10_000);
  assert.equal(inLane(opened, "critical").length, 8);
  assert.equal(inLane(opened, "high").length, 9_992);
  opened.close();
  const again = openSpool(directory);
  assert.deepEqual(
    inLane(again, "high")
      .filter(({ type }) => type === "spool.shed")
      .map(({ data }) => [data["cause"], data["events"], data["lanes"]]),
    [["memory", 8, { low: 6, high: 2 }]],
  );
  again.close();
}
