import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Event } from "./event.ts";
import { taskId } from "./ids.ts";
import { fired, rulesOf } from "./rules/rules-fixture.ts";
import type { Firing, FleetFiring } from "./rules/types.ts";
import {
  hasRolledOut,
  helpReason,
  isRolling,
  rolloutRetryProblem,
  stepRollout,
  type HostEnd,
  type HostLeftOut,
  type Rollout,
  type RolloutInput,
  workOf,
} from "./rollout.ts";
import { retryRollout, startCombined, startRollout } from "./rollout/start.ts";
import type { AgentView } from "./target.ts";
import { callForHelp, startOnHost, startTask, stepTask } from "./task.ts";
import { retryEvent, retryOf } from "./task/order.ts";

const event: Event = {
  position: 1,
  id: "web1:1:1",
  type: "package.vulnerable",
  source: "/agents/web1/beacons/packages",
  agent: "web1",
  subject: "openssl",
  time: 1,
  received: 2,
  severity: "normal",
  data: { package: "openssl" },
};

/** What a reactor with these further lines does on one event. */
function firingOf(lines: string, given: Partial<Event> = {}): Firing & { fleet: FleetFiring } {
  const what = /^do:/m.test(lines) ? "" : "do: [{ command.run: { argv: [apt-get, upgrade, openssl] } }]";
  const firing = fired(rulesOf(`name: patch\non: package.vulnerable\n${lines}\n${what}`), { ...event, ...given });
  assert.ok(firing.fleet !== undefined, JSON.stringify(firing));
  return { ...firing, fleet: firing.fleet };
}

const hostNames = (count: number): AgentView[] =>
  Array.from({ length: count }, (_value, index) => ({ id: `web${index + 1}`, labels: { rack: `r${index % 3}` }, facts: {} }));

const fleetOf = (hosts: AgentView[], leftOut: HostLeftOut[] = []) => ({ hosts, leftOut });

function start(lines: string, count: number) {
  return startRollout(firingOf(`targets: 'web*'\n${lines}`), fleetOf(hostNames(count)), 100);
}

/** Takes up all work there is; gives the numbers of the hosts that began, and the types of the events. */
function work(rollout: Rollout): { rollout: Rollout; begun: number[]; told: string[]; calls: number } {
  const begun: number[] = [];
  const told: string[] = [];
  let calls = 0;
  for (let now = rollout; ;) {
    const step = stepRollout(now, { kind: "due" }, 200);
    if (step.work === undefined || step.work.kind === "cancel") return { rollout: now, begun, told, calls };
    const { work: done } = step;
    if (done.kind === "begin") for (let index = 0; index < done.count; index++) begun.push(done.from + index);
    if (done.kind === "call") calls++;
    told.push(...step.events.map(({ type }) => type));
    now = step.rollout;
  }
}

function end(how: HostEnd["how"], agent = "web1"): RolloutInput {
  if (how === "resolved") return { kind: "ended", how, agent, verified: true };
  if (how === "cancelled") return { kind: "ended", how, agent };
  return { kind: "ended", how, agent, attempt: 1, at: 300, reason: how === "failed" ? "no room" : "away" };
}

function ends(rollout: Rollout, how: HostEnd["how"], count: number): { rollout: Rollout; told: string[] } {
  const told: string[] = [];
  for (let index = 0; index < count; index++) {
    const step = stepRollout(rollout, end(how), 300);
    told.push(...step.events.map(({ type }) => type));
    rollout = step.rollout;
  }
  return { rollout, told };
}

test("without limits all hosts begin at once, and it is done when each has ended", () => {
  const { rollout, hosts, plans, events } = start("", 5);
  assert.deepEqual(hosts.map(({ agent }) => agent).toSorted(), ["web1", "web2", "web3", "web4", "web5"]);
  assert.equal(plans.length, 1, "what is the same on all hosts is kept once");
  assert.deepEqual(
    events.map(({ type }) => type),
    ["rollout.started", "rollout.wave"],
  );
  const begun = work(rollout);
  assert.deepEqual(begun.begun, [0, 1, 2, 3, 4]);
  const before = ends(begun.rollout, "resolved", 4);
  assert.deepEqual(before.told, []);
  const after = ends(before.rollout, "failed", 1);
  assert.deepEqual([after.rollout.status.state, after.told], ["done", ["rollout.done"]]);
});

