/** The engine with the real dispatch, as the master ties them together, over lives of it that end in a crash. */
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import type { Execution } from "@needfire/shared/task";
import { Dispatch } from "./dispatch.ts";
import { World } from "./engine-fixture.ts";
import { incoming } from "./fixture.ts";
import type { Session } from "./sessions.ts";

const reactor = { file: "each.yaml", text: `name: each\non: test.happened\ndo: [{ command.run: { argv: ["true"] } }]\n` };
const commandsMax = 3;
const tasks = 12;

/** A host that keeps what it is given until it is told to end it. */
function setting(t: TestContext) {
  const world = new World(t, [reactor], { start: false });
  const end = world.host.take.bind(world.host);
  /** What the host has and has not ended, by its id, and what it has ended. */
  const has = new Map<string, Execution>();
  const ended = new Set<string>();
  const counts: number[] = [];
  const known = new Map<string, Execution>();
  let dispatch: Dispatch | undefined;
  world.heard = (notice) => {
    if (notice.kind !== "perform") return;
    for (const execution of notice.ended) dispatch?.ended(execution);
  };
  world.host.take = (execution) => {
    known.set(execution.id, execution);
    dispatch?.start(execution);
  };
  const begin = () => {
    const { engine } = world;
    dispatch = new Dispatch(
      {
        reveal: (args) => ({ ok: true, args, secrets: [] }),
        isSettled: () => false,
        epochOf: () => "e1",
        sessionOf: (agent) => ({ agent, epoch: "e1" }) as Session,
        send: (_session, message) => {
          assert.ok(message.kind === "execute");
          const { execution: id } = message.body;
          if (!ended.has(id)) has.set(id, known.get(id)!);
          counts.push(has.size);
          return true;
        },
        mark: (marks) => engine.mark(marks),
        clock: { now: () => Date.now() },
        monotonic: { now: () => performance.now() },
        expiresMs: 3_600_000,
        limits: { commandsMax, perAgentMax: 1_000, risesAfterMs: 300_000 },
        onBacklog: () => {},
      },
      engine.state().openExecutions,
    );
    void engine.start();
    dispatch.resume("web1");
  };
  const crash = () => {
    dispatch = undefined;
    world.crash({ start: false });
    begin();
  };
  /** The host ends the first of what it has, and tells of it. */
  const endOne = async () => {
    const [first] = has.values();
    if (first !== undefined) {
      has.delete(first.id);
      ended.add(first.id);
      end(first);
    }
    await world.quiet();
  };
  return { world, begin, crash, endOne, has, ended, counts };
}

test("a limit on the commands that are out holds over crashes, wherever they come: no more are with hosts, and each is given out in the end", async (t) => {
  for (const crashes of [[], [1, 5], [2, 3, 9]]) {
    const { world, begin, crash, endOne, has, ended, counts } = setting(t);
    begin();
    for (let number = 0; number < tasks; number++) world.host.happens((sequence) => incoming(sequence));
    await world.quiet();
    for (let round = 0; ended.size < tasks && round < 200; round++) {
      await endOne();
      if (crashes.includes(round)) crash();
      await world.quiet();
    }
    assert.deepEqual([ended.size, has.size, Math.max(...counts)], [tasks, 0, commandsMax], `crashes after ${crashes.join(", ")}`);
    await world.until("task.resolved", tasks);
    await world.end();
  }
});
