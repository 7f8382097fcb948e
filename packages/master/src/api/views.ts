/**
 * The program's values as the API shows them: times become RFC 3339 texts, names the API's.
 */
import type {
  AgentApiView,
  EventView,
  ExecutionView,
  KeyView,
  MissingPart as MissingView,
  ReactorView,
  TaskShowView,
  TaskView,
} from "@needfire/shared/api";
import { isoTime } from "@needfire/shared/clock";
import type { Event } from "@needfire/shared/event";
import { fingerprint } from "@needfire/shared/identity";
import { formatDuration } from "@needfire/shared/duration";
import type { PlannedRung, PlannedStep } from "@needfire/shared/rules/types";
import type { Lease, Task } from "@needfire/shared/task";
import type { MissingPart } from "../journal/sqlite-reader.ts";
import type { KnownReactor } from "../known-reactor.ts";
import type { AgentPresence, ExecutionRecord, KeyRecord, MaintenanceRecord, ReactorCounts } from "../store/store.ts";

export function eventView(event: Event): EventView {
  return { ...event, time: isoTime(event.time), received: isoTime(event.received), data: event.data as Record<string, unknown> };
}

export function missingView({ from, to, ...part }: MissingPart): MissingView {
  return { ...part, from: isoTime(from), to: isoTime(to) };
}

export function keyView({ id, publicKey, state, labels, firstSeen, changed, by }: KeyRecord): KeyView {
  return { id, fingerprint: fingerprint(publicKey), state, labels, first_seen: isoTime(firstSeen), changed: isoTime(changed), by };
}

export function agentApiView(agent: {
  key: KeyRecord;
  view: { labels: Record<string, string>; facts: Record<string, unknown> };
  connected: boolean;
  presence: AgentPresence | undefined;
  lastSeen: number | undefined;
  maintenance: MaintenanceRecord | undefined;
  definitions: { beacons: { name: string; type: string }[]; files: { path: string }[] };
}): AgentApiView {
  return {
    id: agent.key.id,
    fingerprint: fingerprint(agent.key.publicKey),
    connected: agent.connected,
    ...(agent.presence === undefined ? {} : { presence: agent.presence.state, presence_since: isoTime(agent.presence.since) }),
    ...(agent.lastSeen === undefined ? {} : { last_seen: isoTime(agent.lastSeen) }),
    ...(agent.maintenance === undefined ? {} : { maintenance: maintenanceView(agent.maintenance) }),
    labels: agent.view.labels,
    facts: agent.view.facts,
    beacons: agent.definitions.beacons.map(({ name, type }) => ({ name, type })),
    files: agent.definitions.files.map(({ path }) => path),
  };
}

function maintenanceView({ until, why, by }: MaintenanceRecord): NonNullable<AgentApiView["maintenance"]> {
  return { until: isoTime(until), why, by };
}

export function reactorView(
  reactor: KnownReactor,
  { counts, setAside }: { counts: ReactorCounts | undefined; setAside: readonly Pick<KnownReactor, "name" | "version">[] },
): ReactorView {
  const { name, description, version, file, line, on, when, mode, priority, owner, runbook, steps } = reactor;
  return {
    name,
    description,
    version,
    file,
    line,
    on: [...on],
    ...(when === undefined ? {} : { when: when.source }),
    mode,
    ...(setAside.some((one) => one.name === name && one.version === version) ? { set_aside: true } : {}),
    priority,
    ...(owner === undefined ? {} : { owner }),
    ...(runbook === undefined ? {} : { runbook }),
    actions: steps.map(({ action }) => action),
    firings: counts?.firings ?? 0,
    throttled: counts?.throttled ?? 0,
    unrecorded: counts?.unrecorded ?? 0,
    ...(counts?.last === undefined ? {} : { last_firing: isoTime(counts.last) }),
    ...(counts === undefined || counts.sampled === 0 ? {} : { decision_ms: counts.sampledMs / counts.sampled }),
  };
}

export function taskView(task: Task, executions: ExecutionRecord[]): TaskView {
  const { id, reactor, reactorVersion, event, agent, subject, priority, status, created, updated, owner, runbook } = task;
  return {
    id,
    reactor,
    reactor_version: reactorVersion,
    event,
    agent,
    ...(task.rollout === undefined ? {} : { rollout: task.rollout }),
    ...(subject === undefined ? {} : { subject }),
    priority,
    state: status.state,
    ...("reason" in status ? { reason: status.reason } : {}),
    ...(status.state === "cancelled" ? { cancelled_by: status.by } : {}),
    ...(status.state === "waiting" && "approval" in status ? { approval: approvalView(status) } : {}),
    ...(task.approved === undefined ? {} : { approved: { ...task.approved, at: isoTime(task.approved.at) } }),
    ...(task.kept === undefined ? {} : { kept: { ...task.kept, at: isoTime(task.kept.at) } }),
    ...orderView(task),
    ...(status.state === "resolved" ? { verified: status.verified } : {}),
    branch: task.branch,
    ...(owner === undefined ? {} : { owner }),
    labels: task.labels,
    ...(runbook === undefined ? {} : { runbook }),
    key: task.key,
    count: task.count,
    steps: task.rungs[task.rung]?.steps.map(actionView) ?? [],
    rung: task.rung + 1,
    attempt: task.attempt,
    attempts: task.attempts,
    joined: task.joined,
    ...waitsFor(task),
    rungs: task.rungs.map(rungView),
    otherwise: task.otherwise.map(({ action }) => action),
    history: task.history.map(({ rung, at, ...rest }) => ({ ...rest, rung: rung + 1, at: isoTime(at) })),
    undo_due: task.leases.map(leaseView),
    ...(task.takenOver === undefined
      ? {}
      : { taken_over: task.takenOver.map(({ rung, by, at }) => ({ rung: rung + 1, by, at: isoTime(at) })) }),
    ...(task.tookOver === undefined ? {} : { took_over: task.tookOver }),
    created: isoTime(created),
    updated: isoTime(updated),
    executions: executions.map(executionView),
  };
}