test("waves go up to a number or a part of the hosts, each when the one before has ended, never more than the limit at once", () => {
  const { rollout } = start("limits: { concurrent: 10%, ramp: [1, 10%, 50%] }", 50);
  assert.deepEqual([rollout.ends, rollout.concurrent], [[1, 5, 25, 50], 5]);
  let now = work(rollout);
  assert.deepEqual(now.begun, [0]);
  now = work(ends(now.rollout, "resolved", 1).rollout);
  assert.deepEqual([now.begun, now.told], [[1, 2, 3, 4], ["rollout.wave"]]);
  now = work(ends(now.rollout, "resolved", 3).rollout);
  assert.deepEqual(now.begun, [], "one of the wave is still under way");
  now = work(ends(now.rollout, "resolved", 1).rollout);
  assert.deepEqual(now.begun, [5, 6, 7, 8, 9]);
  now = work(ends(now.rollout, "resolved", 2).rollout);
  assert.deepEqual(now.begun, [10, 11]);
});

test("a part is rounded down and is one host at least; waves that add nothing are none", () => {
  const of = (count: number, lines: string) => start(lines, count).rollout;
  assert.deepEqual(of(5, "limits: { concurrent: 10%, ramp: [1, 10%, 50%], stop_after_failures: 5% }").ends, [1, 2, 5]);
  const few = of(5, "limits: { concurrent: 10%, stop_after_failures: 5% }");
  assert.deepEqual([few.concurrent, few.stopAfter], [1, 1]);
  assert.deepEqual(of(3, "limits: { concurrent: 100, ramp: [10, 20] }").ends, [3]);
  assert.equal(of(3, "limits: { concurrent: 100 }").concurrent, 3);
});

test("after so many failures nothing more begins; what is under way goes on, and people are called once", () => {
  const { rollout } = start("limits: { concurrent: 4, stop_after_failures: 2 }\notherwise: [{ event.emit: { type: ticket.wanted } }]", 20);
  const first = work(rollout);
  assert.deepEqual(first.begun, [0, 1, 2, 3]);
  const one = ends(first.rollout, "failed", 1);
  assert.deepEqual(one.told, []);
  const two = ends(work(one.rollout).rollout, "failed", 1);
  assert.deepEqual(two.told, ["rollout.stopped"]);
  const stopped = work(two.rollout);
  assert.deepEqual([stopped.begun, stopped.calls, stopped.rollout.open], [[], 1, 3]);
  assert.equal(hasRolledOut(stopped.rollout), false, "three are under way");
  const last = work(ends(stopped.rollout, "failed", 3).rollout);
  assert.deepEqual([last.calls, last.rollout.failed, hasRolledOut(last.rollout)], [0, 5, true]);
});

test("a rollout that is paused begins nothing until it is resumed; one that is cancelled never", () => {
  const { rollout } = start("limits: { concurrent: 1 }", 3);
  const first = work(rollout).rollout;
  const order = (kind: "pause" | "resume" | "cancel", of: Rollout) => stepRollout(of, { kind, reason: "lunch", by: "alice" }, 400);
  const paused = order("pause", first);
  assert.deepEqual(
    [paused.rollout.status, paused.events.map(({ type }) => type)],
    [{ state: "paused", reason: "lunch", by: "alice" }, ["rollout.paused"]],
  );
  assert.deepEqual(order("pause", paused.rollout).events, [], "twice is once");
  const quiet = work(ends(paused.rollout, "resolved", 1).rollout);
  assert.deepEqual([quiet.begun, quiet.rollout.status.state], [[], "paused"]);
  const resumed = order("resume", quiet.rollout);
  assert.deepEqual(work(resumed.rollout).begun, [1]);
  const cancelled = order("cancel", work(resumed.rollout).rollout).rollout;
  assert.deepEqual(workOf(cancelled), { kind: "cancel" });
  const gone = ends(cancelled, "cancelled", 1).rollout;
  assert.deepEqual([gone.status.state, gone.cancelled, hasRolledOut(gone)], ["cancelled", 1, true]);
  assert.deepEqual(order("resume", gone).rollout, gone);
});

