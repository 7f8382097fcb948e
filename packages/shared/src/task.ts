/**
 * The life of a task, as a pure state machine: running -> verifying -> resolved, or escalated, or cancelled by an operator; or planned, of
 * a reactor that only shows what it would do. A step gives the task as it is now and the effects that the master must make durable together
 * with it (P2) before it performs them.
 */
import { type ActionName, actions, type ExecutionReport, type Outcome } from "./action.ts";
import type { Severity } from "./event.ts";
import { executionId, masterAgent, taskId } from "./ids.ts";
import type { Firing, PlannedStep } from "./rules/types.ts";
import { hideMarks } from "./secret.ts";

export type TaskState =
  | { state: "running"; execution: string }
  | { state: "verifying"; execution: string }
  | { state: "resolved"; verified: boolean }
  | { state: "escalated"; reason: string }
  /** Nothing is sent: its steps are there to be seen, or why they could not be worked out. */
  | { state: "planned"; reason?: string }
  /** `execution`: the command that was under way, while it is not known what became of it. */
  | { state: "cancelled"; reason: string; by: string; execution?: string };

/**
 * One firing of a reactor. Times in ms since the epoch. `ancestry` ends with this task's own reactor (P7). `event`: the trigger; `events`:
 * all that went in, the newest last, as far as they are known by name; `count`: how many. `owner` and `labels`: from the router, where the
 * reactor names no owner.
 */
export interface Task {
  id: string;
  reactor: string;
  reactorVersion: string;
  branch: Firing["branch"];
  owner: string | undefined;
  labels: Record<string, string>;
  runbook: string | undefined;
  key: unknown[];
  event: string;
  events: string[];
  count: number;
  agent: string;
  subject: string | undefined;
  priority: Severity;
  ancestry: string[];
  /** The event with which the causal chain began. */
  root: string;
  steps: PlannedStep[];
  /** How many of `steps`, then of the verifications, have been started. */
  started: number;
  status: TaskState;
  created: number;
  updated: number;
}

/** One action on one target. */
export interface Execution {
  id: string;
  task: string;
  agent: string;
  action: ActionName;
  args: Record<string, unknown>;
  purpose: "do" | "verify";
  /** The task's: what waits for a host goes to it in this order (P8). */
  priority: Severity;
  created: number;
}

/** An event that the master itself makes. */
export interface MasterEventDraft {
  type: string;
  subject?: string | undefined;
  severity: Severity;
  cause?: string | undefined;
  data: Record<string, unknown>;
}

export type Effect =
  | { kind: "execute"; execution: Execution }
  /** Performed on the master within the step itself: recorded as a finished execution. */
  | { kind: "performed"; execution: Execution; report: ExecutionReport }
  | { kind: "record"; report: ExecutionReport }
  | { kind: "emit"; event: MasterEventDraft };

export type Input =
  | { kind: "report"; report: ExecutionReport }
  | { kind: "expired"; execution: string; reason: string }
  | { kind: "cancel"; reason: string; by: string };

export interface Step {
  task: Task;
  effects: Effect[];
}

/** The task of a firing, and what to do first. */
export function startTask(firing: Firing, now: number): Step {
  const { plan, reactor } = firing;
  const task = taskOf(firing, now);
  const { event, count, branch, steps } = task;
  const created = tell(task, "task.created", { event, count, branch, actions: steps.map(({ action }) => action) });
  if (reactor.mode === "plan") return withEffects([created], showPlan(task, plan.ok ? undefined : plan.reason, now));
  if (!plan.ok) return withEffects([created], escalate(task, plan.reason, now));
  return withEffects([created], next(task, now));
}

function taskOf({ reactor, trigger, route, plan, ...firing }: Firing, now: number): Task {
  const { event, agent } = trigger;
  return {
    id: taskId(reactor.name, event.id),
    reactor: reactor.name,
    reactorVersion: reactor.version,
    branch: firing.branch,
    owner: reactor.owner ?? route.owner,
    labels: { ...route.labels },
    runbook: reactor.runbook,
    key: [...firing.key],
    event: event.id,
    events: [...firing.events],
    count: firing.count,
    agent,
    subject: event.subject,
    priority: firing.priority,
    ancestry: [...firing.ancestry, reactor.name],
    root: trigger.root,
    steps: plan.ok ? plan.steps : [],
    started: 0,
    status: { state: "running", execution: "" },
    created: now,
    updated: now,
  };
}

/** What one input does to a task. A report that is not of the execution under way changes nothing: it counts once. */
export function stepTask(task: Task, input: Input, now: number): Step {
  const { status } = task;
  if (status.state === "resolved" || status.state === "escalated" || status.state === "planned") return { task, effects: [] };
  if (input.kind === "cancel") return status.state === "cancelled" ? { task, effects: [] } : cancel(task, status.execution, input, now);
  const execution = input.kind === "report" ? input.report.execution : input.execution;
  if (execution !== status.execution) return { task, effects: [] };
  const report = input.kind === "report" ? input.report : endedUnheard(task, input, now);
  const record: Effect = { kind: "record", report };
  if (status.state === "cancelled") return { task: withoutExecution(task, status, now), effects: [record] };
  if (input.kind === "expired") return withEffects([record], escalate(task, input.reason, now));
  if (report.outcome === "succeeded") return withEffects([record], next(task, now));
  return withEffects([record], escalate(task, failureReason(status.state, report), now));
}

/** Whether nothing can happen to a task any more. */
export function hasEnded({ status }: Task): boolean {
  const { state } = status;
  return (
    state === "resolved" || state === "escalated" || state === "planned" || (status.state === "cancelled" && status.execution === undefined)
  );
}

