import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type ExecutionReport, outcomes } from "./action.ts";
import type { Event } from "./event.ts";
import { loadReactors, type Reactor } from "./reactor.ts";
import { plainRung } from "./rules/fire.ts";
import type { Firing, PlannedStep } from "./rules/types.ts";
import { type Effect, hasEnded, type Input, type Moment, startTask, type Step, stepTask } from "./task.ts";

const event: Event = {
  position: 1,
  id: "web1:1:1",
  type: "file.drifted",
  source: "/agents/web1/beacons/etc",
  agent: "web1",
  subject: "/etc/motd",
  time: 1,
  received: 2,
  severity: "normal",
  data: {},
};

const reactor = ((): Reactor => {
  const loaded = loadReactors("r.yaml", "name: heal\non: file.*\npriority: high\ndo: [{ file.restore: { path: /etc/motd } }]\n");
  assert.ok(loaded.ok);
  return loaded.reactors[0]!;
})();

const at = (now: number): Moment => ({ now, random: 0.5 });
const ok = (steps: PlannedStep[]): Firing["plan"] => ({
  ok: true,
  rungs: [plainRung(steps)],
  otherwise: [],
  joinKey: undefined,
  approval: undefined,
});
const restore: PlannedStep = { action: "file.restore", args: { path: "/etc/motd" } };
const command: PlannedStep = { action: "command.run", args: { argv: ["id"] } };
const emit: PlannedStep = { action: "event.emit", args: { type: "deploy.wanted", severity: "normal", data: { a: 1 } } };

function firing(plan: Firing["plan"], given: Partial<Firing> = {}): Firing {
  const trigger = { event, agent: event.agent, ancestry: ["root"], root: "web1:1:0" };
  const route = { priority: "low", owner: "ops", labels: { impact: "small" } } as const;
  const went = { trigger, events: ["web1:0:9", event.id], count: 2, key: ["web1"], ancestry: trigger.ancestry };
  return { reactor, branch: "do", route, priority: reactor.priority, plan, ...went, ...given };
}

function start(steps: PlannedStep[], now = 100): Step {
  return startTask(firing(ok(steps)), at(now));
}

function report(execution: string, outcome: ExecutionReport["outcome"] = "succeeded", message?: string): Input {
  return {
    kind: "report",
    report: { execution, action: "x.y", outcome, changed: true, started: 1, ended: 2, ...(message === undefined ? {} : { message }) },
  };
}

const emitted = (effects: Effect[]) => effects.flatMap((effect) => (effect.kind === "emit" ? [effect.event.type] : []));
const executed = (effects: Effect[]) => effects.flatMap((effect) => (effect.kind === "execute" ? [effect.execution] : []));

test("a remedy that worked is verified, and then the task is resolved", () => {
  const first = start([restore]);
  assert.deepEqual(emitted(first.effects), ["task.created"]);
  const [doing] = executed(first.effects);
  assert.deepEqual([doing!.action, doing!.purpose, doing!.agent], ["file.restore", "do", "web1"]);
  const second = stepTask(first.task, report(doing!.id), at(110));
  const [checking] = executed(second.effects);
  assert.deepEqual([checking!.action, checking!.purpose, checking!.args], ["file.check", "verify", { path: "/etc/motd" }]);
  assert.deepEqual(emitted(second.effects), ["task.verifying"]);
  const third = stepTask(second.task, report(checking!.id), at(120));
  assert.deepEqual(third.task.status, { state: "resolved", verified: true });
  assert.deepEqual(emitted(third.effects), ["task.resolved"]);
  assert.deepEqual(third.task.ancestry, ["root", "heal"]);
});

test("a remedy without a verification resolves unverified", () => {
  const first = start([command]);
  const { task } = stepTask(first.task, report(executed(first.effects)[0]!.id), at(110));
  assert.deepEqual(task.status, { state: "resolved", verified: false });
});

test("steps run one after the other, and the same thing is verified once", () => {
  let { task, effects } = start([restore, command, restore]);
  const ran: string[] = [];
  for (let round = 0; round < 10 && task.status.state !== "resolved"; round++) {
    const [execution] = executed(effects);
    ran.push(execution!.action);
    ({ task, effects } = stepTask(task, report(execution!.id), at(200)));
  }
  assert.deepEqual(ran, ["file.restore", "command.run", "file.restore", "file.check"]);
  assert.deepEqual(task.status, { state: "resolved", verified: true });
});

test("an event is emitted within the step, and the next step follows at once", () => {
  const { task, effects } = start([emit, command]);
  assert.deepEqual(emitted(effects), ["task.created", "deploy.wanted"]);
  assert.equal(executed(effects)[0]!.action, "command.run");
  assert.equal(task.started, 2);
  const emission = effects.find((effect) => effect.kind === "emit" && effect.event.type === "deploy.wanted");
  assert.equal(emission?.kind === "emit" && emission.event.cause, `${task.id}.1`, "it is caused by its execution");
  assert.equal(start([emit]).task.status.state, "resolved");
});

