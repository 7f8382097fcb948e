/**
 * The life of a task, as a pure state machine: (waiting ->) running -> verifying -> resolved; what fails is retried, then the next rung of the reactor's
 * ladder is tried, and after the last the task is escalated. What could not be begun in its time is expired. An operator may cancel it; of a
 * reactor that only shows what it would do it is planned. A step gives the task as it is now and the effects that the master must make durable together with it (P2) before it performs them.
 * A task that has not ended has a command under way or something that comes due: none is stuck.
 */
import { taskId } from "./ids.ts";
import { helpReason } from "./rollout.ts";
import type { HostFiring, Rollout } from "./rollout/types.ts";
import type { Firing, Plan, PlannedApproval } from "./rules/types.ts";
import { answered, askFor, unanswered } from "./task/approval.ts";
import { type Trip, tripped } from "./task/breaker.ts";
import { checkEnded, climb, eventSeen, stateDue, stepEnded } from "./task/climb.ts";
import { stopped, unheard, waited } from "./task/commands.ts";
import { callEnded, escalate, expire, isCalling } from "./task/escalate.ts";
import { recordIn, recordOf, taskOf } from "./task/made.ts";
import { admitted, enter, overdue } from "./task/lock.ts";
import { tell } from "./task/tell.ts";
import { type Beginning, type Effect, type Input, type Moment, type Step, type Task, withEffects } from "./task/types.ts";
import { leaseAnswered, lend, renewed } from "./task/lease.ts";
import { takeOver } from "./task/take-over.ts";
import { begunByHost, giveUpUndo, keep, undoDue, undoEnded, unguarded } from "./task/undo.ts";
import type { ExecutionReport } from "./action.ts";

export { isAwaited, listens } from "./task/listen.ts";
export { offersOf } from "./task/lease.ts";
export type {
  Beginning,
  Effect,
  Execution,
  Input,
  Lease,
  LeaseWord,
  MasterEventDraft,
  Moment,
  Offer,
  Purpose,
  Step,
  Task,
  Word,
} from "./task/types.ts";

/** The task of a firing, and what to do first. */
export function startTask(firing: Beginning, moment: Moment): Step {
  const { plan, reactor, trigger } = firing;
  const { task: id, ...order } = firing.order ?? { task: taskId(reactor.name, trigger.event.id) };
  const made = taskOf(recordOf(firing), { id, agent: trigger.agent, plan, now: moment.now });
  const task: Task = "by" in order ? { ...made, order } : made;
  if (reactor.mode !== "plan") return begin(task, plan, moment);
  const acts = actionsOf(task);
  return withEffects([created(task)], showPlan(task, { acts, reason: plan.ok ? undefined : plan.reason }));
}

/** A host whose turn it is. `firing`: its own, of several that go together. */
export interface HostTurn {
  agent: string;
  task: string;
  plan: Plan;
  firing?: HostFiring | undefined;
}

/** The task of one host of a rollout: tried, verified and undone as any other. People are called for the rollout as a whole. */
export function startOnHost(rollout: Rollout, { agent, task: id, plan, firing }: HostTurn, moment: Moment): Step {
  const own = plan.ok ? { ...plan, otherwise: [], joinKey: firing?.joinKey, approval: undefined } : plan;
  const { beginBy, asks } = rollout;
  const task = {
    ...taskOf(firing?.record ?? recordIn(rollout), { id, agent, plan: own, now: moment.now }),
    rollout: rollout.id,
    ...(rollout.joinKey === undefined ? {} : { fleetKey: rollout.joinKey }),
    ...(beginBy === undefined ? {} : { beginBy }),
    // Not before this one, for which it was given: of a task that is made like it. What was asked was asked of all hosts.
    ...(asks === undefined ? {} : { asks: withoutMessage(asks) }),
  };
  return begin(task, own, moment);
}

function withoutMessage(approval: PlannedApproval): PlannedApproval {
  const { message: _, ...terms } = approval;
  return terms;
}

/** Asks for somebody's word before a rollout begins. It does nothing else: when it has been given, the task is resolved. */
export function askAbout(rollout: Rollout & { asking: string }, approval: PlannedApproval, moment: Moment): Step {
  const plan: Plan = { ok: true, rungs: [], otherwise: [], joinKey: undefined, approval };
  const { agent, asking: id } = rollout;
  return begin({ ...taskOf(recordIn(rollout), { id, agent, plan, now: moment.now }), rollout: rollout.id }, plan, moment);
}

