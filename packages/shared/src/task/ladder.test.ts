import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type ExecutionReport, outcomes } from "../action.ts";
import type { Event } from "../event.ts";
import { fired, rulesOf } from "../rules/rules-fixture.ts";
import type { Firing } from "../rules/types.ts";
import { strikeOf } from "./breaker.ts";
import { executionId, taskOfExecution } from "../ids.ts";
import { holdsLock, waitsForLock } from "./lock.ts";
import {
  dueOf,
  type Effect,
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

const event: Event = {
  position: 1,
  id: "web1:1:1",
  type: "service.failed",
  source: "/agents/web1",
  agent: "web1",
  subject: "nginx",
  time: 1,
  received: 1_000,
  severity: "normal",
  data: {},
};

/** What a reactor of these lines does about the event. */
function firing(lines: string): Firing {
  const route = () => ({ priority: "low" as const, owner: undefined, labels: {} });
  return fired(rulesOf(`name: revive\non: service.failed\n${lines}`, route), event);
}

/** One task and its clock; what it wants is done when the test says so. */
class Life {
  now = 1_000;
  random = 0.5;
  /** Of any lock. */
  holder: string | undefined;
  task: Task;
  readonly told: string[] = [];
  readonly effects: Effect[] = [];
  readonly begun: Execution[] = [];
  readonly host = new Host();

  constructor(lines: string, holder?: string) {
    this.holder = holder;
    const step = startTask(firing(lines), { now: this.now, random: this.random, holderOf: () => holder });
    this.task = step.task;
    this.#took(step);
  }

  /** The last command. */
  get last(): Execution {
    return this.begun.at(-1)!;
  }

  /** Its program, or its action. */
  get doing(): string {
    return this.begun.map(programOf).at(-1)!;
  }

  step(input: Input): void {
    // As it comes out of the store.
    this.#took(
      stepTask(JSON.parse(JSON.stringify(this.task)) as Task, input, { now: this.now, random: this.random, holderOf: () => this.holder }),
    );
  }

  report(outcome: ExecutionReport["outcome"], more: Partial<ExecutionReport> = {}): void {
    this.step({ kind: "report", report: reportOf(this.last, outcome, more) });
  }

  /** Time goes to what is due next. */
  wait(): number {
    const due = dueOf(this.task);
    assert.ok(due !== undefined, "nothing is due");
    const waited = due - this.now;
    this.now = Math.max(this.now, due);
    this.step({ kind: "due" });
    return waited;
  }

  #took({ task, effects }: Step): void {
    this.task = task;
    this.effects.push(...effects);
    for (const effect of effects) {
      if (effect.kind === "emit") this.told.push(effect.event.type);
      if (effect.kind === "execute" || effect.kind === "wait") this.begun.push(effect.execution);
      if (effect.kind === "lend") this.host.lend(effect.offer);
    }
  }
}

/** What a host does by itself: the steps of a lease in their order, from its time on, each once; what comes of them it tells when it can. */
class Host {
  now = 0;
  readonly leases: (Offer & { done: number })[] = [];
  /** P3: by execution. */
  readonly ran = new Map<string, ExecutionReport["outcome"]>();
  readonly unheard: { id: string; action: string }[] = [];

  /** Or another time for one. */
  lend(offer: Offer): void {
    const before = this.leases.find(({ execution }) => execution === offer.execution);
    if (before === undefined) this.leases.push({ ...offer, done: 0 });
    else before.due = offer.due;
  }

  /** A command comes to its end, which is what it was if it has run before. */
  run(id: string, outcome: ExecutionReport["outcome"]): ExecutionReport["outcome"] {
    const before = this.ran.get(id) ?? outcome;
    this.ran.set(id, before);
    return before;
  }

  /** The next step of what is due. */
  passTime(outcome: ExecutionReport["outcome"]): void {
    for (const lease of this.leases) {
      const step = lease.due <= this.now ? lease.steps[lease.done] : undefined;
      if (step === undefined) continue;
      const id = numbered(lease.execution, lease.done);
      const isNew = !this.ran.has(id);
      lease.done = this.run(id, outcome) === "succeeded" ? lease.done + 1 : lease.steps.length;
      if (isNew) this.unheard.push({ id, action: step.action });
    }
  }
}

function numbered(execution: string, further: number): string {
  return executionId(taskOfExecution(execution), Number(execution.slice(execution.lastIndexOf(".") + 1)) + further);
}

function programOf({ action, args }: Execution): string {
  return action === "command.run" ? (args["argv"] as string[]).join(" ") : action;
}

function reportOf({ id, action }: Execution, outcome: ExecutionReport["outcome"], more: Partial<ExecutionReport> = {}): ExecutionReport {
  return { execution: id, action, outcome, changed: true, started: 1, ended: 2, ...more };
}

const run = (program: string) => `{ command.run: { argv: [${program}] } }`;
const two = `do:
  - steps: [${run("reload")}]
    retry: { attempts: 3, backoff: 5s, factor: 2, jitter: 50%, max: 8s }
    verify: { command.run: { argv: [check] } }
  - steps: [${run("restart")}]
otherwise:
  - command.run: { argv: [page, "\${{ task.reason }}", "\${{ string(task.attempts) }}", "\${{ event.subject }}", "\${{ task.history[0].output }}"] }
`;

