import assert from "node:assert/strict";
import { test } from "node:test";
import type { Event } from "../event.ts";
import { dueOf, type Execution, startTask, type Step, stepTask, type Task } from "../task.ts";
import {
  beginningsOf,
  byHand,
  isOrder,
  type HandOrder,
  orderedTaskId,
  orderEvent,
  retriedTaskId,
  retryEvent,
  retryOf,
  retryProblem,
} from "./order.ts";
import { plainRung } from "../rules/fire.ts";
import type { PlannedRung } from "../rules/types.ts";

const moment = { now: 1_000, random: 0.5 };
const order: HandOrder = {
  ...{ request: "request-1", by: "ann", why: "a try", targets: "web*", agents: ["web1", "web2"], action: "file.restore" },
  ...{ args: { path: "/etc/motd" }, dryRun: false, priority: "high", timeoutMs: 5_000 },
};

/** As it comes out of the journal. */
function journalled(draft: Pick<Event, "type" | "data">, id = "master:e1:1"): Event {
  const at = { position: 1, id, source: "/agents/master", agent: "master", time: 1, received: 1, severity: "normal" } as const;
  return { ...at, subject: "motd", ...(JSON.parse(JSON.stringify(draft)) as Pick<Event, "type" | "data">) };
}

function begun(given: Partial<HandOrder> = {}): Step[] {
  const event = journalled(orderEvent({ ...order, ...given }, "motd"));
  assert.ok(isOrder(event.type));
  return beginningsOf(event).map((beginning) => startTask(beginning, moment));
}

const commandsOf = ({ effects }: Step): Execution[] => effects.flatMap((effect) => (effect.kind === "execute" ? [effect.execution] : []));

function after(task: Task, outcome: "succeeded" | "failed"): Step {
  const [{ id: execution, action } = { id: "", action: "file.restore" as const }] = task.open;
  return stepTask(task, { kind: "report", report: { execution, action, outcome, changed: true, started: 1, ended: 2 } }, moment);
}

test("an order is a task for each host, with its time and its priority, by names that depend on the request and the host only", () => {
  const steps = begun();
  assert.deepEqual(
    steps.map(({ task }) => [task.id, task.agent, task.reactor, task.event, task.priority]),
    ["web1", "web2"].map((agent) => [orderedTaskId("request-1", { reactor: byHand, agent }), agent, byHand, "master:e1:1", "high"]),
  );
  assert.deepEqual(
    steps
      .flatMap(commandsOf)
      .map(({ agent, action, args, expiresMs, dryRun, priority }) => [agent, action, args, expiresMs, dryRun, priority]),
    ["web1", "web2"].map((agent) => [agent, "file.restore", { path: "/etc/motd" }, 5_000, undefined, "high"]),
  );
});

test("what was done is verified as a reactor's remedy is; a dry run is not, since nothing was done", () => {
  const [step] = begun();
  const done = after(step!.task, "succeeded");
  assert.deepEqual(
    commandsOf(done).map(({ action, purpose }) => [action, purpose]),
    [["file.check", "verify"]],
  );
  const [dry] = begun({ dryRun: true });
  assert.equal(commandsOf(dry!)[0]?.dryRun, true);
  assert.deepEqual(after(dry!.task, "succeeded").task.status, { state: "resolved", verified: false });
});

test("a wait that is ordered has the order's time and no more: then it has failed, and is nothing that never began", () => {
  const waiting = (lasts: string) => begun({ action: "wait", args: { for: lasts }, agents: ["master"] })[0]!.task;
  const wakenAt = (task: Task, now: number) => stepTask(task, { kind: "due" }, { ...moment, now }).task;
  assert.deepEqual([dueOf(waiting("1m")), dueOf(waiting("5s")), dueOf(waiting("2s"))], [6_000, 6_000, 3_000]);
  assert.equal(wakenAt(waiting("1m"), 5_999).status.state, "running");
  assert.deepEqual(wakenAt(waiting("1m"), 6_000).status, { state: "escalated", reason: "wait failed: its time of 5.0 s was over" });
  assert.equal(wakenAt(waiting("5s"), 6_000).status.state, "resolved");
});

