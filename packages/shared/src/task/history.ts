/** What is remembered of attempts that failed, for people and for `otherwise`. */
import type { ExecutionReport } from "../action.ts";
import { evidenceCharactersMax, type FailedAttempt, historyAttemptsMax, type Task } from "./types.ts";

export interface Failure {
  reason: string;
  report?: ExecutionReport;
}

export function note(task: Task, { reason, report }: Failure, at: number): Task {
  const { rung, attempt: number } = task;
  const output = outputOf(report);
  const cut = reason.slice(0, evidenceCharactersMax);
  const failed: FailedAttempt = { rung, attempt: number, at, reason: cut, ...(output === "" ? {} : { output }) };
  return { ...task, history: [...task.history, failed].slice(-historyAttemptsMax) };
}

/** What a program said last: rather what it complained of. */
function outputOf(report: ExecutionReport | undefined): string {
  const { stdout, stderr } = (report?.result ?? {}) as { stdout?: unknown; stderr?: unknown };
  const said = [stderr, stdout].find((text) => typeof text === "string" && text !== "");
  return typeof said === "string" ? said.trimEnd().slice(-evidenceCharactersMax) : "";
}