/** Nothing more is started. What is under way stays open until its host, or its expiry, tells what became of it. */
function cancel(task: Task, execution: string, { reason, by }: { reason: string; by: string }, now: number): Step {
  const cancelled: Task = { ...task, status: { state: "cancelled", reason, by, execution }, updated: now };
  return { task: cancelled, effects: [tell(cancelled, "task.cancelled", { reason, by, took_ms: now - task.created })] };
}

function withoutExecution(task: Task, { state, reason, by }: Extract<TaskState, { state: "cancelled" }>, now: number): Task {
  return { ...task, status: { state, reason, by }, updated: now };
}

/** The record of a command whose host said nothing of it in time, or that was cancelled before it was sent. */
function endedUnheard(task: Task, { execution, reason }: { execution: string; reason: string }, now: number): ExecutionReport {
  const outcome = task.status.state === "cancelled" ? "cancelled" : "expired";
  return { execution, action: currentAction(task), outcome, changed: false, message: reason, started: now, ended: now };
}

/** The verifications that a task's steps ask for: each once, although two steps may have touched the same thing. */
function verifications(steps: readonly PlannedStep[]): PlannedStep[] {
  const found = new Map<string, PlannedStep>();
  for (const { action, args } of steps) {
    const spec = actions[action];
    if ("verify" in spec) found.set(`${spec.verify} ${JSON.stringify(args)}`, { action: spec.verify, args });
  }
  return [...found.values()];
}

/** Starts the next step, then the next verification; resolves when there is none. */
function next(task: Task, now: number): Step {
  const number = task.started;
  const checks = verifications(task.steps);
  const purpose = number < task.steps.length ? "do" : "verify";
  const planned = purpose === "do" ? task.steps[number] : checks[number - task.steps.length];
  if (planned === undefined) return resolve(task, checks.length > 0, now);
  const execution: Execution = {
    id: executionId(task.id, number + 1),
    task: task.id,
    agent: actions[planned.action].runsOn === "master" ? masterAgent : task.agent,
    action: planned.action,
    args: planned.args,
    purpose,
    priority: task.priority,
    created: now,
  };
  const started: Task = { ...task, started: number + 1, updated: now };
  if (actions[planned.action].runsOn === "master") return performEmit(started, execution, now);
  const running: Task = { ...started, status: { state: purpose === "do" ? "running" : "verifying", execution: execution.id } };
  const execute: Effect = { kind: "execute", execution };
  const firstCheck = purpose === "verify" && task.status.state !== "verifying";
  return { task: running, effects: firstCheck ? [tell(running, "task.verifying", { action: planned.action }), execute] : [execute] };
}

/** `event.emit` needs nothing but the journal, so it is done when it is decided. */
function performEmit(task: Task, execution: Execution, now: number): Step {
  const { type, subject, severity, data } = execution.args as {
    type: string;
    subject?: string;
    severity: Severity;
    data: Record<string, unknown>;
  };
  const report: ExecutionReport = {
    execution: execution.id,
    action: execution.action,
    outcome: "succeeded",
    changed: true,
    result: { type },
    started: now,
    ended: now,
  };
  const effects: Effect[] = [
    { kind: "performed", execution, report },
    { kind: "emit", event: { type, subject: hideMarks(subject), severity, data: hideMarks(data), cause: execution.id } },
  ];
  return withEffects(effects, next(task, now));
}

function resolve(task: Task, verified: boolean, now: number): Step {
  const resolved: Task = { ...task, status: { state: "resolved", verified }, updated: now };
  return { task: resolved, effects: [tell(resolved, "task.resolved", { verified, took_ms: now - task.created })] };
}

function showPlan(task: Task, reason: string | undefined, now: number): Step {
  const why = reason === undefined ? {} : { reason };
  const planned: Task = { ...task, status: { state: "planned", ...why }, updated: now };
  return { task: planned, effects: [tell(planned, "task.planned", { actions: task.steps.map(({ action }) => action), ...why })] };
}

function escalate(task: Task, reason: string, now: number): Step {
  const escalated: Task = { ...task, status: { state: "escalated", reason }, updated: now };
  return { task: escalated, effects: [tell(escalated, "task.escalated", { reason, took_ms: now - task.created })] };
}

function tell(task: Task, type: string, data: Record<string, unknown>): Effect {
  const severity: Severity = type === "task.escalated" ? "high" : "low";
  const subject = task.subject;
  const about = { task: task.id, reactor: task.reactor, reactor_version: task.reactorVersion, agent: task.agent, ...data };
  return { kind: "emit", event: { type, subject, severity, cause: task.id, data: hideMarks(about) } };
}

const said: Record<Exclude<Outcome, "succeeded">, string> = {
  failed: "failed",
  interrupted: "was interrupted: the agent stopped while it ran",
  refused: "was refused by the agent",
  expired: "expired",
  cancelled: "was cancelled",
};

function failureReason(state: "running" | "verifying", report: ExecutionReport): string {
  if (report.outcome === "succeeded") return "";
  const what = state === "verifying" ? `verification ${report.action}` : report.action;
  return `${what} ${said[report.outcome]}${report.message === undefined ? "" : `: ${report.message}`}`;
}

function currentAction(task: Task): ActionName {
  const planned = [...task.steps, ...verifications(task.steps)][task.started - 1];
  return planned?.action ?? "command.run";
}

function withEffects(effects: Effect[], step: Step): Step {
  return { task: step.task, effects: [...effects, ...step.effects] };
}
