import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { ExecutionReport } from "../action.ts";
import type { Event } from "../event.ts";
import { executionId, taskOfExecution } from "../ids.ts";
import { fired, rulesOf } from "../rules/rules-fixture.ts";
import type { Firing } from "../rules/types.ts";
import {
  dueOf,
  type Execution,
  hasEnded,
  type Input,
  isOpen,
  type Offer,
  offersOf,
  startTask,
  type Step,
  stepTask,
  type Task,
} from "../task.ts";
import { nextHandOver, undoKeyOf } from "./take-over.ts";

const minuteMs = 60_000;

interface Remedy {
  after: string;
  isLendable: boolean;
  /** How long it is looked whether it held. */
  looks?: string;
  onFailure?: boolean;
  undo?: string;
}

const run = (program: string) => `{ command.run: { argv: [${program}] } }`;

/** A reactor that blocks something for a time, and looks after it; the next time it fires. */
function firing(number: number, { after, isLendable, looks = "2m", onFailure = false, undo = "unblock" }: Remedy, name = "block"): Firing {
  const steps = `[${isLendable ? "" : "{ event.emit: { type: x.y } }, "}${run(undo)}]`;
  const rules = rulesOf(
    `name: ${name}\non: x.attack\ntask: { key: event.agent }\ndo:\n  - steps: [${run("block")}]\n    verify: { command.run: { argv: [check] }, after: ${looks} }\n    undo: { after: ${after}, on_failure: ${onFailure}, steps: ${steps} }\n`,
  );
  const id = `web1:1:${number}`;
  const event = {
    position: number,
    id,
    type: "x.attack",
    source: "/",
    agent: "web1",
    time: 1,
    received: 1,
    severity: "normal",
    data: {},
  } as Event;
  return fired(rules, event);
}

type Frame = { kind: "lend"; offer: Offer } | { kind: "execute" | "cancel"; execution: Execution };

/** A master that has nothing but its store, a host that runs each command once, and frames that are on their way between them, in order. */
class World {
  now = 1_000;
  /** As they come out of the store. */
  readonly tasks = new Map<string, Task>();
  readonly told: { task: string; type: string; at: number }[] = [];
  readonly executions = new Map<string, Execution>();
  readonly #stopped = new Set<string>();
  readonly #recorded = new Set<string>();
  toHost: Frame[] = [];
  toMaster: { task: string; input: Input }[] = [];
  /** How the host ends what is to be done, and whether it takes leases; undefined: it does not know them. */
  outcome: ExecutionReport["outcome"] = "succeeded";
  takes: boolean | undefined = true;
  readonly leases = new Map<string, { due: number; offer: Offer; done: number }>();
  /** P3: what it has begun. `blocks`: something was tried that is not taken back yet. */
  readonly ran = new Map<string, ExecutionReport["outcome"]>();
  readonly unblocked: { at: number; blocks: number; execution: string }[] = [];
  blocks = 0;
  #fired = 0;
  #isCovered = false;

