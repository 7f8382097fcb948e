/**
 * What every store must do. An implementation's test calls this with a way to open one on a directory.
 */
import assert from "node:assert/strict";
import { describe, test, type TestContext } from "node:test";
import type { ExecutionReport } from "@needfire/shared/action";
import { executionId, rolloutId, taskId } from "@needfire/shared/ids";
import type { Rollout } from "@needfire/shared/rollout";
import type { PlannedRung, StateRow } from "@needfire/shared/rules/types";
import type { Effect, Execution, Task } from "@needfire/shared/task";
import { somePublicKey, temporaryDirectory } from "../fixture.ts";
import type { BreakerRow, Change, ExecutionRecord, Store, Writes } from "./store.ts";

type Opened = Store & { close(): void };

export interface StoreFactory {
  /** Opens the store in a directory, which may hold one from before. */
  open(directory: string): Opened;
  /** What history says of a task's executions. */
  executions(directory: string, task: string): ExecutionRecord[];
}

const now = 5_000;

export function someTask(event: string, status: Task["status"] = { state: "running", execution: "" }): Task {
  return {
    id: taskId("tidy", event),
    reactor: "tidy",
    reactorVersion: "v1",
    branch: "do",
    owner: "ops",
    labels: {},
    runbook: "https://wiki.example/tidy",
    key: [],
    event,
    events: [event],
    count: 1,
    agent: "web1",
    subject: "/etc/motd",
    priority: "normal",
    ancestry: ["tidy"],
    root: event,
    joined: 0,
    rungs: [],
    otherwise: [],
    rung: 0,
    attempt: 1,
    begun: 1,
    heard: false,
    called: 0,
    attempts: 1,
    history: [],
    leases: [],
    open: [],
    started: 1,
    status,
    created: now,
    updated: now,
  };
}

export function someRollout(event: string, hosts: number): Rollout {
  const { reactor, reactorVersion, branch, owner, labels, runbook, key, events, count, subject, priority, ancestry, root } =
    someTask(event);
  return {
    ...{ reactor, reactorVersion, branch, owner, labels, runbook, key, event, events, count, subject, priority, ancestry, root },
    id: rolloutId("tidy", event),
    agent: "web1",
    targets: "web*",
    hosts,
    ends: [hosts],
    wave: 0,
    concurrent: hosts,
    begun: 0,
    open: 0,
    resolved: 0,
    failed: 0,
    cancelled: 0,
    verified: 0,
    expired: 0,
    failures: [],
    otherwise: [],
    called: false,
    joined: 0,
    status: { state: "running" },
    created: now,
    updated: now,
  };
}

export function someExecution(task: Task, number = 1): Execution {
  const { id, agent } = task;
  return {
    id: executionId(id, number),
    task: id,
    agent,
    action: "file.restore",
    args: { path: "/a" },
    purpose: "do",
    priority: "normal",
    rung: 0,
    attempt: 1,
    created: now,
  };
}

function reportOf({ id, action }: Execution): ExecutionReport {
  return { execution: id, action, outcome: "succeeded", changed: true, started: now, ended: now + 1 };
}

const told = (type: string): Effect => ({ kind: "emit", event: { type, severity: "low", data: {} } });

