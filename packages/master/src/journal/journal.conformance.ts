/**
 * What every journal must do. An implementation's test calls this with a way to open one on a directory.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { severities } from "@needfire/shared/event";
import type { WireEvent } from "@needfire/shared/wire-event";
import { temporaryDirectory } from "../fixture.ts";
import { batch, numbered } from "./journal-fixture.ts";
import type { Journal } from "./journal.ts";

export interface JournalFactory {
  /** Opens the journal in a directory, which may hold one from before. */
  open(directory: string): Journal & { close(): void };
  /** An event of number 9 that this implementation cannot take, whatever the reason. */
  impossible: WireEvent;
}

const eventsMax = 1_000;

export function journalConformance(name: string, { open, impossible }: JournalFactory): void {
  const ids = async (journal: Journal) => (await journal.read(0, eventsMax)).map(({ id }) => id);

  describe(`the journal in ${name}`, () => {
    test("gives events back whole, in the order in which they came, each one position further", async (t) => {
      const journal = open(temporaryDirectory(t));
      const full = numbered(7, { subject: "/etc/motd", beacon: "etc", cause: "t-0123456789ab0000.1", severity: "high", time: 5.25 });
      const placed = await journal.append([batch([2, full], { received: 8.125 }), batch([1], { agent: "db1" })]);
      assert.deepEqual(placed, [
        { skipped: 0, position: 1 },
        { skipped: 0, position: 3 },
      ]);
      const events = await journal.read(0, 10);
      assert.deepEqual(events[1], {
        position: 2,
        id: "web1:e1:7",
        type: "test.happened",
        source: "/agents/web1/beacons/etc",
        agent: "web1",
        subject: "/etc/motd",
        time: 5.25,
        received: 8.125,
        severity: "high",
        beacon: "etc",
        cause: "t-0123456789ab0000.1",
        data: { n: 7 },
      });
      assert.deepEqual(
        events.map(({ position, id }) => [position, id]),
        [
          [1, "web1:e1:2"],
          [2, "web1:e1:7"],
          [3, "db1:e1:1"],
        ],
      );
      journal.close();
    });

    test("text from a host comes back as it was, whatever it holds", async (t) => {
      const journal = open(temporaryDirectory(t));
      const hostile = `a\u0000b\n"'; DROP TABLE event; -- \u{1F525}\u202e`;
      await journal.append([batch([numbered(1, { subject: hostile, data: { [hostile]: hostile } })])]);
      const [event] = await journal.read(0, 1);
      assert.equal(event?.subject, hostile);
      assert.deepEqual(event.data, { [hostile]: hostile });
      journal.close();
    });

    test("P1: what is not above the lane's last number is there already, and is skipped", async (t) => {
      const journal = open(temporaryDirectory(t));
      await journal.append([batch([1, 4])]);
      assert.equal(journal.last("web1", "e1", "normal"), 4);
      assert.deepEqual(await journal.append([batch([1, 4, numbered(6, { data: { new: true } })])]), [{ skipped: 2, position: 3 }]);
      assert.deepEqual(await journal.append([batch([4, 6])]), [{ skipped: 2, position: 4 }]);
      assert.deepEqual(
        (await journal.read(0, 10)).map(({ data }) => data),
        [{ n: 1 }, { n: 4 }, { new: true }],
      );
      journal.close();
    });

    test("P1: each lane, epoch and agent has numbers of its own", async (t) => {
      const journal = open(temporaryDirectory(t));
      await journal.append([batch([5])]);
      await journal.append([batch([3], { lane: "critical" }), batch([4], { epoch: "e2" }), batch([2], { agent: "db1" })]);
      assert.deepEqual(await ids(journal), ["web1:e1:5", "web1:e1:3", "web1:e2:4", "db1:e1:2"]);
      const last = (agent: string, epoch: string) => severities.map((lane) => journal.last(agent, epoch, lane));
      assert.deepEqual(last("web1", "e1"), [3, 0, 5, 0]);
      assert.deepEqual(last("web1", "e2"), [0, 0, 4, 0]);
      assert.deepEqual(last("web2", "e1"), [0, 0, 0, 0]);
      journal.close();
    });

    test("the same batch twice in one call is taken once", async (t) => {
      const journal = open(temporaryDirectory(t));
      assert.deepEqual(await journal.append([batch([1, 2]), batch([1, 2, 3])]), [
        { skipped: 0, position: 1 },
        { skipped: 2, position: 3 },
      ]);
      assert.equal((await journal.read(0, 10)).length, 3);
      journal.close();
    });

    test("when one event cannot be taken none of the call is, and what is known of numbers is as before", async (t) => {
      const journal = open(temporaryDirectory(t));
      await journal.append([batch([1])]);
      await assert.rejects(async () => journal.append([batch([2]), batch([3], { agent: "db1" }), batch([4, impossible, 10])]));
      assert.deepEqual(await ids(journal), ["web1:e1:1"]);
      assert.equal(journal.last("web1", "e1", "normal"), 1);
      assert.equal(journal.last("db1", "e1", "normal"), 0);
      assert.deepEqual(await journal.append([batch([2]), batch([3], { agent: "db1" }), batch([4, 10])]), [
        { skipped: 0, position: 2 },
        { skipped: 0, position: 3 },
        { skipped: 0, position: 4 },
      ]);
      journal.close();
    });

    test("what was appended is there after it is opened again, and still counts once", async (t) => {
      const directory = temporaryDirectory(t);
      const before = open(directory);
      await before.append([batch([1, 2]), batch([7], { lane: "high" })]);
      before.close();
      const after = open(directory);
      assert.equal((await after.read(0, 10)).length, 3);
      assert.deepEqual(await after.append([batch([2, 3]), batch([7], { lane: "high" })]), [
        { skipped: 1, position: 4 },
        { skipped: 1, position: 5 },
      ]);
      after.close();
    });

    test("whatever comes, comes again or fails, reading page by page gives each once, in order of first arrival", async (t) => {
      const arrival = fc.record({
        agent: fc.constantFrom("a", "b"),
        lane: fc.constantFrom(...severities),
        numbers: fc.uniqueArray(fc.integer({ min: 1, max: 12 }), { maxLength: 6 }).map((numbers) => numbers.toSorted((a, b) => a - b)),
      });
      const calls = fc.array(fc.record({ arrivals: fc.array(arrival, { maxLength: 4 }), fails: fc.boolean(), reopened: fc.boolean() }), {
        maxLength: 8,
      });
      await fc.assert(
        fc.asyncProperty(calls, fc.integer({ min: 1, max: 5 }), async (made, page) => {
          const directory = temporaryDirectory(t);
          let journal = open(directory);
          const expected: string[] = [];
          const marks = new Map<string, number>();
          for (const { arrivals, fails, reopened } of made) {
            const batches = arrivals.map(({ agent, lane, numbers }) => batch(numbers, { agent, lane }));
            if (fails) await assert.rejects(async () => journal.append([...batches, batch([impossible], { agent: "c" })]));
            else {
              await journal.append(batches);
              for (const { agent, lane, numbers } of arrivals) {
                const mark = marks.get(agent + lane) ?? 0;
                expected.push(...numbers.filter((number) => number > mark).map((number) => `${agent}:e1:${number}`));
                marks.set(agent + lane, Math.max(mark, numbers.at(-1) ?? 0));
              }
            }
            if (reopened) {
              journal.close();
              journal = open(directory);
            }
          }
          const read: { id: string; position: number }[] = [];
          for (let found = await journal.read(0, page); found.length > 0; found = await journal.read(read.at(-1)!.position, page)) {
            assert.ok(found.length <= page);
            read.push(...found);
          }
          assert.deepEqual(
            read.map(({ id }) => id),
            expected,
          );
          assert.deepEqual(
            read.map(({ position }) => position),
            expected.map((_id, index) => index + 1),
          );
          journal.close();
        }),
        { numRuns: 30 },
      );
    });
  });
}
