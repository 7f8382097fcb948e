/** What a task says of itself: each step of its life is an event. */
import type { Outcome, ExecutionReport } from "../action.ts";
import type { Severity } from "../event.ts";
import { hideMarks } from "../secret.ts";
import type { Effect, Task } from "./types.ts";

const severities: Readonly<Record<string, Severity>> = {
  "task.waiting": "normal",
  "task.denied": "normal",
  "task.lease_refused": "normal",
  "task.undo_dropped": "normal",
  "breaker.tripped": "high",
  "task.expired": "normal",
  "task.escalated": "high",
  "task.undo_failed": "high",
  "task.otherwise_failed": "high",
};

export function tell(task: Task, type: string, data: Record<string, unknown>): Effect {
  const severity = severities[type] ?? "low";
  const { id, subject, reactor, reactorVersion, agent } = task;
  const about = { task: id, reactor, reactor_version: reactorVersion, agent, ...data };
  return { kind: "emit", event: { type, subject, severity, cause: id, data: hideMarks(about) } };
}

/** Where on its ladder a task is, in people's numbers. */
export function place({ rung, rungs, attempt }: Task): { rung: number; rungs: number; attempt: number; attempts: number } {
  return { rung: rung + 1, rungs: rungs.length, attempt, attempts: rungs[rung]?.attempts ?? 1 };
}

const said: Record<Exclude<Outcome, "succeeded">, string> = {
  failed: "failed",
  interrupted: "was interrupted: the agent stopped while it ran",
  refused: "was refused by the agent",
  expired: "expired",
  cancelled: "was cancelled",
};

export function failureReason(report: ExecutionReport, what: "verification " | "undo " | ""): string {
  if (report.outcome === "succeeded") return "";
  return `${what}${report.action} ${said[report.outcome]}${report.message === undefined ? "" : `: ${report.message}`}`;
}
