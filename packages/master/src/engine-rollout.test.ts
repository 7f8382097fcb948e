import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { test, type TestContext } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import fc from "fast-check";
import type { Event } from "@needfire/shared/event";
import { rolloutId } from "@needfire/shared/ids";
import type { Rollout } from "@needfire/shared/rollout";
import { orderedRolloutId, retryEvent, rolloutRetryEvent } from "@needfire/shared/task/order";
import { World } from "./engine-fixture.ts";
import { incoming } from "./fixture.ts";

const trigger = "web1:e1:1";
const id = rolloutId("patch", trigger);

function patch(lines: string): { file: string; text: string } {
  const text = `name: patch\non: test.happened\ntargets: 'web*'\n${lines}\ndo: [{ command.run: { argv: [upgrade, "\${{ agent.id }}"] } }]\n`;
  return { file: "patch.yaml", text };
}

const names = (count: number) => Array.from({ length: count }, (_value, index) => `web${index + 1}`);

function setting(t: TestContext, lines: string, count: number, fails: (agent: string) => boolean = () => false): World {
  const world = new World(t, [patch(lines)]);
  world.addHosts([...names(count), "db1"]);
  for (const [agent, host] of world.hosts) host.outcomeOf = () => (fails(agent) ? "failed" : "succeeded");
  world.host.happens((sequence) => incoming(sequence));
  return world;
}

const rolloutIn = (world: World): Rollout => world.read((reader) => reader.readRollout(id))!;

/** Lets hosts answer until it is in this state. */
async function rolled(world: World, state: Rollout["status"]["state"], which = id): Promise<Rollout> {
  for (let round = 0; round < 400; round++) {
    await world.quiet();
    const rollout = world.read((reader) => reader.readRollout(which));
    if (rollout?.status.state === state && rollout.open === 0) return rollout;
    await delay(5);
  }
  throw new Error(`it is ${JSON.stringify(world.read((reader) => reader.readRollout(id)))}; ${world.problems.join("; ")}`);
}

const commands = (world: World) => [...world.hosts].flatMap(([agent, { runs }]) => [...runs.values()].map(() => agent));
const types = (journal: readonly Event[]) => journal.map(({ type }) => type).filter((type) => type.startsWith("rollout."));

test("one firing goes to every host that fits, wave by wave, each with a task of its own", async (t) => {
  const world = setting(t, "limits: { concurrent: 3, ramp: [1, 50%] }", 9);
  const rollout = await rolled(world, "done");
  assert.deepEqual([rollout.resolved, rollout.failed, rollout.ends], [9, 0, [1, 4, 9]]);
  assert.deepEqual(commands(world).toSorted(), names(9).toSorted());
  const tasks = world.read((reader) => reader.tasks({ rollout: id, limit: 100 }));
  assert.deepEqual(
    new Set(tasks.map(({ agent, status }) => `${agent} ${status.state}`)),
    new Set(names(9).map((name) => `${name} resolved`)),
  );
  const hosts = world.read((reader) => reader.rolloutHosts(id));
  assert.ok(hosts.every(({ state }) => state === "resolved"));
  assert.deepEqual(
    world.read((reader) => reader.decisionsOn(trigger)).map(({ reason, task }) => [reason, task]),
    [["fired", id]],
  );
  const journal = await world.end();
  assert.deepEqual(types(journal), ["rollout.started", ...Array.from({ length: 3 }, () => "rollout.wave"), "rollout.done"]);
  // The wave's event stands between the tasks of the one and the other.
  const order = journal.map(({ type }) => type).filter((type) => type === "rollout.wave" || type === "task.created");
  assert.deepEqual(order.slice(0, 3), ["rollout.wave", "task.created", "rollout.wave"]);
});

test("P8: a large rollout begins a hundred hosts at a time, all of them in the end", async (t) => {
  const world = setting(t, "", 250);
  const rollout = await rolled(world, "done");
  assert.equal(rollout.resolved, 250);
  const journal = await world.end();
  // What a turn makes is told at one time.
  const made = new Map<number, number>();
  for (const { type, time } of journal) if (type === "task.created") made.set(time, (made.get(time) ?? 0) + 1);
  assert.deepEqual([...made.values()], [100, 100, 50]);
});

