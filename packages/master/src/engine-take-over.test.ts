import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { taskOfExecution } from "@needfire/shared/ids";
import { hasEnded, type Task } from "@needfire/shared/task";
import { World } from "./engine-fixture.ts";
import { incoming, settled, TestClock } from "./fixture.ts";

const minuteMs = 60_000;
const start = 1_700_000_000_000;

const reactors = [
  {
    file: "block.yaml",
    text: `name: block
on: x.attack
task: { key: event.subject }
do:
  - steps: [{ command.run: { argv: [block, "\${{ event.subject }}"] } }]
    verify: { command.run: { argv: [check] }, after: 1m }
    undo: { after: 1h, steps: [{ command.run: { argv: [unblock, "\${{ event.subject }}"] } }] }
`,
  },
];

function blocking(t: Parameters<Parameters<typeof test>[0] & object>[0]) {
  const clock = new TestClock(start);
  const world = new World(t, reactors, { clock });
  world.host.received = () => clock.time;
  const attack = (subject: string) => world.host.happens((sequence) => incoming(sequence, { type: "x.attack", subject }));
  /** The host says that it has what it was lent. */
  const confirm = () => {
    for (const { execution, due } of world.host.leases.values())
      world.engine.answerLeases([{ task: taskOfExecution(execution), word: { kind: "leased", execution, epoch: "e1", due } }]);
  };
  const pass = async (ms: number) => {
    clock.time += ms;
    world.host.passTime(clock.time);
    world.engine.tell([]);
    await settled();
    await world.quiet();
  };
  const tasks = (): Task[] => world.read((reader) => reader.tasks({ limit: 10_000 }));
  /** What the host has done, in that order. */
  const done = () => {
    const executions = new Map(
      world.read((store) => tasks().flatMap(({ id }) => store.executions(id))).map((execution) => [execution.id, execution]),
    );
    return [...world.host.runs.keys()].flatMap((id) => {
      const { args, report } = executions.get(id) ?? {};
      const argv = (args?.["argv"] ?? ["?"]) as string[];
      return argv[0] === "check" || report?.outcome === "cancelled" ? [] : [argv.join(" ")];
    });
  };
  return { clock, world, attack, confirm, pass, tasks, done };
}

test("what fires again before it was taken back is taken back once, at the later time, wherever the master crashes between; each task says so", async (t) => {
  for (const crashes of [[], [1], [2], [3], [4], [1, 2, 3, 4]]) {
    const { world, attack, confirm, pass, tasks, done } = blocking(t);
    const crashAt = (point: number) => (crashes.includes(point) ? world.crash() : undefined);
    attack("a");
    await world.quiet();
    await pass(minuteMs);
    confirm();
    await world.quiet();
    crashAt(1);
    await pass(49 * minuteMs);
    attack("a");
    await world.quiet();
    crashAt(2);
    confirm();
    await world.quiet();
    crashAt(3);
    await pass(minuteMs);
    crashAt(4);
    await world.quiet();
    // The first one's hour is over.
    for (let minutes = 0; minutes < 59; minutes++) await pass(minuteMs);
    assert.deepEqual(done(), ["block a", "block a"], `crashes at ${crashes.join()}`);
    await pass(minuteMs);
    await pass(minuteMs);
    assert.deepEqual(done(), ["block a", "block a", "unblock a"], `crashes at ${crashes.join()}`);
    const [second, first] = tasks().toSorted((a, b) => b.created - a.created);
    assert.ok(hasEnded(first!) && hasEnded(second!));
    assert.deepEqual([first!.takenOver?.map(({ by }) => by), second!.tookOver], [[second!.id], [first!.id]]);
    const journal = await world.end();
    const told = journal.filter(({ type }) => type.startsWith("task.und")).map(({ type, cause }) => [type, cause]);
    assert.deepEqual(told, [
      ["task.undo_taken_over", first!.id],
      ["task.undone", second!.id],
    ]);
    assert.deepEqual(world.problems, []);
  }
});

const move = fc.oneof(
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("attack" as const), subject: fc.constantFrom("a", "b") }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("send" as const), wait: fc.boolean() }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("pass" as const), minutes: fc.constantFrom(1, 2, 20, 60) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("turns" as const), micro: fc.integer({ min: 0, max: 40 }) }) },
  { weight: 2, arbitrary: fc.constantFrom({ kind: "crash" as const }, { kind: "confirm" as const }) },
);

test("P2: wherever it crashes, of each key nothing stays, each lease has one end, and what one task gives up another has", async (t) => {
  await fc.assert(
    fc.asyncProperty(fc.array(move, { minLength: 5, maxLength: 30, size: "max" }), async (moves) => {
      const { clock, world, attack, confirm, pass, tasks, done } = blocking(t);
      for (const next of moves) {
        if (next.kind === "attack") attack(next.subject);
        else if (next.kind === "crash") world.crash();
        else if (next.kind === "confirm") confirm();
        else if (next.kind === "send") {
          const sent = world.send(5);
          if (next.wait) await sent;
        } else if (next.kind === "turns") for (let turn = 0; turn < next.micro; turn++) await Promise.resolve();
        else {
          clock.time += next.minutes * minuteMs;
          world.engine.tell([]);
        }
      }
      for (let round = 0; round < 200; round++) {
        await world.quiet();
        if (tasks().every(hasEnded)) break;
        await pass(minuteMs);
      }
      const all = tasks();
      const order = done();
      const journal = await world.end();
      assert.deepEqual(world.problems, []);
      assert.ok(all.every(hasEnded), "it never ends");
      for (const subject of ["a", "b"]) {
        const last = order.findLast((line) => line.endsWith(` ${subject}`));
        assert.ok(last === undefined || last.startsWith("unblock"), `${order.join(", ")}: ${subject} stays`);
      }
      const told = journal.filter(({ type }) => type.startsWith("task.und"));
      assert.deepEqual(told.map(({ cause }) => cause!).toSorted(), all.map(({ id }) => id).toSorted(), "each has one end");
      const given = all.flatMap(({ id, takenOver = [] }) => takenOver.map(({ by }) => [id, by]));
      for (const [from, to] of given) assert.ok(all.some(({ id, tookOver = [] }) => id === to && tookOver.includes(from!)));
    }),
    { numRuns: 25 },
  );
});