  /** Whether it made a task: it does when none is open. */
  fire(remedy: Remedy, name?: string): Task | undefined {
    const found = firing(++this.#fired, remedy, name);
    if ([...this.tasks.values()].some((task) => task.reactor === found.reactor.name && isOpen(task))) return undefined;
    const step = startTask(found, { now: this.now, random: 0.5, guardMs: 5 * minuteMs });
    this.#took(step);
    return step.task;
  }

  step(id: string, input: Input): void {
    const before = this.tasks.get(id)!;
    this.#took(stepTask(before, input, { now: this.now, random: 0.5, guardMs: 5 * minuteMs }));
  }

  /** As a turn of the master's begins. */
  handOver(): void {
    for (;;) {
      const groups = Map.groupBy(this.tasks.values(), (task) => JSON.stringify(undoKeyOf(task)));
      const next = [...groups.values()].flatMap((tasks) => nextHandOver(tasks) ?? [])[0];
      if (next === undefined) return;
      const { from, to } = next;
      this.step(from.task.id, { kind: "taken_over", rung: from.lease.rung, by: to.task.id });
      this.step(to.task.id, { kind: "takes_over", rung: to.lease.rung, from: from.task.id, due: from.lease.due });
    }
  }

  due(): void {
    this.handOver();
    for (const task of this.tasks.values()) if ((dueOf(task) ?? this.now + 1) <= this.now) this.step(task.id, { kind: "due" });
  }

  /** Time goes on for the host; the master may be away. */
  pass(ms: number): void {
    // A command does not come so much later than its guard that this is due by then: see docs/decisions/0039.
    const isGuarded = ({ task }: Execution) => [...this.leases.keys()].some((each) => taskOfExecution(each) === task);
    while (this.toHost.some((frame) => frame.kind === "execute" && isGuarded(frame.execution))) this.hostTakes();
    this.now += ms;
    for (const lease of this.leases.values()) this.#runDue(lease);
  }

  get nextDue(): number | undefined {
    const dues = [...this.tasks.values()].flatMap((task) => dueOf(task) ?? []);
    return dues.length === 0 ? undefined : Math.min(...dues);
  }

  /** What it sends it has in its store: after a crash it sends that again. */
  crash(): void {
    const open = [...this.executions.values()].filter(({ id, agent }) => !this.#recorded.has(id) && agent === "web1");
    this.toHost = [
      ...[...this.tasks.values()].flatMap(offersOf).map((offer) => ({ kind: "lend" as const, offer })),
      ...open.map((execution) => ({ kind: this.#stopped.has(execution.id) ? ("cancel" as const) : ("execute" as const), execution })),
    ];
  }

  hostTakes(): void {
    const frame = this.toHost.shift();
    if (frame === undefined) return;
    if (frame.kind === "lend") return this.#lend(frame.offer);
    const { id, purpose, args } = frame.execution;
    if (this.ran.has(id)) return;
    if (frame.kind === "cancel") return this.#end(id, "cancelled");
    const outcome = purpose === "do" ? this.outcome : "succeeded";
    if (purpose === "do" && outcome !== "refused") this.blocks++;
    if (purpose === "undo") this.#unblock(id, args);
    this.#end(id, outcome);
  }

  masterHears(): void {
    const heard = this.toMaster.shift();
    if (heard !== undefined) this.step(heard.task, heard.input);
  }

  /** A first command that did not go out in time. */
  expire(): void {
    const at = this.toHost.findIndex((frame) => frame.kind === "execute" && frame.execution.purpose === "do");
    const [frame] = at === -1 ? [] : this.toHost.splice(at, 1);
    if (frame?.kind !== "execute" || this.ran.has(frame.execution.id)) return;
    const { id, task } = frame.execution;
    this.step(task, { kind: "expired", execution: id, reason: "its time was up", untried: true });
  }

  /** Until nothing is on its way. */
  settle(): void {
    for (;;) {
      this.handOver();
      if (this.toHost.length > 0) this.hostTakes();
      else if (this.toMaster.length > 0) this.masterHears();
      else return;
    }
  }

  /** The guard is there; the command does not get its turn. */
  expireGuarded(): void {
    while (this.toHost.length > 0 && this.toHost[0]!.kind !== "execute") this.hostTakes();
    while (this.toMaster.length > 0) this.masterHears();
    this.handOver();
    this.expire();
  }

  /** Time goes on for both, and what is due by then is done. */
  passWhole(ms: number): void {
    this.pass(ms);
    this.settle();
    this.due();
    this.settle();
  }

  /** A remedy that is found to hold. */
  fireAndHold(remedy: Remedy): Task {
    const task = this.fire(remedy);
    assert.ok(task !== undefined);
    this.settle();
    this.passWhole(2 * minuteMs);
    return task;
  }

  /** Until everything is over, with a master and a host that are there. */
  end(): void {
    for (let round = 0; round < 1_000; round++) {
      this.settle();
      if ([...this.tasks.values()].every(hasEnded)) return;
      const due = this.nextDue;
      assert.ok(due !== undefined, "it is stuck");
      // The host's time is the same.
      this.pass(Math.max(0, due - this.now));
      this.settle();
      this.due();
    }
    assert.fail("it never ends");
  }

  /** What its host has confirmed that it takes back by itself, if the master is never heard of again, it has from then on. */
  watch(): void {
    const isLeased = [...this.leases.values()].some(({ offer, done }) => done < offer.steps.length);
    if (this.blocks === 0 || this.takes !== true) this.#isCovered = false;
    assert.ok(!this.#isCovered || isLeased, "the host has nothing any more");
    const leases = [...this.tasks.values()].flatMap((task) => task.leases);
    const isConfirmed = leases.some((lease) => "due" in lease && lease.lent?.held !== undefined);
    this.#isCovered ||= this.blocks > 0 && this.takes === true && isLeased && isConfirmed;
  }

  tellingsOf(task: string): string[] {
    return this.told.filter((each) => each.task === task && each.type.startsWith("task.und")).map(({ type }) => type);
  }

  #lend(offer: Offer): void {
    const { execution, due } = offer;
    const task = taskOfExecution(execution);
    if (this.takes === undefined) return;
    if (!this.takes && !this.leases.has(execution))
      return void this.toMaster.push({ task, input: { kind: "lease_refused", execution, reason: "full" } });
    const before = this.leases.get(execution);
    if (!this.ran.has(execution)) this.leases.set(execution, { due, offer, done: before?.done ?? 0 });
    this.toMaster.push({ task, input: { kind: "leased", execution, epoch: "e1", due } });
  }

  #runDue(lease: { due: number; offer: Offer; done: number }): void {
    const { execution, steps } = lease.offer;
    for (; lease.due <= this.now && lease.done < steps.length; lease.done++) {
      const id = executionId(taskOfExecution(execution), Number(execution.slice(execution.lastIndexOf(".") + 1)) + lease.done);
      if (this.ran.has(id)) return;
      this.#unblock(id, steps[lease.done]!.args);
      this.#end(id, "succeeded");
    }
  }

  #unblock(execution: string, args: Record<string, unknown>): void {
    if (String(args["argv"]) !== "unblock") return;
    this.unblocked.push({ at: this.now, blocks: this.blocks, execution });
    this.blocks = 0;
  }

  #end(id: string, outcome: ExecutionReport["outcome"]): void {
    this.ran.set(id, outcome);
    if (outcome !== "succeeded") this.leases.delete(id);
    const report = { execution: id, action: "command.run", outcome, changed: true, started: 1, ended: 2 } as const;
    this.toMaster.push({ task: taskOfExecution(id), input: { kind: "report", report } });
  }

  #took({ task, effects }: Step): void {
    this.tasks.set(task.id, JSON.parse(JSON.stringify(task)) as Task);
    const stopped = new Set(effects.flatMap((effect) => (effect.kind === "stop" ? [effect.execution] : [])));
    for (const effect of effects) {
      if (effect.kind === "emit") this.told.push({ task: task.id, type: effect.event.type, at: this.now });
      if (effect.kind === "lend") this.toHost.push(effect);
      if (effect.kind === "record") this.#recorded.add(effect.report.execution);
      if (effect.kind !== "execute") continue;
      this.executions.set(effect.execution.id, effect.execution);
      // What is not wanted from the beginning does not go out.
      if (!stopped.has(effect.execution.id) && !this.ran.has(effect.execution.id)) this.toHost.push(effect);
    }
    for (const id of stopped) {
      this.#stopped.add(id);
      // It overtakes what is on its way.
      this.toHost.unshift({ kind: "cancel", execution: this.executions.get(id)! });
    }
  }
}

const hour: Remedy = { after: "1h", isLendable: true };

test("what fires again is taken back once, an hour after the last time, and the earlier task says which one does it", () => {
  for (const isLendable of [true, false]) {
    const world = new World();
    const first = world.fireAndHold({ ...hour, isLendable });
    world.pass(48 * minuteMs);
    const second = world.fire({ ...hour, isLendable })!;
    world.end();
    assert.deepEqual(
      world.unblocked.map(({ at, blocks, execution }) => [at, blocks, taskOfExecution(execution)]),
      [[1_000 + (50 + 2 + 60) * minuteMs, 2, second.id]],
    );
    assert.deepEqual([world.tellingsOf(first.id), world.tellingsOf(second.id)], [["task.undo_taken_over"], ["task.undone"]]);
    assert.deepEqual(
      [world.tasks.get(first.id)!.takenOver?.map(({ rung, by }) => [rung, by]), world.tasks.get(second.id)!.tookOver],
      [[[0, second.id]], [first.id]],
    );
  }
});

test("the host keeps the earlier undo until it has the later one; one that will never have it leaves both to the master", () => {
  const world = new World();
  world.fireAndHold(hour);
  const [first] = world.leases.keys();
  const second = world.fire(hour)!;
  world.handOver();
  assert.ok(
    world.toHost.every(({ kind }) => kind !== "cancel"),
    "it is not there yet",
  );
  world.hostTakes();
  world.masterHears();
  world.handOver();
  assert.deepEqual(
    world.toHost.filter(({ kind }) => kind === "cancel").map((frame) => frame.kind === "cancel" && frame.execution.id),
    [first],
  );
  world.end();
  assert.deepEqual(
    world.unblocked.map(({ execution }) => taskOfExecution(execution)),
    [second.id],
  );
  const refusing = new World();
  refusing.fireAndHold(hour);
  refusing.takes = false;
  refusing.fire(hour);
  refusing.end();
  assert.equal(refusing.unblocked.length, 1);
});

test("what did nothing puts nothing off: the undo that it had taken over comes in its own time", () => {
  for (const isLendable of [true, false]) {
    const world = new World();
    world.fireAndHold({ ...hour, isLendable });
    const { nextDue } = world;
    world.pass(minuteMs);
    const second = world.fire({ ...hour, isLendable })!;
    world.expireGuarded();
    assert.equal(world.tasks.get(second.id)!.status.state, "expired");
    world.end();
    assert.deepEqual(
      world.unblocked.map(({ at, execution }) => [at, taskOfExecution(execution)]),
      [[nextDue, second.id]],
    );
  }
});

test("another undo, another reactor, another key, or a dry run takes over nothing; the later of two times counts, whoever promised it", () => {
  const undone = (second: Remedy, name?: string) => {
    const world = new World();
    world.fireAndHold(hour);
    world.pass(minuteMs);
    world.fire(second, name);
    world.end();
    return world.unblocked.map(({ at }) => (at - 1_000) / minuteMs);
  };
  assert.deepEqual(undone({ ...hour, undo: "other" }), [62]);
  assert.deepEqual(undone(hour, "another"), [62, 65]);
  assert.deepEqual(undone(hour), [65]);
  assert.deepEqual(undone({ ...hour, after: "10m" }), [62], "nothing is taken back before it was promised");
  const task = new World().fire(hour)!;
  const keyOf = (given: Partial<Task>) => undoKeyOf({ ...task, ...given });
  assert.deepEqual(keyOf({}), ["block", "web1", ["web1"]]);
  const { joinKey: fleetKey, ...keyless } = task;
  assert.deepEqual(undoKeyOf({ ...keyless, fleetKey: fleetKey! }), keyOf({}), "of a rollout, whose hosts' tasks nothing joins");
  assert.equal(undoKeyOf(keyless), undefined);
  assert.equal(keyOf({ order: { by: "ann", dryRun: true } }), undefined);
  for (const other of [{ agent: "web2" }, { joinKey: ["web2"] }, { reactor: "other" }]) assert.notDeepEqual(keyOf(other), keyOf({}));
});

test("a remedy that fails, and takes back at once what it did, has taken back what the earlier one did, too", () => {
  const world = new World();
  world.fireAndHold(hour);
  world.outcome = "failed";
  world.fire({ ...hour, onFailure: true });
  world.settle();
  assert.deepEqual(
    world.unblocked.map(({ at }) => at),
    [1_000 + 2 * minuteMs],
  );
  world.end();
  assert.equal(world.unblocked.length, 1);
});

const anyRemedy = fc.record({
  after: fc.constantFrom("10m", "1h"),
  looks: fc.constantFrom("2m", "12m"),
  isLendable: fc.boolean(),
  onFailure: fc.boolean(),
});
const anyMove = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant("fire" as const),
      remedy: anyRemedy,
      outcome: fc.constantFrom("succeeded" as const, "succeeded" as const, "failed" as const, "refused" as const),
    }),
  },
  { weight: 6, arbitrary: fc.constantFrom({ kind: "hostTakes" as const }, { kind: "masterHears" as const }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("pass" as const), minutes: fc.constantFrom(1, 2, 5, 20, 60) }) },
  { weight: 4, arbitrary: fc.constantFrom({ kind: "due" as const }, { kind: "handOver" as const }, { kind: "settle" as const }) },
  { weight: 1, arbitrary: fc.constantFrom({ kind: "crash" as const }, { kind: "expire" as const }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("takes" as const), takes: fc.constantFrom(true, true, true, false, undefined) }) },
);

