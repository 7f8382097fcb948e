import assert from "node:assert/strict";
import { test } from "node:test";
import type { Event } from "@needfire/shared/event";
import { executionId, taskId } from "@needfire/shared/ids";
import { plainRoute } from "@needfire/shared/router";
import { hasLeased } from "@needfire/shared/task/take-over";
import { ReactorIndex } from "@needfire/shared/rules/reactor-index";
import { loadReactors, type Reactor } from "@needfire/shared/reactor";
import { dueOf, isOpen, listens, type Task } from "@needfire/shared/task";
import { incoming, TestClock } from "../fixture.ts";
import { type Asked, React } from "./react.ts";

function indexOf(text: string): ReactorIndex {
  const loaded = loadReactors("r.yaml", text);
  assert.ok(loaded.ok, JSON.stringify(loaded));
  return new ReactorIndex(loaded.reactors);
}

const index = indexOf("name: tidy\non: file.drifted\ndo:\n  - file.restore: { path: /etc/motd }\n");

function event(position: number, type: string, given: Partial<Event> = {}): Event {
  const { epoch: _epoch, sequence: _sequence, ...rest } = incoming(position, { type });
  return { ...rest, ...given, position };
}

function setting(stored: Task[] = [], reactors = index) {
  const clock = new TestClock();
  const react = new React(
    {
      store: {
        task: (id) => stored.find((task) => task.id === id),
        ruleState: () => [],
        openTaskOf: (reactor, key) =>
          stored.find((task) => task.reactor === reactor && JSON.stringify(task.joinKey) === JSON.stringify(key) && isOpen(task)),
        tasksDue: (now) => ({ tasks: stored.filter((task) => (dueOf(task) ?? now + 1) <= now), next: undefined }),
        listeningTasks: () => stored.filter(listens),
        openTasksIn: () => [],
        openTaskCounts: () => new Map(),
        openRollouts: () => [],
        rollout: () => undefined,
        hostsOnTurn: () => [],
        joinKeysIn: () => [],
        hostsToRetry: () => [],
        tasksPromised: () => [],
        breakers: () => [],
        leasedTasks: () => stored.filter(hasLeased),
        lockingTasks: () => stored.filter(({ lock }) => lock !== undefined),
        tasksMade: (names, since) => stored.filter(({ reactor, created }) => names.includes(reactor) && created > since),
      },
      hosts: () => [],
      risesAfterMs: 300_000,
      guardMs: 300_000,
      world: { agentView: (id) => ({ id, labels: {}, facts: {} }), route: plainRoute, silence: () => undefined },
      clock,
    },
    [],
  );
  react.setReactors(reactors);
  const judge = (events: Event[], asked: Partial<Asked> = {}) =>
    react.judge(
      events.map((each) => ({ received: each.received, events: [each] })),
      { expired: [], words: [], ...asked },
    );
  return { react, judge, clock };
}

test("only what a reactor waits for, and results, can have consequences", () => {
  const { react } = setting();
  assert.deepEqual(
    ["file.drifted", "execution.finished", "file.changed"].map((type) => react.hears(type)),
    [true, true, false],
  );
});

test("what the store did not take is forgotten, so that it is not taken for a cause", async () => {
  const { react, judge } = setting();
  const { changes } = await judge([event(1, "file.drifted")]);
  const execution = executionId(taskId("tidy", "web1:e1:1"), 1);
  assert.equal(await react.ownerOf(execution), "web1");
  react.forget(changes);
  assert.equal(await react.ownerOf(execution), undefined);
});

test("P7: an effect of a task that has ended long ago is still known as one", async () => {
  const first = setting();
  const { changes } = await first.judge([event(1, "file.drifted")]);
  const { task } = changes[0]!;
  const later = setting([task]);
  const caused = await later.judge([event(2, "file.drifted", { cause: executionId(task.id, 1) })]);
  assert.deepEqual([caused.changes, caused.decisions.map(({ reason }) => reason)], [[], ["own-effect"]]);
  assert.equal((await later.judge([event(3, "file.drifted")])).changes.length, 1);
});