test("with a lock that all its hosts share a rollout has one at work at a time, and with one of each host's own nobody waits", async (t) => {
  for (const [lock, waits] of [
    ["[\"'the mirror'\"]", 5],
    ["[agent.id, \"'apt'\"]", 0],
  ] as const) {
    const world = setting(t, `lock: ${lock}`, 6);
    const rollout = await rolled(world, "done");
    assert.deepEqual([rollout.resolved, commands(world).toSorted()], [6, names(6).toSorted()]);
    const journal = await world.end();
    assert.equal(journal.filter(({ type }) => type === "task.waiting").length, waits, lock);
  }
});

test("it stops after so many failures, and people are called once, with the hosts and why", async (t) => {
  const lines =
    'limits: { concurrent: 2, stop_after_failures: 2 }\notherwise: [{ event.emit: { type: ticket.wanted, data: { tried: "${{ task.history }}" } } }]';
  const world = setting(t, lines, 20, () => true);
  const rollout = await rolled(world, "stopped");
  assert.ok(rollout.failed >= 2 && rollout.begun <= 3, JSON.stringify(rollout));
  const [wanted, ...more] = await world.until("ticket.wanted", 1);
  assert.deepEqual(more, []);
  const tried = wanted!.data["tried"] as { reason: string }[];
  assert.match(tried[0]!.reason, /^web\d+: command\.run failed/);
  const hosts = world.read((reader) => reader.rolloutHosts(id));
  assert.equal(hosts.filter(({ state }) => state === undefined).length, 20 - rollout.begun);
  assert.deepEqual(types(await world.end()).slice(-1), ["rollout.stopped"]);
});

test("P7: what a rollout says does not make its own reactor fire again", async (t) => {
  const text = patch("").text.replace("on: test.happened", "on: [test.happened, 'rollout.*']");
  const world = new World(t, [{ file: "patch.yaml", text }]);
  world.host.happens((sequence) => incoming(sequence));
  await rolled(world, "done");
  assert.equal(world.read((reader) => reader.rollouts({ limit: 10 })).length, 1);
  await world.end();
});

test("a firing joins the rollout of its key while that is open", async (t) => {
  const world = setting(t, "task: { key: event.type }\nlimits: { concurrent: 1 }", 3);
  world.host.happens((sequence) => incoming(sequence));
  const rollout = await rolled(world, "done");
  assert.equal(rollout.joined, 1);
  assert.deepEqual(
    world.read((reader) => reader.decisionsOn("web1:e1:2")).map(({ reason, task }) => [reason, task]),
    [["joined", id]],
  );
  await world.end();
});

test("pause, resume and cancel: nothing begins meanwhile, what is under way is cancelled in the end", async (t) => {
  const world = setting(t, "limits: { concurrent: 2 }", 6);
  const order = (kind: "pause" | "resume" | "cancel") => world.engine.orderRollout({ rollout: id, kind, reason: "lunch", by: "alice" });
  await world.send(1);
  await world.until("task.created", 2);
  assert.equal((await order("pause"))?.status.state, "paused");
  await world.quiet();
  const paused = rolloutIn(world);
  assert.deepEqual([paused.begun, paused.resolved], [2, 2]);
  assert.equal((await order("resume"))?.status.state, "running");
  await world.until("task.created", 4);
  assert.equal((await order("cancel"))?.status.state, "cancelled");
  const cancelled = await rolled(world, "cancelled");
  assert.deepEqual([cancelled.begun, cancelled.open], [4, 0]);
  assert.equal((await order("resume"))?.status.state, "cancelled");
  assert.equal(await world.engine.orderRollout({ rollout: "r-0000000000000000", kind: "pause", reason: "", by: "" }), undefined);
  await world.end();
});