test("what fails is tried again after a wait that grows, up to its limit, with jitter; then the next rung is tried", () => {
  const life = new Life(two);
  const waits: number[] = [];
  for (const random of [0.5, 1, 0]) {
    life.random = random;
    assert.equal(life.doing, "reload");
    life.report("succeeded");
    assert.equal(life.doing, "check");
    life.report("failed", { message: "exit code 1" });
    if (life.task.status.state === "retrying") waits.push(life.wait());
  }
  assert.deepEqual(waits, [5_000, 12_000]);
  assert.equal(life.doing, "restart");
  life.report("succeeded");
  assert.deepEqual(life.task.status, { state: "resolved", verified: false });
  assert.ok(hasEnded(life.task));
  assert.deepEqual(life.told, [
    "task.created",
    "task.verifying",
    "task.retrying",
    "task.attempt",
    "task.verifying",
    "task.retrying",
    "task.attempt",
    "task.verifying",
    "task.rung",
    "task.attempt",
    "task.resolved",
  ]);
});

test("after the last rung the task escalates, and otherwise is told what was tried", () => {
  const life = new Life(two);
  for (let round = 0; round < 3; round++) {
    life.report("failed", { message: `no ${round}`, result: { stdout: "out", stderr: `err ${round}` } });
    if (life.task.status.state === "retrying") life.wait();
  }
  life.report("refused", { message: "not here" });
  assert.equal(life.task.status.state, "escalated");
  assert.equal(life.doing, "page command.run was refused by the agent: not here 4 nginx err 0");
  assert.equal(life.last.purpose, "otherwise");
  assert.ok(!hasEnded(life.task) && !isOpen(life.task));
  life.report("failed");
  assert.ok(hasEnded(life.task));
  assert.deepEqual(life.told.slice(-2), ["task.escalated", "task.otherwise_failed"]);
});

test("what the agent refuses is not tried again, and a host that is not there is not asked for more", () => {
  const refused = new Life(two);
  refused.report("refused");
  assert.equal(refused.doing, "restart");
  const away = new Life(two);
  away.step({ kind: "expired", execution: away.last.id, reason: "web1 was not there" });
  assert.deepEqual([away.task.status.state, away.last.purpose], ["escalated", "otherwise"]);
});

test("an attempt whose time is up is stopped; it is retried when it is known what became of it", () => {
  const life = new Life(`do:\n  - { steps: [${run("slow")}], timeout: 10s, retry: { attempts: 2, jitter: 0% } }\n`);
  assert.equal(life.wait(), 10_000);
  assert.deepEqual(life.effects.at(-1), { kind: "stop", execution: life.last.id });
  assert.equal(life.begun.length, 1, "the first may still run");
  life.report("cancelled");
  assert.equal(life.task.status.state, "retrying");
  life.wait();
  assert.equal(life.begun.length, 2);
  // And when nobody says what became of it, somebody has to look.
  life.wait();
  life.wait();
  assert.match(JSON.stringify(life.task.status), /"escalated".*longer than 10 ?s; what became/);
  assert.ok(!hasEnded(life.task));
  life.report("succeeded");
  assert.ok(hasEnded(life.task));
  assert.deepEqual(life.effects.at(-1)?.kind, "record");
});

test("a verification by an action is asked again until its time is over, and begins after a wait", () => {
  const life = new Life(`do:\n  - { steps: [${run("restart")}], verify: { command.run: { argv: [check] }, after: 2s, within: 10s } }\n`);
  life.report("succeeded");
  assert.equal(life.task.status.state, "verifying");
  assert.equal(life.wait(), 2_000);
  let asked = 0;
  while (isOpen(life.task)) {
    asked++;
    assert.equal(life.doing, "check");
    life.report("failed");
    if (isOpen(life.task)) life.wait();
  }
  assert.equal(asked, 9, "each second up to 10 s after the steps");
  const good = new Life(`do:\n  - { steps: [${run("restart")}], verify: { command.run: { argv: [check] }, within: 10s } }\n`);
  good.report("succeeded");
  good.report("failed");
  good.wait();
  good.report("succeeded");
  assert.deepEqual(good.task.status, { state: "resolved", verified: true });
});

test("a verification by an event waits for it, and takes one that came while the steps ran", () => {
  const lines = `do:\n  - { steps: [${run("restart")}], verify: { event: service.recovered, within: 30s } }\n`;
  const late = new Life(lines);
  late.report("succeeded");
  late.step({ kind: "event", event: "web1:1:2" });
  assert.deepEqual(late.task.status, { state: "resolved", verified: true });
  const early = new Life(lines);
  early.step({ kind: "event", event: "web1:1:2" });
  early.report("succeeded");
  assert.deepEqual(early.task.status, { state: "resolved", verified: true });
  const never = new Life(lines);
  never.report("succeeded");
  assert.equal(never.wait(), 30_000);
  assert.match(JSON.stringify(never.task.status), /no event service\.recovered came within 30 ?s/);
});