test("a command that is given up twice ends its task once", async () => {
  const { judge } = setting();
  const { changes: begun } = await judge([event(1, "file.drifted")]);
  const [effect] = begun[0]!.effects.filter(({ kind }) => kind === "execute");
  assert.ok(effect?.kind === "execute");
  const expired = { execution: effect.execution, reason: "nobody answered" };
  const { changes } = await judge([], { expired: [expired, expired] });
  assert.deepEqual(
    changes.map(({ task }) => task.status.state),
    ["escalated"],
  );
});

const counting = indexOf(
  "name: many\non: test.happened\ncorrelate: { count: 3, within: 1m, by: event.agent }\ndo:\n  - event.emit: { type: x.y }\n",
);

test("P5: what an event did short of a firing is recorded, with the version that decided, and the task when there is one", async () => {
  const { judge } = setting([], counting);
  const { decisions, changes } = await judge([1, 2, 3].map((position) => event(position, "test.happened")));
  const [{ version }] = counting.reactors as [Reactor];
  assert.deepEqual(
    decisions.map(({ event: id, reactor, version: by, reason, task }) => ({ id, reactor, by, reason, task })),
    [
      { id: "web1:e1:1", reactor: "many", by: version, reason: "waiting", task: undefined },
      { id: "web1:e1:2", reactor: "many", by: version, reason: "waiting", task: undefined },
      { id: "web1:e1:3", reactor: "many", by: version, reason: "fired", task: changes[0]!.task.id },
    ],
  );
});

test("P4: of more decisions than a turn may record the rest is counted, by reactor", async () => {
  const { judge } = setting(
    [],
    indexOf("name: rare\non: test.happened\ncorrelate: { count: 10000, within: 1m }\ndo:\n  - event.emit: { type: x.y }\n"),
  );
  const events = Array.from({ length: 1_005 }, (_value, index) => event(index + 1, "test.happened", { received: 5_000 }));
  const { decisions, counts } = await judge(events);
  assert.deepEqual([decisions.length, counts.map(({ reactor, unrecorded }) => [reactor, unrecorded])], [1_000, [["rare", 5]]]);
});

test("P4: keys that had to go are told of as an event", async () => {
  const few = indexOf(
    "name: few\non: test.happened\nkeys_max: 2\ncorrelate: { count: 2, within: 1m, by: event.data.n }\ndo:\n  - event.emit: { type: x.y }\n",
  );
  const { judge } = setting([], few);
  const { events } = await judge([1, 2, 3].map((position) => event(position, "test.happened", { received: 5_000 })));
  assert.deepEqual(events, [
    { type: "reactor.keys_full", severity: "high", subject: "few", data: { reactor: "few", keys_max: 2, dropped: 1 } },
  ]);
});

test("P7: a chain of remedies that goes on and on is cut, and told of", async () => {
  const chain = Array.from({ length: 17 }, (_value, depth) => `r${depth}`);
  const stored = { ...(await setting().judge([event(1, "file.drifted")])).changes[0]!.task, ancestry: chain };
  const { judge } = setting([stored]);
  const { changes, events } = await judge([event(2, "file.drifted", { cause: executionId(stored.id, 1) })]);
  assert.deepEqual(changes, []);
  assert.equal(events[0]!.type, "reactor.loop_cut");
  assert.deepEqual(events[0]!.data["chain"], chain);
  assert.equal(events[0]!.data["root"], "web1:e1:1");
  assert.equal(events[0]!.cause, "web1:e1:1", "the root's chain shows where it was cut");
});

test("what time alone brings happens when it is due, once, also while nothing comes", async () => {
  const quiet = indexOf(
    "name: quiet\non: test.happened\ncorrelate:\n  none: { on: test.answered }\n  within: 10s\ndo:\n  - event.emit: { type: x.y }\n",
  );
  const { react, judge } = setting([], quiet);
  await judge([event(1, "test.happened", { received: 5_000 })]);
  assert.equal(react.nextDue(), 15_000);
  assert.deepEqual((await judge([], { now: 14_999 })).changes, []);
  const { changes } = await judge([], { now: 20_000 });
  assert.deepEqual(
    changes.map(({ task }) => task.event),
    ["web1:e1:1"],
  );
  assert.equal(react.judgedUntil, 15_000, "time has gone to what was due, and no further");
  assert.deepEqual((await judge([], { now: 30_000 })).changes, []);
});