/** With what its commands wait for that have not been given out (P5). */
export function withWaits(task: TaskView, waitOf: (execution: string) => string | undefined): TaskView {
  const executions = task.executions.map((execution) => {
    const wait = execution.ended === undefined ? waitOf(execution.id) : undefined;
    return wait === undefined ? execution : { ...execution, waits_for: wait };
  });
  // What stands there has an end of its own, for which the command is under way.
  const [wait] = executions.flatMap(({ waits_for: text }) => text ?? []);
  return { ...task, executions, ...(wait === undefined ? {} : { waits_for: wait }) };
}

function leaseView(lease: Lease): TaskView["undo_due"][number] {
  const rung = lease.rung + 1;
  const { lent } = lease;
  // An undo whose first step is the master's is never lent.
  const isHeld = "due" in lease && lent?.held?.due === lease.due;
  const by = lent === undefined || lent.refused !== undefined ? "master" : isHeld ? "host" : undefined;
  return {
    rung,
    ...("due" in lease ? { due: isoTime(lease.due) } : {}),
    ...(by === undefined ? {} : { by }),
    ...("renew" in lease ? { unheard: true } : {}),
    ...(lent?.refused === undefined ? {} : { why: lent.refused }),
    ...("takenBy" in lease && lease.takenBy !== undefined ? { given_up_for: lease.takenBy } : {}),
  };
}

/** What a person said of it. */
function orderView({ order }: Task): Pick<TaskView, "ordered_by" | "why" | "dry_run" | "retry_of"> {
  if (order === undefined) return {};
  const { by, why, dryRun, retryOf } = order;
  return {
    ordered_by: by,
    ...(why === undefined ? {} : { why }),
    ...(dryRun === undefined ? {} : { dry_run: dryRun }),
    ...(retryOf === undefined ? {} : { retry_of: retryOf }),
  };
}

export function commentView({ type, time, data }: Event): TaskShowView["comments"] {
  return type === "task.comment" ? [{ at: isoTime(time), by: String(data["by"]), text: String(data["text"]) }] : [];
}

function actionView({ action, args }: PlannedStep) {
  return { action, args };
}

function rungView({ steps, attempts, timeoutMs, verify, undo }: PlannedRung): TaskView["rungs"][number] {
  return {
    steps: steps.map(actionView),
    attempts,
    ...(timeoutMs === undefined ? {} : { timeout: formatDuration(timeoutMs) }),
    ...(verify === undefined ? {} : { verify: verifyText(verify) }),
    ...(undo === undefined ? {} : { undo: undoText(undo) }),
  };
}

function verifyText(verify: NonNullable<PlannedRung["verify"]>): string {
  const after = verify.afterMs === 0 ? "" : ` after ${formatDuration(verify.afterMs)}`;
  const within = verify.withinMs === undefined ? "" : ` within ${formatDuration(verify.withinMs)}`;
  const what = verify.by === "action" ? verify.step.action : `${verify.by === "event" ? "the event" : "no event"} ${verify.on.join(", ")}`;
  return `${what}${after}${within}`;
}

function undoText({ steps, afterMs, onFailure }: NonNullable<PlannedRung["undo"]>): string {
  const when = [...(onFailure ? ["when it failed"] : []), ...(afterMs === undefined ? [] : [`after ${formatDuration(afterMs)}`])];
  return `${steps.map(({ action }) => action).join(", ")} ${when.join(" or ")}`;
}

function approvalView({ until, approval }: Extract<Task["status"], { approval: unknown }>): NonNullable<TaskView["approval"]> {
  const { from, onTimeout, message } = approval;
  return { from: [...from], until: isoTime(until), on_timeout: onTimeout, ...(message === undefined ? {} : { message }) };
}

/** What an open task waits for, and until when. */
function waitsFor({ status, rungs, rung }: Task): Pick<TaskView, "due" | "waits_for"> {
  const dated = (until: number, text: string) => ({ due: isoTime(until), waits_for: text });
  if (status.state === "waiting" && "lock" in status) {
    const lock = `the lock ${JSON.stringify(status.lock)}, which ${status.behind} had`;
    return status.until === undefined ? { waits_for: lock } : dated(status.until, lock);
  }
  if (status.state === "waiting") return dated(status.until, `the word of ${status.approval.from.join(" or ")}`);
  if (status.state === "retrying") return dated(status.until, "the next attempt");
  if (status.state === "running" && status.until !== undefined)
    return dated(status.until, status.stopping === undefined ? "its steps" : "what becomes of the command that took too long");
  if (status.state !== "verifying") return {};
  const { verifying } = status;
  const verify = rungs[rung]?.verify;
  const what = verify === undefined ? "its check" : verifyText(verify);
  return verifying.by === "action" ? { waits_for: what } : dated(verifying.until, what);
}

function executionView({
  id,
  task,
  agent,
  action,
  args,
  purpose,
  rung,
  attempt,
  state,
  created,
  sent,
  report,
}: ExecutionRecord): ExecutionView {
  return {
    id,
    task,
    agent,
    action,
    args,
    purpose,
    rung: rung + 1,
    attempt,
    state,
    created: isoTime(created),
    ...(sent === undefined ? {} : { sent: isoTime(sent) }),
    ...(report === undefined ? {} : { started: isoTime(report.started), ended: isoTime(report.ended), changed: report.changed }),
    ...(report?.message === undefined ? {} : { message: report.message }),
    ...(report?.result === undefined ? {} : { result: report.result as Record<string, unknown> }),
  };
}
