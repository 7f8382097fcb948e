import assert from "node:assert/strict";
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test, type TestContext } from "node:test";
import fc from "fast-check";
import type { CountKey } from "@needfire/shared/api";
import { isoTime } from "@needfire/shared/clock";
import { NeedfireError } from "@needfire/shared/errors";
import type { Event } from "@needfire/shared/event";
import { dataProblem } from "@needfire/shared/event-types";
import { globMatcher } from "@needfire/shared/glob";
import type { MasterEventDraft } from "@needfire/shared/task";
import { temporaryDirectory, TestClock } from "../fixture.ts";
import { type SmallDisk, withSmallDisk } from "../small-disk-fixture.ts";
import { batch, databaseFile, numbered, openWriter } from "./journal-fixture.ts";
import { type Partition, sealedDirectory, sealedFile } from "./partition.ts";
import { seal, type SealedFile, type SealStep } from "./seal.ts";
import { type MissingPart, SqliteJournalReader } from "./sqlite-reader.ts";
import type { JournalWriter } from "./sqlite.ts";
import { type Retention, Upkeep, waitingMax } from "./upkeep.ts";

const hour = 3_600_000;
const keepAll: Retention = { keepMs: Number.MAX_SAFE_INTEGER, bytesMax: Number.MAX_SAFE_INTEGER };

interface Keeping {
  directory: string;
  journal: JournalWriter;
  retention?: Retention;
  clock?: TestClock;
  seal?: (partition: Partition) => Promise<SealedFile>;
  emit?: (event: MasterEventDraft) => Promise<unknown>;
}

/** As the engine does it: what is told, and what becomes of the catalogue with it, in one transaction. */
function committing(told: (event: MasterEventDraft) => Promise<unknown>) {
  return async (event: MasterEventDraft, journal?: () => void) => {
    await told(event);
    journal?.();
  };
}

function upkeepOf({ directory, journal, retention = keepAll, clock = new TestClock(), seal: sealing, emit }: Keeping) {
  const database = databaseFile(directory);
  const emitted: MasterEventDraft[] = [];
  const forgotten: number[] = [];
  const errors: string[] = [];
  const upkeep = new Upkeep({
    journal,
    directory: sealedDirectory(database),
    seal: sealing ?? (async (partition) => seal({ database, partition })),
    onProgress: () => {},
    emit: committing(emit ?? (async (event) => emitted.push(event))),
    forgetTasks: (before) => {
      forgotten.push(before);
      return 0;
    },
    retention,
    clock,
    log: { debug: () => {}, warn: () => {}, error: (facts) => errors.push(JSON.stringify(facts)) },
  });
  return { upkeep, emitted, forgotten, errors };
}

/** Rounds enough for all that waits. */
async function sealAll(keeping: Keeping) {
  const made = upkeepOf(keeping);
  for (let round = 0; round < keeping.journal.partitions().length + 3; round++) await made.upkeep.tick();
  return made;
}

const states = (journal: JournalWriter) => journal.partitions().map(({ state }) => state);