test("a verification by the absence of an event holds when it did not come, and fails when it does", () => {
  const lines = `do:\n  - { steps: [${run("restart")}], verify: { no_event: { on: service.failed }, after: 1s, within: 30s } }\n`;
  const quiet = new Life(lines);
  quiet.step({ kind: "event", event: "web1:1:2" });
  quiet.report("succeeded");
  assert.deepEqual([quiet.wait(), quiet.wait()], [1_000, 30_000]);
  assert.deepEqual(quiet.task.status, { state: "resolved", verified: true });
  const again = new Life(lines);
  again.report("succeeded");
  again.wait();
  again.step({ kind: "event", event: "web1:1:3" });
  assert.equal(again.task.status.state, "escalated");
});

const lent = (more: string) => `do:
  - steps: [${run("block")}]
    undo: { ${more} steps: [${run("unblock")}] }
  - steps: [${run("restart")}]
`;

test("what was lent for a time is taken back once, although the task ended long before", () => {
  const life = new Life(lent("after: 1h,"));
  life.report("succeeded");
  assert.equal(life.task.status.state, "resolved");
  assert.ok(!hasEnded(life.task));
  assert.equal(life.wait(), 3_600_000);
  assert.deepEqual([life.doing, life.last.purpose], ["unblock", "undo"]);
  assert.equal(dueOf(life.task), undefined);
  life.report("succeeded");
  assert.ok(hasEnded(life.task));
  assert.equal(life.told.at(-1), "task.undone");
});

/** The first thing that its host was given beforehand. */
const lease = ({ host }: Life) => host.leases[0]!;

test("a host is given beforehand what it will take back, and under the same numbers the task sends it when it is due", () => {
  const life = new Life(
    lent("after: 1h,").replace(`[${run("unblock")}]`, `[${run("unblock")}, ${run("tell")}, { event.emit: { type: x.y } }, ${run("late")}]`),
  );
  life.report("succeeded");
  const { execution, due, steps } = lease(life);
  assert.deepEqual([life.effects.at(-1)!.kind, due, steps.map(({ args }) => args["argv"])], ["lend", 3_601_000, [["unblock"], ["tell"]]]);
  life.step({ kind: "leased", execution, epoch: "e1", due: lease(life).due });
  life.step({ kind: "leased", execution, epoch: "e1", due: lease(life).due });
  assert.deepEqual(life.told.slice(-2), ["task.resolved", "task.leased"]);
  assert.deepEqual(offersOf(life.task), [{ execution, agent: "web1", due, priority: "normal", steps, held: { epoch: "e1", due } }]);
  life.wait();
  assert.deepEqual([life.last.id, life.last.lent, life.last.expiresMs], [execution, { held: "e1" }, 7 * 86_400_000]);
  assert.deepEqual(offersOf(life.task), []);
  life.report("succeeded");
  assert.deepEqual([life.doing, life.last.id], ["tell", numbered(execution, 1)]);
  life.report("succeeded");
  assert.deepEqual([life.doing, life.last.id, life.last.lent], ["late", numbered(execution, 4), undefined]);
  life.report("succeeded");
  assert.ok(hasEnded(life.task));
});

test("what the host took back by itself counts once, also when it is heard before it is due here, and out of nothing nothing is taken back", () => {
  const life = new Life(lent("after: 1h,"));
  life.report("succeeded");
  const { execution } = lease(life);
  const report = reportOf({ ...life.last, id: execution }, "succeeded");
  life.step({ kind: "report", report: { ...report, execution: numbered(execution, 1) } });
  assert.ok(!hasEnded(life.task));
  life.step({ kind: "report", report });
  life.step({ kind: "report", report });
  life.step({ kind: "leased", execution, epoch: "e1", due: lease(life).due });
  assert.ok(hasEnded(life.task));
  assert.equal(life.told.filter((type) => type === "task.undone").length, 1);
  assert.equal(life.effects.filter(({ kind }) => kind === "record").length, 2);
});

test("while a rung is tried its host is told so; one that hears nothing takes it back, and the next rung is tried", () => {
  const life = new Life(lent("after: 1h,").replace("    undo:", "    verify: { command.run: { argv: [check] }, after: 3h }\n    undo:"));
  assert.deepEqual(
    [lease(life).due, life.effects.findIndex(({ kind }) => kind === "lend") < life.effects.findIndex(({ kind }) => kind === "execute")],
    [3_601_000, true],
  );
  life.report("succeeded");
  for (let round = 1; round <= 4; round++) {
    assert.equal(life.wait(), 1_800_000);
    assert.equal(lease(life).due, 3_601_000 + round * 1_800_000);
  }
  const { execution } = lease(life);
  life.step({ kind: "report", report: reportOf({ ...life.last, id: execution }, "succeeded") });
  assert.deepEqual([life.doing, life.task.status.state, life.task.leases], ["restart", "running", []]);
  assert.deepEqual(life.told.slice(-3), ["task.undone", "task.rung", "task.attempt"]);
  assert.match(life.task.history[0]!.reason, /nobody was heard of for too long/);
  life.report("succeeded");
  assert.ok(hasEnded(life.task));
});

test("what the host takes back while a command of the rung is under way, as far as the task knows, stops that command", () => {
  const life = new Life(lent("after: 1h,"));
  const { execution } = lease(life);
  const step = life.last;
  life.step({ kind: "report", report: reportOf({ ...step, id: execution }, "failed") });
  assert.ok(life.effects.some((effect) => effect.kind === "stop" && effect.execution === step.id));
  assert.deepEqual([life.doing, life.told.includes("task.undo_failed")], ["restart", true]);
  life.report("succeeded");
  assert.ok(!hasEnded(life.task), "it is not known what became of the first");
  life.step({ kind: "report", report: reportOf(step, "cancelled") });
  assert.ok(hasEnded(life.task));
});

