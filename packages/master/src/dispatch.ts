/**
 * Sends commands to hosts and keeps at it: a command is persisted before it comes here (P2), goes out when its agent has a session, again
 * when the agent comes back or does not confirm, and ends with a result or by expiring.
 */
import type { ActionName } from "@needfire/shared/action";
import { NeedfireError } from "@needfire/shared/errors";
import type { Execution } from "@needfire/shared/task";
import type { MasterMessage } from "@needfire/shared/wire";
import type { Expired } from "./react.ts";
import type { Session } from "./sessions.ts";
import type { Mark } from "./store/store.ts";

export interface DispatchOptions {
  sessionOf(agent: string): Session | undefined;
  /** `urgent` overtakes what is not (P8). */
  send(session: Session, message: MasterMessage, urgent: boolean): boolean;
  /** When commands were sent and confirmed, for the record. */
  mark(marks: Mark[]): void;
  clock: { now(): number };
  expiresMs: number;
}

interface Open {
  execution: Execution;
  sent: number | undefined;
  accepted: boolean;
  /** Why it can never go out. */
  unsendable?: string;
}

/** A command that was sent and not confirmed goes out again after so long. */
const resendMs = 10_000;

export class Dispatch {
  readonly #options: DispatchOptions;
  readonly #open = new Map<string, Open>();

  constructor(options: DispatchOptions, unfinished: Execution[]) {
    this.#options = options;
    for (const execution of unfinished) this.#open.set(execution.id, { execution, sent: undefined, accepted: false });
  }

  /** Takes a command that is in the store. */
  start(execution: Execution): void {
    const open: Open = { execution, sent: undefined, accepted: false };
    this.#open.set(execution.id, open);
    this.#send([open]);
  }

  /** An agent has a session again: everything that it has not confirmed, and what it may have lost with a result, goes out. */
  resume(agent: string): void {
    this.#send(this.#open.values().filter(({ execution }) => execution.agent === agent));
  }

  accepted(agent: string, execution: string): void {
    const open = this.#open.get(execution);
    if (open?.execution.agent !== agent || open.accepted) return;
    open.accepted = true;
    this.#options.mark([{ execution, state: "accepted", at: this.#options.clock.now() }]);
  }

  ended(execution: string): void {
    this.#open.delete(execution);
  }

  /** Sends again what nobody confirmed; returns what is given up, again at each call until it has ended. */
  tick(now: number): Expired[] {
    const expired: Expired[] = [];
    const unconfirmed: Open[] = [];
    for (const open of this.#open.values()) {
      const { execution, unsendable } = open;
      if (unsendable !== undefined) expired.push({ execution, reason: unsendable });
      else if (now - execution.created > this.#options.expiresMs)
        expired.push({ execution, reason: `${execution.action} on ${execution.agent} had no result within its time` });
      else if (!open.accepted && open.sent !== undefined && now - open.sent > resendMs) unconfirmed.push(open);
    }
    this.#send(unconfirmed);
    return expired;
  }

  #send(commands: Iterable<Open>): void {
    const marks: Mark[] = [];
    for (const open of commands) {
      if (!this.#sendOne(open)) continue;
      open.sent = this.#options.clock.now();
      marks.push({ execution: open.execution.id, state: "sent", at: open.sent });
    }
    if (marks.length > 0) this.#options.mark(marks);
  }

  #sendOne(open: Open): boolean {
    const { id, agent, action, args, priority = "normal" } = open.execution;
    const session = this.#options.sessionOf(agent);
    if (session === undefined) return false;
    try {
      const body = { execution: id, action: action satisfies ActionName, args, priority };
      return this.#options.send(session, { kind: "execute", body }, priority === "critical");
    } catch (error) {
      if (!(error instanceof NeedfireError) || error.code !== "FRAME_TOO_LARGE") throw error;
      open.unsendable = `${action} cannot be sent: ${error.message}`;
      return false;
    }
  }
}
