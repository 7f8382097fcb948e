/**
 * Ids and their grammar. An id that fits its grammar is safe in a log line and a terminal; none becomes a file name unchecked.
 *
 * - event      `web1:mi4k2x:42`   agent, the spool's epoch, the number in it: made by the master from the session, so nobody can claim another's
 * - task       `t-3f9a1c0b27d40000`   from the reactor and the event that fired it: the same firing has the same id after a crash (P2)
 * - rollout    `r-9b1c44d07e2a51f3`   the same for one that goes to several hosts, of which each has a task: from reactor, event and host
 * - execution  `t-3f9a1c0b27d40000.1` the task's first, second, ... command to a host
 */
import { createHash } from "node:crypto";

export const agentIdPattern = "^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$";
export const epochPattern = "^[0-9a-z]{1,12}$";
export const eventTypePattern = "^[a-z][a-z0-9_-]*(\\.[a-z0-9_-]+)+$";
export const namePattern = "^[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?$";
export const executionIdPattern = "^t-[0-9a-f]{16}\\.[0-9]{1,4}$";
export const digestPattern = "^[0-9a-f]{64}$";

/** The agent name under which the master's own events stand. No host can have it. */
export const masterAgent = "master";

export function eventId(agent: string, epoch: string, sequence: number): string {
  return `${agent}:${epoch}:${sequence}`;
}

export function parseEventId(id: string): { agent: string; epoch: string; sequence: number } | undefined {
  const match = /^([a-z0-9._-]{1,63}):([0-9a-z]{1,12}):([0-9]{1,15})$/.exec(id);
  if (!match) return undefined;
  return { agent: match[1]!, epoch: match[2]!, sequence: Number(match[3]) };
}

/** An epoch: the moment a numbering began, in base 36. */
export function epochAt(now: number): string {
  return Math.floor(now).toString(36);
}

/** The id of the task that `reactor` makes of `event`; `host`: of a rollout, the one that it is for. Deterministic. */
export function taskId(reactor: string, event: string, host?: string): string {
  return `t-${digestOf(host === undefined ? [reactor, event] : [reactor, event, host])}`;
}

/** The id of the rollout that `reactor` makes of `event`. Deterministic. */
export function rolloutId(reactor: string, event: string): string {
  return `r-${digestOf([reactor, event])}`;
}

function digestOf(parts: readonly string[]): string {
  return createHash("sha256").update(parts.join("\0")).digest("hex").slice(0, 16);
}

export function executionId(task: string, number: number): string {
  return `${task}.${number}`;
}

/** What an id in `cause` refers to. */
export function idKind(id: string): "event" | "execution" | "task" | "rollout" | undefined {
  if (/^t-[0-9a-f]{16}$/.test(id)) return "task";
  if (/^r-[0-9a-f]{16}$/.test(id)) return "rollout";
  if (new RegExp(executionIdPattern).test(id)) return "execution";
  return parseEventId(id) ? "event" : undefined;
}

export function taskOfExecution(execution: string): string {
  return execution.slice(0, execution.lastIndexOf("."));
}