/** Asks everything that can be asked, and compares it with what the events themselves say. */
function assertAnswers(directory: string, events: readonly Event[]): void {
  const damaged: number[] = [];
  const reader = new SqliteJournalReader({ file: databaseFile(directory), onDamaged: (number) => damaged.push(number) });
  const newest = events.toReversed();
  const idsOf = (found: readonly Event[]) => found.map(({ id }) => id);
  assert.equal(reader.count(), events.length);
  assert.deepEqual(reader.query({ limit: 1_000 }), newest);
  for (const agent of [undefined, "web1", "web*", "none", "n*"]) {
    for (const type of [undefined, "file.changed", "{file,cpu}.*", "no.such"]) {
      for (const [since, until] of [[], [2.5 * hour], [undefined, 2.5 * hour], [hour, 3 * hour], [1.2 * hour, 1.3 * hour]]) {
        const accepts = (event: Event) =>
          (agent === undefined || globMatcher(agent)(event.agent)) &&
          (type === undefined || globMatcher(type)(event.type)) &&
          event.time >= (since ?? 0) &&
          event.time <= (until ?? Infinity);
        const question = { agent, type, since, until };
        const expected = newest.filter(accepts);
        assert.deepEqual(idsOf(reader.query({ ...question, limit: 1_000 })), idsOf(expected), JSON.stringify(question));
        assert.deepEqual(idsOf(reader.query({ ...question, limit: 2 })), idsOf(expected.slice(0, 2)), JSON.stringify(question));
        for (const by of ["type", "agent", "severity", "hour"] as const)
          assert.deepEqual(reader.tally({ ...question, by }), tallyOf(expected, by), JSON.stringify({ ...question, by }));
      }
    }
  }
  assert.deepEqual(
    idsOf(reader.query({ where: "event.data.n % 3 == 0", limit: 1_000 })),
    idsOf(newest.filter(({ data }) => Number(data["n"]) % 3 === 0)),
  );
  const wheres: [where: string, accepts: (event: Event) => boolean][] = [
    ["event.severity == 'critical' && event.data.n > 1", ({ severity, data }) => severity === "critical" && Number(data["n"]) > 1],
    ["event.type == 'cpu.high' && 'web1' == event.agent", ({ type, agent }) => type === "cpu.high" && agent === "web1"],
    ["event.severity == 'fatal'", () => false],
    ["event.type == 'no*such'", () => false],
    ["event.severity == 'critical' || event.type == 'cpu.high'", ({ type, severity }) => severity === "critical" || type === "cpu.high"],
  ];
  for (const [where, accepts] of wheres) {
    for (const [since, until] of [[], [hour, 3 * hour], [1.2 * hour, 1.3 * hour]]) {
      const inTime = ({ time }: Event) => time >= (since ?? 0) && time <= (until ?? Infinity);
      const expected = newest.filter((event) => accepts(event) && inTime(event));
      assert.deepEqual(idsOf(reader.query({ where, since, until, limit: 1_000 })), idsOf(expected), where);
      const narrowed = expected.filter(({ agent, type }) => agent === "web1" && type.startsWith("file."));
      assert.deepEqual(idsOf(reader.query({ where, since, until, agent: "web1", type: "file.*", limit: 1_000 })), idsOf(narrowed), where);
    }
  }
  for (const event of events) assert.deepEqual(reader.get(event.id), event);
  const effects = events.filter(({ cause }) => cause !== undefined);
  assert.deepEqual(idsOf(reader.causedBy("c", 1_000)), idsOf(effects));
  assert.deepEqual(idsOf(reader.causedBy("c", 1)), idsOf(effects.slice(0, 1)));
  assert.deepEqual(damaged, []);
  reader.close();
}

function tallyOf(events: readonly Event[], by: CountKey) {
  const counts = new Map<string, number>();
  for (const event of events) {
    const key = by === "hour" ? isoTime(Math.floor(event.time / hour) * hour) : event[by];
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  const tallies = [...counts].map(([key, count]) => ({ key, events: count }));
  return tallies.toSorted((a, b) => (by === "hour" ? 0 : b.events - a.events) || (a.key < b.key ? -1 : 1));
}

const eventDraft = fc.record({
  type: fc.constantFrom("file.changed", "file.created", "cpu.high"),
  // Clocks of hosts differ: some stand at the beginning of time.
  time: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 5 * hour }), fc.constantFrom(hour, 2 * hour, 3 * hour)),
  severity: fc.constantFrom("critical" as const, "normal" as const),
  cause: fc.option(fc.constant("c"), { nil: undefined }),
});
const arrivals = fc.array(
  fc.record({
    agent: fc.constantFrom("web1", "web2", "db1"),
    epoch: fc.constantFrom("e1", "e2"),
    events: fc.array(eventDraft, { minLength: 1, maxLength: 4 }),
  }),
  { minLength: 1, maxLength: 12 },
);
/** Appends what was generated, numbered. */
function fill(journal: JournalWriter, made: typeof arrivals extends fc.Arbitrary<infer T> ? T : never): void {
  let sequence = journal.partitions().at(-1)!.last;
  for (const { agent, epoch, events } of made) {
    const numberedEvents = events.map(({ cause, ...draft }) => {
      sequence++;
      return numbered(sequence, { ...draft, ...(cause === undefined ? {} : { cause }), data: { n: sequence } });
    });
    journal.append([batch(numberedEvents, { agent, epoch })]);
  }
}

