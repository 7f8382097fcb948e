/**
 * Tasks that a person makes. An order names an action for some hosts and makes a task for each of them; a retry makes a task like one that has
 * ended. Either is an event of the master's own, from which the tasks follow as they do from a reactor's firing: what is ordered is in the
 * journal first, and done once (P2). Pure.
 */
import type { AnyActionName } from "../action.ts";
import type { Event, Severity } from "../event.ts";
import { rolloutId, taskId } from "../ids.ts";
import type { RetryScope, Rollout } from "../rollout/types.ts";
import { plainRung } from "../rules/fire.ts";
import { isOpen } from "../task.ts";
import type { Beginning, MasterEventDraft, Task, TaskOrder } from "./types.ts";

/** What stands where else the reactor's name is. No reactor can have it. */
export const byHand = "by hand";
/** The events that a person's tasks follow from. */
const orderedType = "task.ordered";
const retriedType = "task.retried";
/** How long a host has to say what a retry would do, the wait for one that is away included. */
const foreseeMs = 60_000;
/** A rollout follows from it. */
export const rolloutRetriedType = "rollout.retried";

/** `request`: the asker's own name for it: what has the same one is the same order. `agents`: whom `targets` meant when it was given. */
export interface HandOrder {
  request: string;
  by: string;
  why: string | undefined;
  targets: string | readonly string[];
  agents: readonly string[];
  action: AnyActionName;
  args: Record<string, unknown>;
  dryRun: boolean;
  priority: Severity;
  timeoutMs: number;
}

/** Whether tasks follow from events of this type, whatever the reactors say. */
export function isOrder(type: string): boolean {
  return type === orderedType || type === retriedType || type === rolloutRetriedType;
}

/** The same for the same request: asked for twice, it is made once. */
export function orderedTaskId(request: string, { reactor, agent }: Pick<Task, "reactor" | "agent">): string {
  return taskId(reactor, `${request}\0${agent}`);
}

export function orderEvent(order: HandOrder, subject: string): MasterEventDraft {
  const { request, by, why, targets, agents, action, args, dryRun, priority, timeoutMs } = order;
  const reason = why === undefined ? {} : { why };
  const what = { action, args, dry_run: dryRun, priority, timeout_ms: timeoutMs };
  return {
    type: orderedType,
    severity: "normal",
    subject,
    data: { request, by, ...reason, targets, agents: [...agents], ...what },
  };
}

/** What a person says who wants a task tried once more. `dryRun`: its host is to say what that would do there. */
export type RetryWish = Pick<HandOrder, "request" | "by" | "why"> & { dryRun?: boolean | undefined };

export function retryEvent(task: Task, { request, by, why, dryRun }: RetryWish): MasterEventDraft {
  const { id, reactor, agent, subject } = task;
  const reason = why === undefined ? {} : { why };
  const dry = dryRun === true ? { dry_run: true } : {};
  return { type: retriedType, severity: "normal", subject, cause: id, data: { task: id, reactor, agent, request, by, ...reason, ...dry } };
}

/** Of what a retry makes. What is only foreseen is no task of the reactor's. */
export function retriedTaskId({ request, dryRun }: RetryWish, { reactor, agent }: Pick<Task, "reactor" | "agent">): string {
  return orderedTaskId(request, { reactor: dryRun === true ? byHand : reactor, agent });
}

/** The same for the same request, as a task's is. */
export function orderedRolloutId(request: string, { id, reactor }: Pick<Rollout, "id" | "reactor">): string {
  return rolloutId(reactor, `${request}\0${id}`);
}

/** What a person says who wants a rollout tried again. */
export type RolloutRetryWish = Pick<HandOrder, "request" | "by" | "why"> & RetryScope;

export function rolloutRetryEvent(rollout: Rollout, { request, by, why, unresolved }: RolloutRetryWish): MasterEventDraft {
  const { id, reactor, reactorVersion, subject } = rollout;
  const scope = unresolved ? { unresolved } : {};
  const data = { rollout: id, reactor, reactor_version: reactorVersion, request, by, ...(why === undefined ? {} : { why }), ...scope };
  return { type: rolloutRetriedType, severity: "normal", subject, cause: id, data };
}