test("a comment is told of the task within the step", () => {
  const { effects, task } = start([{ action: "task.comment", args: { text: "look" } }]);
  const comment = effects.find((effect) => effect.kind === "emit" && effect.event.type === "task.comment");
  assert.ok(comment?.kind === "emit");
  assert.equal(comment.event.cause, `${task.id}.1`);
  assert.deepEqual([comment.event.data["task"], comment.event.data["text"], comment.event.data["agent"]], [task.id, "look", "web1"]);
  assert.equal(task.status.state, "resolved");
});

test("a remedy that did not work escalates with the reason, and nothing follows", () => {
  // What expired on the host was not begun there: see ladder.test.ts.
  for (const outcome of outcomes.filter((name) => name !== "succeeded" && name !== "expired")) {
    const first = start([restore, command]);
    const { task, effects } = stepTask(first.task, report(executed(first.effects)[0]!.id, outcome, "no room"), at(110));
    assert.equal(task.status.state, "escalated");
    assert.match(task.status.state === "escalated" ? task.status.reason : "", /no room$/);
    assert.deepEqual([executed(effects), emitted(effects)], [[], ["task.escalated"]]);
  }
});

test("a command that nobody could take escalates, and is recorded as expired", () => {
  const first = start([restore]);
  const { task, effects } = stepTask(
    first.task,
    { kind: "expired", execution: executed(first.effects)[0]!.id, reason: "offline for 1h" },
    at(500),
  );
  assert.deepEqual(task.status, { state: "escalated", reason: "offline for 1h" });
  const record = effects.find((effect) => effect.kind === "record");
  assert.deepEqual(record?.kind === "record" && [record.report.outcome, record.report.action], ["expired", "file.restore"]);
});

test("values that could not be worked out make a task that escalates at once", () => {
  const { task, effects } = startTask(firing({ ok: false, reason: "no such key" }), at(100));
  assert.deepEqual(task.status, { state: "escalated", reason: "no such key" });
  assert.deepEqual(emitted(effects), ["task.created", "task.escalated"]);
});

test("the same firing is the same task, so that a crash makes no second one (P2)", () => {
  assert.deepEqual(start([restore]), start([restore]));
});

test("a result that arrives twice counts once, as does one of another execution", () => {
  const first = start([restore]);
  const id = executed(first.effects)[0]!.id;
  const second = stepTask(first.task, report(id), at(110));
  for (const late of [
    report(id),
    report(`${first.task.id}.9`),
    report("t-0000000000000000.1", "failed"),
    { kind: "expired", execution: id, reason: "late" } as const,
  ]) {
    assert.deepEqual(stepTask(second.task, late, at(120)), { task: second.task, effects: [] });
  }
});

test("a task that is cancelled starts nothing more; what becomes of its command is recorded once and changes nothing else", () => {
  const first = start([restore, command]);
  const id = executed(first.effects)[0]!.id;
  const cancelled = stepTask(first.task, { kind: "cancel", reason: "wrong window", by: "alice" }, at(110));
  assert.deepEqual(cancelled.task.status, { state: "cancelled", reason: "wrong window", by: "alice" });
  assert.deepEqual(cancelled.effects[0], { kind: "stop", execution: id });
  assert.deepEqual([emitted(cancelled.effects), executed(cancelled.effects)], [["task.cancelled"], []]);
  assert.equal(hasEnded(cancelled.task), false);
  for (const what of [report(id, "cancelled"), report(id, "succeeded"), { kind: "expired", execution: id, reason: "late" } as const]) {
    const { task, effects } = stepTask(cancelled.task, what, at(120));
    assert.deepEqual(
      effects.map((effect) => effect.kind),
      ["record"],
    );
    assert.deepEqual(task.status, { state: "cancelled", reason: "wrong window", by: "alice" });
    assert.ok(hasEnded(task));
    assert.deepEqual(stepTask(task, what, at(130)), { task, effects: [] });
  }
  const again = stepTask(cancelled.task, { kind: "cancel", reason: "other", by: "bob" }, at(120));
  assert.deepEqual(again, { task: cancelled.task, effects: [] });
});

test("a command of a cancelled task that was never sent, or never answered, is recorded as cancelled", () => {
  const first = start([restore]);
  const id = executed(first.effects)[0]!.id;
  const { task } = stepTask(first.task, { kind: "cancel", reason: "no", by: "alice" }, at(110));
  const [record] = stepTask(task, { kind: "expired", execution: id, reason: "it was cancelled before it was sent" }, at(120)).effects;
  assert.deepEqual(record?.kind === "record" && [record.report.outcome, record.report.action, record.report.message], [
    "cancelled",
    "file.restore",
    "it was cancelled before it was sent",
  ]);
});