test("what is paused while its last hosts are under way is done with them", () => {
  const first = work(start("", 2).rollout).rollout;
  const paused = stepRollout(first, { kind: "pause", reason: "x", by: "alice" }, 400).rollout;
  assert.equal(ends(paused, "resolved", 2).rollout.status.state, "done");
});

test("hosts of which none fits, or too many, or whose key cannot be worked out make a rollout that is stopped, with the reason", () => {
  const reasonOf = (lines: string, count: number) => {
    const { rollout, hosts, events } = start(lines, count);
    assert.deepEqual([hosts, events.at(-1)?.type], [[], "rollout.stopped"]);
    return rollout.status.state === "stopped" ? rollout.status.reason : "";
  };
  assert.match(reasonOf("", 0), /no host fits its targets: web\*/);
  assert.match(reasonOf("", 10_001), /10001 hosts fit its targets, and 10000 are the most/);
  assert.match(reasonOf("task: { key: event.data.nothing }", 3), /task\.key: /);
});

test("what is to be done on all hosts has a limit", () => {
  const text = "x".repeat(40_000);
  const { rollout } = start(`do: [{ command.run: { argv: [echo, "\${{ agent.id }}", "${text}"] } }]`, 1_000);
  assert.match(rollout.status.state === "stopped" ? rollout.status.reason : "", /takes more than 33554432 bytes/);
});

test("values know the host as `agent` and the trigger as `event`; a host whose values cannot be worked out fails when it is its turn", () => {
  const views: AgentView[] = [
    { id: "a", labels: { unit: "nginx" }, facts: {} },
    { id: "b", labels: {}, facts: {} },
  ];
  const firing = firingOf(
    'targets: [a, b]\ndo: [{ command.run: { argv: [restart, "${{ agent.labels.unit }}", "${{ event.data.package }}", "${{ agent.id }}"] } }]',
  );
  const { rollout, hosts, plans } = startRollout(firing, fleetOf(views), 100);
  const stepOn = (agent: string) => {
    const host = hosts.find((each) => each.agent === agent)!;
    return startOnHost(rollout, { ...host, plan: plans[host.plan]! }, { now: 100, random: 0.5 });
  };
  const good = stepOn("a");
  const [execution] = good.effects.flatMap((effect) => (effect.kind === "execute" ? [effect.execution] : []));
  assert.deepEqual([execution?.agent, execution?.args["argv"]], ["a", ["restart", "nginx", "openssl", "a"]]);
  assert.deepEqual([good.task.agent, good.task.rollout, good.task.event], ["a", rollout.id, event.id]);
  const bad = stepOn("b").task.status;
  assert.match(bad.state === "escalated" ? bad.reason : "", /unit/);
});

test("a lock is worked out for each host, which `agent` is; what people are called for, and are asked, needs none", () => {
  const firing = firingOf("targets: 'web*'\nlock: [agent.labels.rack, \"'apt'\"]\napprove: { from: [ann] }");
  assert.ok(firing.plan.ok, "the host that the event is about has no such label, and need not");
  assert.equal(firing.plan.lock, undefined);
  const locks = hostNames(4).map((view) => {
    const plan = firing.fleet.planOn(view);
    return plan.ok ? plan.lock : plan.reason;
  });
  assert.deepEqual(
    locks,
    ["r0", "r1", "r2", "r0"].map((rack) => [rack, "apt"]),
  );
});

