/**
 * Sends commands to hosts and keeps at it: a command is persisted before it comes here (P2), goes out when its agent has a session, again
 * when the agent comes back or does not confirm, and ends with a result or by expiring.
 */
import type { ActionName } from "@needfire/shared/action";
import { taskOfExecution } from "@needfire/shared/ids";
import type { Execution } from "@needfire/shared/task";
import type { MasterMessage } from "@needfire/shared/wire";
import type { Session } from "./sessions.ts";
import type { Mark } from "./store/store.ts";

export interface DispatchOptions {
  sessionOf(agent: string): Session | undefined;
  send(session: Session, message: MasterMessage): boolean;
  /** The agent of a task, from the store. */
  agentOfTask(task: string): Promise<string | undefined>;
  /** When commands were sent and confirmed, for the record. */
  mark(marks: Mark[]): void;
  clock: { now(): number };
  expiresMs: number;
}

interface Open {
  execution: Execution;
  sent: number | undefined;
  accepted: boolean;
}

/** A command that was sent and not confirmed goes out again after so long. */
const resendMs = 10_000;
/** Ended executions whose agent is remembered, for effects that are told late. */
const endedRememberedMax = 50_000;

export class Dispatch {
  readonly #options: DispatchOptions;
  readonly #open = new Map<string, Open>();
  readonly #ended = new Map<string, string>();

  constructor(options: DispatchOptions, unfinished: Execution[]) {
    this.#options = options;
    for (const execution of unfinished) this.#open.set(execution.id, { execution, sent: undefined, accepted: false });
  }

  /** Takes a command that is in the store. */
  start(execution: Execution): void {
    const open: Open = { execution, sent: undefined, accepted: false };
    this.#open.set(execution.id, open);
    this.#send(open);
  }

  /** An agent has a session again: everything that it has not confirmed, and what it may have lost with a result, goes out. */
  resume(agent: string): void {
    for (const open of this.#open.values()) if (open.execution.agent === agent) this.#send(open);
  }

  accepted(agent: string, execution: string): void {
    const open = this.#open.get(execution);
    if (open?.execution.agent !== agent || open.accepted) return;
    open.accepted = true;
    this.#options.mark([{ execution, state: "accepted", at: this.#options.clock.now() }]);
  }

  ended(execution: string): void {
    const open = this.#open.get(execution);
    if (open === undefined) return;
    this.#open.delete(execution);
    this.#ended.set(execution, open.execution.agent);
    if (this.#ended.size > endedRememberedMax) this.#ended.delete(this.#ended.keys().next().value!);
  }

  /** The agent to which an execution was given; undefined when there is no such execution. */
  async ownerOf(execution: string): Promise<string | undefined> {
    const known = this.#open.get(execution)?.execution.agent ?? this.#ended.get(execution);
    return known ?? (await this.#options.agentOfTask(taskOfExecution(execution)));
  }

  /** Sends again what nobody confirmed; returns what has waited too long. */
  tick(now: number): Execution[] {
    const expired: Execution[] = [];
    for (const open of this.#open.values()) {
      if (now - open.execution.created > this.#options.expiresMs) expired.push(open.execution);
      else if (!open.accepted && open.sent !== undefined && now - open.sent > resendMs) this.#send(open);
    }
    return expired;
  }

  #send(open: Open): void {
    const { execution } = open;
    const session = this.#options.sessionOf(execution.agent);
    if (session === undefined) return;
    const { id, action, args } = execution;
    if (!this.#options.send(session, { kind: "execute", body: { execution: id, action: action satisfies ActionName, args } })) return;
    open.sent = this.#options.clock.now();
    this.#options.mark([{ execution: id, state: "sent", at: open.sent }]);
  }
}