test("a host that does not take a lease leaves it to the task, and that is told once for each reason", () => {
  const life = new Life(lent("after: 1h,"));
  life.report("succeeded");
  const { execution } = lease(life);
  for (const reason of ["policy", "policy", "full"]) life.step({ kind: "lease_refused", execution, reason });
  assert.equal(life.told.filter((type) => type === "task.lease_refused").length, 2);
  life.wait();
  assert.deepEqual([life.doing, life.last.lent, life.last.expiresMs], ["unblock", {}, undefined]);
  life.step({ kind: "leased", execution, epoch: "e1", due: lease(life).due });
  life.step({ kind: "expired", execution, reason: "not there" });
  assert.deepEqual([life.told.at(-1), hasEnded(life.task)], ["task.undo_failed", true]);
});

test("what a person wants to stay is not taken back, unless the host has begun to by then", () => {
  for (const outcome of ["cancelled", "succeeded"] as const) {
    const life = new Life(lent("after: 1h,"));
    life.step({ kind: "keep", by: "ann" });
    life.report("succeeded");
    life.step({ kind: "keep", by: "ann", why: "for good" });
    life.step({ kind: "keep", by: "ann" });
    assert.deepEqual(
      life.effects.slice(-2).map(({ kind }) => kind),
      ["execute", "stop"],
    );
    assert.equal(dueOf(life.task), undefined);
    life.report(outcome);
    assert.deepEqual([life.told.at(-1), hasEnded(life.task)], [outcome === "cancelled" ? "task.undo_dropped" : "task.undone", true]);
  }
  const own = new Life(lent("after: 1h,").replace(run("unblock"), "{ event.emit: { type: x.y } }"));
  own.report("succeeded");
  own.step({ kind: "keep", by: "ann" });
  assert.deepEqual([own.told.at(-1), own.told.includes("task.undone"), hasEnded(own.task)], ["task.undo_dropped", false, true]);
});

test("what is taken back before the next rung is tried is not waited for longer than other commands, although its host has it", () => {
  const life = new Life(lent("on_failure: true, after: 1h,"));
  life.step({ kind: "leased", execution: lease(life).execution, epoch: "e1", due: lease(life).due });
  life.report("failed");
  assert.deepEqual(
    [life.task.status.state, life.last.id, life.last.lent, life.last.expiresMs],
    ["undoing", lease(life).execution, { held: "e1" }, undefined],
  );
});

test("a rung that failed is taken back before the next one is tried, also when that does not succeed", () => {
  for (const outcome of ["succeeded", "failed"] as const) {
    const life = new Life(lent("on_failure: true, after: 1h,"));
    life.report("failed");
    assert.deepEqual([life.task.status.state, life.doing], ["undoing", "unblock"]);
    life.report(outcome);
    assert.equal(life.doing, "restart");
    life.report("succeeded");
    assert.ok(hasEnded(life.task), "and not once more later");
    assert.ok(life.told.includes(outcome === "failed" ? "task.undo_failed" : "task.undone"));
  }
});

test("a rung that failed by an event that came, and whose undo needs nobody, is left at once", () => {
  const life = new Life(`do:
  - steps: [${run("block")}]
    verify: { no_event: service.failed, within: 30s }
    undo: { on_failure: true, steps: [{ event.emit: { type: x.y } }] }
  - steps: [${run("restart")}]
`);
  life.report("succeeded");
  life.step({ kind: "event", event: "web1:1:2" });
  assert.deepEqual([life.task.status.state, life.doing, life.told.includes("task.undone")], ["running", "restart", true]);
});

test("what a cancelled task has lent is taken back in its time", () => {
  const life = new Life(lent("after: 1h,"));
  life.step({ kind: "cancel", reason: "no", by: "alice" });
  assert.deepEqual(life.effects.filter(({ kind }) => kind === "stop").length, 1);
  life.report("cancelled");
  life.wait();
  assert.equal(life.doing, "unblock");
  life.report("succeeded");
  assert.ok(hasEnded(life.task));
});

test("a wait is a time in the task: what follows begins then, and a second look finds nothing", () => {
  const life = new Life(`do:\n  - wait: { for: 30s }\n  - command.run: { argv: [after] }\n`);
  assert.deepEqual(
    life.effects.map(({ kind }) => kind),
    ["emit", "wait"],
  );
  life.now += 29_999;
  life.step({ kind: "due" });
  assert.equal(life.doing, "wait");
  assert.equal(life.wait(), 1);
  assert.equal(life.doing, "after");
  life.step({ kind: "due" });
  assert.equal(life.begun.length, 2);
  life.report("succeeded");
  assert.equal(life.task.status.state, "resolved");
});

test("a wait counts into the attempt's time, and ends with it; cancelled, it is over at once", () => {
  const lines = `do:\n  - steps: [{ wait: { for: 1h } }]\n    timeout: 10s\n    retry: { attempts: 2, backoff: 5s, jitter: 0% }\n`;
  const life = new Life(lines);
  assert.equal(life.wait(), 10_000);
  assert.equal(life.task.status.state, "retrying");
  assert.deepEqual(life.task.open, []);
  assert.equal(life.wait(), 5_000);
  assert.equal(life.task.open.length, 1);
  life.step({ kind: "cancel", reason: "no", by: "alice" });
  assert.equal(life.task.status.state, "cancelled");
  assert.ok(hasEnded(life.task));
  assert.equal(life.effects.filter(({ kind }) => kind === "stop").length, 0);
});

