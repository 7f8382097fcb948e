/**
 * Sends commands to hosts and keeps at it: a command is persisted before it comes here (P2), goes out when its agent has a session, again
 * when the agent comes back or does not confirm, and ends with a result, by expiring, or by being cancelled. Of what waits for an agent the
 * critical goes first (P8), and only so many are on their way to it that none is lost in a full queue.
 */
import type { AnyActionName } from "@needfire/shared/action";
import { NeedfireError } from "@needfire/shared/errors";
import { severities, type Severity } from "@needfire/shared/event";
import type { Execution } from "@needfire/shared/task";
import type { MasterMessage } from "@needfire/shared/wire";
import type { Expired } from "./react/react.ts";
import type { Revealed } from "./secrets.ts";
import type { Session } from "./sessions.ts";
import type { Mark, OpenExecution } from "./store/store.ts";

export interface DispatchOptions {
  /** The numbering in which an agent was before this master's life. */
  epochOf(agent: string): string | undefined;
  sessionOf(agent: string): Session | undefined;
  /** `urgent` overtakes what is not (P8). */
  send(session: Session, message: MasterMessage, urgent: boolean): boolean;
  /** A command's arguments with its secrets, and the digest of its content, in place; what this gives is sent and kept nowhere. */
  reveal(args: Record<string, unknown>, action: AnyActionName): Revealed;
  /** When commands were sent and confirmed, for the record. */
  mark(marks: Mark[]): void;
  clock: { now(): number };
  /** What a command's time runs by: a step of the wall clock expires nothing, and revives nothing. */
  monotonic: { now(): number };
  expiresMs: number;
}

interface Open {
  execution: Execution;
  /** By the monotonic clock. */
  expires: number;
  /** When it goes out again if nobody confirms it, or its cancellation; by the monotonic clock. */
  resend: number;
  /** It may have reached its host. */
  sent: boolean;
  /**
   * In which numbering of its agent's it was first sent, as far as that is known. In another one the agent has no record of it, so it goes out as
   * `again`, over a restart of this master, too: the mark that tells it is durable with the agent's first facts in the other one, or before (P3).
   */
  epoch: string | undefined;
  cancelled: boolean;
  /** The content that it brings, by its digest. */
  content?: string;
  /** Why it can never go out. */
  unsendable?: string;
}

/** The commands of one agent. All are in `open`, the oldest first; one that waits is in its lane, too, one that is sent in `onTheWay`. */
interface Queue {
  open: Set<Open>;
  lanes: Record<Severity, Set<Open>>;
  onTheWay: Set<Open>;
}

/** Commands to one agent that are sent and not confirmed yet. libzmq keeps 1,000 frames for a peer, and they are not the only ones. */
const windowCommandsMax = 256;
/** What was sent and not confirmed goes out again after so long. */
const resendMs = 10_000;
/** How much later than its time a command's result may come: a program that is ended has a while to see to it. */
const lateResultMs = 15_000;
/** The same after libzmq could not take a frame for the agent. */
const resendSlowMs = 500;

export class Dispatch {
  readonly #options: DispatchOptions;
  readonly #open = new Map<string, Open>();
  readonly #queues = new Map<string, Queue>();

  /** `unfinished`: the oldest first. */
  constructor(options: DispatchOptions, unfinished: OpenExecution[]) {
    this.#options = options;
    const now = options.clock.now();
    for (const { cancelled = false, begun: _, epoch, ...execution } of unfinished) {
      // Over a restart only the wall clock has gone on; a command from the future has all its time and no more.
      const age = Math.max(0, now - execution.created);
      // Where no mark says in which numbering it was sent, it is the last that its agent is known to have had, or it was not sent.
      this.#add(execution, { age, sent: true, cancelled, epoch: epoch ?? options.epochOf(execution.agent) });
    }
  }