test("every event is found exactly once by every kind of question, wherever a partition stands", async (t) => {
  const steps = fc.array(fc.record({ arrivals, seals: fc.boolean(), reopens: fc.boolean() }), { minLength: 1, maxLength: 3 });
  await fc.assert(
    fc.asyncProperty(steps, async (made) => {
      const directory = temporaryDirectory(t);
      let journal = openWriter(directory, { partitionEventsMax: 5 });
      for (const step of made) {
        fill(journal, step.arrivals);
        if (step.seals) await sealAll({ directory, journal });
        if (step.reopens) {
          journal.close();
          journal = openWriter(directory, { partitionEventsMax: 5 });
        }
        assertAnswers(directory, journal.read(0, 1_000));
      }
      journal.close();
    }),
    { numRuns: 6 },
  );
});

test("a crash at any step of sealing loses nothing and doubles nothing", async (t) => {
  const directory = temporaryDirectory(t);
  const journal = openWriter(directory, { partitionEventsMax: 4 });
  for (let number = 1; number <= 10; number++)
    journal.append([batch([numbered(number, { type: "file.changed", time: number * hour, ...(number % 2 === 0 ? { cause: "c" } : {}) })])]);
  const events = journal.read(0, 100);
  const [first] = journal.partitions();
  const crashed = new Map<SealStep | "marked", string>();
  // What a crash leaves is what the files hold at that moment.
  const keep = (step: SealStep | "marked") => {
    const copy = temporaryDirectory(t);
    cpSync(directory, copy, { recursive: true, filter: (path) => !path.endsWith("-shm") });
    crashed.set(step, copy);
  };
  journal.markSealed(first!.number, seal({ database: databaseFile(directory), partition: first!, reached: keep }));
  keep("marked");
  journal.close();
  assert.equal(crashed.size, 6);
  for (const [step, copy] of crashed) {
    const after = openWriter(copy, { partitionEventsMax: 4 });
    assert.deepEqual(after.read(0, 100), events, step);
    assertAnswers(copy, events);
    const { upkeep, errors } = await sealAll({ directory: copy, journal: after });
    upkeep.start();
    await upkeep.stop();
    assert.deepEqual(states(after), ["sealed", "sealed", "live"], step);
    assert.deepEqual(after.read(0, 100), events, step);
    assertAnswers(copy, events);
    assert.deepEqual(readdirSync(join(copy, "journal")).toSorted(), ["1.db", "2.db"]);
    assert.deepEqual(errors, []);
    after.close();
  }
});

function tenHours(t: TestContext) {
  const directory = temporaryDirectory(t);
  const journal = openWriter(directory, { partitionEventsMax: 2 });
  for (let number = 1; number <= 10; number++)
    journal.append([batch([numbered(number, { time: number * hour })], { received: number * hour })]);
  return { directory, journal };
}

test("what is older than retention goes, a whole partition at a time, and is told of", async (t) => {
  const { directory, journal } = tenHours(t);
  const retention = { ...keepAll, keepMs: 4 * hour };
  const { emitted, forgotten } = await sealAll({ directory, journal, retention, clock: new TestClock(9 * hour) });
  assert.deepEqual(
    journal.read(0, 100).map(({ id }) => id),
    [5, 6, 7, 8, 9, 10].map((number) => `web1:e1:${number}`),
  );
  assertAnswers(directory, journal.read(0, 100));
  assert.deepEqual(readdirSync(join(directory, "journal")).toSorted(), ["3.db", "4.db"]);
  assert.deepEqual(
    emitted.map(({ type, data }) => [type, data["events"], data["from"], data["to"]]),
    [
      ["journal.trimmed", 2, "1970-01-01T01:00:00.000000Z", "1970-01-01T02:00:00.000000Z"],
      ["journal.trimmed", 2, "1970-01-01T03:00:00.000000Z", "1970-01-01T04:00:00.000000Z"],
    ],
  );
  for (const { type, data } of emitted) assert.equal(dataProblem(type, data), undefined);
  assert.equal(forgotten.at(-1), 5 * hour, "tasks older than the oldest event may go");
  assert.deepEqual(journal.append([batch([1, 10, 11], { received: 11 * hour })]), [{ skipped: 2, position: 11 }]);
  journal.close();
});