test("an approval is asked for once, before anything begins; a word against it cancels the rollout, none stops it", async (t) => {
  const asking = async (approve: string) => {
    const world = setting(t, `approve: { from: [ann], ${approve} }`, 3);
    await world.send(1);
    const [waiting] = await world.until("task.waiting", 1);
    return { world, task: String(waiting!.data["task"]) };
  };
  const answer = ({ world, task }: Awaited<ReturnType<typeof asking>>, kind: "approve" | "deny") =>
    world.engine.say({ task, word: { kind, by: "ann", why: "checked" } });
  const yes = await asking("timeout: 1h");
  await yes.world.quiet();
  const { state } = rolloutIn(yes.world).status;
  assert.deepEqual([state, commands(yes.world)], ["waiting", []]);
  yes.world.crash();
  await answer(yes, "approve");
  assert.equal((await rolled(yes.world, "done")).resolved, 3);
  assert.deepEqual(types(await yes.world.end()), ["rollout.waiting", "rollout.started", "rollout.wave", "rollout.done"]);

  const no = await asking("timeout: 1h");
  await answer(no, "deny");
  const denied = await rolled(no.world, "cancelled");
  assert.deepEqual([denied.status, denied.begun], [{ state: "cancelled", reason: "checked", by: "ann" }, 0]);
  await no.world.end();

  const late = await asking("timeout: 1ms");
  const stopped = await rolled(late.world, "stopped");
  assert.match(stopped.status.state === "stopped" ? stopped.status.reason : "", /nobody approved it within/);
  await late.world.end();

  const gone = await asking("timeout: 1h");
  await gone.world.engine.orderRollout({ rollout: id, kind: "cancel", reason: "not today", by: "bob" });
  await gone.world.until("task.cancelled", 1);
  await rolled(gone.world, "cancelled");
  await gone.world.end();
});

test("whose word is needed says how many hosts there are after silences, and the hosts are those that the event says", async (t) => {
  const world = setting(t, "approve: { if: size(targets) > 2, from: [ann] }", 3);
  await world.engine.silence({ reactor: undefined, agent: "web2", forMs: 60_000, why: "new disk", by: "alice" });
  assert.equal((await rolled(world, "done")).resolved, 2);
  await world.end();
  const text = `name: patch\non: test.happened\ntargets: agent.id == event.data.host\ndo: [{ command.run: { argv: [upgrade] } }]\n`;
  const one = new World(t, [{ file: "patch.yaml", text }]);
  one.addHosts(["web2", "web3"]);
  one.host.happens((sequence) => incoming(sequence, { data: { host: "web3" } }));
  assert.equal((await rolled(one, "done")).hosts, 1);
  assert.deepEqual(commands(one), ["web3"]);
  await one.end();
});

test("a host that a silence covers is left out, and told", async (t) => {
  const world = setting(t, "", 3);
  await world.engine.silence({ reactor: undefined, agent: "web2", forMs: 60_000, why: "new disk", by: "alice" });
  await rolled(world, "done");
  assert.deepEqual(commands(world).toSorted(), ["web1", "web3"]);
  assert.deepEqual((await world.until("rollout.started", 1))[0]!.data["left_out"], 1);
  assert.deepEqual(
    rolloutIn(world).leftOut?.first.map(({ agent, reason }) => [agent, /^silenced until .*: new disk$/.test(reason)]),
    [["web2", true]],
  );
  await world.end();
});

test("a host for which as many tasks were made as may be is left out, also after a crash", async (t) => {
  const world = setting(t, "limits: { per_agent: 1/1h }", 3);
  await rolled(world, "done");
  world.crash();
  world.addHosts(["web4"]);
  world.host.happens((sequence) => incoming(sequence));
  await world.untilHeard("rollout.done", 2);
  const [second] = world.read((reader) => reader.rollouts({ limit: 1 }));
  assert.deepEqual([second!.hosts, second!.leftOut?.hosts], [1, 3]);
  assert.match(second!.leftOut!.first[0]!.reason, /^limits\.per_agent: 1 tasks in 1 ?h.*, until /);
  assert.deepEqual(commands(world).toSorted(), names(4));
  await world.end();
});

test("a host counts from when a rollout was let through, not from its turn: of two at once one leaves it out, also after a crash", async (t) => {
  const world = setting(t, "limits: { concurrent: 1, per_agent: 1/1h }", 3);
  // Nobody ends anything: on all hosts but one the first is still to begin.
  for (const host of world.hosts.values()) host.take = () => {};
  await world.send(1);
  await world.until("rollout.started", 1);
  const fire = async (started: number) => {
    world.host.happens((sequence) => incoming(sequence));
    await world.send(1);
    await world.until("rollout.started", started);
    return world.read((reader) => reader.rollouts({ limit: 1 }))[0]!;
  };
  const second = await fire(2);
  assert.deepEqual([second.hosts, second.leftOut?.hosts, second.status.state], [0, 3, "stopped"]);
  const waits = second.leftOut!.first.filter(({ reason }) => reason.endsWith("with 1 that is still to begin in rollouts"));
  assert.equal(waits.length, 2, JSON.stringify(second.leftOut));
  world.crash();
  world.addHosts(["web4"]);
  world.hosts.get("web4")!.take = () => {};
  const third = await fire(3);
  assert.deepEqual([third.hosts, third.leftOut?.hosts], [1, 3]);
  // What begins nowhere any more is not counted on.
  await world.engine.orderRollout({ rollout: id, kind: "cancel", reason: "enough", by: "ann" });
  const fourth = await fire(4);
  assert.deepEqual([fourth.hosts, fourth.leftOut?.hosts], [2, 2]);
  await world.end();
});

