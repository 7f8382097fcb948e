import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { outcomes } from "@needfire/shared/action";
import { taskOfExecution } from "@needfire/shared/ids";
import { hasEnded, type Task } from "@needfire/shared/task";
import { holdsLock } from "@needfire/shared/task/lock";
import { World } from "./engine-fixture.ts";
import { incoming, settled, TestClock } from "./fixture.ts";

const reactors = [
  {
    file: "careful.yaml",
    text: `name: careful
on: service.failed
lock: "'service'"
task: { key: event.subject }
approve: { from: [ann], timeout: 20s, on_timeout: proceed }
do: [{ command.run: { argv: [restart] } }]
otherwise: [{ event.emit: { type: remedy.failed } }, { command.run: { argv: [page] } }]
`,
  },
  {
    file: "revive.yaml",
    text: `name: revive
on: service.failed
lock: "'service'"
task: { key: event.subject }
do:
  - steps: [{ command.run: { argv: [reload] } }, { event.emit: { type: remedy.tried } }]
    timeout: 20s
    retry: { attempts: 3, backoff: 5s }
    verify: { command.run: { argv: [check] }, after: 1s, within: 10s }
    undo: { after: 1m, steps: [{ command.run: { argv: [back] } }, { command.run: { argv: [tidy] } }, { event.emit: { type: remedy.undone } }] }
  - steps: [{ command.run: { argv: [restart] } }]
    verify: { event: { on: service.recovered, when: event.subject == matched.trigger.subject }, within: 30s }
    undo: { on_failure: true, steps: [{ command.run: { argv: [stop] } }] }
otherwise:
  - command.run: { argv: [page, "\${{ task.reason }}"] }
  - event.emit: { type: remedy.failed, data: { attempts: "\${{ task.attempts }}" } }
`,
  },
];

const move = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constantFrom("service.failed" as const, "service.recovered" as const),
      subject: fc.constantFrom("a", "b"),
    }),
  },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("send" as const), wait: fc.boolean() }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("time" as const), ms: fc.constantFrom(500, 5_000, 20_000, 60_000) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("turns" as const),
      micro: fc.integer({ min: 0, max: 40 }),
      macro: fc.integer({ min: 0, max: 3 }),
    }),
  },
  { weight: 2, arbitrary: fc.constant({ kind: "crash" as const }) },
  // The host's clock is ahead, or the master asleep.
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("alone" as const), ms: fc.constantFrom(0, 60_000, 400_000) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("answer" as const), pick: fc.nat(), takes: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constantFrom("approve" as const, "deny" as const), pick: fc.nat() }) },
);