test("a task that failed is tried once more as it was, from the first rung on, under a name of its own", () => {
  const [step] = begun();
  const { task: failed } = after(step!.task, "failed");
  assert.equal(failed.status.state, "escalated");
  assert.equal(retryProblem(failed), undefined);
  const event = journalled(retryEvent(failed, { request: "request-2", by: "bob", why: undefined }), "master:e1:9");
  const again = startTask(retryOf(event, failed), { ...moment, now: 2_000 });
  const { id, agent, reactor, rungs, priority, ancestry, root } = again.task;
  assert.notEqual(id, failed.id);
  assert.deepEqual(
    [agent, reactor, rungs, priority, ancestry, root],
    [failed.agent, byHand, failed.rungs, "high", failed.ancestry, failed.root],
  );
  assert.deepEqual(again.task.order, { by: "bob", expiresMs: 5_000, retryOf: failed.id });
  assert.deepEqual([again.task.attempts, again.task.history, commandsOf(again).length], [1, [], 1]);
});

test("what a retry would do its host says of the first rung alone; nothing of the reactor's is touched, and the retry can still be made", () => {
  const failed: Task = { ...after(begun()[0]!.task, "failed").task, reactor: "web", lock: ["web"], joinKey: ["x"] };
  const own = { ...failed.rungs[0]!, attempts: 3, verify: { by: "event", on: ["x"], afterMs: 0, withinMs: 9 } } as unknown as PlannedRung;
  const task: Task = { ...failed, rungs: [own, own], asks: { from: ["bob"], timeoutMs: 1_000, onTimeout: "escalate" } };
  const wish = { request: "request-2", by: "bob", why: "to see", dryRun: true };
  const event = journalled(retryEvent(task, wish), "master:e1:9");
  const asked = startTask(retryOf(event, task), moment);
  const { id, reactor, rungs, otherwise, lock, joinKey, asks, order: ordered } = asked.task;
  assert.deepEqual([reactor, otherwise, lock, joinKey, asks], [byHand, [], undefined, undefined, undefined]);
  assert.deepEqual(rungs, [plainRung([...own.steps])]);
  assert.deepEqual(ordered, { by: "bob", why: "to see", dryRun: true, expiresMs: 5_000 });
  assert.equal(id, retriedTaskId(wish, task));
  assert.notEqual(id, retriedTaskId({ ...wish, dryRun: false }, task));
  assert.deepEqual(
    commandsOf(asked).map(({ dryRun }) => dryRun),
    [true],
  );
  assert.deepEqual(after(asked.task, "succeeded").task.status, { state: "resolved", verified: false });
});

test("a task that somebody had to say yes to is tried again when somebody says yes again, also after a no", () => {
  const event = journalled(orderEvent(order, "motd"));
  const [beginning] = beginningsOf(event);
  assert.ok(beginning?.plan.ok);
  const approval = { from: ["bob"], timeoutMs: 1_000, onTimeout: "escalate" as const };
  const asked = startTask({ ...beginning, plan: { ...beginning.plan, approval } }, moment);
  const denied = stepTask(asked.task, { kind: "deny", by: "bob on pts/0" }, moment).task;
  assert.equal(denied.status.state, "cancelled");
  const retried = journalled(retryEvent(denied, { request: "request-2", by: "ann", why: undefined }), "master:e1:9");
  const again = startTask(retryOf(retried, denied), moment);
  assert.deepEqual([again.task.status.state, commandsOf(again)], ["waiting", []]);
  assert.equal(stepTask(again.task, { kind: "approve", by: "ann" }, moment).task.status.state, "waiting");
  const approved = stepTask(again.task, { kind: "approve", by: "bob from 10.1.2.3" }, moment);
  assert.equal(commandsOf(approved).length, 1);
});

test("what is open, resolved or still to be taken back is not tried again", () => {
  const [step] = begun();
  assert.match(retryProblem(step!.task) ?? "", /it is running/);
  const checked = after(after(step!.task, "succeeded").task, "succeeded").task;
  assert.match(retryProblem(checked) ?? "", /it is resolved/);
  const { task: failed } = after(step!.task, "failed");
  assert.match(retryProblem({ ...failed, leases: [{ rung: 0, due: 9 }] }) ?? "", /taken back/);
  assert.match(retryProblem({ ...failed, rungs: [] }) ?? "", /could not be worked out/);
});