test("whatever comes when, and wherever the master crashes: what was done is taken back in the end, each lease has one end, and each command runs once", () => {
  fc.assert(
    fc.property(fc.array(anyMove, { minLength: 10, maxLength: 60, size: "max" }), (moves) => {
      const world = new World();
      for (const move of moves) {
        if (move.kind === "fire") {
          world.outcome = move.outcome;
          world.fire(move.remedy);
        } else if (move.kind === "pass") world.pass(move.minutes * minuteMs);
        else if (move.kind === "takes") world.takes = move.takes;
        else world[move.kind]();
        world.watch();
      }
      world.end();
      assert.equal(world.blocks, 0, "it was never taken back");
      for (const { id, takenOver = [] } of world.tasks.values()) {
        const told = world.tellingsOf(id);
        assert.ok(told.length <= 1, `${told.join(" ")}: more than one end`);
        assert.ok(takenOver.every(({ by }) => world.tasks.has(by)));
      }
      const unblocks = world.unblocked.map(({ execution }) => execution);
      assert.equal(new Set(unblocks).size, unblocks.length, "a command ran twice");
    }),
    { numRuns: 500 },
  );
});

test("while master and host are there, each key is taken back once, never in the middle of a remedy, and not before the last one that held has promised", () => {
  fc.assert(
    fc.property(
      fc.array(
        fc.record({
          remedy: anyRemedy,
          wait: fc.integer({ min: 0, max: 90 }),
          outcome: fc.constantFrom("succeeded" as const, "succeeded" as const, "failed" as const),
          untried: fc.boolean(),
        }),
        { minLength: 1, maxLength: 6 },
      ),
      fc.boolean(),
      (firings, isLendable) => {
        const world = new World();
        let promised = 0;
        const look = (of: World) => {
          const last = of.unblocked.at(-1);
          assert.ok(last === undefined || last.blocks > 0, "what was taken back already was taken back once more");
        };
        for (const { remedy, wait, outcome, untried } of firings) {
          world.outcome = outcome;
          const before = world.unblocked.length;
          const task = world.fire({ ...remedy, isLendable, onFailure: false });
          if (task !== undefined && untried) {
            world.expireGuarded();
          }
          world.settle();
          // While it is tried.
          const isTried = () => task !== undefined && isOpen(world.tasks.get(task.id)!);
          for (let minutes = 0; isTried(); minutes++) {
            assert.equal(world.unblocked.length, before, "in the middle of a remedy");
            assert.ok(minutes < 20);
            world.passWhole(minuteMs);
          }
          if (task !== undefined && world.tasks.get(task.id)!.status.state === "resolved")
            promised = Math.max(promised, world.now + (remedy.after === "1h" ? 60 : 10) * minuteMs);
          for (let minutes = 0; minutes < wait; minutes++) {
            const count = world.unblocked.length;
            world.passWhole(minuteMs);
            if (world.unblocked.length > count) assert.ok(world.now >= promised, "before its time");
            look(world);
          }
        }
        const count = world.unblocked.length;
        world.end();
        look(world);
        assert.ok(world.unblocked.length <= count + 1, "one is left at most");
        assert.equal(world.blocks, 0);
      },
    ),
    { numRuns: 300 },
  );
});
