import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import fc from "fast-check";
import { temporaryDirectory } from "../fixture.ts";
import { batch, databaseFile, numbered, openWriter } from "./journal-fixture.ts";
import { sealedDirectory, sealedFile } from "./partition.ts";
import { type Period, Recorded } from "./recorded.ts";
import { seal } from "./seal.ts";

const always: Period = { since: Number.NEGATIVE_INFINITY, until: Number.POSITIVE_INFINITY };
const types = ["a.b", "c.d", "e.f"];

function read(directory: string, period: Period, wanted: readonly string[], between: () => void = () => {}) {
  const recorded = new Recorded(databaseFile(directory), period);
  const ids: string[] = [];
  let events = 0;
  for (const { rows, read: passed } of recorded.pages((type) => wanted.includes(type))) {
    for (const { row, names } of rows) ids.push(`${names.agent}:${row[2] as number}:${row[3] as string}`);
    events += passed;
    between();
  }
  recorded.close();
  return { ids, events };
}

test("whatever is asked for: events come once and in order, from tables and sealed files alike", (t) => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.constantFrom(...types), fc.integer({ min: 0, max: 9 })), { maxLength: 20 }),
      fc.integer({ min: 0, max: 6 }),
      fc.subarray(types),
      fc.integer({ min: 0, max: 100 }),
      fc.integer({ min: 0, max: 100 }),
      (given, seals, wanted, since, length) => {
        const directory = temporaryDirectory(t);
        const writer = openWriter(directory, { partitionEventsMax: 3 });
        let received = 0;
        const all = given.map(([type, later], index) => {
          received += later;
          const agent = index % 2 === 0 ? "web1" : "db1";
          writer.append([batch([numbered(index + 1, { type })], { agent, received })]);
          return { id: `${agent}:${index + 1}:${type}`, type, received };
        });
        for (const partition of writer
          .partitions()
          .filter(({ state }) => state === "closed")
          .slice(0, seals))
          writer.markSealed(partition.number, seal({ database: databaseFile(directory), partition }));
        const until = since + length;
        const expected = all.filter((event) => wanted.includes(event.type) && event.received >= since && event.received <= until);
        assert.deepEqual(
          read(directory, { since, until }, wanted).ids,
          expected.map(({ id }) => id),
        );
        assert.equal(read(directory, always, wanted).events, all.length);
        writer.close();
      },
    ),
    { numRuns: 60 },
  );
});

test("where the clock was set back is told at its place, whatever is asked for", (t) => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.constantFrom(...types), fc.integer({ min: -9, max: 9 })), { maxLength: 20 }),
      fc.integer({ min: 0, max: 6 }),
      fc.subarray(types),
      fc.nat({ max: 20 }),
      (given, seals, wanted, reopenedAt) => {
        const directory = temporaryDirectory(t);
        let writer = openWriter(directory, { partitionEventsMax: 3 });
        const expected: unknown[] = [];
        let received = 1_000;
        for (const [index, [type, later]] of given.entries()) {
          if (index === reopenedAt) {
            writer.close();
            writer = openWriter(directory, { partitionEventsMax: 3 });
          }
          if (index > 0 && later < 0) expected.push({ before: received, after: received + later });
          received += later;
          writer.append([batch([numbered(index + 1, { type })], { received })]);
          if (wanted.includes(type)) expected.push(index + 1);
        }
        const closed = writer.partitions().filter(({ state }) => state === "closed");
        for (const partition of closed.slice(0, seals))
          writer.markSealed(partition.number, seal({ database: databaseFile(directory), partition }));
        const recorded = new Recorded(databaseFile(directory), always);
        const found: unknown[] = [];
        for (const { setBack, rows } of recorded.pages((type) => wanted.includes(type)))
          found.push(...(setBack === undefined ? [] : [setBack]), ...rows.map(({ row }) => row[0]));
        assert.deepEqual(found, expected);
        recorded.close();
        const sealed = writer.partitions().filter(({ state }) => state === "sealed");
        writer.forget(sealed.map(({ number }) => number));
        const left = new DatabaseSync(databaseFile(directory)).prepare("SELECT min(position) AS first FROM set_back").get();
        assert.ok(left!["first"] === null || Number(left!["first"]) >= writer.partitions()[0]!.first);
        writer.close();
      },
    ),
    { numRuns: 60 },
  );
});

test("a partition that is sealed while it is read goes on being read, one that is dropped is passed over", (t) => {
  const directory = temporaryDirectory(t);
  const writer = openWriter(directory, { partitionEventsMax: 12_000 });
  const write = (from: number, count: number) =>
    writer.append([batch(Array.from({ length: count }, (_value, index) => numbered(from + index, { type: "a.b" })))]);
  write(1, 12_000);
  write(12_001, 12_000);
  write(24_001, 3);
  let pages = 0;
  const [first, second] = writer.partitions();
  const { ids } = read(directory, always, ["a.b"], () => {
    pages++;
    if (pages === 1) writer.markSealed(first!.number, seal({ database: databaseFile(directory), partition: first! }));
    if (pages === 2) {
      writer.markSealed(second!.number, seal({ database: databaseFile(directory), partition: second! }));
      writer.forget([second!.number]);
      writer.catalogueChanged();
      rmSync(sealedFile(sealedDirectory(databaseFile(directory)), second!.number));
    }
  });
  assert.equal(ids.length, 12_003);
  assert.equal(ids[11_999], "web1:12000:a.b");
  assert.equal(ids[12_000], "web1:24001:a.b");
  writer.close();
});