test("what is too much for the disk goes, but never a table, nor the live partition", async (t) => {
  const { directory, journal } = tenHours(t);
  await sealAll({ directory, journal });
  const sizes = journal.partitions().map(({ bytes }) => bytes);
  const bytesMax = sizes.reduce((sum, bytes) => sum + bytes, 0) - 1;
  await sealAll({ directory, journal, retention: { ...keepAll, bytesMax } });
  assert.deepEqual(states(journal), ["sealed", "sealed", "sealed", "live"]);
  await sealAll({ directory, journal, retention: { ...keepAll, bytesMax: 1 } });
  assert.deepEqual(states(journal), ["live"]);
  assertAnswers(directory, journal.read(0, 100));
  journal.close();
});

test("a partition whose end cannot be told of is told of later, once, also after a crash", async (t) => {
  const { directory, journal } = tenHours(t);
  await sealAll({ directory, journal });
  const emit = async () => {
    throw new NeedfireError("DISK_FULL", "the disk takes nothing");
  };
  const { upkeep, errors } = upkeepOf({
    directory,
    journal,
    retention: { ...keepAll, keepMs: 4 * hour },
    clock: new TestClock(9 * hour),
    emit,
  });
  for (let round = 0; round < 3; round++) await upkeep.tick();
  const sizes = () => [1, 2, 3, 4].map((number) => statSync(sealedFile(join(directory, "journal"), number)).size);
  assert.deepEqual([sizes().map((size) => size > 0), errors], [[false, false, true, true], []], "the room is free at once");
  // Meanwhile nobody finds them damaged.
  const damaged: number[] = [];
  const reader = new SqliteJournalReader({ file: databaseFile(directory), onDamaged: (number) => damaged.push(number) });
  assert.equal(reader.query({ limit: 100 }).length, 6);
  assert.deepEqual([damaged, journal.read(0, 100).length], [[], 6]);
  reader.close();
  journal.close();

  // The next life has another opinion of how long events are to be kept, and says what is gone all the same.
  const after = openWriter(directory, { partitionEventsMax: 2 });
  const next = upkeepOf({ directory, journal: after });
  next.upkeep.start();
  for (let round = 0; round < 3; round++) await next.upkeep.tick();
  await next.upkeep.stop();
  assert.deepEqual(
    next.emitted.map(({ type, data }) => [type, data["partitions"], data["events"]]),
    [["journal.trimmed", [1, 2], 4]],
  );
  assert.deepEqual([readdirSync(join(directory, "journal")).toSorted(), next.errors], [["3.db", "4.db"], []]);
  assertAnswers(directory, after.read(0, 100));
  after.close();
});

test("retention comes before sealing, which may want for room", async (t) => {
  const { directory, journal } = tenHours(t);
  await sealAll({ directory, journal });
  journal.append([batch([numbered(11), numbered(12)], { received: 11 * hour })]);
  journal.append([batch([numbered(13)], { received: 11 * hour })]);
  const sealing = async () => {
    throw new Error("no space left on device");
  };
  const clock = new TestClock(9 * hour);
  const { upkeep, emitted, errors } = upkeepOf({ directory, journal, retention: { ...keepAll, keepMs: 4 * hour }, clock, seal: sealing });
  for (let round = 0; round < 4; round++) await upkeep.tick();
  assert.match(errors.join(), /no space left/);
  clock.time += 2 * hour;
  await upkeep.tick();
  assert.deepEqual(
    emitted.map(({ data }) => data["partitions"]),
    [[1, 2], [3]],
  );
  journal.close();
});

test("a file that cannot be removed stops neither sealing nor what comes", async (t) => {
  const { directory, journal } = tenHours(t);
  await sealAll({ directory, journal });
  const stuck = sealedFile(sealedDirectory(databaseFile(directory)), 2);
  rmSync(stuck);
  mkdirSync(join(stuck, "somebody's"), { recursive: true });
  const append = (number: number) => journal.append([batch([numbered(number), numbered(number + 1)], { received: 11 * hour })]);
  for (let number = 11; number <= 11 + 2 * (waitingMax + 1); number += 2) append(number);
  const { upkeep, emitted, errors } = upkeepOf({
    directory,
    journal,
    retention: { ...keepAll, keepMs: hour },
    clock: new TestClock(11 * hour),
  });
  assert.equal(upkeep.holdsBack, true);
  await upkeep.tick();
  assert.deepEqual([upkeep.holdsBack, errors.length], [false, 1]);
  assert.match(errors[0]!, /2\.db/);
  assert.ok(states(journal).filter((state) => state === "closed").length <= 20);
  rmSync(stuck, { recursive: true });
  await upkeep.tick();
  const trimmed = emitted.filter(({ type }) => type === "journal.trimmed");
  assert.deepEqual(
    trimmed.map(({ data }) => data["partitions"]),
    [[1], [2, 3, 4]],
  );
  journal.close();
});

