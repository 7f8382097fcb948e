/**
 * Where an event comes from: the reactors whose remedies led to it (P7), and the host that it is about.
 */
import type { Event } from "@needfire/shared/event";
import { idKind, masterAgent, taskOfExecution } from "@needfire/shared/ids";
import type { Task } from "@needfire/shared/task";

/** `agent`: what the master says of a task, or in it, is about the task's host. */
export interface Origin {
  agent: string;
  ancestry: readonly string[];
}

const nobody: readonly string[] = [];

/** The origin of an event without a cause. */
export function fromNowhere({ agent }: Event): Origin {
  return { agent, ancestry: nobody };
}

export async function originOf({ agent, cause }: Event, readTask: (id: string) => Promise<Task | undefined>): Promise<Origin> {
  const kind = cause === undefined ? undefined : idKind(cause);
  if (cause === undefined || kind === undefined || kind === "event") return { agent, ancestry: [] };
  const task = await readTask(kind === "task" ? cause : taskOfExecution(cause));
  if (task === undefined) return { agent, ancestry: [] };
  return { agent: agent === masterAgent ? task.agent : agent, ancestry: task.ancestry };
}
