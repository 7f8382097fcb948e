/** What becomes of a spool whose files were damaged: by hand, at many random places, before the start and while it is in use. */
import assert from "node:assert/strict";
import { closeSync, copyFileSync, cpSync, openSync, readdirSync, rmSync, statSync, truncateSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import fc from "fast-check";
import { type Severity, severities } from "@needfire/shared/event";
import { all, draft, inLane, openSpool, spool, start, temporaryDirectory } from "./spool-fixture.ts";
import type { Spool } from "./spool.ts";

const id = (number: number) => `t-0123456789abcdef.${number}`;
const begin = (at: Spool, number: number, priority: Severity = "normal") =>
  at.begin({ execution: id(number), action: "command.run", priority });
const damaged = (at: Spool) => all(at).filter(({ type }) => type === "spool.damaged");
const results = (at: Spool) => all(at).filter(({ type }) => type === "execution.finished");

/** Writes over `length` bytes at `where`, a share of the file's size. */
function scribble(path: string, where: number, length: number): void {
  const fd = openSync(path, "r+");
  const { size } = statSync(path);
  writeSync(fd, Buffer.alloc(length, 0xa5), 0, length, Math.floor(where * Math.max(0, size - length)));
  closeSync(fd);
}

/** The files of a spool that was killed, with events in every lane, some of them in the log only, and with commands begun. */
function killedSpool(t: TestContext): { directory: string; made: number; epoch: string } {
  const live = temporaryDirectory(t);
  const first = openSpool(live, { synchronous: "FULL" });
  const made = 120;
  const drafts = Array.from({ length: made }, (_value, n) =>
    draft(n, { severity: severities[n % 4]!, data: { n, text: "x".repeat((n * 37) % 900) } }),
  );
  spool(first, ...drafts.slice(0, 100));
  begin(first, 1);
  first.finish(
    { execution: id(1), action: "command.run", outcome: "succeeded", changed: true, started: start, ended: start },
    { priority: "normal" },
  );
  first.close();
  const second = openSpool(live, { synchronous: "FULL" });
  for (const each of drafts.slice(100)) spool(second, each);
  begin(second, 2, "critical");
  const directory = temporaryDirectory(t);
  cpSync(live, directory, { recursive: true });
  const { epoch } = second;
  second.close();
  return { directory, made, epoch };
}

/** What came of it: every event as it was made, or damage was told. Returns whether it was. */
function judge(at: Spool, { made, epoch }: { made: number; epoch: string }): boolean {
  const events = all(at).filter(({ type }) => type === "test.happened");
  for (const { data, time, severity } of events) {
    const n = Number(data["n"]);
    assert.deepEqual([time, severity, data["text"]], [start + n, severities[n % 4], "x".repeat((n * 37) % 900)]);
  }
  // What was read first may have come upon the damage, and its report waits in memory.
  at.flush();
  const told = damaged(at);
  if (told.length === 0) assert.deepEqual([all(at).filter(({ type }) => type === "test.happened").length, at.epoch], [made, epoch]);
  return told.length > 0;
}

/** A number that was given once is never given again: the master would drop what comes under it. */
function goesOn(at: Spool, before: { epoch: string; last: number }): void {
  spool(at, draft(1_000, { severity: "low" }));
  const { sequence, data } = inLane(at, "low").at(-1)!;
  assert.equal(data["n"], 1_000);
  assert.ok(at.epoch > before.epoch || sequence > before.last);
}

const place = fc.double({ min: 0, max: 1, noNaN: true });
const harm = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant("scribble" as const),
      suffix: fc.constantFrom("", "-wal"),
      place,
      length: fc.integer({ min: 1, max: 5_000 }),
    }),
  },
  fc.record({ kind: fc.constant("truncate" as const), suffix: fc.constantFrom("", "-wal"), place }),
  fc.record({ kind: fc.constant("remove" as const), suffix: fc.constantFrom("", "-wal", "-mark") }),
);

test("wherever its files are damaged, the agent starts, and every event is there as it was, or the loss is told", (t) => {
  const killed = killedSpool(t);
  const base = temporaryDirectory(t);
  let runs = 0;
  let told = 0;
  fc.assert(
    fc.property(harm, (what) => {
      const directory = join(base, String(runs++));
      cpSync(killed.directory, directory, { recursive: true });
      const path = join(directory, `spool.db${what.suffix}`);
      if (what.kind === "scribble") scribble(path, what.place, Math.min(what.length, statSync(path).size));
      else if (what.kind === "truncate") truncateSync(path, Math.floor(what.place * statSync(path).size));
      else rmSync(path);
      const opened = openSpool(directory, { synchronous: "FULL" });
      try {
        opened.reportInterrupted();
        if (judge(opened, killed)) told++;
        goesOn(opened, { epoch: killed.epoch, last: killed.made + 1 });
      } finally {
        opened.close();
        rmSync(directory, { recursive: true });
      }
    }),
    { numRuns: 100 },
  );
  assert.ok(told > 20, `${told} of ${runs} were noticed`);
});