const originsOf = (directory: string) => {
  const connection = new DatabaseSync(databaseFile(directory), { readOnly: true });
  const rows = connection.prepare("SELECT agent, epoch FROM origin ORDER BY id").all();
  connection.close();
  return rows.map(({ agent, epoch }) => `${String(agent)}:${String(epoch)}`);
};

test("an agent that begins numbering after numbering costs a few rows, is told of, and takes nothing from the others", async (t) => {
  const directory = temporaryDirectory(t);
  const journal = openWriter(directory, { partitionEventsMax: 50, heldMax: 10 });
  journal.append([batch([1, 2], { agent: "web2" })]);
  for (let number = 1; number <= 910; number++) journal.append([batch([1], { agent: "hostile", epoch: `h${number}` })]);
  const emitted: MasterEventDraft[] = [];
  const emit = async (event: MasterEventDraft) => emitted.push(event);
  await sealAll({ directory, journal, emit });
  const live = journal.partitions().at(-1)!;
  const rows = originsOf(directory);
  assert.ok(live.events < 50 && rows.length === Math.max(8, live.events) + 1, `${rows.length} origins, ${live.events} events in a table`);
  assert.equal(rows[0], "web2:e1");
  assert.equal(rows.at(-1), "hostile:h910");
  assert.ok(emitted.every(({ type, subject, data }) => type === "agent.renumbered" && subject === "hostile" && data["kept"] === 8));
  assert.equal(
    emitted.map(({ data }) => Number(data["forgotten"])).reduce((sum, each) => sum + each, 0),
    910 - rows.length + 1,
  );
  const again = [batch([1, 2], { agent: "web2" }), batch([1], { agent: "hostile", epoch: "h910" })];
  assert.deepEqual(
    journal.append(again).map(({ skipped }) => skipped),
    [2, 1],
  );
  assertAnswers(directory, journal.read(0, 10_000));
  journal.close();
});

test("a numbering whose events are gone is forgotten when its agent has a later one, and not before", async (t) => {
  const directory = temporaryDirectory(t);
  const journal = openWriter(directory, { partitionEventsMax: 2 });
  journal.append([batch([1], { agent: "quiet" }), batch([1], { epoch: "e1" })]);
  journal.append([batch([1, 2], { epoch: "e2" })]);
  journal.append([batch([1], { agent: "db1" })]);
  const trimmed = await sealAll({ directory, journal, retention: { ...keepAll, bytesMax: 1 } });
  assert.deepEqual(originsOf(directory), ["quiet:e1", "web1:e2", "db1:e1"]);
  assert.ok(
    trimmed.emitted.every(({ type }) => type === "journal.trimmed"),
    "nothing that is still there can come twice",
  );
  assert.deepEqual(
    journal.append([batch([1, 2], { agent: "quiet" }), batch([1, 2, 3], { epoch: "e2" })]).map(({ skipped }) => skipped),
    [1, 2],
  );
  journal.close();
});

test("numberings that cannot be told of stay", async (t) => {
  const directory = temporaryDirectory(t);
  const journal = openWriter(directory, { partitionEventsMax: 4 });
  for (let number = 1; number <= 21; number++) journal.append([batch([1], { epoch: `e${number}` })]);
  await sealAll({
    directory,
    journal,
    emit: async () => {
      throw new Error("the outbox is full");
    },
  });
  assert.equal(originsOf(directory).length, 21);
  // One of them is used after all.
  const emit = async () => journal.append([batch([1, 2], { epoch: "e1" })]);
  await sealAll({ directory, journal, emit });
  assert.deepEqual(originsOf(directory), ["web1:e1", ...Array.from({ length: 7 }, (_value, index) => `web1:e${index + 15}`)]);
  // One that is forgotten is as good as new.
  assert.deepEqual(journal.append([batch([1], { epoch: "e3" })]), [{ skipped: 0, position: 23 }]);
  assert.deepEqual(
    journal.read(20, 10).map(({ id }) => id),
    ["web1:e21:1", "web1:e1:2", "web1:e3:1"],
  );
  journal.close();
});