/** What `otherwise` says, once for a rollout: its history are the hosts on which it failed. */
export function callForHelp(rollout: Rollout, moment: Moment): Step {
  const { reactor, event, agent, otherwise, failures } = rollout;
  const id = taskId(reactor, event, "");
  const plan: Plan = { ok: true, rungs: [], otherwise, joinKey: undefined, approval: undefined };
  const history = failures.map(({ agent: host, reason, ...failure }) => ({ ...failure, rung: 0, reason: `${host}: ${reason}` }));
  const task = { ...taskOf(recordIn(rollout), { id, agent, plan, now: moment.now }), rollout: rollout.id, history };
  return withEffects([created(task)], escalate(task, helpReason(rollout), moment));
}

function begin(task: Task, plan: Plan, moment: Moment): Step {
  if (!plan.ok) return withEffects([created(task)], escalate(task, plan.reason, moment));
  return withEffects([created(task)], plan.approval === undefined ? enter(task, moment) : askFor(task, plan.approval, moment));
}

function created(task: Task): Effect {
  const { event, count, branch, rollout } = task;
  return tell(task, "task.created", { event, count, branch, actions: actionsOf(task), ...(rollout === undefined ? {} : { rollout }) });
}

function actionsOf({ rungs }: Task): string[] {
  return rungs.flatMap(({ steps }) => steps.map(({ action }) => action));
}

/**
 * The task of a firing with which a breaker trips: nothing of its ladder is begun, and it escalates with the evidence. `key`: of the breaker;
 * `all`: the reactor's own trips with it.
 */
export function startTripped(
  firing: Firing,
  { key, own, all }: { key: unknown[]; own: Trip; all: Trip | undefined },
  moment: Moment,
): Step {
  const { plan, reactor, trigger } = firing;
  const task = taskOf(recordOf(firing), { id: taskId(reactor.name, trigger.event.id), agent: trigger.agent, plan, now: moment.now });
  const told = [created(task), tripped(task, own, key), ...(all === undefined ? [] : [tripped(task, all, undefined)])];
  return withEffects(told, escalate(task, `${own.why} (${own.tasks.join(", ")})`, moment));
}

/** What one input does to a task. A report of a command of which it is known what became of it changes nothing: it counts once. */
export function stepTask(task: Task, input: Input, moment: Moment): Step {
  switch (input.kind) {
    case "report":
      // The host itself says that it did not begin it.
      return ended(task, input.report, { moment, isUntried: input.report.outcome === "expired" });
    case "expired": {
      const open = task.open.find(({ id }) => id === input.execution);
      if (open === undefined) return { task, effects: [] };
      const isUnwanted = task.status.state === "cancelled" || isStopping(task, open.id) || isKept(task, open.id);
      const outcome = isUnwanted ? "cancelled" : "expired";
      const report = unheard({ execution: open.id, action: open.action, reason: input.reason }, { outcome, now: moment.now });
      return ended(task, report, { moment, isUntried: input.untried === true && outcome === "expired" });
    }
    case "cancel":
      return isOpen(task) ? cancel(task, input, moment.now) : { task, effects: [] };
    case "keep":
      return isOpen(task) ? { task, effects: [] } : keep(task, input, moment);
    case "takes_over":
      return takeOver(task, input, moment);
    case "taken_over":
      return giveUpUndo(task, input, moment);
    case "leased":
    case "lease_refused":
      return leaseAnswered(task, input, moment);
    case "approve":
    case "deny":
      return answered(task, input, moment);
    case "turn":
      return admitted(task, moment);
    case "due":
      return due(task, moment);
    case "event":
      return isOpen(task) ? goOn(eventSeen(task, input.event, moment), moment) : { task, effects: [] };
    case "join":
      return { task: isOpen(task) ? { ...task, joined: task.joined + 1, updated: moment.now } : task, effects: [] };
  }
}

/** Whether what it was made for is still being tried: others may join it, and it can be cancelled. */
export function isOpen({ status: { state } }: Task): boolean {
  return state === "waiting" || state === "running" || state === "verifying" || state === "retrying" || state === "undoing";
}

/** Whether nothing can happen to a task any more. */
export function hasEnded(task: Task): boolean {
  return !isOpen(task) && task.open.length === 0 && task.leases.length === 0;
}

/** When time alone has consequences for it; undefined: it waits for a command, or has ended. */
export function dueOf({ status, leases, open }: Task): number | undefined {
  const leasesDue = leases.flatMap((lease) => ("renew" in lease ? [lease.renew] : "due" in lease ? [lease.due] : []));
  const dues = [...leasesDue, ...open.flatMap(({ wakes }) => wakes ?? [])];
  const until =
    status.state === "verifying"
      ? "until" in status.verifying
        ? status.verifying.until
        : undefined
      : "until" in status
        ? status.until
        : undefined;
  if (until !== undefined) dues.push(until);
  return dues.length === 0 ? undefined : Math.min(...dues);
}