  /** Takes a command that is in the store. */
  start(execution: Execution): void {
    this.#add(execution, { age: 0, sent: false, cancelled: false, epoch: undefined });
    this.#pump(execution.agent);
  }

  /** An agent has a session again: everything that it has not confirmed, and what it may have lost with a result, goes out. */
  resume(agent: string): void {
    const queue = this.#queues.get(agent);
    if (queue === undefined) return;
    queue.onTheWay.clear();
    for (const open of queue.open) {
      if (open.unsendable !== undefined) continue;
      if (open.cancelled) this.#sendCancel(open);
      else queue.lanes[open.execution.priority].add(open);
    }
    this.#pump(agent);
  }

  /** Whether an agent may ask for a content: a command that it has not ended brings it. */
  brings(agent: string, digest: string): boolean {
    for (const { content } of this.#queues.get(agent)?.open ?? []) if (content === digest) return true;
    return false;
  }

  accepted(agent: string, execution: string): void {
    const open = this.#open.get(execution);
    const queue = this.#queues.get(agent);
    if (open?.execution.agent !== agent || queue?.onTheWay.delete(open) !== true) return;
    this.#options.mark([{ execution, state: "accepted", at: this.#options.clock.now() }]);
    this.#pump(agent);
  }

  /** A frame for this agent got lost on the way out: which one is not known. */
  slow(agent: string): void {
    const queue = this.#queues.get(agent);
    const soon = this.#options.monotonic.now() + resendSlowMs;
    for (const open of queue?.open ?? []) if (open.cancelled || queue?.onTheWay.has(open)) open.resend = Math.min(open.resend, soon);
  }

  /** The task of a command was cancelled. Returns the command when it has certainly not gone out, and now never will. */
  cancel(execution: string): Expired[] {
    const open = this.#open.get(execution);
    if (open === undefined || open.cancelled) return [];
    open.cancelled = true;
    this.#withdraw(open);
    if (open.sent) this.#sendCancel(open);
    else open.unsendable = "it was cancelled before it was sent";
    this.#pump(open.execution.agent);
    return open.unsendable === undefined ? [] : [{ execution: open.execution, reason: open.unsendable }];
  }

  ended(execution: string): void {
    const open = this.#open.get(execution);
    if (open === undefined) return;
    const { agent } = open.execution;
    this.#open.delete(execution);
    this.#withdraw(open);
    const queue = this.#queues.get(agent);
    queue?.open.delete(open);
    if (queue?.open.size === 0) this.#queues.delete(agent);
    this.#pump(agent);
  }

  /** Sends again what nobody confirmed; returns what is given up, again at each call until it has ended. */
  tick(): Expired[] {
    const now = this.#options.monotonic.now();
    const expired: Expired[] = [];
    for (const [agent, queue] of this.#queues) {
      for (const open of queue.open) {
        const reason = open.unsendable ?? (now >= givenUpAt(open) ? expiryReason(open) : undefined);
        if (reason === undefined) this.#sendAgain(open, queue, now);
        else {
          this.#withdraw(open);
          expired.push({ execution: open.execution, reason });
        }
      }
      this.#pump(agent);
    }
    return expired;
  }

  #add(execution: Execution, { age, ...known }: Pick<Open, "sent" | "cancelled" | "epoch"> & { age: number }): void {
    const expires = this.#options.monotonic.now() + (execution.expiresMs ?? this.#options.expiresMs) - age;
    const open: Open = { execution, expires, resend: Infinity, ...known };
    this.#open.set(execution.id, open);
    const queue = this.#queues.get(execution.agent) ?? emptyQueue();
    this.#queues.set(execution.agent, queue);
    queue.open.add(open);
    if (!open.cancelled) queue.lanes[execution.priority].add(open);
  }

