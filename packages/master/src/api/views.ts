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
  TaskView,
} from "@needfire/shared/api";
import { isoTime } from "@needfire/shared/clock";
import type { Event } from "@needfire/shared/event";
import { fingerprint } from "@needfire/shared/identity";
import type { Task } from "@needfire/shared/task";
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

export function reactorView(reactor: KnownReactor, counts: ReactorCounts | undefined): ReactorView {
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
    ...(subject === undefined ? {} : { subject }),
    priority,
    state: status.state,
    ...("reason" in status ? { reason: status.reason } : {}),
    ...(status.state === "cancelled" ? { cancelled_by: status.by } : {}),
    ...(status.state === "resolved" ? { verified: status.verified } : {}),
    branch: task.branch,
    ...(owner === undefined ? {} : { owner }),
    labels: task.labels,
    ...(runbook === undefined ? {} : { runbook }),
    key: task.key,
    count: task.count,
    steps: task.steps.map(({ action, args }) => ({ action, args })),
    created: isoTime(created),
    updated: isoTime(updated),
    executions: executions.map(executionView),
  };
}

function executionView({ id, task, agent, action, args, purpose, state, created, sent, report }: ExecutionRecord): ExecutionView {
  return {
    id,
    task,
    agent,
    action,
    args,
    purpose,
    state,
    created: isoTime(created),
    ...(sent === undefined ? {} : { sent: isoTime(sent) }),
    ...(report === undefined ? {} : { started: isoTime(report.started), ended: isoTime(report.ended), changed: report.changed }),
    ...(report?.message === undefined ? {} : { message: report.message }),
    ...(report?.result === undefined ? {} : { result: report.result as Record<string, unknown> }),
  };
}
