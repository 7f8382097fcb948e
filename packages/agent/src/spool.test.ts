import assert from "node:assert/strict";
import { readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import type { ExecutionReport } from "@needfire/shared/action";
import type { Spool, SpoolOptions } from "./spool.ts";
import { draft, openSpool, spool, temporaryDirectory } from "./spool-fixture.ts";

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

const all = (from: Spool, after = 0) => from.read(after, 1_000, 1_000_000);
const numbers = (from: Spool) => all(from).map(({ sequence }) => sequence);

function report(execution: string): ExecutionReport {
  return { execution, action: "command.run", outcome: "succeeded", changed: true, started: 1_700_000_000_001, ended: 1_700_000_000_002 };
}

const one = "t-0123456789abcdef.1";
const two = "t-0123456789abcdef.2";

test("events are numbered from one on without a gap, in the order in which they came, and come back as they were", (t) => {
  const s = setting(t);
  spool(s.spool, draft(1, { subject: "/etc/motd", beacon: "etc" }), draft(2));
  spool(s.spool, draft(3));
  assert.deepEqual(all(s.spool)[0], { ...draft(1, { subject: "/etc/motd", beacon: "etc" }), sequence: 1 });
  assert.deepEqual(numbers(s.spool), [1, 2, 3]);
  assert.deepEqual(
    s.spool.read(1, 1, 1_000).map(({ sequence }) => sequence),
    [2],
  );
});

test("a page is of about so many bytes, but of one event at least", (t) => {
  const s = setting(t);
  spool(s.spool, ...[1, 2, 3].map((n) => draft(n, { data: { text: "x".repeat(1_000) } })));
  assert.equal(s.spool.read(0, 10, 2_500).length, 2);
  assert.equal(s.spool.read(0, 10, 10).length, 1);
});

test("listeners hear of events only when they are on the disk: what they read then is there", async (t) => {
  const s = setting(t);
  const heard = Promise.withResolvers<number[]>();
  s.spool.onAppend(() => heard.resolve(numbers(s.spool)));
  s.spool.append(draft(1));
  s.spool.append(draft(2));
  assert.deepEqual(numbers(s.spool), []);
  assert.deepEqual(await heard.promise, [1, 2]);
});

test("P1: what is acknowledged is forgotten, the rest is kept, and no number is given twice, also after a restart", (t) => {
  const s = setting(t);
  spool(s.spool, draft(1), draft(2), draft(3));
  s.spool.acknowledge("another", 3);
  s.spool.acknowledge(s.spool.epoch, 2);
  const { epoch } = s.spool;
  assert.deepEqual(numbers(s.reopened()), [3]);
  assert.equal(s.spool.epoch, epoch);
  s.spool.acknowledge(epoch, 3);
  s.reopened();
  spool(s.spool, draft(4));
  assert.deepEqual(numbers(s.spool), [4]);
});

test("what an acknowledgement frees can be used again", (t) => {
  const s = setting(t, { bytesMax: 1_000 });
  const large = (n: number) => draft(n, { data: { text: "x".repeat(700) } });
  spool(s.spool, large(1));
  s.spool.acknowledge(s.spool.epoch, 1);
  spool(s.spool, large(2));
  assert.deepEqual(numbers(s.spool), [2]);
});

test("P4: what does not fit is shed and counted; the first that fits again comes after an event that says how many and when", (t) => {
  const s = setting(t, { bytesMax: 1_000 });
  const large = (n: number) => draft(n, { data: { text: "x".repeat(700) } });
  spool(s.spool, large(1), large(2), large(3), large(4));
  assert.deepEqual(numbers(s.spool), [1]);
  s.spool.acknowledge(s.spool.epoch, 1);
  spool(s.spool, large(5));
  assert.deepEqual(
    all(s.spool).map(({ type, time, data }) => ({ type, time, shed: data["events"] })),
    [
      { type: "spool.shed", time: 4, shed: 3 },
      { type: "test.happened", time: 5, shed: undefined },
    ],
  );
  assert.deepEqual(all(s.spool)[0]?.data, { events: 3, from: 2, to: 4, bytes_max: 1_000 });
});

test("P4: what was shed is told also when nothing fits any more before the agent stops", (t) => {
  const s = setting(t, { bytesMax: 300 });
  spool(s.spool, draft(1, { data: { text: "x".repeat(200) } }), draft(2, { data: { text: "x".repeat(200) } }));
  assert.deepEqual(
    all(s.reopened()).map(({ type }) => type),
    ["test.happened", "spool.shed"],
  );
});

test("a result is always taken, however full it is", (t) => {
  const s = setting(t, { bytesMax: 100 });
  spool(s.spool, draft(1, { data: { text: "x".repeat(200) } }));
  assert.ok(s.spool.begin(one, "command.run", 1));
  s.spool.finish(report(one), "/etc/motd");
  const [, result] = all(s.spool);
  assert.deepEqual(
    { type: result?.type, cause: result?.cause, subject: result?.subject, data: result?.data },
    { type: "execution.finished", cause: one, subject: "/etc/motd", data: report(one) },
  );
});

test("P3: a command begins once, also after a restart and after its end", (t) => {
  const s = setting(t);
  assert.equal(s.spool.begin(one, "command.run", 1), true);
  assert.equal(s.spool.begin(one, "command.run", 2), false);
  assert.equal(s.reopened().begin(one, "command.run", 3), false);
  s.spool.finish(report(one));
  assert.equal(s.reopened().begin(one, "command.run", 4), false);
  assert.equal(s.spool.begin(two, "command.run", 5), true);
});

test("P3: what was under way when the agent died is reported as interrupted, once; what had ended is not", (t) => {
  const s = setting(t);
  s.spool.begin(one, "command.run", 1);
  s.spool.begin(two, "file.restore", 7);
  s.spool.finish(report(one));
  s.spool.acknowledge(s.spool.epoch, 1);
  s.reopened();
  assert.deepEqual(s.spool.reportInterrupted(9), [two]);
  const [interrupted, ...more] = all(s.spool);
  assert.ok(interrupted);
  const { cause, data } = interrupted;
  assert.equal(cause, two);
  assert.deepEqual(
    { outcome: data["outcome"], action: data["action"], started: data["started"], ended: data["ended"] },
    { outcome: "interrupted", action: "file.restore", started: 7, ended: 9 },
  );
  assert.deepEqual(more, []);
  assert.deepEqual(s.reopened().reportInterrupted(10), []);
});

test("a second agent on the same file is refused, and the first goes on", (t) => {
  const s = setting(t);
  assert.throws(() => openSpool(s.directory), { code: "STATE_LOCKED" });
  spool(s.spool, draft(1));
  assert.deepEqual(numbers(s.spool), [1]);
});

test("a damaged file is set aside, a new numbering begins, and an event says where the old one lies", (t) => {
  const directory = temporaryDirectory(t);
  writeFileSync(join(directory, "spool.db"), "this is not a database, but it is long enough to be read as one, I should think");
  const s = openSpool(directory);
  s.flush();
  const [event] = all(s);
  assert.equal(event?.type, "spool.damaged");
  const kept = String(event.data["kept_as"]);
  assert.ok(readdirSync(directory).some((name) => join(directory, name) === kept));
  assert.equal(event.subject, kept);
  s.close();
});