test("an agent whose numbering begins anew again and again has each event once, whatever is sent again, sealed, dropped or reopened", async (t) => {
  const step = fc.record({
    agent: fc.constantFrom("web1", "web2", "db1"),
    /** How much of what was sent last comes again. */
    again: fc.nat(3),
    events: fc.nat(4),
    renews: fc.boolean(),
    seals: fc.boolean(),
    drops: fc.boolean(),
    reopens: fc.boolean(),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 20, maxLength: 60, size: "max" }), async (steps) => {
      const directory = temporaryDirectory(t);
      const open = () => openWriter(directory, { partitionEventsMax: 5, heldMax: 2 });
      let journal = open();
      const current = new Map<string, { epoch: number; sequence: number }>();
      const expected: string[] = [];
      for (const { agent, again, events, renews, seals, drops, reopens } of steps) {
        let { epoch, sequence } = current.get(agent) ?? { epoch: 1, sequence: 0 };
        if (renews) [epoch, sequence] = [epoch + 1, 0];
        const from = Math.max(1, sequence - again + 1);
        const numbers = Array.from({ length: sequence + events - from + 1 }, (_value, index) => from + index);
        const [placed] = numbers.length === 0 ? [] : journal.append([batch(numbers, { agent, epoch: `e${epoch}` })]);
        if (placed !== undefined) assert.equal(placed.skipped, numbers.length - events);
        expected.push(...numbers.slice(numbers.length - events).map((number) => `${agent}:e${epoch}:${number}`));
        current.set(agent, { epoch, sequence: sequence + events });
        if (seals) await sealAll({ directory, journal, ...(drops ? { retention: { ...keepAll, bytesMax: 100_000 } } : {}) });
        if (reopens) {
          journal.close();
          journal = open();
        }
      }
      const kept = journal.read(0, 10_000).map(({ id }) => id);
      assert.deepEqual(kept, kept.length === 0 ? [] : expected.slice(-kept.length));
      journal.close();
    }),
    { numRuns: 10 },
  );
});

test("files that a crash left are removed at start; others are left alone", async (t) => {
  const { directory, journal } = tenHours(t);
  await sealAll({ directory, journal });
  journal.forget([1]);
  journal.catalogueChanged();
  writeFileSync(join(directory, "journal", "7.db.tmp"), "half");
  writeFileSync(join(directory, "journal", "99.db"), "somebody's");
  const { upkeep } = upkeepOf({ directory, journal });
  upkeep.start();
  await upkeep.stop();
  assert.deepEqual(readdirSync(join(directory, "journal")).toSorted(), ["2.db", "3.db", "4.db", "99.db"]);
  journal.close();
});

test("a file that is in the way at the start is told of, and keeps nobody from beginning", async (t) => {
  const { directory, journal } = tenHours(t);
  mkdirSync(join(sealedDirectory(databaseFile(directory)), "7.db.tmp", "somebody's"), { recursive: true });
  const { upkeep, errors } = upkeepOf({ directory, journal });
  upkeep.start();
  await upkeep.stop();
  assert.match(errors.join(), /7\.db\.tmp/);
  journal.close();
});

test("sealing waits while much is appended, until too many partitions wait", async (t) => {
  const directory = temporaryDirectory(t);
  const journal = openWriter(directory, { partitionEventsMax: 10_000 });
  const { upkeep } = upkeepOf({ directory, journal });
  let sequence = 0;
  const append = (events: number) => journal.append([batch(Array.from({ length: events }, () => numbered(++sequence)))]);
  const sealed = () => states(journal).filter((state) => state === "sealed").length;
  for (let round = 0; round < 10; round++) {
    append(20_000);
    await upkeep.tick();
  }
  assert.equal(sealed(), 0);
  for (let round = 0; round < 3; round++) await upkeep.tick();
  assert.equal(sealed(), 1, "quiet for three rounds");
  for (let round = 0; round < 16; round++) {
    append(20_000);
    await upkeep.tick();
  }
  const waiting = () => states(journal).filter((state) => state === "closed").length;
  assert.equal(waiting(), 20, "no more, however much comes");
  for (let partition = 0; partition < 8; partition++) append(10_000);
  await upkeep.tick();
  assert.equal(waiting(), 20, "all that are too many in one round");
  journal.close();
});