test("`otherwise` is for the rollout as a whole, with the hosts on which it failed", () => {
  const { rollout } = start(
    'otherwise: [{ event.emit: { type: ticket.wanted, data: { why: "${{ task.reason }}", first: "${{ task.history[0].reason }}" } } }]',
    2,
  );
  const failed = work(ends(work(rollout).rollout, "failed", 2).rollout);
  assert.equal(failed.calls, 1);
  const { task, effects } = callForHelp(failed.rollout, { now: 500, random: 0.5 });
  assert.deepEqual([task.status.state, task.rollout, task.agent], ["escalated", rollout.id, "web1"]);
  const wanted = effects.flatMap((effect) => (effect.kind === "emit" && effect.event.type === "ticket.wanted" ? [effect.event.data] : []));
  assert.deepEqual(wanted, [{ why: "it failed on 2 of 2 hosts", first: "web1: no room" }]);
});

test("somebody is asked where there are so many hosts, once they are known and without those that are left out; where that cannot be told, too", () => {
  const asking = (condition: string, count: number) => {
    const { rollout } = start(`approve: { if: '${condition}', from: [oncall], message: "on \${{ size(targets) }}?" }`, count);
    assert.equal(rollout.asking !== undefined, rollout.asks !== undefined);
    return [rollout.status.state, rollout.asks?.message];
  };
  assert.deepEqual(asking("size(targets) > 10", 10), ["running", undefined]);
  assert.deepEqual(asking("size(targets) > 10", 11), ["waiting", "on 11?"]);
  assert.deepEqual(asking('"web3" in targets', 2), ["running", undefined]);
  assert.deepEqual(asking("event.data.nothing > 1", 2), ["waiting", "on 2?"]);
  assert.deepEqual(asking("size(targets) > 10", 0)[0], "stopped");
});

test("a task on a host of a rollout that was approved asks for approval when it is tried once more, and is not part of the rollout then", () => {
  const asking = start("approve: { from: [ann], message: 'all of them?' }", 2);
  const { rollout } = stepRollout(asking.rollout, { kind: "answered", how: "approved" }, 200);
  const host = asking.hosts[0]!;
  const moment = { now: 300, random: 0.5 };
  const first = startOnHost(rollout, { ...host, plan: asking.plans[host.plan]! }, moment);
  assert.equal(first.task.status.state, "running", "it is asked once for all");
  const [execution] = first.effects.flatMap((effect) => (effect.kind === "execute" ? [effect.execution] : []));
  const failed = stepTask(first.task, { kind: "expired", execution: execution!.id, reason: "away", untried: true }, moment);
  const request = { request: "0123456789abcdef", by: "bob", why: undefined };
  const retried = startTask(retryOf({ ...event, ...retryEvent(failed.task, request), subject: "openssl" } as Event, failed.task), moment);
  assert.equal(retried.task.status.state, "waiting");
  assert.deepEqual(retried.task.asks, { from: ["ann"], timeoutMs: 1_800_000, onTimeout: "escalate" });
  assert.deepEqual([retried.task.rollout, retried.task.order?.retryOf], [undefined, failed.task.id]);
});

test("of a damaged store tasks may be lost: they have failed, and what they asked nobody can answer", () => {
  const { rollout } = work(start("limits: { concurrent: 2, stop_after_failures: 2 }", 4).rollout);
  const one = stepRollout(rollout, { kind: "lost", tasks: 1, question: false }, 300).rollout;
  assert.deepEqual([one.open, one.failed, one.status.state, one.failures[0]?.agent], [1, 1, "running", "?"]);
  assert.equal(work(one).begun.length, 1, "it goes on with the others");
  const both = stepRollout(rollout, { kind: "lost", tasks: 2, question: false }, 300).rollout;
  assert.equal(both.status.state, "stopped");
  const asking = start("approve: { from: [ann] }", 2).rollout;
  const { status } = stepRollout(asking, { kind: "lost", tasks: 0, question: true }, 300).rollout;
  assert.match(status.state === "stopped" ? status.reason : "", /^the task t-[0-9a-f]{16} that asked for approval is lost/);
  const cancelled = stepRollout(rollout, { kind: "cancel", reason: "no", by: "ann" }, 300).rollout;
  assert.ok(hasRolledOut(stepRollout(cancelled, { kind: "lost", tasks: 2, question: false }, 300).rollout));
});

