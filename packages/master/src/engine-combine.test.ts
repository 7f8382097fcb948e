import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as delay } from "node:timers/promises";
import fc from "fast-check";
import type { Outcome } from "@needfire/shared/action";
import { taskId } from "@needfire/shared/ids";
import type { Rollout } from "@needfire/shared/rollout";
import type { Execution, Task } from "@needfire/shared/task";
import { rolloutRetryEvent } from "@needfire/shared/task/order";
import { World } from "./engine-fixture.ts";
import { incoming, TestClock } from "./fixture.ts";

const names = (count: number) => Array.from({ length: count }, (_value, index) => `web${index + 1}`);

const fix = 'do: [{ command.run: { argv: [fix, "${{ event.subject }}"] } }]';

/** The time stands still until `pass`: however slow the machine is, what happens before does so within one window. */
class Fleet extends World {
  readonly clock: TestClock;

  constructor(t: TestContext, text: string, clock = new TestClock(1_700_000_000_000)) {
    super(t, [{ file: "fix.yaml", text }], { clock });
    this.clock = clock;
  }

  async pass(): Promise<void> {
    await this.quiet();
    this.clock.time += windowMs;
  }
}

const windowMs = 10_000;

function setting(t: TestContext, lines: string, count: number, what = fix): Fleet {
  const world = new Fleet(t, `name: fix\non: test.happened\n${lines}\n${what}\n`);
  world.addHosts(names(count));
  for (const host of world.hosts.values()) host.received = () => world.clock.now();
  return world;
}

/** It happens on these hosts. */
function happens(world: World, hosts: readonly string[], subject = "/etc/a"): void {
  for (const name of hosts) world.hosts.get(name)!.happens((sequence) => incoming(sequence, { agent: name, subject }));
}

const failsOn = (world: World, outcomes: Record<string, Outcome>) => {
  for (const [name, host] of world.hosts) host.outcomeOf = () => outcomes[name] ?? "succeeded";
};

const tasksIn = (world: World) => world.read((reader) => reader.tasks({ limit: 1_000 }));
const rolloutsIn = (world: World) => world.read((reader) => reader.rollouts({ limit: 100 }));
const reasonsOn = (world: World, event: string) =>
  world.read((reader) => reader.decisionsOn(event)).map(({ reason, task }) => (task === undefined ? [reason] : [reason, task]));

/** Lets hosts answer until it is so. */
async function until(
  world: World,
  holds: (tasks: Task[], rollouts: Rollout[]) => boolean,
): Promise<{ tasks: Task[]; rollouts: Rollout[] }> {
  for (let round = 0; round < 2_000; round++) {
    await world.quiet();
    const tasks = tasksIn(world);
    const rollouts = rolloutsIn(world);
    if (holds(tasks, rollouts)) return { tasks, rollouts };
    await delay(10);
  }
  throw new Error(`${JSON.stringify(rolloutsIn(world))} ${JSON.stringify(tasksIn(world))} ${world.problems.join("; ")}`);
}

const isResolved = ({ status }: Task) => status.state === "resolved";

test("what would do the same on several hosts is one rollout; each host has the task of its own event", async (t) => {
  const world = setting(t, "combine: 10s\nlimits: { concurrent: 2 }", 6);
  happens(world, names(5));
  happens(world, ["web6"], "/etc/b");
  await world.pass();
  const { tasks, rollouts } = await until(world, (all) => all.length === 6 && all.every(isResolved));
  assert.equal(rollouts.length, 1);
  const [rollout] = rollouts;
  assert.deepEqual([rollout!.hosts, rollout!.concurrent, rollout!.combined, rollout!.count], [5, 2, true, 5]);
  assert.deepEqual(
    rollout!.events.toSorted(),
    names(5).map((name) => `${name}:e1:1`),
  );
  for (const task of tasks) {
    assert.deepEqual(
      [task.id, task.event, task.subject === "/etc/b"],
      [taskId("fix", task.event), `${task.agent}:e1:1`, task.agent === "web6"],
    );
    assert.equal(task.rollout, task.agent === "web6" ? undefined : rollout!.id);
  }
  for (const name of names(5)) {
    assert.deepEqual(reasonsOn(world, `${name}:e1:1`), [["combining"], ["combined", rollout!.id]]);
    assert.deepEqual(
      world.read((reader) => reader.rolloutsOfEvent(`${name}:e1:1`)).map(({ id }) => id),
      [rollout!.id],
    );
  }
  assert.deepEqual(reasonsOn(world, "web6:e1:1"), [["combining"], ["fired", taskId("fix", "web6:e1:1")]]);
  const hosts = world.read((reader) => reader.rolloutHosts(rollout!.id));
  assert.deepEqual(
    new Set(hosts.map(({ agent, event, state }) => `${agent} ${event} ${state}`)),
    new Set(names(5).map((name) => `${name} ${name}:e1:1 resolved`)),
  );
  const journal = await world.end();
  const [started] = journal.filter(({ type }) => type === "rollout.started");
  assert.deepEqual((started!.data["agents"] as string[]).toSorted(), names(5));
});