test("a result that is there before the cancellation counts: what has ended stays as it ended", () => {
  const first = start([command]);
  const { task } = stepTask(first.task, report(executed(first.effects)[0]!.id), at(110));
  assert.deepEqual(stepTask(task, { kind: "cancel", reason: "late", by: "alice" }, at(120)), { task, effects: [] });
});

test("any order of reports, duplicates, cancellations and expiries ends a task once, and no execution is started twice or afterwards", () => {
  const anySteps = fc.array(fc.constantFrom(restore, command, emit, { ...restore, args: { path: "/etc/hosts" } }), {
    minLength: 1,
    maxLength: 6,
  });
  const endings = ["task.resolved", "task.escalated", "task.cancelled"];
  const anyInput = fc.record({
    kind: fc.constantFrom("report", "report", "report", "expired", "cancel"),
    number: fc.integer({ min: 1, max: 14 }),
    outcome: fc.constantFrom("succeeded", "succeeded", "succeeded", ...outcomes),
  });
  fc.assert(
    fc.property(anySteps, fc.array(anyInput, { maxLength: 40 }), (steps, inputs) => {
      let { task, effects } = start(steps);
      const ids = new Set<string>();
      const ends: string[] = [];
      const recorded = new Set<string>();
      const take = (found: Effect[]) => {
        for (const effect of found) {
          if (effect.kind === "execute" || effect.kind === "performed") {
            assert.equal(ends.length, 0, "started after the end");
            assert.ok(!ids.has(effect.execution.id), "started twice");
            ids.add(effect.execution.id);
          }
          if (effect.kind === "record") {
            assert.ok(ids.has(effect.report.execution), "recorded, but not started");
            assert.ok(!recorded.has(effect.report.execution), "recorded twice");
            recorded.add(effect.report.execution);
          }
          if (effect.kind === "emit" && endings.includes(effect.event.type)) ends.push(effect.event.type);
        }
        assert.ok(executed(found).length <= 1, "one at a time");
      };
      take(effects);
      for (const { kind, number, outcome } of inputs) {
        const execution = `${task.id}.${number}`;
        const before = task;
        const input: Record<string, Input> = {
          report: report(execution, outcome),
          expired: { kind: "expired", execution, reason: "late" },
          cancel: { kind: "cancel", reason: "not now", by: "alice" },
        };
        ({ task, effects } = stepTask(task, input[kind]!, at(200)));
        take(effects);
        if (hasEnded(before)) assert.deepEqual([task, effects], [before, []]);
        if (before.status.state === "cancelled") assert.equal(task.status.state, "cancelled");
      }
      assert.ok(ends.length <= 1);
      assert.deepEqual(ends, endings.includes(`task.${task.status.state}`) ? [`task.${task.status.state}`] : []);
    }),
    { numRuns: 2_000 },
  );
});

test("what a reactor in mode plan would do is shown, and nothing is sent", () => {
  const planning: Reactor = { ...reactor, mode: "plan" };
  const { task, effects } = startTask(firing(ok([restore, emit]), { reactor: planning }), at(100));
  assert.deepEqual([task.status, task.rungs[0]!.steps, task.started], [{ state: "planned" }, [restore, emit], 0]);
  assert.deepEqual(
    effects.map((effect) => effect.kind === "emit" && effect.event.type),
    ["task.created", "task.planned"],
  );
  assert.ok(hasEnded(task));
  for (const input of [report(`${task.id}.1`), { kind: "cancel", reason: "no", by: "alice" } as const])
    assert.deepEqual(stepTask(task, input, at(110)), { task, effects: [] });
  const unknown = startTask(firing({ ok: false, reason: "no such key" }, { reactor: planning }), at(100));
  assert.deepEqual(unknown.task.status, { state: "planned", reason: "no such key" });
});

test("a task knows what went into its firing, whose it is and where it came from", () => {
  const { task } = startTask(firing(ok([restore]), { branch: "on_clear", priority: "critical" }), at(100));
  assert.deepEqual(task, {
    id: task.id,
    reactor: "heal",
    reactorVersion: reactor.version,
    branch: "on_clear",
    owner: "ops",
    labels: { impact: "small" },
    runbook: undefined,
    key: ["web1"],
    event: event.id,
    events: ["web1:0:9", event.id],
    count: 2,
    agent: "web1",
    subject: "/etc/motd",
    priority: "critical",
    ancestry: ["root", "heal"],
    root: "web1:1:0",
    joined: 0,
    rungs: [plainRung([restore])],
    otherwise: [],
    rung: 0,
    attempt: 1,
    begun: 1,
    heard: false,
    called: 0,
    attempts: 1,
    history: [],
    leases: [],
    open: [{ id: `${task.id}.1`, action: "file.restore" }],
    started: 1,
    status: { state: "running", execution: `${task.id}.1` },
    created: 100,
    updated: 100,
  });
  const owned = startTask(firing(ok([]), { reactor: { ...reactor, owner: "web team", runbook: "https://x" } }), at(100));
  assert.deepEqual([owned.task.owner, owned.task.runbook], ["web team", "https://x"]);
});