test("a rollout that keeps failing trips the breaker of its key: nothing of it begins any more, and people are called, until a reset", async (t) => {
  const lines =
    "limits: { breaker: { repeats: 2 } }\ntask: { key: event.type }\notherwise: [{ event.emit: { type: ticket.wanted, data: { why: '${{ task.reason }}' } } }]";
  const world = setting(t, lines, 3, (agent) => agent === "web2");
  const fire = () => world.host.happens((sequence) => incoming(sequence));
  for (const done of [1, 2]) {
    if (done > 1) fire();
    await world.untilHeard("rollout.done", done);
  }
  const before = commands(world).length;
  world.crash();
  fire();
  const [tripped] = await world.untilHeard("breaker.tripped", 1);
  assert.match(String(tripped!.data["why"]), /2 rollouts for this key within 1 ?h.*; the last one failed on 1 of 3 hosts/);
  assert.equal(
    (await world.untilHeard("ticket.wanted", 3)).at(-1)!.data["why"],
    `${String(tripped!.data["why"])} (${(tripped!.data["tasks"] as string[]).join(", ")})`,
  );
  world.crash();
  fire();
  await world.quiet();
  assert.equal(commands(world).length, before, "nothing was sent");
  assert.equal(world.engine.breakers()[0]?.trip.held, 1);
  await world.engine.resetBreaker({ reactor: "patch", key: undefined, by: "ann", why: undefined });
  fire();
  await world.untilHeard("rollout.done", 3);
  await world.end();
});

test("a rollout whose tasks are lost with a damaged database goes on with the others, and ends with the reason", async (t) => {
  const world = setting(t, "limits: { concurrent: 2 }\notherwise: [{ event.emit: { type: ticket.wanted } }]", 3);
  await world.send(1);
  await world.until("task.created", 2);
  const database = new DatabaseSync(`${world.directory}/master.db`);
  database.exec("DELETE FROM task; DELETE FROM execution;");
  database.close();
  world.crash();
  const done = await rolled(world, "done");
  assert.deepEqual([done.begun, done.failed, done.resolved], [3, 2, 1]);
  assert.match(done.failures[0]!.reason, /its task is lost: the database was damaged/);
  await world.until("ticket.wanted", 1);
  await world.end();

  const asking = setting(t, "approve: { from: [ann] }", 2);
  await asking.send(1);
  await asking.until("task.waiting", 1);
  const other = new DatabaseSync(`${asking.directory}/master.db`);
  other.exec("DELETE FROM task");
  other.close();
  asking.crash();
  const stopped = await rolled(asking, "stopped");
  assert.match(stopped.status.state === "stopped" ? stopped.status.reason : "", /that asked for approval is lost/);
  await asking.end();
});

test("P2: whenever it crashes, each host begins once, none is forgotten, and it stops where it must", async (t) => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.integer({ min: 1, max: 3 }), { maxLength: 12 }), fc.boolean(), async (batches, failing) => {
      const fails = (agent: string) => failing && /[27]$/.test(agent);
      const world = setting(t, "limits: { concurrent: 3, ramp: [2], stop_after_failures: 2 }", 12, fails);
      for (const batch of batches) {
        await world.send(batch);
        world.crash();
      }
      const rollout = await rolled(world, failing ? "stopped" : "done");
      const ran = commands(world);
      assert.equal(new Set(ran).size, ran.length, "a host began twice");
      assert.equal(ran.length, rollout.begun);
      if (failing) assert.equal(rollout.failed, 2);
      else assert.equal(ran.length, 12);
      const journal = await world.end();
      for (const type of ["rollout.started", failing ? "rollout.stopped" : "rollout.done"])
        assert.equal(journal.filter((event) => event.type === type).length, 1, type);
    }),
    { numRuns: 10 },
  );
});

