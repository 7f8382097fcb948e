/**
 * What every journal must do. An implementation's test calls this with a way to open one on a directory.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { incoming, temporaryDirectory } from "../fixture.ts";
import type { Journal } from "./journal.ts";

export interface JournalFactory {
  /** Opens the journal in a directory, which may hold one from before. */
  open(directory: string): Journal & { close(): void };
  /** An event that this implementation cannot take, whatever the reason. */
  impossible: Parameters<Journal["append"]>[0][number];
}

export function journalConformance(name: string, { open, impossible }: JournalFactory): void {
  describe(`the journal in ${name}`, () => {
    test("gives events back whole, in the order in which they came, each with a later position", async (t) => {
      const journal = open(temporaryDirectory(t));
      const full = incoming(2, { subject: "/etc/motd", beacon: "etc", cause: "t-0123456789ab0000.1", severity: "high", time: 5.25 });
      const positions = [...(await journal.append([incoming(7), full])), ...(await journal.append([incoming(1, { agent: "db1" })]))];
      const events = await journal.read(0, 10);
      assert.deepEqual(
        events.map(({ position }) => position),
        positions,
      );
      assert.ok(positions[0]! < positions[1]! && positions[1]! < positions[2]!);
      const { epoch: _epoch, sequence: _sequence, ...expected } = full;
      assert.deepEqual(events[1], { ...expected, position: positions[1] });
      assert.deepEqual(
        events.map(({ id }) => id),
        ["web1:e1:7", "web1:e1:2", "db1:e1:1"],
      );
      journal.close();
    });

    test("text from a host comes back as it was, whatever it holds", async (t) => {
      const journal = open(temporaryDirectory(t));
      const hostile = `a\u0000b\n"'; DROP TABLE event; -- \u{1F525}\u202e`;
      await journal.append([incoming(1, { subject: hostile, data: { [hostile]: hostile } })]);
      const [event] = await journal.read(0, 1);
      assert.equal(event?.subject, hostile);
      assert.deepEqual(event.data, { [hostile]: hostile });
      journal.close();
    });

    test("P1: the same agent, epoch and number is there once; another agent, epoch or number is another event", async (t) => {
      const journal = open(temporaryDirectory(t));
      assert.deepEqual(await journal.append([incoming(1), incoming(1, { data: { second: true } })]), [1, null]);
      assert.deepEqual(await journal.append([incoming(1), incoming(2)]), [null, 2]);
      assert.deepEqual(await journal.append([incoming(1, { agent: "db1" }), incoming(1, { epoch: "e2" })]), [3, 4]);
      assert.deepEqual(
        (await journal.read(0, 10)).map(({ data }) => data),
        [{ n: 1 }, { n: 2 }, { n: 1 }, { n: 1 }],
      );
      journal.close();
    });

    test("of a batch with an event that cannot be taken none is taken, and the next one is", async (t) => {
      const journal = open(temporaryDirectory(t));
      await assert.rejects(async () => journal.append([incoming(1), impossible, incoming(2)]));
      assert.deepEqual(await journal.read(0, 10), []);
      await journal.append([incoming(1)]);
      assert.equal((await journal.read(0, 10)).length, 1);
      journal.close();
    });

    test("what was appended is there after it is opened again, and still counts once", async (t) => {
      const directory = temporaryDirectory(t);
      const before = open(directory);
      await before.append([incoming(1), incoming(2)]);
      before.close();
      const after = open(directory);
      assert.equal((await after.read(0, 10)).length, 2);
      assert.deepEqual(await after.append([incoming(2), incoming(3)]), [null, 3]);
      after.close();
    });

    test("whatever comes and comes again, reading page by page gives each once, in order of first arrival", async (t) => {
      const batches = fc.array(fc.array(fc.tuple(fc.constantFrom("a", "b"), fc.integer({ min: 1, max: 12 })), { maxLength: 6 }), {
        maxLength: 8,
      });
      await fc.assert(
        fc.asyncProperty(batches, fc.integer({ min: 1, max: 5 }), async (arrivals, page) => {
          const journal = open(temporaryDirectory(t));
          for (const batch of arrivals) await journal.append(batch.map(([agent, sequence]) => incoming(sequence, { agent })));
          const read: { id: string; position: number }[] = [];
          for (let found = await journal.read(0, page); found.length > 0; found = await journal.read(read.at(-1)!.position, page)) {
            assert.ok(found.length <= page);
            read.push(...found);
          }
          assert.deepEqual(
            read.map(({ id }) => id),
            [...new Set(arrivals.flat().map(([agent, sequence]) => `${agent}:e1:${sequence}`))],
          );
          journal.close();
        }),
        { numRuns: 30 },
      );
    });
  });
}