test("a firing that joins is counted while the task is open", () => {
  const life = new Life(two);
  life.step({ kind: "join", event: "web1:1:2" });
  assert.equal(life.task.joined, 1);
  life.step({ kind: "cancel", reason: "no", by: "alice" });
  life.step({ kind: "join", event: "web1:1:3" });
  assert.equal(life.task.joined, 1);
});

const locked = (more = "") => `lock: event.agent\n${more}do: [${run("a")}]\notherwise: [${run("page")}]\n`;

test("a task of which nothing was begun in its time is expired, and `otherwise` is done", () => {
  const away = new Life(two);
  away.step({ kind: "expired", execution: away.last.id, reason: "web1 was not there", untried: true });
  assert.deepEqual(away.told, ["task.created", "task.expired", "task.otherwise_failed"], "there is no history to speak of");
  const called = new Life(locked());
  called.step({ kind: "expired", execution: called.last.id, reason: "web1 was not there", untried: true });
  assert.deepEqual([called.task.status.state, called.doing, called.last.purpose], ["expired", "page", "otherwise"]);
  called.report("failed");
  assert.deepEqual([called.task.status, hasEnded(called.task)], [{ state: "expired", reason: "web1 was not there" }, true]);
  assert.equal(called.told.at(-1), "task.otherwise_failed");
});

test("the host's own word that it did not begin counts as well; a command that may have been begun escalates", () => {
  const late = new Life(`do: [${run("a")}]\n`);
  late.report("expired", { message: "its time was over" });
  assert.deepEqual(late.task.status, { state: "expired", reason: "its time was over" });
  const unknown = new Life(`do: [${run("a")}]\n`);
  unknown.step({ kind: "expired", execution: unknown.last.id, reason: "no result" });
  assert.equal(unknown.task.status.state, "escalated");
  const second = new Life(`do: [${run("a")}, ${run("b")}]\n`);
  second.report("succeeded");
  second.step({ kind: "expired", execution: second.last.id, reason: "it went away", untried: true });
  assert.deepEqual(second.task.status, { state: "escalated", reason: "it went away" }, "something was done");
  assert.equal(strikeOf(late.task), undefined);
  assert.notEqual(strikeOf(second.task), undefined);
});

test("a task whose turn with its lock does not come in its time is expired; the time goes from when it may begin", () => {
  const life = new Life(`approve: { from: [ann], timeout: 1h }\n${locked("task: { expires: 10m }\n")}`);
  life.holder = "t-other";
  life.now = 2_000_000;
  life.step({ kind: "approve", by: "ann" });
  assert.deepEqual([life.task.status.state, dueOf(life.task)], ["waiting", 2_600_000]);
  life.now = 2_599_999;
  life.step({ kind: "due" });
  assert.equal(life.task.status.state, "waiting");
  life.wait();
  const { status }: Task = life.task;
  assert.deepEqual(
    [status.state, "reason" in status && status.reason],
    ["expired", "it could not begin within 10 min 0 s: t-other had its lock"],
  );
  assert.deepEqual(life.begun.map(programOf), ["page"]);
  const late = new Life(locked("task: { expires: 10m }\n"), "t-other");
  late.now += 600_000;
  late.step({ kind: "turn" });
  assert.deepEqual([late.task.status.state, late.begun.map(programOf)], ["expired", ["page"]], "its turn comes too late");
  const free = new Life(locked("task: { expires: 10m }\n"), "t-other");
  free.now += 400_000;
  free.step({ kind: "turn" });
  assert.deepEqual([free.doing, free.last.beginMs], ["a", 200_000], "what is left of its time is for the wait for its host");
});

const asked = (more = "") => `approve: { from: [ann, bob], timeout: 10m, ${more} message: "revive \${{ event.subject }}?" }
do:
  - { steps: [${run("reload")}], undo: { after: 1h, steps: [${run("back")}] } }
otherwise: [${run("page")}]
`;

test("nothing is sent before one of those who may has said yes; the first answer counts", () => {
  const life = new Life(asked());
  assert.deepEqual([life.task.status.state, life.begun.length, dueOf(life.task)], ["waiting", 0, 601_000]);
  const [waiting] = life.effects.flatMap((effect) => (effect.kind === "emit" && effect.event.type === "task.waiting" ? effect.event : []));
  assert.deepEqual([waiting!.data["from"], waiting!.data["message"]], [["ann", "bob"], "revive nginx?"]);
  assert.ok(isOpen(life.task), "firings may join it");
  life.step({ kind: "join", event: "web1:1:2" });
  for (const by of ["eve", "", "ANN"]) life.step({ kind: "approve", by });
  life.step({ kind: "deny", by: "eve" });
  life.step({ kind: "due" });
  assert.deepEqual([life.task.status.state, life.begun.length], ["waiting", 0]);
  life.step({ kind: "approve", by: "bob", why: "fine" });
  life.step({ kind: "approve", by: "ann" });
  life.step({ kind: "deny", by: "ann" });
  assert.deepEqual([life.doing, life.begun.length, life.task.joined], ["reload", 1, 1]);
  assert.deepEqual(life.task.approved, { by: "bob", at: 1_000, why: "fine" });
  assert.deepEqual(life.told, ["task.created", "task.waiting", "task.approved"]);
  life.report("succeeded");
  assert.equal(life.task.status.state, "resolved");
});