test("with too many partitions unsealed what comes is to wait until one is sealed; that is told, and that it is over", async (t) => {
  const directory = temporaryDirectory(t);
  const journal = openWriter(directory, { partitionEventsMax: 1 });
  const append = () => journal.append([batch([journal.partitions().at(-1)!.last + 1])]);
  for (let partition = 0; partition < waitingMax + 1; partition++) append();
  let trouble = true;
  const sealing = async (partition: Partition) => {
    if (trouble) throw new Error("the device fails");
    return seal({ database: databaseFile(directory), partition });
  };
  const { upkeep, emitted } = upkeepOf({ directory, journal, seal: sealing });
  assert.deepEqual([journal.waiting, upkeep.holdsBack], [waitingMax, false]);
  append();
  assert.equal(upkeep.holdsBack, true);
  // Where it fails, events must not wait for it.
  for (let round = 0; round < 2; round++) await upkeep.tick();
  assert.equal(upkeep.holdsBack, false);
  trouble = false;
  for (let round = 0; round < 31; round++) await upkeep.tick();
  assert.deepEqual([journal.waiting <= 20, upkeep.holdsBack], [true, false]);
  assert.deepEqual(
    emitted.map(({ type, data }) => [type, data["partitions"], data["held"], data["reason"]]),
    [
      ["journal.behind", waitingMax + 1, true, undefined],
      ["journal.caught_up", undefined, undefined, undefined],
    ],
  );
  for (const { type, data } of emitted) assert.equal(dataProblem(type, data), undefined);
  journal.close();
});

test("that sealing is behind since it fails is told with the reason", async (t) => {
  const directory = temporaryDirectory(t);
  const journal = openWriter(directory, { partitionEventsMax: 1 });
  const append = () => journal.append([batch([journal.partitions().at(-1)!.last + 1])]);
  for (let partition = 0; partition < waitingMax; partition++) append();
  const sealing = async () => {
    throw new Error("the device fails");
  };
  const { upkeep, emitted } = upkeepOf({ directory, journal, seal: sealing });
  await upkeep.tick();
  append();
  append();
  await upkeep.tick();
  const [told, ...others] = emitted;
  assert.deepEqual([told?.data["held"], told?.data["reason"], others], [false, "the device fails", []]);
  assert.equal(dataProblem(told!.type, told!.data), undefined);
  journal.close();
});

test("a damaged sealed partition is told of once and left out, and the rest is found", async (t) => {
  const { directory, journal } = tenHours(t);
  await sealAll({ directory, journal });
  const file = sealedFile(join(directory, "journal"), 2);
  const content = readFileSync(file);
  writeFileSync(file, content.fill(0x55, 0, 4_096));
  rmSync(sealedFile(join(directory, "journal"), 3));
  const damaged: number[] = [];
  const reader = new SqliteJournalReader({ file: databaseFile(directory), onDamaged: (number) => damaged.push(number) });
  for (let round = 0; round < 2; round++) {
    assert.deepEqual(
      reader.query({ limit: 100 }).map(({ id }) => id),
      [10, 9, 8, 7, 2, 1].map((number) => `web1:e1:${number}`),
    );
  }
  assert.deepEqual(reader.tally({ by: "agent" }), [{ key: "web1", events: 6 }]);
  assert.equal(reader.get("web1:e1:3"), undefined);
  assert.deepEqual(damaged, [3, 2]);
  assert.deepEqual(
    reader.missing({}).map(({ partition, events, from }) => [partition, events, from]),
    [
      [2, 2, 3 * hour],
      [3, 2, 5 * hour],
    ],
  );
  assert.deepEqual(reader.missing({ since: 7 * hour }), [], "another time is answered in full");
  reader.close();
  journal.close();
});

const idsOf = (events: readonly Event[]) => events.map(({ id }) => id);
const partsOf = (parts: readonly MissingPart[]) => parts.map(({ partition }) => partition);