test("P2: wherever it crashes, each ladder comes to one end, those of one lock one after the other, each command runs once and is recorded, and otherwise is done once for each that escalates", async (t) => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(move, { minLength: 5, maxLength: 30 }),
      fc.array(fc.constantFrom("succeeded" as const, "succeeded" as const, ...outcomes), { minLength: 1, maxLength: 20 }),
      async (moves, ends) => {
        const clock = new TestClock(1_700_000_000_000);
        const world = new World(t, reactors, { clock });
        world.host.received = () => clock.time;
        let commands = 0;
        world.host.outcomeOf = () => ends[commands++ % ends.length]!;
        for (const next of moves) {
          assert.ok(tasksOf(world).filter(holdsLock).length <= 1, "two are at work although they have one lock");
          if (next.kind === "crash") world.crash();
          else if (next.kind === "alone") world.host.passTime(clock.time + next.ms);
          else if (next.kind === "answer") answer(world, next);
          else if (next.kind === "time") {
            clock.time += next.ms;
            world.engine.tell([]);
          } else if (next.kind === "send") {
            const sent = world.send(5);
            if (next.wait) await sent;
          } else if (next.kind === "turns") {
            for (let turn = 0; turn < next.micro; turn++) await Promise.resolve();
            for (let turn = 0; turn < next.macro; turn++) await new Promise((done) => setImmediate(done));
          } else if ("pick" in next) {
            const waiting = tasksOf(world).filter(({ status }) => status.state === "waiting");
            const task = waiting[next.pick % Math.max(1, waiting.length)];
            // It may crash before it is answered: then whoever asked knows nothing, and the task must be whole all the same.
            if (task !== undefined) world.engine.say({ task: task.id, word: { kind: next.kind, by: "ann" } }).catch(() => {});
          } else world.host.happens((sequence) => incoming(sequence, { type: next.kind, subject: next.subject }));
        }
        // Until time and answers have brought everything to its end.
        const tasks = () => tasksOf(world);
        for (let round = 0; round < 200; round++) {
          await world.quiet();
          assert.ok(tasksOf(world).filter(holdsLock).length <= 1, "two are at work although they have one lock");
          if (tasks().every(hasEnded)) break;
          clock.time += 10_000;
          world.host.passTime(clock.time);
          world.engine.tell([]);
          await settled();
        }
        const all = tasks();
        const journal = await world.end();
        assert.deepEqual(world.problems, []);
        assert.deepEqual(
          all.filter((task) => !hasEnded(task)),
          [],
        );
        const ended = journal
          .filter(({ type }) => ["task.resolved", "task.escalated", "task.expired", "task.cancelled"].includes(type))
          .map(({ cause }) => cause!);
        assert.deepEqual(ended.toSorted(), all.map(({ id }) => id).toSorted(), "each ends once");
        const escalated = all.filter(({ status: { state } }) => state === "escalated" || state === "expired").length;
        assert.equal(journal.filter(({ type }) => type === "remedy.failed").length, escalated);
        const executions = world.read((store) => all.flatMap(({ id }) => store.executions(id)));
        assert.ok(
          executions.every(({ report }) => report !== undefined),
          "each is recorded",
        );
        const sent = executions.filter(({ agent }) => agent === "web1").map(({ id }) => id);
        assert.deepEqual([...world.host.runs.keys()].toSorted(), sent.toSorted());
        const pages = executions.filter(({ purpose, action }) => purpose === "otherwise" && action === "command.run");
        assert.equal(pages.length, escalated);
        const undone = executions.filter(({ purpose }) => purpose === "undo").map(({ task, args }) => `${task} ${JSON.stringify(args)}`);
        assert.equal(new Set(undone).size, undone.length, "taken back twice");
      },
    ),
    { numRuns: 40 },
  );
});

test("a verification goes on to listen when its reactor is taken away, also over a restart, and on hosts on which it has not begun yet", async (t) => {
  const verify = "verify: { no_event: { on: service.failed, when: event.subject == matched.trigger.subject }, within: 1h }";
  const steady = `name: steady\non: service.wanted\nDO`;
  const text = steady.replace("DO", `do: [{ steps: [{ command.run: { argv: [reload] } }], ${verify} }]\n`);
  const fleet = `name: fleet\non: fleet.wanted\ntargets: [web1, web2]\nlimits: { concurrent: 1 }\ndo: [{ steps: [{ command.run: { argv: [reload] } }], ${verify} }]\n`;
  const world = new World(t, [
    { file: "steady.yaml", text },
    { file: "fleet.yaml", text: fleet },
  ]);
  world.addHosts(["web2"]);
  const happens = (type: string, subject: string, agent = "web1") =>
    world.hosts.get(agent)!.happens((sequence) => incoming(sequence, { agent, type, subject }));
  happens("service.wanted", "nginx");
  happens("service.wanted", "sshd");
  happens("fleet.wanted", "ntp");
  await world.untilHeard("task.verifying", 3);
  world.define([]);
  happens("service.failed", "nginx");
  assert.match(String((await world.untilHeard("task.escalated", 1))[0]!.data["reason"]), /verification: the event .* came/);
  world.crash();
  happens("service.failed", "sshd");
  await world.untilHeard("task.escalated", 2);
  for (const agent of ["web1", "web2"]) happens("service.failed", "ntp", agent);
  await world.untilHeard("task.escalated", 3);
  await world.untilHeard("task.verifying", 4);
  for (const agent of ["web1", "web2"]) happens("service.failed", "ntp", agent);
  await world.untilHeard("task.escalated", 4);
  await world.end();
});

/** The host says of one of its leases whether it has it. */
function answer(world: World, { pick, takes }: { pick: number; takes: boolean }): void {
  const leases = [...world.host.leases.values()];
  const lease = leases[pick % Math.max(1, leases.length)];
  if (lease === undefined) return;
  const { execution, due } = lease;
  const word = takes
    ? ({ kind: "leased", execution, epoch: "e1", due } as const)
    : ({ kind: "lease_refused", execution, reason: "no" } as const);
  world.engine.answerLeases([{ task: taskOfExecution(execution), word }]);
}

function tasksOf(world: World): Task[] {
  return world.read((reader) => reader.tasks({ limit: 10_000 }));
}