test("P3: no command runs a second time because the spool was damaged, as long as its bytes can be found", (t) => {
  const killed = killedSpool(t);
  // The headers: nothing can be read through SQLite any more.
  for (const suffix of ["", "-wal"]) scribble(join(killed.directory, `spool.db${suffix}`), 0, 100);
  const opened = openSpool(killed.directory);
  t.after(() => opened.close());
  assert.deepEqual(opened.reportInterrupted().toSorted(), [id(1), id(2)]);
  assert.equal(begin(opened, 1), false);
  assert.equal(begin(opened, 2), false);
  assert.equal(begin(opened, 3), true);
  const [critical] = inLane(opened, "critical");
  assert.deepEqual([critical?.cause, critical?.data["action"], critical?.data["outcome"]], [id(2), "command.run", "interrupted"]);
  assert.equal(damaged(opened)[0]?.data["executions"], 2);
});

test("a result that the master has is not reported again from a damaged file that can still be walked", async (t) => {
  const directory = temporaryDirectory(t);
  const first = openSpool(directory);
  begin(first, 1, "high");
  first.finish(
    { execution: id(1), action: "command.run", outcome: "succeeded", changed: true, started: start, ended: start },
    { priority: "high" },
  );
  first.acknowledge({ epoch: first.epoch, lane: "high", sequence: 1 });
  spool(first, ...Array.from({ length: 50 }, (_value, n) => draft(n, { data: { text: "y".repeat(900) } })));
  first.close();
  scribble(join(directory, "spool.db"), 0.7, 100);
  const opened = openSpool(directory);
  t.after(() => opened.close());
  inLane(opened, "normal");
  await Promise.resolve();
  assert.equal(damaged(opened).length, 1);
  assert.deepEqual(opened.reportInterrupted(), []);
  assert.deepEqual(results(opened), []);
  assert.equal(begin(opened, 1), false);
});

test("damage that shows while it is in use: a new numbering, nothing of what is in memory is lost, and what runs goes on", async (t) => {
  const directory = temporaryDirectory(t);
  const opened = openSpool(directory, { bytesMax: 10_000_000 });
  t.after(() => opened.close());
  const before = opened.epoch;
  let renewed = 0;
  opened.onNewEpoch(() => renewed++);
  begin(opened, 1, "high");
  begin(opened, 2);
  opened.finish(
    { execution: id(2), action: "command.run", outcome: "succeeded", changed: true, started: start, ended: start },
    { priority: "normal" },
  );
  // More than SQLite keeps in memory.
  spool(opened, ...Array.from({ length: 5_000 }, (_value, n) => draft(n, { severity: "low", data: { text: "z".repeat(900) } })));
  for (const name of readdirSync(directory)) {
    if (name === "spool.db-mark") continue;
    const path = join(directory, name);
    for (let at = 0.1; at < 1; at += 0.02) scribble(path, at, 2_000);
  }
  opened.append(draft(900));
  inLane(opened, "low");
  opened.flush();
  await Promise.resolve();
  assert.equal(renewed, 1);
  assert.ok(opened.epoch > before);
  const [told, ...more] = damaged(opened);
  assert.deepEqual(more, []);
  assert.deepEqual([told?.data["epoch"], told?.data["events"]], [before, 5_001]);
  assert.ok(readdirSync(directory).includes(String(told?.subject).split("/").at(-1)!));
  assert.deepEqual(
    inLane(opened, "normal")
      .map(({ type, time }) => (type === "test.happened" ? String(time - start) : type))
      .toSorted((a, b) => a.localeCompare(b)),
    ["900", "execution.finished"],
  );
  // The one that runs is not told as interrupted: its own end is.
  assert.deepEqual(
    results(opened).map(({ cause }) => cause),
    [id(2)],
  );
  assert.equal(begin(opened, 1, "high"), false);
  opened.finish(
    { execution: id(1), action: "command.run", outcome: "succeeded", changed: true, started: start, ended: start },
    { priority: "high" },
  );
  assert.deepEqual(
    results(opened).map(({ cause, data }) => `${cause} ${String(data["outcome"])}`),
    [`${id(2)} interrupted`, `${id(1)} succeeded`],
  );
});

test("a database that is older than the last one in use is not gone on with", (t) => {
  const directory = temporaryDirectory(t);
  const path = join(directory, "spool.db");
  const old = join(directory, "backup");
  openSpool(directory).close();
  copyFileSync(path, old);
  writeFileSync(path, "no database, but long enough to be taken for one, I should think, and more of it, and more");
  const second = openSpool(directory);
  spool(second, draft(1));
  const { epoch } = second;
  second.close();
  rmSync(path);
  copyFileSync(old, path);
  const third = openSpool(directory);
  t.after(() => third.close());
  assert.ok(third.epoch > epoch);
  third.flush();
  assert.match(String(damaged(third)[0]?.data["message"]), /it is an earlier one/);
});

test("of the files that were set aside only the last few are kept", (t) => {
  const directory = temporaryDirectory(t);
  for (let n = 0; n < 6; n++) {
    writeFileSync(join(directory, "spool.db"), `no database ${n}, but long enough to be taken for one, I should think`);
    openSpool(directory, { clock: { now: () => start + n } }).close();
  }
  assert.equal(readdirSync(directory).filter((name) => name.includes("damaged")).length, 3);
});