test("a task that was denied, or cancelled while it waited, is over with nothing sent, and nothing is taken back", () => {
  const denied = new Life(asked());
  denied.step({ kind: "deny", by: "ann", why: "not now" });
  assert.deepEqual(denied.task.status, { state: "cancelled", by: "ann", reason: "not now" });
  assert.deepEqual(denied.told.slice(-2), ["task.denied", "task.cancelled"]);
  const cancelled = new Life(asked());
  cancelled.step({ kind: "cancel", by: "eve", reason: "no" });
  for (const { task, begun } of [denied, cancelled]) assert.deepEqual([hasEnded(task), begun.length, dueOf(task)], [true, 0, undefined]);
  denied.step({ kind: "approve", by: "ann" });
  assert.equal(denied.begun.length, 0);
});

test("when nobody answers in time the reactor says what becomes of it", () => {
  const ends = { escalate: "page", cancel: undefined, proceed: "reload" };
  for (const [how, doing] of Object.entries(ends)) {
    const life = new Life(asked(`on_timeout: ${how},`));
    life.now = 600_999;
    life.step({ kind: "due" });
    assert.equal(life.task.status.state, "waiting");
    life.wait();
    assert.equal(life.begun.map(programOf).at(-1), doing, how);
    life.step({ kind: "approve", by: "ann" });
    assert.equal(life.begun.length, doing === undefined ? 0 : 1);
  }
  const escalated = new Life(asked());
  escalated.wait();
  assert.match(JSON.stringify(escalated.task.status), /"escalated".*nobody approved it within 10 ?m.*; asked: ann, bob/);
  const cancelled = new Life(asked("on_timeout: cancel,"));
  cancelled.wait();
  assert.equal(cancelled.task.status.state === "cancelled" && cancelled.task.status.by, "master");
});

test("a task waits while another holds its lock, and begins when it is its turn, once; approval comes first", () => {
  const lines = `lock: [event.agent, "'apt'"]\n${asked()}`;
  const life = new Life(lines);
  life.holder = "t-other";
  life.step({ kind: "turn" });
  assert.ok(life.task.status.state === "waiting" && "approval" in life.task.status, "its turn is no word of anybody");
  life.step({ kind: "approve", by: "ann" });
  assert.deepEqual(life.task.status, { state: "waiting", lock: ["web1", "apt"], behind: "t-other" });
  assert.deepEqual([life.begun.length, dueOf(life.task), holdsLock(life.task), waitsForLock(life.task)], [0, undefined, false, true]);
  life.step({ kind: "due" });
  life.step({ kind: "deny", by: "ann" });
  assert.equal(life.begun.length, 0);
  life.step({ kind: "turn" });
  life.step({ kind: "turn" });
  assert.deepEqual([life.begun.length, holdsLock(life.task)], [1, true]);
  life.report("succeeded");
  assert.deepEqual(
    [life.task.status.state, life.task.leases.length, holdsLock(life.task)],
    ["resolved", 1, false],
    "a lease holds nothing",
  );
  life.wait();
  assert.deepEqual([life.doing, holdsLock(life.task)], ["back", false], "nor does what comes of it");
  const cancelled = new Life(`lock: event.agent\ndo: [${run("a")}]\n`);
  cancelled.step({ kind: "cancel", by: "eve", reason: "no" });
  assert.ok(holdsLock(cancelled.task), "its command may still run");
  cancelled.report("cancelled");
  assert.ok(!holdsLock(cancelled.task));
});

test("an approval is needed when its condition holds, and when that cannot be told; mode plan waits for nobody", () => {
  const state = (condition: string, more = "") =>
    new Life(`${more}approve: { from: [ann], if: '${condition}' }\ndo: [${run("reload")}]\n`).task.status.state;
  assert.equal(state('event.subject == "nginx" && count == 1'), "waiting");
  assert.equal(state('event.subject == "sshd"'), "running");
  assert.equal(state("event.data.users > 10"), "waiting");
  assert.equal(state("true", "mode: plan\n"), "planned");
  assert.equal(state('targets == ["web1"]'), "waiting");
  assert.equal(state("size(targets) > 1"), "running");
});

const anyVerify = fc.constantFrom(
  "",
  "verify: { command.run: { argv: [check] } }",
  "verify: { command.run: { argv: [check] }, after: 2s, within: 20s }",
  "verify: { event: service.recovered, within: 30s }",
  "verify: { no_event: service.failed, after: 1s, within: 30s }",
);
const anyStep = fc.constantFrom(
  run("a"),
  run("b"),
  "{ file.restore: { path: /etc/motd } }",
  "{ event.emit: { type: x.y } }",
  "{ wait: { for: 3s } }",
);
const anySteps = fc.array(anyStep, { minLength: 1, maxLength: 3 }).map((steps) => `[${steps.join(", ")}]`);
const anyUndo = fc
  .record({ how: fc.constantFrom("after: 1m,", "on_failure: true,", "after: 1m, on_failure: true,"), steps: anySteps })
  .map(({ how, steps }) => `undo: { ${how} steps: ${steps} }`);