test("hosts that are left out are told with the reason, and when none is left that is why it stops", () => {
  const fleet = (count: number) =>
    fleetOf(
      hostNames(count),
      Array.from({ length: 30 }, (_value, index) => ({ agent: `db${index}`, reason: "full" })),
    );
  const some = startRollout(firingOf("targets: 'web*'"), fleet(2), 100);
  assert.deepEqual([some.rollout.leftOut?.hosts, some.rollout.leftOut?.first.length], [30, 20]);
  const { left_out: count, left_out_hosts: told } = some.events[0]!.data;
  assert.deepEqual([count, (told as unknown[])[0]], [30, { agent: "db0", reason: "full" }]);
  const { status } = startRollout(firingOf("targets: 'web*'"), fleet(0), 100).rollout;
  assert.deepEqual(status, { state: "stopped", reason: "the 30 hosts that fit its targets are left out; db0: full" });
});

test("the hosts may be those that the event is about", () => {
  const { fleet } = firingOf("targets: agent.labels.rack == event.data.rack", { data: { rack: "r1" } });
  assert.deepEqual(
    hostNames(6)
      .filter(fleet.fits)
      .map(({ id }) => id),
    ["web2", "web5"],
  );
});

test("a host on which nothing was begun in its time is counted apart: it stops nothing, and people are called in the end", () => {
  const { rollout } = start("limits: { stop_after_failures: 1 }\notherwise: [{ event.emit: { type: ticket.wanted } }]", 3);
  const away = ends(work(rollout).rollout, "expired", 2);
  assert.deepEqual([away.told, away.rollout.status.state, away.rollout.expired, away.rollout.failed], [[], "running", 2, 0]);
  const done = work(ends(away.rollout, "resolved", 1).rollout);
  assert.deepEqual([done.rollout.status.state, done.calls], ["done", 1]);
  assert.deepEqual(
    done.rollout.failures.map(({ reason }) => reason),
    ["away", "away"],
  );
  assert.equal(helpReason(done.rollout), "it never began on 2 of 3 hosts");
  assert.equal(helpReason({ ...done.rollout, failed: 1 }), "it failed on 1 and never began on 2 of 3 hosts");
});

test("a host's task has the rollout's key for its undo alone: a firing joins the rollout, not the task", () => {
  const { rollout, hosts, plans } = start("task: { key: [event.data.package] }", 2);
  const { task } = startOnHost(rollout, { ...hosts[0]!, plan: plans[0]! }, { now: 100, random: 0.5 });
  assert.deepEqual([rollout.joinKey, task.joinKey, task.fleetKey], [["openssl"], undefined, ["openssl"]]);
});

test("a host whose turn comes after the rollout's time to begin expires; the time goes from when it may begin", () => {
  const lines = "task: { expires: 10m }\nlimits: { concurrent: 1 }";
  const { rollout, hosts, plans } = start(lines, 2);
  assert.equal(rollout.beginBy, 600_100);
  const on = (now: number, of = rollout) => startOnHost(of, { ...hosts[0]!, plan: plans[0]! }, { now, random: 0.5 });
  const [execution] = on(600_000).effects.flatMap((effect) => (effect.kind === "execute" ? [effect.execution] : []));
  assert.equal(execution?.beginMs, 100);
  const late = on(600_100);
  assert.deepEqual(late.task.status, { state: "expired", reason: "it could not begin within 10 min 0 s" });
  assert.deepEqual(
    late.effects.map(({ kind }) => kind),
    ["emit", "emit"],
  );
  const asked = start(`${lines}\napprove: { from: [ann] }`, 2).rollout;
  const approved = stepRollout(asked, { kind: "answered", how: "approved" }, 5_000).rollout;
  assert.equal(approved.beginBy, 605_000);
});