const wish = { request: "once-more", by: "alice", why: undefined, unresolved: false };
const heal = (world: World) => {
  for (const host of world.hosts.values()) host.outcomeOf = () => "succeeded";
};

test("a retry goes to the hosts on which it failed and to no others, once, whenever it crashes and however often it is asked for", async (t) => {
  const world = setting(t, "limits: { concurrent: 2 }", 6, (agent) => /[25]$/.test(agent));
  const first = await rolled(world, "done");
  assert.deepEqual([first.resolved, first.failed], [4, 2]);
  heal(world);
  await world.engine.enact(rolloutRetryEvent(first, wish));
  world.crash();
  await world.engine.enact(rolloutRetryEvent(first, wish));
  const again = orderedRolloutId(wish.request, first);
  const done = await rolled(world, "done", again);
  assert.deepEqual([done.hosts, done.resolved, done.order], [2, 2, { by: "alice", retryOf: id }]);
  const expected = [...names(6), "web2", "web5"].toSorted();
  assert.deepEqual(commands(world).toSorted(), expected);
  assert.equal(rolloutIn(world).failed, 2, "what was, was");
  const journal = await world.end();
  assert.equal(journal.filter(({ type }) => type === "rollout.started").length, 2);
});

test("a retry of all that is not resolved goes on where it was stopped, and says before where that is", async (t) => {
  const world = setting(t, "limits: { concurrent: 1, stop_after_failures: 1 }", 5, () => true);
  const first = await rolled(world, "stopped");
  assert.deepEqual([first.begun, first.failed], [1, 1]);
  const hosts = (unresolved: boolean) =>
    world.read((reader) => reader.rolloutHostsToRetry(first, { unresolved })).map(({ number, state }) => [number, state]);
  assert.deepEqual(hosts(false), [[0, "escalated"]]);
  assert.deepEqual(hosts(true), [[0, "escalated"], ...[1, 2, 3, 4].map((number) => [number, undefined])]);
  heal(world);
  await world.engine.enact(rolloutRetryEvent(first, { ...wish, unresolved: true }));
  world.crash();
  const done = await rolled(world, "done", orderedRolloutId(wish.request, first));
  assert.deepEqual([done.hosts, done.resolved], [5, 5]);
  assert.deepEqual(new Set(commands(world)), new Set(names(5)));
  assert.equal(commands(world).length, 6);
  await world.end();
});

test("a host whose task was retried by itself counts once in its rollout, and is not tried a third time", async (t) => {
  const world = setting(t, "", 3, (agent) => agent !== "web1");
  const first = await rolled(world, "done");
  heal(world);
  const [task] = world.read((reader) => reader.tasks({ rollout: id, agent: "web2", limit: 1 }));
  await world.engine.enact(retryEvent(task!, wish));
  for (let round = 0; round < 400 && world.found("task.resolved").length < 2; round++) await world.quiet();
  await world.until("task.resolved", 2);
  assert.deepEqual([rolloutIn(world).resolved, rolloutIn(world).failed, rolloutIn(world).open], [1, 2, 0]);
  await world.engine.enact(rolloutRetryEvent(first, wish));
  const done = await rolled(world, "done", orderedRolloutId(wish.request, first));
  assert.equal(done.hosts, 1);
  assert.deepEqual(commands(world).toSorted(), ["web1", "web2", "web2", "web3", "web3"]);
  await world.end();
});

test("an approval is asked for again, and what was denied can be tried again on all of its hosts", async (t) => {
  const world = setting(t, "approve: { from: [ann], timeout: 1h }", 2, () => true);
  await world.send(1);
  const asked = async (count: number) => String((await world.until("task.waiting", count)).at(-1)!.data["task"]);
  const say = async (task: string, kind: "approve" | "deny") => world.engine.say({ task, word: { kind, by: "ann" } });
  await say(await asked(1), "approve");
  const first = await rolled(world, "done");
  heal(world);
  await world.engine.enact(rolloutRetryEvent(first, wish));
  const second = orderedRolloutId(wish.request, first);
  await say(await asked(2), "deny");
  const denied = await rolled(world, "cancelled", second);
  assert.equal(denied.begun, 0);
  await world.engine.enact(rolloutRetryEvent(denied, wish));
  await say(await asked(3), "approve");
  assert.equal((await rolled(world, "done", orderedRolloutId(wish.request, denied))).resolved, 2);
  await world.end();
});