  /** From now on it neither goes out nor takes up room. */
  #withdraw(open: Open): void {
    const { agent, priority } = open.execution;
    const queue = this.#queues.get(agent);
    queue?.lanes[priority].delete(open);
    queue?.onTheWay.delete(open);
  }

  /** Sends what waits, as far as the window has room. */
  #pump(agent: string): void {
    const queue = this.#queues.get(agent);
    const session = this.#options.sessionOf(agent);
    if (queue === undefined || session === undefined) return;
    const now = this.#options.monotonic.now();
    const marks: Mark[] = [];
    for (const open of inPriority(queue)) {
      if (queue.onTheWay.size >= windowCommandsMax) break;
      if (now >= open.expires) continue;
      if (!this.#sendCommand(session, open, now)) {
        if (open.unsendable === undefined) break;
        continue;
      }
      queue.lanes[open.execution.priority].delete(open);
      queue.onTheWay.add(open);
      open.sent = true;
      marks.push({ execution: open.execution.id, state: "sent", at: this.#options.clock.now(), epoch: session.epoch });
    }
    if (marks.length > 0) this.#options.mark(marks);
  }

  #sendAgain(open: Open, queue: Queue, now: number): void {
    if (now < open.resend) return;
    const session = this.#options.sessionOf(open.execution.agent);
    if (open.cancelled) this.#sendCancel(open);
    else if (session !== undefined && queue.onTheWay.has(open)) this.#sendCommand(session, open, now);
  }

  #sendCommand(session: Session, open: Open, now: number): boolean {
    const { id, action, args, priority, dryRun } = open.execution;
    const expiresInMs = Math.max(0, Math.floor(open.expires - now));
    open.resend = now + resendMs;
    const revealed = this.#options.reveal(args, action);
    if (!revealed.ok) {
      open.unsendable = `${action} cannot be sent: ${revealed.reason}`;
      return false;
    }
    if (typeof revealed.args["digest"] === "string") open.content = revealed.args["digest"];
    try {
      const again = (open.epoch ?? session.epoch) === session.epoch ? {} : { again: true };
      const secrets = revealed.secrets.length === 0 ? {} : { secrets: revealed.secrets };
      const dry = dryRun === true ? { dryRun } : {};
      const body = {
        execution: id,
        action: action satisfies AnyActionName,
        args: revealed.args,
        ...secrets,
        priority,
        expiresInMs,
        ...again,
        ...dry,
      };
      const isSent = this.#options.send(session, { kind: "execute", body }, priority === "critical");
      if (isSent) open.epoch ??= session.epoch;
      return isSent;
    } catch (error) {
      if (!(error instanceof NeedfireError) || error.code !== "FRAME_TOO_LARGE") throw error;
      open.unsendable = `${action} cannot be sent: ${error.message}`;
      return false;
    }
  }

  #sendCancel(open: Open): void {
    const { id, agent, action } = open.execution;
    open.resend = this.#options.monotonic.now() + resendMs;
    const session = this.#options.sessionOf(agent);
    if (session !== undefined) this.#options.send(session, { kind: "cancel", body: { execution: id, action } }, true);
  }
}

/** A host that has a command with a time of its own may be about to say that the time was up. */
function givenUpAt({ expires, sent, execution }: Open): number {
  return sent && execution.expiresMs !== undefined ? expires + lateResultMs : expires;
}

function expiryReason({ execution: { action, agent }, cancelled, sent }: Open): string {
  if (cancelled) return `${agent} did not say within its time what became of it`;
  return sent ? `${action} on ${agent} had no result within its time` : `${agent} was not there within the time of ${action}`;
}

function emptyQueue(): Queue {
  const lanes = { critical: new Set<Open>(), high: new Set<Open>(), normal: new Set<Open>(), low: new Set<Open>() };
  return { open: new Set(), lanes, onTheWay: new Set() };
}

/** P8: what waits, the most urgent first, of equal ones the oldest. */
function* inPriority({ lanes }: Queue): Generator<Open> {
  for (const severity of severities) yield* lanes[severity];
}
