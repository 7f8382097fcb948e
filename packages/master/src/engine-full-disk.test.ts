import assert from "node:assert/strict";
import { cpSync, mkdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test, type TestContext } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { Engine, type EngineNotice } from "./engine.ts";
import { eventsFrame, temporaryDirectory, TestClock, wire } from "./fixture.ts";
import { SqliteJournalReader } from "./journal/sqlite-reader.ts";
import { type SmallDisk, withSmallDisk } from "./small-disk-fixture.ts";

const day = 86_400_000;
const partitionEventsMax = 200;
const text = "x".repeat(1_000);

function engineOn(state: string, clock: TestClock, hear: (notice: EngineNotice) => void = () => {}, reactors: string[] = []): Engine {
  const retention = { keepMs: day, bytesMax: 1_000_000_000 };
  const rules = { reactors, nonce: "" };
  const engine = new Engine(
    { state, synchronous: "FULL", retention, partitionEventsMax, rules, risesAfterMs: 300_000, guardMs: 300_000, now: clock.now() },
    hear,
    clock,
  );
  engine.setAgents([]);
  void engine.start();
  return engine;
}

let sequence = 0;
/** Resolves when they are durable. */
function take(engine: Engine, clock: TestClock, events: number): Promise<unknown> {
  const after = sequence;
  const made = Array.from({ length: events }, () => wire(++sequence, { type: "test.happened", data: { text } }));
  return engine.take([{ ...eventsFrame(made, { after }), received: clock.now() }]);
}

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await delay(20);
}

/** The partitions and the number of events that each `journal.trimmed` names. */
function trimmed(state: string): unknown[][] {
  const reader = new SqliteJournalReader({ file: join(state, "master.db") });
  try {
    return reader.query({ type: "journal.trimmed", limit: 100 }).map(({ data }) => [data["partitions"], data["events"]]);
  } finally {
    reader.close();
  }
}

/** How many partitions are in files of their own, by the catalogue: one that is only being written there is still a table. */
function sealed(state: string): number {
  const database = new DatabaseSync(join(state, "master.db"), { readOnly: true });
  try {
    return Number(database.prepare("SELECT count(*) AS sealed FROM partition WHERE state = 'sealed'").get()?.["sealed"]);
  } finally {
    database.close();
  }
}

const sizeOf = (state: string, number: number) => statSync(join(state, "journal", `${number}.db`), { throwIfNoEntry: false })?.size;

test("a wholly full disk frees itself by what retention lets go, and that is told once, a crash included", async (t) => {
  const state = join(temporaryDirectory(t), "state");
  await withSmallDisk(t, { directory: state, size: "8m" }, (disk) => fullDiskStory(t, state, disk));
});

test("rules that come into force while a turn waits for room judge what it took", async (t) => {
  const parent = temporaryDirectory(t);
  const [state, reactors] = [join(parent, "state"), join(parent, "reactors")];
  await withSmallDisk(t, { directory: state, size: "8m" }, async (disk) => {
    const told = { full: false };
    const hear = (notice: EngineNotice) => {
      if (notice.kind === "full") told.full = notice.error !== undefined;
    };
    const engine = engineOn(state, new TestClock(1_700_000_000_000), hear, [reactors]);
    const frame = (number: number, type: string) => ({
      ...eventsFrame([wire(number, { type, data: { text: text.repeat(200) } })], { after: number - 1 }),
      received: 1_700_000_000_000,
      heard: [],
    });
    await engine.take([frame(1, "test.before")]);
    disk.fill();
    const taking = engine.take([frame(2, "test.meanwhile")]);
    await until(() => told.full);
    mkdirSync(reactors);
    writeFileSync(join(reactors, "new.yaml"), "name: new\non: test.meanwhile\ndo: [{ event.emit: { type: made.new } }]\n");
    assert.deepEqual(engine.readRules().problems, []);
    engine.enforceRules();
    disk.resize("32m");
    await taking;
    const reader = new SqliteJournalReader({ file: join(state, "master.db") });
    await until(() => reader.query({ type: "made.new", limit: 10 }).length === 1);
    reader.close();
    await engine.close();
  });
});

test("a small disk takes event after event: the log leaves room for what it is copied into", async (t) => {
  const state = join(temporaryDirectory(t), "state");
  await withSmallDisk(t, { directory: state, size: "12m" }, async () => {
    const clock = new TestClock(1_700_000_000_000);
    const full: unknown[] = [];
    const engine = engineOn(state, clock, (notice) => {
      if (notice.kind === "full") full.push(notice.error);
    });
    // Each turn writes some pages of 16 KiB to the log: several times what the disk has.
    for (let number = 1; number <= 800; number++) {
      const frame = eventsFrame([wire(number, { type: "test.happened" })], { after: number - 1 });
      const [verdict] = await engine.take([{ ...frame, received: clock.now() }]);
      assert.equal(verdict?.kind, "taken");
    }
    assert.deepEqual(full, []);
    await engine.close();
  });
});

async function fullDiskStory(t: TestContext, state: string, disk: SmallDisk): Promise<void> {
  const clock = new TestClock(1_700_000_000_000);
  const told = { full: false };
  const engine = engineOn(state, clock, (notice) => {
    if (notice.kind === "full") told.full = notice.error !== undefined;
  });
  for (let partition = 0; partition < 3; partition++) await take(engine, clock, partitionEventsMax);
  clock.time += 2;
  await take(engine, clock, 1);
  await until(() => sealed(state) === 3);
  // Somebody reads, and has the files open.
  const reader = new SqliteJournalReader({ file: join(state, "master.db") });
  assert.equal(reader.query({ type: "test.happened", limit: 1_000 }).length, 3 * partitionEventsMax + 1);

  disk.fill();
  const waiting: Promise<unknown>[] = [];
  while (!told.full) {
    // One after the other: what waits must fit into what is freed, however slow the machine is.
    const taking = take(engine, clock, 50);
    waiting.push(taking);
    await Promise.race([taking, until(() => told.full)]);
  }
  await assert.rejects(engine.commit({ events: [] }), { code: "DISK_FULL" });
  clock.time += day - 1;
  await Promise.all(waiting);
  await until(() => trimmed(state).length > 0);
  const crashed = temporaryDirectory(t);
  // A file that is only being written may have its name by the time at which it is copied.
  cpSync(state, crashed, { recursive: true, filter: (path) => !/-shm$|\.lock$|ballast$|\.tmp$/.test(path) });

  await until(() => [1, 2, 3].every((number) => sizeOf(state, number) === undefined));
  assert.deepEqual(trimmed(state), [[[1, 2, 3], 3 * partitionEventsMax]]);
  reader.close();
  await engine.close();

  const next = engineOn(crashed, clock);
  await take(next, clock, 1);
  await until(() => [1, 2, 3].every((number) => sizeOf(crashed, number) === undefined));
  assert.deepEqual(trimmed(crashed), [[[1, 2, 3], 3 * partitionEventsMax]]);
  await next.close();
}
