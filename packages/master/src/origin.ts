/**
 * Where an event comes from: the reactors whose remedies led to it and the event with which it began (P7), and the host that it is about.
 */
import type { Event } from "@needfire/shared/event";
import { idKind, masterAgent, taskOfExecution } from "@needfire/shared/ids";
import type { Task } from "@needfire/shared/task";

/** `agent`: what the master says of a task, or in it, is about the task's host. `root`: the event's own id when nothing caused it. */
export interface Origin {
  agent: string;
  ancestry: readonly string[];
  root: string;
}

const nobody: readonly string[] = [];

/** The origin of an event without a cause. */
export function fromNowhere({ id, agent }: Event): Origin {
  return { agent, ancestry: nobody, root: id };
}

export async function originOf(event: Event, readTask: (id: string) => Promise<Task | undefined>): Promise<Origin> {
  const { agent, cause } = event;
  const kind = cause === undefined ? undefined : idKind(cause);
  if (cause === undefined || kind === undefined) return fromNowhere(event);
  if (kind === "event") return { agent, ancestry: nobody, root: cause };
  const task = await readTask(kind === "task" ? cause : taskOfExecution(cause));
  if (task === undefined) return fromNowhere(event);
  return { agent: agent === masterAgent ? task.agent : agent, ancestry: task.ancestry, root: task.root };
}