test("a damaged sealed partition is an event, once, whoever finds it, and keeps nobody from the events after it", async (t) => {
  const { directory, journal } = tenHours(t);
  await sealAll({ directory, journal });
  journal.close();
  const file = sealedFile(join(directory, "journal"), 2);
  const content = readFileSync(file);
  writeFileSync(file, Buffer.from(content).fill(0x55, 0, 4_096));
  rmSync(sealedFile(join(directory, "journal"), 3));
  // Of zero length, but behind one that is not: retention would have begun with that.
  writeFileSync(sealedFile(join(directory, "journal"), 4), "");

  const told: string[] = [];
  for (let life = 0; life < 2; life++) {
    const found: Upkeep[] = [];
    const onDamaged = (number: number, reason: string) => found[0]!.damaged(number, reason);
    const writer = openWriter(directory, { partitionEventsMax: 2, onDamaged });
    const { upkeep, emitted, errors } = upkeepOf({ directory, journal: writer });
    found.push(upkeep);
    upkeep.start();
    for (let round = 0; round < 2; round++) {
      const ids = [1, 2, 9, 10].map((number) => `web1:e1:${number}`);
      assert.deepEqual(idsOf(writer.read(0, 100)), ids);
      const reader = new SqliteJournalReader({ file: databaseFile(directory) });
      assert.deepEqual(idsOf(reader.query({ limit: 100 })), ids.toReversed());
      if (life === 1) assert.deepEqual(partsOf(reader.missing({})), [2, 3, 4]);
      reader.close();
      upkeep.damaged(3, "somebody else has found it");
      await upkeep.tick();
    }
    await upkeep.stop();
    for (const { type, data, subject } of emitted) {
      assert.equal(dataProblem(type, data), undefined);
      told.push(`${type} ${String(data["partition"])} ${String(data["events"])} ${subject!.slice(directory.length + 1)}`);
    }
    assert.equal(errors.length, life === 0 ? 3 : 0);
    writer.close();
  }
  assert.deepEqual(
    told.toSorted(),
    [2, 3, 4].map((number) => `journal.partition_damaged ${number} 2 journal/${number}.db`),
  );

  // Put back from a backup: it is read again, and another damage is another event.
  writeFileSync(file, content);
  const writer = openWriter(directory, { partitionEventsMax: 2 });
  const { upkeep, emitted } = upkeepOf({ directory, journal: writer });
  upkeep.start();
  await upkeep.tick();
  assert.deepEqual([emitted, writer.partitions()[1]!.damage], [[], undefined]);
  assert.equal(writer.read(0, 100).length, 6);
  upkeep.damaged(2, "again");
  await upkeep.tick();
  assert.equal(emitted.length, 1);
  await upkeep.stop();
  writer.close();
});

test("a reader that has a partition open goes on when retention removes it", async (t) => {
  const { directory, journal } = tenHours(t);
  await sealAll({ directory, journal });
  const damaged: number[] = [];
  const reader = new SqliteJournalReader({ file: databaseFile(directory), onDamaged: (number) => damaged.push(number) });
  assert.equal(reader.query({ limit: 100 }).length, 10);
  await sealAll({ directory, journal, retention: { ...keepAll, bytesMax: 1 } });
  assert.equal(existsSync(sealedFile(join(directory, "journal"), 1)), false);
  assert.deepEqual(
    reader.query({ limit: 100 }).map(({ id }) => id),
    ["web1:e1:10", "web1:e1:9"],
  );
  assert.deepEqual(damaged, []);
  reader.close();
  journal.close();
});

test("when the disk is full while a partition is sealed, its table stays, and it is sealed when there is room", async (t) => {
  const directory = temporaryDirectory(t);
  const sealed = sealedDirectory(databaseFile(directory));
  await withSmallDisk(t, { directory: sealed, size: "128k" }, (disk) => fullDiskStory(directory, sealed, disk));
});

async function fullDiskStory(directory: string, sealed: string, disk: SmallDisk): Promise<void> {
  const journal = openWriter(directory, { partitionEventsMax: 100 });
  const text = "x".repeat(2_000);
  for (let number = 1; number <= 101; number++) journal.append([batch([numbered(number, { data: { n: number, text } })])]);
  const { upkeep, errors } = upkeepOf({ directory, journal });
  for (let round = 0; round < 3; round++) await upkeep.tick();
  assert.match(errors[0]!, /full/);
  assert.deepEqual(states(journal), ["closed", "live"]);
  assert.deepEqual(readdirSync(sealed), []);
  assertAnswers(directory, journal.read(0, 1_000));
  disk.resize("8m");
  for (let round = 0; round < 40; round++) await upkeep.tick();
  assert.deepEqual(states(journal), ["sealed", "live"]);
  assertAnswers(directory, journal.read(0, 1_000));
  journal.close();
}
