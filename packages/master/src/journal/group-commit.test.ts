import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Event, IncomingEvent } from "@needfire/shared/event";
import { incoming, settled } from "../fixture.ts";
import { GroupCommit } from "./group-commit.ts";

/** A journal on a disk whose syncs end when the test says so. */
function slowJournal() {
  const groups: { numbers: number[]; done(): void; fail(error: Error): void }[] = [];
  const committed: number[] = [];
  let position = 0;
  const seen = new Set<number>();
  const append = async (events: IncomingEvent[]): Promise<(number | null)[]> => {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    groups.push({ numbers: events.map(({ sequence }) => sequence), done: resolve, fail: reject });
    await promise;
    return events.map(({ sequence }) => (seen.has(sequence) ? null : (seen.add(sequence), ++position)));
  };
  const group = new GroupCommit({ append, sync: () => {} }, (events: Event[]) =>
    committed.push(...events.map(({ data }) => data["n"] as number)),
  );
  return { group, groups, committed };
}

test("what arrives while the disk is busy goes together with the next transaction", async () => {
  const { group, groups, committed } = slowJournal();
  const first = group.append([incoming(1)]);
  const others = [group.append([incoming(2), incoming(3)]), group.append([incoming(4)])];
  await settled();
  assert.deepEqual(
    groups.map(({ numbers }) => numbers),
    [[1]],
  );
  groups[0]!.done();
  await first;
  await settled();
  assert.deepEqual(groups[1]?.numbers, [2, 3, 4]);
  assert.deepEqual(committed, [1]);
  groups[1].done();
  await Promise.all(others);
  assert.deepEqual(committed, [1, 2, 3, 4]);
  await group.drained();
});

test("an error reaches those whose events were in that transaction, and nobody else", async () => {
  const { group, groups, committed } = slowJournal();
  const outcomes: string[] = [];
  const tell = (name: string, work: Promise<void>) =>
    work.then(
      () => outcomes.push(`${name} kept`),
      (error: Error) => outcomes.push(`${name} ${error.message}`),
    );
  const all = [tell("a", group.append([incoming(1)])), tell("b", group.append([incoming(2)])), tell("c", group.append([incoming(3)]))];
  groups[0]!.done();
  await settled();
  all.push(tell("d", group.append([incoming(4)])));
  groups[1]!.fail(new Error("disk full"));
  await settled();
  groups[2]!.done();
  await Promise.all(all);
  assert.deepEqual(outcomes, ["a kept", "b disk full", "c disk full", "d kept"]);
  assert.deepEqual(committed, [1, 4]);
});

test("more than may wait for the disk is refused, and there is room again when the disk has caught up", async () => {
  const { group, groups } = slowJournal();
  const first = group.append([incoming(1)]);
  const many = Array.from({ length: 100_000 }, (_value, index) => incoming(index + 2));
  const waiting = group.append(many);
  await assert.rejects(group.append([incoming(200_000)]), { code: "QUEUE_FULL" });
  groups[0]!.done();
  await first;
  await settled();
  groups[1]!.done();
  await waiting;
  const last = group.append([incoming(200_000)]);
  await settled();
  assert.deepEqual(groups[2]?.numbers, [200_000]);
  groups[2].done();
  await last;
});

test("a repetition is kept without being told of a second time; nothing at all is kept at once", async () => {
  const { group, groups, committed } = slowJournal();
  await group.append([]);
  const both = [group.append([incoming(1)]), group.append([incoming(1), incoming(2)])];
  groups[0]!.done();
  await settled();
  groups[1]!.done();
  await Promise.all(both);
  assert.deepEqual(committed, [1, 2]);
});

test("whatever the groups become, each caller is answered after its events, and all are told of in the order they came", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 20 }),
      fc.infiniteStream(fc.boolean()),
      async (sizes, pauses) => {
        const { group, groups, committed } = slowJournal();
        let number = 0;
        let ended = 0;
        const finish = () => {
          for (const next of groups.slice(ended)) {
            next.done();
            ended++;
          }
        };
        const answers = sizes.map((size) => {
          const events = Array.from({ length: size }, () => incoming(++number));
          const last = number;
          return group.append(events).then(() => assert.ok(committed.includes(last)));
        });
        const all = Promise.all(answers);
        while (committed.length < number) {
          if (pauses.next().value) await settled();
          finish();
          await Promise.resolve();
        }
        await all;
        assert.deepEqual(
          committed,
          Array.from({ length: number }, (_value, index) => index + 1),
        );
      },
    ),
    { numRuns: 30 },
  );
});