const anyRung = fc
  .record({
    steps: anySteps,
    attempts: fc.integer({ min: 1, max: 3 }),
    timeout: fc.constantFrom("", "timeout: 10s"),
    verify: anyVerify,
    undo: fc.oneof(fc.constant(""), anyUndo),
  })
  .map(({ steps, attempts, timeout, verify, undo }) => ({
    attempts,
    text: `{ ${[`steps: ${steps}`, `retry: { attempts: ${attempts} }`, timeout, verify, undo].filter((part) => part !== "").join(", ")} }`,
  }));

const anyApproval = fc.oneof(
  { weight: 2, arbitrary: fc.constant("") },
  {
    weight: 1,
    arbitrary: fc
      .constantFrom("escalate", "cancel", "proceed")
      .map((how) => `approve: { from: [ann, bob], timeout: 10m, on_timeout: ${how} }\n`),
  },
);

const anyMove = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant("report" as const),
      pick: fc.nat(),
      outcome: fc.constantFrom("succeeded" as const, ...outcomes),
    }),
  },
  { weight: 5, arbitrary: fc.constant({ kind: "time" as const }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("expired" as const), pick: fc.nat(), untried: fc.boolean() }) },
  { weight: 2, arbitrary: fc.constant({ kind: "event" as const }) },
  { weight: 1, arbitrary: fc.constant({ kind: "join" as const }) },
  { weight: 1, arbitrary: fc.constant({ kind: "cancel" as const }) },
  { weight: 2, arbitrary: fc.constant({ kind: "turn" as const }) },
  { weight: 1, arbitrary: fc.constant({ kind: "keep" as const }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constantFrom("leased" as const, "lease_refused" as const), pick: fc.nat() }) },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant("alone" as const),
      ms: fc.constantFrom(30_000, 300_000),
      outcome: fc.constantFrom("succeeded" as const, ...outcomes),
    }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("heard" as const), count: fc.integer({ min: 1, max: 3 }) }) },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constantFrom("approve" as const, "deny" as const), by: fc.constantFrom("ann", "bob", "eve") }),
  },
);

test("an event that must not come takes a rung back that is undone at once, and the task goes on", () => {
  const emit = "event.emit: { type: x.y }";
  const life = new Life(
    `do:\n  - { steps: [{ ${emit} }], verify: { no_event: service.failed, within: 30s }, undo: { on_failure: true, steps: [{ ${emit} }] } }\n`,
  );
  life.step({ kind: "event", event: "web1:1:9" });
  assert.equal(life.task.status.state, "escalated");
});