test("what a turn that failed has counted is not counted again when its events are", async () => {
  const { react, judge } = setting();
  const drifted = event(1, "file.drifted");
  const broken = {
    ...drifted,
    get type(): string {
      throw new Error("it cannot be");
    },
  };
  await assert.rejects(judge([drifted, broken as Event]), /it cannot be/);
  await react.restore();
  const { counts } = await judge([drifted]);
  assert.equal(counts.find(({ reactor }) => reactor === "tidy")?.firings, 1);
});

/** Further turns of one master, each with what the turns before have left in the store. */
function turns(reactors: ReactorIndex) {
  const stored: Task[] = [];
  const { judge, clock, react } = setting(stored, reactors);
  const turn = async (events: Event[], asked: Partial<Asked> = {}) => {
    const made = await judge(events, asked);
    for (const { task } of made.changes) {
      const at = stored.findIndex(({ id }) => id === task.id);
      if (at < 0) stored.push(task);
      else stored[at] = task;
    }
    return made;
  };
  return { stored, turn, clock, react };
}

const ladder = indexOf(`name: revive
on: service.failed
task: { key: [event.agent, event.subject] }
do:
  - steps: [{ command.run: { argv: [systemctl, restart, nginx] } }]
    retry: { attempts: 2, backoff: 5s, jitter: 0% }
    verify: { event: { on: service.recovered, when: event.subject == matched.trigger.subject }, within: 30s }
`);
const nginx = { subject: "nginx" };

test("P5: what fires while a task of its key is open joins it, in the same turn and later, and says which; then a new one is made", async () => {
  const { stored, turn } = turns(ladder);
  const first = await turn([
    event(1, "service.failed", nginx),
    event(2, "service.failed", nginx),
    event(3, "service.failed", { subject: "sshd" }),
  ]);
  assert.deepEqual(
    first.decisions.map(({ reason }) => reason),
    ["fired", "joined", "fired"],
  );
  const [{ id }] = stored as [Task];
  const later = await turn([event(4, "service.failed", nginx)]);
  assert.deepEqual(
    later.decisions.map(({ reason, task }) => ({ reason, task })),
    [{ reason: "joined", task: id }],
  );
  assert.equal(stored[0]!.joined, 2);
  await turn([], { words: [{ task: id, word: { kind: "cancel", reason: "no", by: "alice" } }] });
  const { decisions } = await turn([event(5, "service.failed", nginx)]);
  assert.deepEqual(
    decisions.map(({ reason }) => reason),
    ["fired"],
  );
});

test("an event that a verification waits for is heard, of its host and about what its condition says only", async () => {
  const { stored, turn, react } = turns(ladder);
  assert.ok(react.hears("service.recovered"));
  await turn([event(1, "service.failed", nginx)]);
  const [{ id }] = stored as [Task];
  const data = { execution: `${id}.1`, action: "command.run", outcome: "succeeded", changed: true, started: 1, ended: 2 };
  await turn([event(2, "execution.finished", { data })]);
  assert.equal(stored[0]!.status.state, "verifying");
  await turn([event(3, "service.recovered", { subject: "sshd" }), event(4, "service.recovered", { ...nginx, agent: "db1" })]);
  assert.equal(stored[0]!.status.state, "verifying");
  await turn([event(5, "service.recovered", nginx)]);
  assert.deepEqual(stored[0]!.status, { state: "resolved", verified: true });
});