test("the approval is asked for once, and names the hosts", async (t) => {
  const world = setting(t, "combine: 10s\napprove: { from: [ann], message: tidy up? }", 3);
  happens(world, names(3));
  await world.pass();
  const [waiting] = await world.until("task.waiting", 1);
  assert.match(String(waiting!.data["message"]), /^tidy up\? \(3 hosts: web\d, web\d, web\d\)$/);
  world.crash();
  await world.engine.say({ task: String(waiting!.data["task"]), word: { kind: "approve", by: "ann" } });
  await until(
    world,
    (tasks) => tasks.filter(({ agent, rungs }) => agent.startsWith("web") && rungs.length > 0).filter(isResolved).length === 3,
  );
  assert.equal((await world.end()).filter(({ type }) => type === "task.waiting").length, 1);
});

test("whether and what is asked is worked out for all hosts together", async (t) => {
  const approve = 'approve: { if: size(targets) > 2, from: [ann], message: "fix ${{ size(targets) }} hosts?" }';
  const world = setting(t, `combine: 10s\n${approve}`, 3);
  happens(world, ["web1", "web2"]);
  await world.pass();
  await until(world, (tasks) => tasks.length === 2 && tasks.every(isResolved));
  happens(world, names(3));
  await world.pass();
  const [waiting] = await world.until("task.waiting", 1);
  assert.match(String(waiting!.data["message"]), /^fix 3 hosts\? \(3 hosts: /);
  await world.end();
});

test("a firing joins the host's part: its task when that is open, the rollout while it has not begun there", async (t) => {
  const world = setting(t, "combine: 10s\ntask: { key: [event.agent, event.subject] }\nlimits: { concurrent: 1 }", 2);
  // No command is answered for now.
  const given: Execution[] = [];
  const answers = [...world.hosts.values()].map((host) => ({ host, take: host.take.bind(host) }));
  for (const { host } of answers) host.take = (execution) => void given.push(execution);
  happens(world, names(2));
  await world.pass();
  await world.until("task.created", 1);
  const [task] = tasksIn(world);
  // The keys are known after a restart, too.
  world.crash();
  for (const name of [task!.agent, task!.agent === "web1" ? "web2" : "web1"]) {
    happens(world, [name]);
    const event = world.hosts.get(name)!.spool[0]!.id;
    await world.pass();
    for (let round = 0; reasonsOn(world, event).length < 2 && round < 1_000; round++) await delay(10);
    assert.deepEqual(reasonsOn(world, event), [["combining"], ["joined", name === task!.agent ? task!.id : task!.rollout!]]);
  }
  for (const { host, take } of answers) host.take = take;
  for (const execution of given) world.hosts.get(execution.agent)!.take(execution);
  const { tasks } = await until(world, (all) => all.length === 2 && all.every(isResolved));
  assert.deepEqual(new Set(tasks.map(({ rollout }) => rollout)), new Set([task!.rollout]));
  await world.end();
});

test("each host's own breaker and limit is asked before it goes with the others", async (t) => {
  const lines = "combine: 10s\nlimits: { breaker: { repeats: 1, within: 1h, keys: 100 }, per_agent: 2/1h }";
  const world = setting(t, lines, 4);
  failsOn(world, { web1: "failed" });
  happens(world, ["web1", "web2"]);
  await world.pass();
  await until(world, (all) => all.length === 2 && all.every(({ status }) => status.state === "resolved" || status.state === "escalated"));
  happens(world, ["web2"]);
  await world.pass();
  await until(world, (all) => all.length === 3 && all.filter(isResolved).length === 2);
  // web1 did not hold, web2 has had its two.
  happens(world, names(4));
  const throttled = world.hosts.get("web2")!.spool.at(-1)!.id;
  await world.pass();
  const { tasks, rollouts } = await until(world, (all) => all.filter(isResolved).length === 4);
  assert.deepEqual(reasonsOn(world, throttled), [["combining"], ["throttled"]]);
  const tripped = tasks.find(({ status }) => status.state === "escalated" && status.reason.includes("did not hold"));
  assert.equal(tripped?.agent, "web1");
  const last = rollouts[0]!;
  const members = world.read((reader) => reader.rolloutHosts(last.id)).map(({ agent }) => agent);
  assert.deepEqual(members.toSorted(), ["web3", "web4"]);
  await world.end();
});

test("of two groups that come out at once a host goes with one, where it may have one task", async (t) => {
  const world = setting(t, "combine: 10s\nlimits: { concurrent: 1, per_agent: 1/1h }", 3);
  happens(world, names(3), "/etc/a");
  happens(world, names(3), "/etc/b");
  const both = names(3).map((name) => world.hosts.get(name)!.spool.map(({ id }) => id));
  await world.pass();
  const { rollouts } = await until(world, (all, made) => all.length === 3 && all.every(isResolved) && made.every(({ open }) => open === 0));
  assert.equal(rollouts.length, 1);
  for (const events of both) {
    const reasons = new Set(events.map((event) => reasonsOn(world, event)[1]![0]));
    assert.deepEqual(reasons, new Set(["combined", "throttled"]));
  }
  await world.end();
});

test("what was collected of several hosts is one rollout on them, and a plan shows it", async (t) => {
  const world = setting(t, "flow: { collect: 10s }", 3, 'do: [{ command.run: { argv: [tidy, "${{ count }} events"] } }]');
  happens(world, names(3));
  await world.pass();
  const { rollouts } = await until(world, (all) => all.length === 3 && all.every(isResolved));
  assert.deepEqual(
    rollouts.map(({ hosts, count }) => [hosts, count]),
    [[3, 3]],
  );
  await world.end();

  const plan = setting(t, "combine: 10s\nmode: plan", 3);
  happens(plan, names(3));
  await plan.pass();
  const shown = await until(plan, (_tasks, all) => all.length === 1);
  assert.deepEqual(
    shown.rollouts.map(({ status, hosts }) => [status.state, hosts]),
    [["planned", 3]],
  );
  assert.deepEqual(reasonsOn(plan, "web2:e1:1"), [["combining"], ["planned", shown.rollouts[0]!.id]]);
  await plan.end();
});

/** So many events of each host are sent, and the time of what waits may be over, before it crashes. */
const anyCrash = fc.record({ batch: fc.integer({ min: 0, max: 2 }), passes: fc.boolean() });

test("P2: whenever it crashes, each event has one task, and each host began once", async (t) => {
  await fc.assert(
    fc.asyncProperty(fc.array(anyCrash, { maxLength: 8 }), async (crashes) => {
      const world = setting(t, "combine: 10s\nlimits: { concurrent: 2 }", 8);
      happens(world, names(5));
      happens(world, ["web6", "web7"], "/etc/b");
      happens(world, ["web8"], "/etc/c");
      for (const { batch, passes } of crashes) {
        await world.send(batch);
        if (passes) world.clock.time += windowMs;
        world.crash();
      }
      await world.pass();
      const { tasks } = await until(world, (all) => all.length === 8 && all.every(isResolved));
      assert.deepEqual(
        tasks.map(({ id }) => id).toSorted(),
        names(8)
          .map((name) => taskId("fix", `${name}:e1:1`))
          .toSorted(),
      );
      assert.ok([...world.hosts.values()].every(({ runs }) => runs.size === 1));
      for (const rollout of rolloutsIn(world)) assert.deepEqual([rollout.status.state, rollout.begun], ["done", rollout.hosts]);
      await world.end();
    }),
    { numRuns: 6 },
  );
});

test("P2: what the rules have forgotten with a damaged store is not done again", async (t) => {
  const world = setting(t, "combine: 10s", 3);
  happens(world, names(2));
  await world.pass();
  await until(world, (all) => all.length === 2 && all.every(isResolved));
  await world.engine.close();
  const database = new DatabaseSync(`${world.directory}/master.db`);
  database.exec("DELETE FROM rule_state; UPDATE setting SET value = '0' WHERE name = 'cursor'");
  database.close();
  world.crash();
  happens(world, ["web3"]);
  world.clock.time += windowMs;
  await world.pass();
  const { tasks, rollouts } = await until(world, (all) => all.length === 3 && all.every(isResolved));
  assert.deepEqual([rollouts.length, tasks.filter(({ rollout }) => rollout === undefined).map(({ agent }) => agent)], [1, ["web3"]]);
  assert.deepEqual(world.problems, []);
  await world.end();
});

test("where it failed it is tried again: with each host's own key, and the question for those alone", async (t) => {
  const world = setting(t, "combine: 10s\ntask: { key: [event.agent, event.subject] }\napprove: { from: [ann] }", 3);
  failsOn(world, { web2: "failed" });
  happens(world, names(3));
  await world.pass();
  const [asked] = await world.until("task.waiting", 1);
  await world.engine.say({ task: String(asked!.data["task"]), word: { kind: "approve", by: "ann" } });
  const isOver = ({ status }: Rollout) => status.state === "done";
  const { rollouts } = await until(world, (_tasks, all) => all.length === 1 && all.every(isOver));
  await world.engine.enact(rolloutRetryEvent(rollouts[0]!, { request: "once-more", by: "bob", why: undefined, unresolved: false }));
  const [, again] = await world.until("task.waiting", 2);
  assert.equal(again!.data["message"], "fix (1 host: web2)");
  const retried = rolloutsIn(world).find(({ order }) => order !== undefined);
  assert.deepEqual([retried!.combined, retried!.hosts, retried!.status.state], [true, 1, "waiting"]);
  happens(world, ["web2"]);
  const event = world.hosts.get("web2")!.spool.at(-1)!.id;
  await world.pass();
  for (let round = 0; reasonsOn(world, event).length < 2 && round < 1_000; round++) await delay(10);
  assert.deepEqual(reasonsOn(world, event), [["combining"], ["joined", retried!.id]]);
  await world.end();
});