test("any order of results, duplicates, timeouts, crashes, events, answers and cancellations: no task is stuck or ends twice, rungs come in order, no attempt too many, each undo once", () => {
  fc.assert(
    fc.property(
      fc.array(anyRung, { minLength: 1, maxLength: 3 }),
      fc.constantFrom("", `otherwise: [${run("page")}, { event.emit: { type: x.called, data: { why: "\${{ task.reason }}" } } }]\n`),
      fc.array(anyMove, { maxLength: 60 }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      anyApproval,
      fc.constantFrom("", "lock: event.agent\n"),
      fc.constantFrom("", "task: { expires: 5m }\n"),
      (rungs, otherwise, moves, random, approval, lock, expires) => {
        const life = new Life(
          `${approval}${lock}${expires}do:\n${rungs.map(({ text }) => `  - ${text}\n`).join("")}${otherwise}`,
          "t-other",
        );
        life.random = random;
        const check = new Watch(
          life,
          rungs.map(({ attempts }) => attempts),
        );
        check.now();
        for (const move of moves) {
          play(life, move);
          check.now();
        }
        // Whatever happened: with answers and time it comes to an end.
        play(life, { kind: "heard", count: Number.MAX_SAFE_INTEGER });
        for (let round = 0; round < 2_000 && !hasEnded(life.task); round++) {
          if (life.task.open.some(({ wakes }) => wakes === undefined))
            play(life, { kind: "report", pick: -1, outcome: round % 3 === 0 ? "failed" : "succeeded" });
          else if (dueOf(life.task) === undefined) play(life, { kind: "turn" });
          else life.wait();
          check.now();
        }
        assert.ok(hasEnded(life.task), "it never ends");
        check.end();
      },
    ),
    { numRuns: 1_500 },
  );
});

type Move =
  | { kind: "report"; pick: number; outcome: ExecutionReport["outcome"] }
  | { kind: "expired"; pick: number; untried: boolean }
  | { kind: "approve" | "deny"; by: string }
  | { kind: "alone"; ms: number; outcome: ExecutionReport["outcome"] }
  | { kind: "heard"; count: number }
  | { kind: "leased" | "lease_refused"; pick: number }
  | { kind: "time" | "event" | "join" | "cancel" | "turn" | "keep" };

function play(life: Life, move: Move): void {
  switch (move.kind) {
    case "report":
    case "expired": {
      // Mostly of a command under way; now and then once more of one that has ended.
      const open = life.begun.filter(({ id }) => life.task.open.some((each) => each.id === id && each.wakes === undefined));
      const among = move.pick < 0 || move.pick % 4 > 0 ? open : life.begun;
      const execution = among[Math.abs(move.pick) % Math.max(1, among.length)];
      if (execution === undefined) return;
      // One that its host has is waited for.
      if (move.kind === "expired" && execution.lent === undefined)
        return life.step({ kind: "expired", execution: execution.id, reason: "late", untried: move.untried });
      const outcome = move.kind === "report" ? move.outcome : "succeeded";
      const came = execution.lent === undefined ? outcome : life.host.run(execution.id, outcome);
      return life.step({ kind: "report", report: reportOf(execution, came) });
    }
    case "alone":
      // The master is away, or its clock is behind.
      life.host.now = Math.max(life.host.now, life.now) + move.ms;
      return life.host.passTime(move.outcome);
    case "heard":
      for (const { id, action } of life.host.unheard.splice(0, move.count)) {
        const report = reportOf({ id, action } as Execution, life.host.ran.get(id)!);
        life.step({ kind: "report", report });
      }
      return;
    case "leased":
    case "lease_refused": {
      const offered = life.host.leases[move.pick % Math.max(1, life.host.leases.length)];
      if (offered === undefined) return;
      const { execution } = offered;
      return life.step(
        move.kind === "leased"
          ? { kind: "leased", execution, epoch: `e${move.pick % 2}`, due: offered.due }
          : { kind: "lease_refused", execution, reason: `no ${move.pick % 2}` },
      );
    }
    case "keep":
      return life.step({ kind: "keep", by: "alice" });
    case "time":
      if (dueOf(life.task) !== undefined) life.wait();
      return;
    case "event":
      return life.step({ kind: "event", event: "web1:1:9" });
    case "join":
      return life.step({ kind: "join", event: "web1:1:9" });
    case "turn":
      return life.step({ kind: "turn" });
    case "cancel":
      return life.step({ kind: "cancel", reason: "no", by: "alice" });
    case "approve":
    case "deny":
      return life.step(move);
  }
}

/** What must hold at every point of a task's life. */
class Watch {
  readonly #life: Life;
  readonly #attempts: readonly number[];
  #rung = 0;
  #state = "";
  /** It waited for somebody's word. */
  #waited = false;

  constructor(life: Life, attempts: readonly number[]) {
    this.#life = life;
    this.#attempts = attempts;
  }

  now(): void {
    const { task } = this.#life;
    assert.ok(hasEnded(task) || task.open.length > 0 || dueOf(task) !== undefined || waitsForLock(task), "it is stuck");
    assert.ok(task.rung >= this.#rung, "back to a lower rung");
    this.#rung = task.rung;
    assert.ok(task.attempt <= this.#attempts[task.rung]!, "an attempt too many");
    const ended = ["resolved", "escalated", "expired", "cancelled"].includes(this.#state);
    if (ended) assert.equal(task.status.state, this.#state, "it ended another way later");
    this.#state = task.status.state;
    this.#waited ||= task.status.state === "waiting" && "approval" in task.status;
    if (this.#state === "waiting") assert.equal(this.#life.begun.length, 0, "something was sent before anybody answered");
    if (this.#waited && this.#life.begun.some(({ purpose }) => purpose !== "otherwise"))
      assert.equal(this.#life.told.filter((type) => type === "task.approved").length, 1, "it began unasked, or was asked twice");
    assert.deepEqual(JSON.parse(JSON.stringify(task.status)), task.status);
    const due = dueOf(task);
    assert.ok(due === undefined || due > this.#life.now - 1 || this.#life.task.open.length > 0);
  }

  end(): void {
    const { effects, begun, told, task, host } = this.#life;
    const ids = begun.map(({ id }) => id);
    assert.equal(new Set(ids).size, ids.length, "a number was used twice");
    const recorded = effects.flatMap((effect) => (effect.kind === "record" ? [effect.report.execution] : []));
    assert.deepEqual(recorded.toSorted(), ids.toSorted(), "each command is recorded once");
    assert.equal(told.filter((type) => ["task.resolved", "task.escalated", "task.expired", "task.cancelled"].includes(type)).length, 1);
    const undone = effects.flatMap((effect) =>
      effect.kind === "emit" && effect.event.type.startsWith("task.und") ? [effect.event.data["rung"]] : [],
    );
    assert.equal(new Set(undone).size, undone.length, "a rung was taken back twice");
    for (const { report } of effects.filter((effect) => effect.kind === "record")) {
      const ran = host.ran.get(report.execution);
      assert.ok(ran === undefined || ran === report.outcome, "it is recorded another way than the host says");
    }
    for (const id of host.ran.keys()) assert.ok(recorded.includes(id), "the host did it, and nobody knows");
    const attempts = begun.filter(({ purpose }) => purpose === "do").map(({ rung, attempt }) => `${rung} ${attempt}`);
    assert.deepEqual(attempts, attempts.toSorted(), "rungs and attempts out of order");
    const { state } = task.status;
    assert.equal(task.called, state === "escalated" || state === "expired" ? task.otherwise.length : 0);
    // The undo that its host has is cancelled as a command.
    if (state === "expired")
      assert.ok(begun.filter(({ purpose }) => purpose === "do" || purpose === "verify").length <= 1, "something had been begun");
  }
}