test("the order is the same each time, another one for another firing, and not that of the names", () => {
  const order = (id: string) =>
    startRollout(firingOf("targets: 'web*'", { id }), fleetOf(hostNames(30)), 1)
      .hosts.map(({ agent }) => agent)
      .join();
  const names = hostNames(30)
    .map(({ id }) => id)
    .join();
  assert.equal(order("web1:1:1"), order("web1:1:1"));
  assert.notEqual(order("web1:1:1"), order("web1:1:2"));
  assert.notEqual(order("web1:1:1"), names);
});

test("a reactor in mode plan shows the hosts and begins on none", () => {
  const { rollout, hosts, events } = start("mode: plan", 3);
  assert.deepEqual([rollout.status.state, hosts.length, events.map(({ type }) => type)], ["planned", 3, ["rollout.planned"]]);
  assert.equal(hasRolledOut(rollout), true);
  assert.deepEqual(
    events[0]!.data["agents"],
    hosts.map(({ agent }) => agent),
  );
});

const move = fc.oneof(
  {
    weight: 60,
    arbitrary: fc.record({
      kind: fc.constant("end" as const),
      how: fc.constantFrom("resolved", "resolved", "failed", "cancelled", "expired"),
    }),
  },
  { weight: 60, arbitrary: fc.record({ kind: fc.constant("work" as const) }) },
  { weight: 10, arbitrary: fc.record({ kind: fc.constantFrom("pause" as const, "resume" as const, "approve" as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom("cancel" as const, "join" as const) }) },
);
const amount = fc.oneof(
  fc.integer({ min: 1, max: 40 }),
  fc.integer({ min: 1, max: 100 }).map((part) => `${part}%`),
);
const limits = fc.record(
  { concurrent: amount, ramp: fc.array(amount, { minLength: 1, maxLength: 4 }), stop_after_failures: amount },
  { requiredKeys: [] },
);

test("any endings, pauses and crashes: never more at once than the limit, waves in order, each host once, stopped where it must, never stuck", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 260 }), limits, fc.array(move, { maxLength: 400 }), fc.boolean(), (count, given, moves, asks) => {
      let { rollout } = start(`limits: ${JSON.stringify(given)}${asks ? "\napprove: { from: [ann] }" : ""}`, count);
      assert.equal(rollout.asking !== undefined, asks);
      const begun: number[] = [];
      const told: string[] = [];
      let failedWhenStopped: number | undefined;
      const step = (input: RolloutInput) => {
        // A crash: nothing but its row is left.
        const made = stepRollout(JSON.parse(JSON.stringify(rollout)) as Rollout, input, 1);
        const { work: done } = made;
        if (done?.kind === "begin") {
          for (let index = 0; index < done.count; index++) begun.push(done.from + index);
          assert.equal(rollout.asking, undefined, "something began before it was approved");
          assert.ok(failedWhenStopped === undefined, "something began after it was stopped");
        }
        if (done?.kind === "wave") assert.equal(rollout.open, 0, "a wave began before the one before had ended");
        rollout = made.rollout;
        told.push(...made.events.map(({ type }) => type));
        assert.ok(rollout.open <= rollout.concurrent, "too many at once");
        assert.ok(rollout.begun <= (rollout.ends[rollout.wave] ?? 0), "it began beyond its wave");
        assert.equal(rollout.begun, rollout.open + rollout.resolved + rollout.failed + rollout.cancelled + rollout.expired);
        if (rollout.stopAfter !== undefined && rollout.failed >= rollout.stopAfter) assert.notEqual(rollout.status.state, "running");
        if (rollout.status.state === "stopped") failedWhenStopped ??= rollout.failed;
        const waitsFor =
          rollout.open > 0 || workOf(rollout) !== undefined || rollout.status.state === "paused" || rollout.asking !== undefined;
        assert.ok(waitsFor || hasRolledOut(rollout), "it is stuck");
      };
      const play = (made: (typeof moves)[number]) => {
        if (made.kind === "end") return rollout.open > 0 ? step(end(made.how)) : undefined;
        if (made.kind === "work") return step({ kind: "due" });
        if (made.kind === "approve") return rollout.asking === undefined ? undefined : step({ kind: "answered", how: "approved" });
        if (made.kind === "join") return step({ kind: "join" });
        step({ kind: made.kind, reason: "why", by: "alice" });
      };
      moves.forEach(play);
      // To the end: nobody holds it, and every host answers.
      play({ kind: "approve" });
      if (rollout.status.state === "paused") play({ kind: "resume" });
      for (let round = 0; !hasRolledOut(rollout); round++) {
        assert.ok(round < 10_000, "it does not end");
        if (workOf(rollout) !== undefined) play({ kind: "work" });
        if (rollout.open > 0) play({ kind: "end", how: "resolved" });
      }
      assert.deepEqual(begun, [...begun.keys()], "each host once, in order");
      assert.equal(begun.length, rollout.begun);
      assert.equal(isRolling(rollout), false);
      const last = told.filter((type) => ["rollout.done", "rollout.stopped", "rollout.cancelled"].includes(type));
      assert.equal(last.length, 1, "it ended once");
      if (rollout.status.state === "done") assert.equal(rollout.begun, count);
      if (failedWhenStopped !== undefined) assert.equal(failedWhenStopped, rollout.stopAfter);
    }),
    { numRuns: 500 },
  );
});