/** Why a task cannot be tried once more; undefined: it can. */
export function retryProblem(task: Task): string | undefined {
  const { status, open, leases, rungs } = task;
  if (isOpen(task)) return `it is ${status.state}: cancel it first, or wait for its end`;
  if (status.state === "resolved") return "it is resolved: there is nothing to try again";
  if (status.state === "planned") return "its reactor only plans: nothing was tried";
  if (open.length > 0) return "one of its commands is still under way";
  if (leases.length > 0) return "what it did is still to be taken back";
  return rungs.length === 0 ? "what it was to do could not be worked out" : undefined;
}

/** What an order makes: a task for each of its hosts. The event was made by `orderEvent`. */
export function beginningsOf(event: Event): Beginning[] {
  const { request, by, why, agents, action, args, dry_run: dryRun, priority, timeout_ms: timeoutMs } = event.data as unknown as OrderedData;
  return agents.map((agent) => ({
    ...ordered(event, agent, priority),
    plan: { ok: true, rungs: [plainRung([{ action, args }])], otherwise: [], joinKey: undefined, approval: undefined },
    order: {
      task: orderedTaskId(request, { reactor: byHand, agent }),
      ...orderOf({ by, why }),
      ...(dryRun ? { dryRun } : {}),
      expiresMs: timeoutMs,
    },
  }));
}

/** The same once more, from its first rung on; where somebody had to say yes, somebody has to again. The event was made by `retryEvent`. */
export function retryOf(event: Event, task: Task): Beginning {
  const { request, by, why, dry_run: isForeseen } = event.data as unknown as Pick<OrderedData, "request" | "by" | "why" | "dry_run">;
  if (isForeseen) return foreseenOf(event, task);
  const { agent, reactor, priority, owner, labels, order } = task;
  const { dryRun, expiresMs } = order ?? {};
  return {
    reactor: { name: reactor, version: task.reactorVersion, owner, runbook: task.runbook, mode: "live" },
    branch: task.branch,
    trigger: { event, agent, ancestry: task.ancestry.slice(0, -1), root: task.root },
    events: [event.id],
    count: 1,
    key: task.key,
    ancestry: task.ancestry.slice(0, -1),
    route: { priority, owner, labels },
    priority,
    plan: {
      ok: true,
      rungs: task.rungs,
      otherwise: task.otherwise,
      joinKey: task.joinKey,
      approval: task.asks,
      ...(task.lock === undefined ? {} : { lock: task.lock }),
      ...(task.beginMs === undefined ? {} : { beginMs: task.beginMs }),
    },
    order: {
      task: orderedTaskId(request, task),
      ...orderOf({ by, why }),
      ...(dryRun === undefined ? {} : { dryRun }),
      ...(expiresMs === undefined ? {} : { expiresMs }),
      retryOf: task.id,
    },
  };
}

/** The host says what the first rung would do there. Nothing of the reactor's is touched: no lock, no limit, nobody's word. */
function foreseenOf(event: Event, { agent, rungs, priority, order }: Task): Beginning {
  const { request, by, why } = event.data as unknown as Pick<OrderedData, "request" | "by" | "why">;
  const { expiresMs = foreseeMs } = order ?? {};
  return {
    ...ordered(event, agent, priority),
    plan: {
      ok: true,
      rungs: rungs.slice(0, 1).map(({ steps }) => plainRung([...steps])),
      otherwise: [],
      joinKey: undefined,
      approval: undefined,
    },
    order: { task: orderedTaskId(request, { reactor: byHand, agent }), ...orderOf({ by, why }), dryRun: true, expiresMs },
  };
}

/** What a person wants of a host, whatever that is. */
function ordered(event: Event, agent: string, priority: Severity): Omit<Beginning, "plan" | "order"> {
  return {
    reactor: { name: byHand, version: "1", owner: undefined, runbook: undefined, mode: "live" },
    branch: "do",
    trigger: { event, agent, ancestry: [], root: event.id },
    events: [event.id],
    count: 1,
    key: [],
    ancestry: [],
    route: { priority, owner: undefined, labels: {} },
    priority,
  };
}

/** What `orderEvent` says. */
interface OrderedData {
  request: string;
  by: string;
  why?: string;
  agents: string[];
  action: AnyActionName;
  args: Record<string, unknown>;
  dry_run: boolean;
  priority: Severity;
  timeout_ms: number;
}

function orderOf({ by, why }: { by: string; why: string | undefined }): TaskOrder {
  return { by, ...(why === undefined ? {} : { why }) };
}
