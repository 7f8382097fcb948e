/**
 * Commands of a task: each has a number of its own, and is in `open` until it is known what became of it. What needs nothing but the journal
 * is done within the step; a wait is a time in the task.
 */
import { type ActionName, type AnyActionName, type ExecutionReport, isActionName, specOf } from "../action.ts";
import { durationMs, formatDuration } from "../duration.ts";
import type { Severity } from "../event.ts";
import { executionId, masterAgent } from "../ids.ts";
import type { PlannedStep } from "../rules/types.ts";
import { hideMarks } from "../secret.ts";
import {
  type Effect,
  type Execution,
  heldResultMs,
  type MasterEventDraft,
  type Moment,
  type Open,
  type Purpose,
  type Step,
  type Task,
  withEffects,
} from "./types.ts";

/** `under`: the task with the command under way. `done`: it needed nobody, and the task goes on. */
interface Command {
  purpose: Purpose;
  /** Whose it is; undefined: the rung that the task is on. */
  rung?: number;
  /** Its number was given before, and its host may have it. */
  lent?: { number: number; held: string | undefined } | undefined;
  under(task: Task, execution: string): Step;
  done(task: Task): Step;
}

export function command(
  task: Task,
  { action, args }: PlannedStep,
  { purpose, rung = task.rung, lent, under, done }: Command,
  { now }: Moment,
): Step {
  const { runsOn, inStep } = specOf(action);
  const execution: Execution = {
    id: executionId(task.id, lent?.number ?? task.started + 1),
    task: task.id,
    ...(runsOn === "master" ? { agent: masterAgent, host: task.agent } : { agent: task.agent }),
    action,
    args,
    purpose,
    priority: task.priority,
    rung,
    attempt: task.attempt,
    created: now,
    ...orderedSo(task),
    ...(purpose === "do" ? timeToBegin(task, now) : {}),
    ...(lent === undefined ? {} : lentSo(lent, task)),
  };
  const started: Task = { ...task, started: task.started + (lent === undefined ? 1 : 0), updated: now };
  if (inStep === true && execution.dryRun === true) return withEffects([foreseen(execution, now)], done(started));
  const told = inStep === true && isActionName(action) ? tellings[action]?.(execution, task) : undefined;
  if (told !== undefined) return withEffects([performed(execution, now), { kind: "emit", event: told }], done(started));
  const over = inStep === true ? overAt(execution, now) : {};
  const open: Task = { ...started, open: [...task.open, { id: execution.id, action, ...over }] };
  const step = under(open, execution.id);
  return { task: step.task, effects: [...step.effects, { kind: inStep === true ? "wait" : "execute", execution }] };
}

/** When a wait is over: what a person ordered has no more than the order's time. */
function overAt({ args, expiresMs }: Execution, now: number): Pick<Open, "wakes" | "cutMs"> {
  const waitMs = durationMs(String(args["for"]));
  return expiresMs !== undefined && expiresMs < waitMs ? { wakes: now + expiresMs, cutMs: expiresMs } : { wakes: now + waitMs };
}

/** Its first step: what follows is not held up by the time that there was to begin. */
function timeToBegin({ attempts, begun, beginBy }: Task, now: number): Pick<Execution, "beginMs"> {
  return beginBy !== undefined && attempts === 1 && begun === 1 ? { beginMs: Math.max(0, beginBy - now) } : {};
}

function orderedSo({ order }: Task): Pick<Execution, "dryRun" | "expiresMs"> {
  const { dryRun, expiresMs } = order ?? {};
  return { ...(dryRun === undefined ? {} : { dryRun }), ...(expiresMs === undefined ? {} : { expiresMs }) };
}

/** A host that has it does it whether or not it is heard of: it is waited for as long as the host remembers, if the task has nothing else to do. */
function lentSo({ held }: { held: string | undefined }, { status }: Task): Pick<Execution, "lent" | "expiresMs"> {
  if (held === undefined) return { lent: {} };
  return status.state === "undoing" ? { lent: { held } } : { lent: { held }, expiresMs: heldResultMs };
}

/** The event with which an action is done that needs nothing but the journal. */
const tellings: Partial<Record<ActionName, (execution: Execution, task: Task) => MasterEventDraft>> = {
  "event.emit": ({ id, args }) => {
    const { type, subject, severity, data } = args as {
      type: string;
      subject?: string;
      severity: Severity;
      data: Record<string, unknown>;
    };
    return { type, subject: hideMarks(subject), severity, data: hideMarks(data), cause: id };
  },
  "task.comment": ({ id: cause, args }, { id, subject, reactor, reactorVersion, agent }) => {
    const data = { task: id, reactor, reactor_version: reactorVersion, agent, text: args["text"] };
    return { type: "task.comment", subject, severity: "low", data: hideMarks(data), cause };
  },
};

/** What a dry run says of an action that is done within the step. */
const intentions: Partial<Record<ActionName, (args: Record<string, unknown>) => string>> = {
  "event.emit": ({ type }) => `would put the event ${String(type)} into the journal`,
  "task.comment": () => "would write a comment into the task's history",
  wait: ({ for: lasts }) => `would wait for ${String(lasts)}`,
};

function foreseen(execution: Execution, now: number): Effect {
  const { id, action, args } = execution;
  const message = isActionName(action) ? intentions[action]?.(args) : undefined;
  const said = message === undefined ? {} : { message };
  const report: ExecutionReport = {
    ...{ execution: id, action, outcome: "succeeded", changed: action !== "wait", dry_run: true },
    ...{ ...said, started: now, ended: now },
  };
  return { kind: "performed", execution, report };
}

function performed(execution: Execution, now: number): Effect {
  const { id, action, args } = execution;
  const result = action === "event.emit" ? { type: args["type"] } : {};
  const report: ExecutionReport = { execution: id, action, outcome: "succeeded", changed: true, result, started: now, ended: now };
  return { kind: "performed", execution, report };
}

/** The record of a wait that is over. */
export function waited({ id: execution, action, cutMs }: Open, now: number): ExecutionReport {
  const ending =
    cutMs === undefined
      ? ({ outcome: "succeeded", result: {} } as const)
      : ({ outcome: "failed", message: `its time of ${formatDuration(cutMs)} was over` } as const);
  return { execution, action, changed: false, ...ending, started: now, ended: now };
}

/** The record of a command whose host said nothing of it in time, or that was stopped before it was sent. */
export function unheard(
  { execution, action, reason }: { execution: string; action: AnyActionName; reason: string },
  { outcome, now }: { outcome: "expired" | "cancelled"; now: number },
): ExecutionReport {
  return { execution, action, outcome, changed: false, message: reason, started: now, ended: now };
}

/** Commands are not wanted any more: somebody is told of it, or it is a wait, which is over at once. */
export function stopped(
  { open }: Task,
  unwanted: readonly Open[],
  { reason, now }: { reason: string; now: number },
): { open: Open[]; effects: Effect[] } {
  const effects = unwanted.map((each): Effect => {
    if (each.wakes === undefined) return { kind: "stop", execution: each.id };
    const { id: execution, action } = each;
    return { kind: "record", report: unheard({ execution, action, reason }, { outcome: "cancelled", now }) };
  });
  return { open: open.filter((each) => each.wakes === undefined || !unwanted.includes(each)), effects };
}