const wish = { id: "r-0000000000000000", event: "master:1:9", by: "alice", why: undefined, asks: undefined, problem: undefined };

test("a retry is a rollout of its own on the hosts that are handed to it, with what was to be done there, and limits of its own number of hosts", () => {
  const first = start("limits: { concurrent: 10%, ramp: [1, 50%], stop_after_failures: 50% }", 40);
  const plans = first.plans;
  const failed = first.hosts.slice(0, 8).map(({ agent, plan }) => ({ agent, plan: plans[plan]! }));
  const { rollout, hosts, plans: kept, events } = retryRollout(first.rollout, failed, { ...wish, why: "room again" }, 500);
  assert.deepEqual([rollout.hosts, rollout.ends, rollout.concurrent, rollout.stopAfter], [8, [1, 4, 8], 1, 4]);
  assert.deepEqual(
    [rollout.order, rollout.event, kept],
    [{ by: "alice", why: "room again", retryOf: first.rollout.id }, "master:1:9", plans],
  );
  assert.deepEqual(
    hosts.map(({ agent }) => agent),
    failed.map(({ agent }) => agent),
  );
  assert.equal(new Set([...hosts, ...first.hosts].map(({ task }) => task)).size, 48, "a task's id is of this rollout");
  assert.deepEqual([events[0]!.type, events[0]!.data["retry_of"]], ["rollout.started", first.rollout.id]);
  assert.deepEqual(work(rollout).begun, [0]);
});

test("where somebody had to say yes, somebody has to again; what keeps it from beginning is told", () => {
  const first = start("approve: { from: [ann], timeout: 1h }", 2);
  const failed = first.hosts.map(({ agent, plan }) => ({ agent, plan: first.plans[plan]! }));
  const asked = retryRollout(first.rollout, failed, { ...wish, asks: first.rollout.asks }, 500).rollout;
  assert.equal(asked.status.state, "waiting");
  assert.notEqual(asked.asking, first.rollout.asking);
  assert.deepEqual(work(asked).begun, []);
  const kept = retryRollout(first.rollout, [], { ...wish, asks: first.rollout.asks, problem: "no host" }, 500);
  assert.deepEqual([kept.rollout.status, kept.rollout.asking], [{ state: "stopped", reason: "no host" }, undefined]);
});