test("what of a task is due happens when its time has come, and not before", async () => {
  const { stored, turn, clock, react } = turns(ladder);
  await turn([event(1, "service.failed", nginx)]);
  const [{ id }] = stored as [Task];
  const data = { execution: `${id}.1`, action: "command.run", outcome: "failed", changed: true, started: 1, ended: 2 };
  await turn([event(2, "execution.finished", { data })], { now: clock.now() });
  const due = react.nextDue()!;
  assert.equal(due, clock.now() + 5_000);
  await turn([], { now: due - 1 });
  assert.equal(stored[0]!.status.state, "retrying");
  clock.time = due;
  const { changes } = await turn([], { now: due });
  assert.deepEqual(
    changes.map(({ task }) => [task.status.state, task.attempt]),
    [["running", 2]],
  );
});

test("no host can speak of what the master does for a task: a result of its own command is not its to give (P6)", async () => {
  const { react, judge } = setting([], indexOf("name: tidy\non: file.drifted\ndo:\n  - command.local: { argv: [id] }\n"));
  await judge([event(1, "file.drifted", { id: "web1:1:1", agent: "web1" })]);
  const task = taskId("tidy", "web1:1:1");
  const execution = executionId(task, 1);
  assert.equal(await react.ownerOf(execution), "master");
  const data = { execution, action: "command.local", outcome: "succeeded", changed: true, started: 1, ended: 2 };
  const report = (position: number, agent: string) => event(position, "execution.finished", { id: `${agent}:1:${position}`, agent, data });
  await judge([report(2, "web1")]);
  assert.equal((await react.task(task))!.status.state, "running");
  await judge([report(3, "master")]);
  assert.equal((await react.task(task))!.status.state, "resolved");
});

test("P5: a reactor makes no more tasks for an agent than it may, also when what it made is known from the store alone; then it may again", async () => {
  const limited = indexOf("name: tidy\non: service.failed\nlimits: { per_agent: 2/1h }\ndo: [{ event.emit: { type: x.y } }]\n");
  const { turn, react, clock } = turns(limited);
  const failed = async (position: number, given: Partial<Event> = {}) =>
    (await turn([event(position, "service.failed", given)])).decisions.map(({ reason, until }) => [reason, until]);
  const began = clock.now();
  assert.deepEqual(await failed(1), [["fired", undefined]]);
  clock.time += 60_000;
  assert.deepEqual(await failed(2), [["fired", undefined]]);
  assert.deepEqual(await failed(3), [["throttled", began + 3_600_000]]);
  assert.deepEqual(await failed(4, { agent: "db1" }), [["fired", undefined]]);
  await react.restore();
  assert.deepEqual(await failed(5), [["throttled", began + 3_600_000]]);
  clock.time = began + 3_600_000;
  assert.deepEqual(await failed(6), [["fired", undefined]]);
});

test("P5: what its breaker holds makes no task, says why, and is told once; a reset lets it try again", async () => {
  const failing = indexOf("name: tidy\non: service.failed\nlimits: { breaker: { repeats: 1 } }\ndo: [{ command.run: { argv: [id] } }]\n");
  const { turn, react } = turns(failing);
  const failed = async (position: number) => turn([event(position, "service.failed", nginx)]);
  const [first] = (await failed(1)).changes;
  const data = { execution: `${first!.task.id}.1`, action: "command.run", outcome: "failed", changed: true, started: 1, ended: 2 };
  const { breakers } = await turn([event(2, "execution.finished", { data })]);
  assert.equal(breakers.length, 1, "a strike is stored with what it is for");
  const trips = await failed(3);
  assert.deepEqual(
    [trips.decisions[0]!.reason, trips.changes[0]!.task.status.state, trips.changes[0]!.effects.length],
    ["breaker-open", "escalated", 3],
  );
  const held = await failed(4);
  assert.deepEqual([held.decisions[0]!.reason, held.changes, held.breakers[0]!.body!.breaker.trip!.held], ["breaker-open", [], 1]);
  const { reset, events } = react.reset({ reactor: "tidy", key: undefined, by: "ann", why: undefined });
  assert.deepEqual([reset.length, events[0]!.type], [1, "breaker.reset"]);
  assert.equal((await failed(5)).decisions[0]!.reason, "fired");
});
