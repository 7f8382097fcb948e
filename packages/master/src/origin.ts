/**
 * Where an event comes from: the reactors whose remedies led to it and the event with which it began (P7), and the host that it is about.
 */
import type { Event } from "@needfire/shared/event";
import { idKind, masterAgent, taskOfExecution } from "@needfire/shared/ids";
import type { Causing } from "./store/store.ts";

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

export async function originOf(event: Event, readCause: (id: string) => Promise<Causing | undefined>): Promise<Origin> {
  const id = causeOf(event);
  return originBy(event, id === undefined ? undefined : await readCause(id));
}

/** The task or rollout whose effect an event is. */
export function causeOf({ cause }: Event): string | undefined {
  const kind = cause === undefined ? undefined : idKind(cause);
  if (cause === undefined || kind === undefined || kind === "event") return undefined;
  return kind === "execution" ? taskOfExecution(cause) : cause;
}

/** `by`: the task or rollout whose effect the event is, if it is known. */
export function originBy(event: Event, by: Causing | undefined): Origin {
  const { agent, cause } = event;
  if (by !== undefined) return { agent: agent === masterAgent ? by.agent : agent, ancestry: by.ancestry, root: by.root };
  return cause !== undefined && idKind(cause) === "event" ? { agent, ancestry: nobody, root: cause } : fromNowhere(event);
}