export function storeConformance(name: string, { open, executions }: StoreFactory): void {
  const setting = (t: TestContext) => {
    const directory = temporaryDirectory(t);
    let store = open(directory);
    t.after(() => store.close());
    const write = async (writes: Writes) => (await store.commitAll([writes]))[0]!;
    return {
      directory,
      write,
      commit: (changes: Change[], cursor?: number) => write({ now, changes, ...(cursor === undefined ? {} : { cursor }) }),
      get store() {
        return store;
      },
      reopened: () => {
        store.close();
        store = open(directory);
        return store.load();
      },
    };
  };

  describe(`the store in ${name}`, () => {
    test("P2: a task, its executions, its events and the position are there together after it is opened again", async (t) => {
      const s = setting(t);
      const task = someTask("web1:e1:1");
      const execution = someExecution(task);
      const effects: Effect[] = [told("task.created"), { kind: "execute", execution }, told("task.second")];
      const { taken, events } = await s.commit([{ isNew: true, task, effects }], 17);
      assert.deepEqual(taken, [true]);
      const snapshot = await s.reopened();
      assert.equal(snapshot.cursor, 17);
      assert.deepEqual(snapshot.openTasks, [task]);
      assert.deepEqual(snapshot.openExecutions, [execution]);
      assert.deepEqual(snapshot.outbox, events);
      assert.deepEqual(
        events.map(({ type, agent, time }) => ({ type, agent, time })),
        [
          { type: "task.created", agent: "master", time: now },
          { type: "task.second", agent: "master", time: now },
        ],
      );
    });

    test("P2: when one thing cannot be taken nothing is: no task, no execution, no event, no position", async (t) => {
      const s = setting(t);
      const [good, bad] = [someTask("web1:e1:1"), someTask("web1:e1:2")];
      const change: Change = {
        isNew: true,
        task: good,
        effects: [told("task.created"), { kind: "execute", execution: someExecution(good) }],
      };
      const twice: Effect = { kind: "execute", execution: someExecution(bad) };
      await assert.rejects(async () => s.commit([change, { isNew: true, task: bad, effects: [twice, twice] }], 17));
      const { cursor, openTasks, openExecutions, outbox } = await s.reopened();
      assert.deepEqual({ cursor, openTasks, openExecutions, outbox }, { cursor: 0, openTasks: [], openExecutions: [], outbox: [] });
      assert.deepEqual((await s.commit([change], 17)).taken, [true]);
    });

    test("what verifications wait for is found on all rungs of open tasks, and on hosts on which a rollout is still to begin", async (t) => {
      const s = setting(t);
      const awaits = (...on: string[]): PlannedRung => ({
        ...{ steps: [], timeoutMs: undefined, attempts: 1, retry: undefined, undo: undefined },
        verify: { by: "no_event", on, when: undefined, afterMs: 0, withinMs: 1 },
      });
      const later: Task = { ...someTask("web1:e1:1"), rungs: [...someTask("web1:e1:1").rungs, awaits("a.*", "b.c")] };
      const over: Task = { ...someTask("web1:e1:2", { state: "resolved", verified: true }), rungs: [awaits("x.y")] };
      const plan = { ok: true as const, rungs: [awaits("d.e")], otherwise: [], joinKey: undefined, approval: undefined };
      const begins = (id: string) => ({ hosts: [{ agent: "web1", task: taskId("tidy", id, "web1"), plan: 0 }], plans: [plan] });
      await s.write({
        now,
        changes: [later, over].map((task) => ({ isNew: true, task, effects: [] })),
        rollouts: [{ rollout: someRollout("web1:e1:3", 1), events: [], begins: begins("web1:e1:3") }],
      });
      await s.reopened();
      assert.deepEqual((await s.store.awaitedTypes()).toSorted(), ["a.*", "b.c", "d.e"]);
    });

    test("P2: a rollout, its hosts and the tasks that begin are there together; its tasks are one for each host", async (t) => {
      const s = setting(t);
      const rollout = someRollout("web1:e1:1", 3);
      const hosts = ["web1", "web2", "web3"].map((agent) => ({ agent, task: taskId("tidy", "web1:e1:1", agent), plan: 0 }));
      const plan = { ok: false as const, reason: "no" };
      await s.write({ now, rollouts: [{ rollout, events: [], begins: { hosts, plans: [plan] } }] });
      const begun = { ...rollout, begun: 2, open: 2 };
      const changes = hosts.slice(0, 2).map(({ agent, task: id }) => ({
        isNew: true,
        task: { ...someTask("web1:e1:1"), id, agent, rollout: rollout.id },
        effects: [],
      }));
      const { taken } = await s.write({ now, changes, rollouts: [{ rollout: begun, events: [] }] });
      assert.deepEqual(taken, [true, true]);
      await s.reopened();
      const { store } = s;
      assert.deepEqual([await store.openRollouts(), await store.rollout(rollout.id)], [[begun], begun]);
      assert.deepEqual(
        await store.hostsOnTurn(rollout.id, 1, 5),
        hosts.slice(1).map(({ agent, task }, index) => ({ number: index + 1, agent, task, plan })),
      );
      assert.equal((await store.openTasksIn(rollout.id, 10)).length, 2);
      assert.equal((await store.openTasksIn(rollout.id, 1)).length, 1);
      assert.deepEqual(await store.openTaskCounts(), new Map([[rollout.id, 2]]));
      assert.deepEqual(await store.awaitedTypes(), []);
      const done = { ...begun, begun: 3, open: 0, resolved: 3, status: { state: "done" as const } };
      await s.write({ now, rollouts: [{ rollout: done, events: [{ type: "rollout.done", severity: "low", data: {} }] }] });
      assert.deepEqual([await store.openRollouts(), await store.rollout(rollout.id)], [[], done]);
    });

    test("of a rollout it is known where it failed, and was not tried again with success since; of a retry all that did not hold", async (t) => {
      const s = setting(t);
      const rollout = { ...someRollout("web1:e1:1", 4), created: now, begun: 3 };
      const agents = ["web1", "web2", "web3", "web4"];
      const hosts = agents.map((agent) => ({ agent, task: taskId("tidy", "web1:e1:1", agent), plan: 0 }));
      const plan = { ok: false as const, reason: "no" };
      await s.write({ now, rollouts: [{ rollout, events: [], begins: { hosts, plans: [plan] } }] });
      const member = (index: number, status: Task["status"]): Change => {
        const { agent, task: id } = hosts[index]!;
        return { isNew: true, task: { ...someTask("web1:e1:1"), id, agent, rollout: rollout.id, status, created: now }, effects: [] };
      };
      const failed = { state: "escalated" as const, reason: "no room" };
      await s.write({ now, changes: [member(0, failed), member(1, failed), member(2, { state: "cancelled", reason: "", by: "ann" })] });
      const where = async (of: Rollout, unresolved = false) => (await s.store.hostsToRetry(of, { unresolved })).map(({ agent }) => agent);
      assert.deepEqual(await where(rollout), ["web1", "web2"]);
      assert.deepEqual((await s.store.hostsToRetry(rollout, { unresolved: false }))[0]!.plan, plan);
      const retry = { ...rollout, order: { by: "ann", retryOf: "r-0" } };
      assert.deepEqual(await where(retry), agents);
      assert.deepEqual(await where(rollout, true), agents);
      const again = { ...someTask("master:1:1"), agent: "web1", created: now + 1, order: { by: "ann", retryOf: hosts[0]!.task } };
      await s.write({ now, changes: [{ isNew: true, task: again, effects: [] }] });
      assert.deepEqual(await where(rollout), ["web2"], "it is under way");
      assert.deepEqual(await where(rollout, true), agents.slice(1));
      const lost: Change = { isNew: false, task: { ...again, status: failed }, effects: [] };
      await s.write({ now, changes: [lost] });
      assert.deepEqual(await where(rollout), ["web1", "web2"]);
    });

    test("hosts whose firings go together have each their own, which is found by its key", async (t) => {
      const s = setting(t);
      const rollout: Rollout = { ...someRollout("web1:e1:1", 3), combined: true };
      const plan = { ok: false as const, reason: "no" };
      const hosts = ["web1", "web2", "web3"].map((agent, index) => {
        const { reactor, reactorVersion, branch, owner, labels, runbook, key, ...of } = someTask(`${agent}:e1:1`);
        const { event, events, count, subject, priority, ancestry, root } = of;
        const shared = { reactor, reactorVersion, branch, owner, labels, runbook, key };
        const record = { ...shared, event, events, count, subject, priority, ancestry, root };
        return { agent, task: of.id, plan: 0, firing: { record, ...(index === 0 ? {} : { joinKey: [agent, 7] }) } };
      });
      await s.write({ now, rollouts: [{ rollout, events: [], begins: { hosts, plans: [plan] } }] });
      await s.reopened();
      const [, second] = await s.store.hostsOnTurn(rollout.id, 0, 5);
      assert.deepEqual(second, { number: 1, agent: "web2", task: hosts[1]!.task, plan, firing: hosts[1]!.firing });
      assert.deepEqual(await s.store.joinKeysIn(rollout.id), [
        { number: 1, joinKey: ["web2", 7] },
        { number: 2, joinKey: ["web3", 7] },
      ]);
    });

    test("P2: a second firing of a reactor on an event is not taken, nor what would follow from it; the rest of the page is", async (t) => {
      const s = setting(t);
      const task = someTask("web1:e1:1");
      await s.commit([{ isNew: true, task, effects: [] }]);
      const again: Change = { isNew: true, task, effects: [told("task.created"), { kind: "execute", execution: someExecution(task) }] };
      const other: Change = { isNew: true, task: someTask("web1:e1:2"), effects: [told("task.other")] };
      const { taken, events } = await s.commit([again, other], 2);
      assert.deepEqual(taken, [false, true]);
      assert.deepEqual(
        events.map(({ type }) => type),
        ["task.other"],
      );
      const { openExecutions, cursor } = await s.reopened();
      assert.deepEqual({ openExecutions, cursor }, { openExecutions: [], cursor: 2 });
    });

    test("an event stays in the outbox until the journal is said to have it, and numbers are never used again", async (t) => {
      const s = setting(t);
      const event = { type: "agent.connected", severity: "low" as const, data: {} };
      const first = await s.write({ now, events: [event, event, event] });
      const [one, two, three] = first.events.map(({ sequence }) => sequence);
      assert.ok(one! < two! && two! < three!);
      await s.write({ now, outboxDone: two! });
      const { outbox } = await s.reopened();
      assert.deepEqual(outbox, [first.events[2]]);
      await s.write({ now, outboxDone: three! });
      const snapshot = await s.reopened();
      assert.deepEqual(snapshot.outbox, []);
      const second = await s.write({ now, events: [event] });
      assert.ok(second.events[0]!.sequence > three!);
      assert.equal(second.events[0]!.epoch, first.events[0]!.epoch);
    });

    test("only open tasks and executions without a result are loaded; any task can be asked for", async (t) => {
      const s = setting(t);
      const [open, ended] = [someTask("web1:e1:1"), someTask("web1:e1:2")];
      const [waits, done] = [someExecution(open), someExecution(ended)];
      await s.commit([
        { isNew: true, task: open, effects: [{ kind: "execute", execution: waits }] },
        { isNew: true, task: ended, effects: [{ kind: "execute", execution: done }] },
      ]);
      const resolved: Task = { ...ended, status: { state: "resolved", verified: true }, updated: now + 5 };
      await s.commit([{ isNew: false, task: resolved, effects: [{ kind: "record", report: reportOf(done) }] }]);
      const { openTasks, openExecutions } = await s.reopened();
      assert.deepEqual(openTasks, [open]);
      assert.deepEqual(openExecutions, [waits]);
      assert.deepEqual(await s.store.task(ended.id), resolved);
      assert.equal(await s.store.task("t-0000000000000000"), undefined);
    });

    test("the tasks that reactors made since a time are found, the oldest first: not a problem's end, not a plan", async (t) => {
      const s = setting(t);
      const made = (number: number, given: Partial<Task> = {}): Task => ({ ...someTask(`web1:e1:${number}`), created: number, ...given });
      const tasks = [
        made(3),
        made(2, { agent: "db1" }),
        made(1),
        made(4, { branch: "on_clear" }),
        made(5, { status: { state: "planned" } }),
        made(6, { reactor: "other" }),
        // It asks for a rollout, or calls people for one.
        made(7, { rollout: rolloutId("tidy", "web1:e1:7"), rungs: [] }),
      ];
      await s.commit(tasks.map((task) => ({ isNew: true, task, effects: [] })));
      await s.reopened();
      assert.deepEqual(await s.store.tasksMade(["tidy", "nobody"], 1), [
        { reactor: "tidy", agent: "db1", created: 2 },
        { reactor: "tidy", agent: "web1", created: 3 },
      ]);
    });

    test("the hosts on which reactors' rollouts are still to begin are found: not those of a problem's end, nor of what begins nowhere any more", async (t) => {
      const s = setting(t);
      const agents = ["web1", "web2", "web3"];
      const plan = { ok: false as const, reason: "no" };
      const made = async (number: number, given: Partial<Rollout> = {}) => {
        const event = `web1:e1:${number}`;
        const rollout = { ...someRollout(event, 3), ...given };
        const hosts = agents.map((agent) => ({ agent, task: taskId(rollout.reactor, event, agent), plan: 0 }));
        await s.write({ now, rollouts: [{ rollout, events: [], begins: { hosts, plans: [plan] } }] });
        return rollout.id;
      };
      const first = await made(1, { begun: 2, open: 2 });
      const paused = await made(2, { begun: 2, status: { state: "paused", reason: "", by: "ann" } });
      await made(3, { begun: 1, open: 1, status: { state: "stopped", reason: "no" } });
      await made(4, { branch: "on_clear" });
      await made(5, { reactor: "other" });
      await made(6, { begun: 3, open: 3 });
      await s.reopened();
      const found = await s.store.tasksPromised(["tidy", "nobody"]);
      assert.deepEqual(
        found.toSorted((a, b) => (a.rollout === first && b.rollout !== first ? -1 : 1)),
        [first, paused].map((rollout) => ({ reactor: "tidy", agent: "web3", rollout })),
      );
    });

    test("tasks with a lock are found while they are open or have a command under way", async (t) => {
      const s = setting(t);
      const lock = ["web1", "apt"];
      const open: Task = { ...someTask("web1:e1:1"), lock };
      const waiting: Task = { ...someTask("web1:e1:2", { state: "waiting", lock, behind: open.id }), lock };
      const over: Task = { ...someTask("web1:e1:3", { state: "resolved", verified: true }), lock };
      const stopping: Task = { ...someTask("web1:e1:4", { state: "cancelled", reason: "no", by: "ann" }), lock };
      const executes: Effect = { kind: "execute", execution: someExecution(stopping) };
      await s.commit([
        ...[open, waiting, over, someTask("web1:e1:5")].map((task) => ({ isNew: true, task, effects: [] })),
        { isNew: true, task: stopping, effects: [executes] },
      ]);
      await s.reopened();
      const found = await s.store.lockingTasks();
      assert.deepEqual(found.map(({ id }) => id).toSorted(), [open, waiting, stopping].map(({ id }) => id).toSorted());
    });

    test("tasks with a key that have something to take back are found again, and no others", async (t) => {
      const s = setting(t);
      const leases = [{ rung: 0, due: 9_000 }];
      const keyed: Task = { ...someTask("web1:e1:1", { state: "resolved", verified: true }), joinKey: ["a"], leases };
      const fleet: Task = { ...someTask("web1:e1:2"), fleetKey: ["b"], leases };
      const others: Task[] = [
        { ...someTask("web1:e1:3"), leases },
        { ...someTask("web1:e1:4"), joinKey: ["c"] },
      ];
      await s.commit([keyed, fleet, ...others].map((task) => ({ isNew: true, task, effects: [] })));
      await s.reopened();
      const found = await s.store.leasedTasks();
      assert.deepEqual(found.map(({ id }) => id).toSorted(), [keyed, fleet].map(({ id }) => id).toSorted());
    });

    test("breakers are kept as they were last written, the one that was written longest ago first, until they are gone", async (t) => {
      const s = setting(t);
      const row = (key: string, held = 0): BreakerRow => ({
        reactor: "tidy",
        key: JSON.stringify([key]),
        body: { key: [key], breaker: { strikes: [], trip: { at: now, why: "no", tasks: ["t-1"], held } } },
      });
      await s.write({ now, breakers: [row("a"), row("b"), row("c")] });
      await s.write({ now, breakers: [row("a", 2), { ...row("b"), body: undefined }] });
      await s.reopened();
      assert.deepEqual(await s.store.breakers(), [row("c"), row("a", 2)]);
    });

    test("a task that waits for somebody's word is open, and is found when its time is up", async (t) => {
      const s = setting(t);
      const approval = { from: ["ann"], timeoutMs: 1_000, onTimeout: "escalate" as const, message: "?" };
      const task = someTask("web1:e1:1", { state: "waiting", until: 9_000, approval });
      await s.commit([{ isNew: true, task, effects: [] }]);
      assert.deepEqual((await s.reopened()).openTasks, [task]);
      assert.deepEqual(await s.store.tasksDue(9_000, 10), { tasks: [task], next: undefined });
    });

    test("the command of a cancelled task is loaded, and so is its task, until it is known what became of it", async (t) => {
      const s = setting(t);
      const task = someTask("web1:e1:1");
      const execution = someExecution(task);
      await s.commit([{ isNew: true, task, effects: [{ kind: "execute", execution }] }]);
      const cancelled: Task = { ...task, status: { state: "cancelled", reason: "no", by: "alice" } };
      await s.commit([{ isNew: false, task: cancelled, effects: [{ kind: "stop", execution: execution.id }, told("task.cancelled")] }]);
      const { openTasks, openExecutions } = await s.reopened();
      assert.deepEqual(openTasks, [cancelled]);
      assert.deepEqual(openExecutions, [{ ...execution, cancelled: true }]);
      await s.commit([{ isNew: false, task: cancelled, effects: [{ kind: "record", report: reportOf(execution) }] }]);
      const after = await s.reopened();
      assert.deepEqual([after.openTasks, after.openExecutions], [[], []]);
    });

    test("what time alone brings is found when it is due, the longest overdue first, whatever state its task is in", async (t) => {
      const s = setting(t);
      const retrying = (event: string, until: number): Task => ({
        ...someTask(event, { state: "retrying", until, reason: "no" }),
        started: 1,
      });
      const lent: Task = { ...someTask("web1:e1:3", { state: "resolved", verified: true }), leases: [{ rung: 0, due: 9_000 }] };
      const tasks = [retrying("web1:e1:1", 8_000), retrying("web1:e1:2", 7_000), lent, someTask("web1:e1:4")];
      await s.commit(tasks.map((task) => ({ isNew: true, task, effects: [] })));
      await s.reopened();
      const due = async (at: number, limit = 10) => {
        const { tasks: found, next } = await s.store.tasksDue(at, limit);
        return [found.map(({ event }) => event), next];
      };
      assert.deepEqual(await due(6_999), [[], 7_000]);
      assert.deepEqual(await due(7_000), [["web1:e1:2"], 8_000]);
      assert.deepEqual(await due(9_000), [["web1:e1:2", "web1:e1:1", "web1:e1:3"], undefined]);
      assert.deepEqual(await due(9_000, 2), [["web1:e1:2", "web1:e1:1"], 9_000]);
      await s.commit([{ isNew: false, task: { ...lent, leases: [] }, effects: [] }]);
      assert.deepEqual(await due(9_000), [["web1:e1:2", "web1:e1:1"], undefined]);
    });

    test("the open task of a reactor and key is found while it is open, by the whole key", async (t) => {
      const s = setting(t);
      const joinKey = ["web1", { a: 1 }];
      const task: Task = { ...someTask("web1:e1:1"), joinKey };
      await s.commit([
        { isNew: true, task, effects: [] },
        { isNew: true, task: someTask("web1:e1:2"), effects: [] },
      ]);
      await s.reopened();
      assert.equal((await s.store.openTaskOf("tidy", joinKey))?.id, task.id);
      assert.equal(await s.store.openTaskOf("tidy", ["web1"]), undefined);
      assert.equal(await s.store.openTaskOf("other", joinKey), undefined);
      await s.commit([{ isNew: false, task: { ...task, status: { state: "escalated", reason: "no" } }, effects: [] }]);
      assert.equal(await s.store.openTaskOf("tidy", joinKey), undefined);
    });

    test("open tasks whose verification listens for events are found, and no others", async (t) => {
      const s = setting(t);
      const rung = { steps: [], timeoutMs: undefined, attempts: 1, retry: undefined, undo: undefined };
      const verify = { by: "event" as const, on: ["x.y"], when: undefined, afterMs: 0, withinMs: 1 };
      const listening: Task = {
        ...someTask("web1:e1:1"),
        rungs: [
          { ...rung, verify: undefined },
          { ...rung, verify },
        ],
        rung: 1,
      };
      const below: Task = { ...listening, id: taskId("tidy", "web1:e1:2"), event: "web1:e1:2", rung: 0 };
      const ended: Task = { ...someTask("web1:e1:3", { state: "resolved", verified: true }), rungs: listening.rungs, rung: 1 };
      await s.commit([listening, below, ended].map((task) => ({ isNew: true, task, effects: [] })));
      assert.deepEqual(
        (await s.store.listeningTasks()).map(({ event }) => event),
        ["web1:e1:1"],
      );
    });

    test("P2: what rules remember is as it was last written, and what they forgot is gone", async (t) => {
      const directory = temporaryDirectory(t);
      const row = (key: string, body: unknown, due?: number): StateRow => ({ reactor: "many", shape: "s1", key, due, body });
      const first = open(directory);
      await first.commitAll([
        { now, cursor: 3, rules: [row("c[1]", { touched: 1, state: [1, { at: 2.5 }] }, 70_000.25), row("c[2]", "gone soon")] },
      ]);
      await first.commitAll([{ now, cursor: 4, rules: [row("c[2]", undefined), row("f[]", { touched: 2, state: null })] }]);
      const before = await first.ruleState();
      first.close();
      const second = open(directory);
      assert.deepEqual(before, await second.ruleState());
      assert.deepEqual(
        before.toSorted((a, b) => a.key.localeCompare(b.key)),
        [row("c[1]", { touched: 1, state: [1, { at: 2.5 }] }, 70_000.25), row("f[]", { touched: 2, state: null })],
      );
      second.close();
    });

    test("keys, tokens and agents are as they were last written; a token that is used up is gone", async (t) => {
      const s = setting(t);
      const key = { publicKey: somePublicKey(), id: "web1", state: "pending" as const, labels: {}, firstSeen: 1, changed: 1, by: "hello" };
      const tokens = ["a", "b"].map((hash) => ({ hash, usesLeft: 2, expires: 9, labels: { role: "web" } }));
      const presence = { state: "present" as const, since: 1 };
      const agent = { id: "web1", facts: { cpus: 2 }, labels: {}, lastSeen: 1, presence };
      await s.write({ now, keys: [key], tokens, agents: [agent] });
      await s.write({
        now,
        keys: [{ ...key, state: "accepted" }],
        tokens: [
          { ...tokens[0]!, usesLeft: 0 },
          { ...tokens[1]!, usesLeft: 1 },
        ],
      });
      await s.write({ now, agents: [{ ...agent, lastSeen: 2 }] });
      const snapshot = await s.reopened();
      assert.deepEqual(snapshot.keys, [{ ...key, state: "accepted" }]);
      assert.deepEqual(snapshot.tokens, [{ ...tokens[1]!, usesLeft: 1 }]);
      assert.deepEqual(snapshot.agents, [{ ...agent, lastSeen: 2 }]);
    });

    test("a mark that comes late never hides a result, nor sets a command back; when it was sent is kept", async (t) => {
      const s = setting(t);
      const task = someTask("web1:e1:1");
      const execution = someExecution(task);
      const recorded = () => {
        const [found] = executions(s.directory, task.id);
        return { state: found?.state, sent: found?.sent };
      };
      await s.commit([{ isNew: true, task, effects: [{ kind: "execute", execution }] }]);
      assert.deepEqual(recorded(), { state: "queued", sent: undefined });
      await s.write({ now, marks: [{ execution: execution.id, state: "accepted", at: 2 }] });
      await s.write({ now, marks: [{ execution: execution.id, state: "sent", at: 1 }] });
      assert.deepEqual(recorded(), { state: "accepted", sent: 1 });
      await s.write({ now, changes: [{ isNew: false, task, effects: [{ kind: "record", report: reportOf(execution) }] }] });
      await s.write({
        now,
        marks: [
          { execution: execution.id, state: "sent", at: 9 },
          { execution: execution.id, state: "accepted", at: 9 },
        ],
      });
      assert.deepEqual(recorded(), { state: "succeeded", sent: 1 });
      assert.deepEqual((await s.reopened()).openExecutions, []);
    });

    test("P3: in which numbering of its host's a command was first sent is kept", async (t) => {
      const s = setting(t);
      const task = someTask("web1:e1:1");
      const execution = someExecution(task);
      await s.commit([{ isNew: true, task, effects: [{ kind: "execute", execution }] }]);
      const known = async () => (await s.reopened()).openExecutions.map(({ epoch }) => epoch);
      assert.deepEqual(await known(), [undefined]);
      await s.write({ now, marks: [{ execution: execution.id, state: "sent", at: 1, epoch: "e1" }] });
      await s.write({ now, marks: [{ execution: execution.id, state: "sent", at: 2, epoch: "e2" }] });
      await s.write({ now, marks: [{ execution: execution.id, state: "accepted", at: 3 }] });
      assert.deepEqual(await known(), ["e1"]);
    });

    test("a second one on the same state is refused until the first is closed", async (t) => {
      const s = setting(t);
      assert.throws(() => open(s.directory), { code: "STATE_LOCKED" });
      await s.reopened();
    });
  });
}
