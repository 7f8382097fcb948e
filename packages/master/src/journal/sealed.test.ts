import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Event } from "@needfire/shared/event";
import { globMatcher } from "@needfire/shared/glob";
import { temporaryDirectory } from "../fixture.ts";
import { conditionOf } from "./condition.ts";
import { batch, databaseFile, numbered, openWriter } from "./journal-fixture.ts";
import type { EventQuery } from "./journal.ts";
import { seal } from "./seal.ts";
import { SqliteJournalReader } from "./sqlite-reader.ts";

const minute = 60_000;

/** What a condition may read: fields of data and of the event, what is missing, what is made up, and everything at once. */
const wheres = [
  "event.data.n % 7 == 3",
  "event.data.n == 41",
  "event.data.missing > 1",
  "has(event.data.word) && event.data.word.startsWith('w1')",
  "event.data.list.exists(each, each == 5)",
  "event.data.inner.deep == 'x2'",
  "event.data == {}",
  "event.severity == 'critical'",
  "event.severity == 'critical' && event.data.n > 60",
  "event.type == 'cpu.high' && event.data.n > 10",
  "event.agent == 'web2' && event.severity != 'low'",
  "event.subject == '/etc/3' || event.beacon == 'b1'",
  "has(event.cause) && !has(event.subject)",
  "event.id == 'web1:e1:7' || event.source.endsWith('b0')",
  "event.position > 100 && event.received > 0.0",
  "size(event) > 9",
  "agent.labels.role == 'x' || event.data.n == 3",
];

const drafts = fc.array(
  fc.record({
    agent: fc.constantFrom("web1", "web2", "db1"),
    type: fc.constantFrom("file.changed", "cpu.high"),
    severity: fc.oneof(
      { weight: 30, arbitrary: fc.constantFrom("normal" as const, "low" as const) },
      { weight: 1, arbitrary: fc.constant("critical" as const) },
    ),
    subject: fc.option(fc.constantFrom("/etc/3", "/etc/4"), { nil: undefined }),
    beacon: fc.option(fc.constantFrom("b0", "b1"), { nil: undefined }),
    cause: fc.option(fc.constant("c"), { nil: undefined }),
    /** Most clocks go with the order of the events; some do not. */
    jump: fc.oneof({ weight: 15, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.integer({ min: -900, max: 900 }) }),
    word: fc.option(fc.constantFrom("w1", "w12", "w2"), { nil: undefined }),
    inner: fc.option(fc.record({ deep: fc.constantFrom("x1", "x2") }), { nil: undefined }),
    list: fc.option(fc.array(fc.integer({ min: 0, max: 9 }), { maxLength: 3 }), { nil: undefined }),
  }),
  { minLength: 40, maxLength: 1_500, size: "max" },
);

const optional = <T>(from: fc.Arbitrary<T>) => fc.option(from, { nil: undefined, freq: 1 });
const questions = fc.array(
  fc.record({
    where: optional(fc.constantFrom(...wheres)),
    agent: optional(fc.constantFrom("web1", "web*", "none")),
    type: optional(fc.constantFrom("cpu.high", "*.high")),
    since: optional(fc.integer({ min: -100, max: 1_600 }).map((at) => at * minute)),
    until: optional(fc.integer({ min: -100, max: 1_600 }).map((at) => at * minute)),
    limit: fc.constantFrom(1, 5, 10_000),
  }),
  { minLength: 60, maxLength: 60 },
);

test("a question to a sealed partition has the same answer as looking at every event", (t) => {
  fc.assert(
    fc.property(drafts, questions, (made, asked) => {
      const directory = temporaryDirectory(t);
      const journal = openWriter(directory, { partitionEventsMax: made.length });
      for (const [index, { agent, jump, word, inner, list, ...rest }] of made.entries()) {
        const present = Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== undefined));
        const time = Math.max(0, (index + jump) * minute);
        journal.append([batch([numbered(index + 1, { ...present, time, data: { word, n: index, inner, list } })], { agent })]);
      }
      journal.append([batch([9_999])]);
      const [first] = journal.partitions();
      journal.markSealed(1, seal({ database: databaseFile(directory), partition: { ...first! } }));
      const newest = journal.read(0, 10_000).toReversed();
      journal.close();
      const reader = new SqliteJournalReader({ file: databaseFile(directory) });
      for (const question of asked) {
        const expected = newest.filter((event) => isWanted(event, question)).slice(0, question.limit);
        assert.deepEqual(reader.query(question), expected, JSON.stringify(question));
      }
      reader.close();
    }),
    { numRuns: 8, endOnFailure: true },
  );
});

/** The condition is asked of the event as a whole. */
function isWanted(event: Event, { where, agent, type, since = -Infinity, until = Infinity }: EventQuery): boolean {
  return (
    event.time >= since &&
    event.time <= until &&
    (agent === undefined || globMatcher(agent)(event.agent)) &&
    (type === undefined || globMatcher(type)(event.type)) &&
    (where === undefined || conditionOf(where).holds(event))
  );
}