test("only what has ended and did not hold everywhere can be tried again", () => {
  const under = work(start("", 3).rollout).rollout;
  assert.match(rolloutRetryProblem(under, { unresolved: false }) ?? "", /^it is running/);
  assert.match(rolloutRetryProblem(ends(under, "resolved", 3).rollout, { unresolved: false }) ?? "", /no host on which it failed/);
  const failed = ends(ends(under, "failed", 1).rollout, "resolved", 2).rollout;
  assert.equal(rolloutRetryProblem(failed, { unresolved: false }), undefined);
  assert.equal(
    rolloutRetryProblem(ends(ends(under, "expired", 1).rollout, "resolved", 2).rollout, { unresolved: false }),
    undefined,
    "or never began",
  );
  const cancelled = stepRollout(ends(under, "failed", 1).rollout, { kind: "cancel", reason: "", by: "bob" }, 300).rollout;
  assert.match(rolloutRetryProblem(cancelled, { unresolved: false }) ?? "", /still under way on 2 of its hosts/);
  const stopped: Rollout = { ...under, begun: 1, open: 0, resolved: 1, status: { state: "cancelled", reason: "", by: "bob" } };
  assert.match(
    rolloutRetryProblem(stopped, { unresolved: false }) ?? "",
    /no host on which it failed; it never began, or was cancelled, on 2 /,
  );
  assert.equal(rolloutRetryProblem(stopped, { unresolved: true }), undefined);
  // All of its hosts had failed before: one that was denied has not done anything about it.
  const denied = {
    ...start("", 3).rollout,
    order: { by: "alice", retryOf: "r-0" },
    status: { state: "cancelled" as const, reason: "", by: "bob" },
  };
  assert.equal(rolloutRetryProblem(denied, { unresolved: false }), undefined);
});

/** What a reactor fires for drifts on these hosts at once. */
function combinedOf(lines: string, agents: readonly string[]): Firing & { members: readonly Firing[] } {
  const text = `name: fix\non: file.drifted\ncombine: 2s\n${lines}\ndo: [{ command.run: { argv: [fix, "\${{ event.subject }}"] } }]`;
  const rules = rulesOf(text);
  for (const [index, agent] of agents.entries()) {
    const id = `${agent}:1:1`;
    const heard = { ...event, id, position: index + 1, type: "file.drifted", agent, subject: "/etc/a" };
    rules.hear({ event: heard, agent, ancestry: [], root: id });
  }
  const [decision] = rules.tick(10_000).decisions;
  const members = decision?.firing?.members;
  assert.ok(members !== undefined, JSON.stringify(decision));
  return { ...decision!.firing!, members };
}

test("of firings that go together each host has the task of its own event, with its own key, and the rollout has what is common", () => {
  const agents = ["web1", "web2", "web3"];
  const lines =
    "task: { key: [event.agent, event.subject] }\notherwise: [{ event.emit: { type: x.y } }]\nlimits: { concurrent: 1, ramp: [1] }";
  const firing = combinedOf(lines, agents);
  const { rollout, hosts, plans, events } = startCombined(firing, firing.reactor.combining!.limits, 100);
  assert.deepEqual([rollout.combined, rollout.hosts, rollout.ends, rollout.concurrent, rollout.count], [true, 3, [1, 3], 1, 3]);
  assert.deepEqual([rollout.joinKey, rollout.otherwise.length, plans.length], [undefined, 1, 1]);
  const [started] = events;
  assert.deepEqual((started!.data["agents"] as string[]).toSorted(), agents);
  for (const { agent, task: id, plan, firing: own } of hosts) {
    const of = `${agent}:1:1`;
    assert.equal(id, taskId("fix", of));
    const { task } = startOnHost(
      rollout,
      { agent, task: id, plan: plans[plan]!, firing: own },
      { now: 200, random: 0.5, holderOf: () => undefined },
    );
    assert.deepEqual(
      [task.rollout, task.event, task.events, task.root, task.joinKey, task.otherwise],
      [rollout.id, of, [of], of, [agent, "/etc/a"], []],
    );
  }
});