/** What was open of a command is known now, and the state that depends on it goes on. */
function ended(task: Task, report: ExecutionReport, { moment, isUntried = false }: { moment: Moment; isUntried?: boolean }): Step {
  const { execution } = report;
  const begun = task.open.some(({ id }) => id === execution) ? { task, effects: [] } : begunByHost(task, execution, moment);
  if (begun === undefined) return { task, effects: [] };
  const closed: Task = { ...begun.task, open: begun.task.open.filter(({ id }) => id !== execution), updated: moment.now };
  const { status } = task;
  const never = isUntried && status.state === "running" && status.execution === execution && isFirstStep(task);
  const next = never ? neverTried(closed, report.message ?? "its time was up", moment) : afterReport(closed, report, moment);
  return withEffects([...begun.effects, { kind: "record", report }], next);
}

/** Its host has nothing to take back. */
function neverTried(task: Task, reason: string, moment: Moment): Step {
  const { task: left, effects } = unguarded(task, moment);
  return withEffects(effects, expire(left, reason, moment));
}

/** Where nothing was done of its first step nothing was done of the task. What its host has been lent would be taken back all the same. */
function isFirstStep({ attempts, begun, leases }: Task): boolean {
  return attempts === 1 && begun === 1 && leases.every((lease) => "renew" in lease);
}

function afterReport(task: Task, report: ExecutionReport, moment: Moment): Step {
  const { status } = task;
  const { execution } = report;
  const lease = task.leases.find((each) => "execution" in each && each.execution === execution);
  if (lease !== undefined && "execution" in lease) return goOn(undoEnded(task, lease, { report, moment }), moment);
  if (status.state === "running" && status.execution === execution) return goOn(stepEnded(task, status, { report, moment }), moment);
  if (status.state === "verifying" && status.verifying.by === "action" && status.verifying.execution === execution)
    return goOn(checkEnded(task, status, { report, moment }), moment);
  if (isCalling(status) && status.execution === execution) return callEnded(task, status, { report, moment });
  return { task, effects: [] };
}

function due(task: Task, moment: Moment): Step {
  const { status } = task;
  if (status.state === "waiting" && "lock" in status) return overdue(task, moment);
  if (status.state === "waiting") return status.until <= moment.now ? unanswered(task, status, moment) : { task, effects: [] };
  const awake = wake(task, moment);
  const undone = undoDue(awake.task, moment);
  const on = goOn(withEffects([...awake.effects, ...undone.effects], stateDue(undone.task, moment)), moment);
  return withEffects(on.effects, renewed(on.task, moment));
}

/** What waits of it are over. */
function wake(task: Task, moment: Moment): Step {
  const over = task.open.find(({ wakes = Number.POSITIVE_INFINITY }) => wakes <= moment.now);
  if (over === undefined) return { task, effects: [] };
  const { task: awake, effects } = ended(task, waited(over, moment.now), { moment });
  return withEffects(effects, wake(awake, moment));
}

/** What a rung did is taken back: the next one, then. That may be done within the step, and so more than once. */
function goOn(step: Step, moment: Moment): Step {
  const { task } = step;
  const { status } = task;
  if (status.state !== "undoing" || task.leases.some((lease) => lease.rung === task.rung && "execution" in lease)) return step;
  return goOn(withEffects(step.effects, climb(task, status.reason, moment)), moment);
}

function isStopping({ status }: Task, execution: string): boolean {
  return status.state === "running" && status.execution === execution && status.stopping !== undefined;
}

function isKept({ leases }: Task, execution: string): boolean {
  return leases.some((lease) => "kept" in lease && lease.execution === execution);
}

/** Nothing more of the ladder is started; what is lent is still taken back in its time. What is under way is stopped. */
function cancel(task: Task, { reason, by }: { reason: string; by: string }, now: number): Step {
  const undoing = new Set(task.leases.flatMap((lease) => ("execution" in lease ? [lease.execution] : [])));
  const unwanted = task.open.filter(({ id }) => !undoing.has(id));
  const { open, effects: stops } = stopped(task, unwanted, { reason: "it was cancelled", now });
  const cancelled: Task = { ...task, open, status: { state: "cancelled", reason, by }, updated: now };
  return withEffects([...stops, tell(cancelled, "task.cancelled", { reason, by, took_ms: now - task.created })], lend(cancelled, now));
}

function showPlan(task: Task, { acts, reason }: { acts: string[]; reason: string | undefined }): Step {
  const why = reason === undefined ? {} : { reason };
  const planned: Task = { ...task, status: { state: "planned", ...why } };
  return { task: planned, effects: [tell(planned, "task.planned", { actions: acts, ...why })] };
}
