/**
 * Sends commands to hosts and keeps at it: a command is persisted before it comes here (P2), goes out when its agent has a session and it is its turn
 * (command-turns.ts), again when the agent comes back or does not confirm, and ends with a result, by expiring, or by being cancelled.
 */
import type { AnyActionName } from "@needfire/shared/action";
import { NeedfireError } from "@needfire/shared/errors";
import { standingOf } from "@needfire/shared/rank";
import type { Execution } from "@needfire/shared/task";
import type { MasterMessage } from "@needfire/shared/wire";
import { CommandTurns, type TurnLimits, type Wait } from "./command-turns.ts";
import type { Expired } from "./react/react.ts";
import type { Revealed } from "./secrets.ts";
import type { Session } from "./sessions.ts";
import type { Mark, OpenExecution } from "./store/store.ts";

export interface DispatchOptions {
  /** The numbering in which an agent was before this master's life. */
  epochOf(agent: string): string | undefined;
  sessionOf(agent: string): Session | undefined;
  /** Whether of an agent's commands of before this master's life only those have gone out of which a mark says so. */
  isSettled(agent: string): boolean;
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
  limits: TurnLimits;
  /** P4: for so long something has waited for its turn at a host that is there. Told once, until nothing waits any more. */
  onBacklog(backlog: Backlog): void;
}

export interface Backlog {
  waiting: number;
  given: number;
}

interface Open {
  execution: Execution;
  /** From when on it waits, by the monotonic clock. */
  since: number;
  /** By the monotonic clock. */
  expires: number;
  /** What has not gone out by then never does, as far as its task has a time to begin. */
  beginBy: number;
  /** When it goes out again if nobody confirms it, or its cancellation; by the monotonic clock. */
  resend: number;
  /** It may have reached its host, as a command or as what it was given beforehand. */
  sent: boolean;
  /** A mark says that it has gone out. */
  marked: boolean;
  /**
   * In which numbering of its agent's it was first sent, as far as that is known. In another one the agent has no record of it, so it goes out as
   * `again`, over a restart of this master, too: the mark that tells it is durable with the agent's first facts in the other one, or before (P3).
   */
  epoch: string | undefined;
  cancelled: boolean;
  /** The content that it brings, by its digest. */
  content?: string;
  /** Why it can never go out, or is given up. */
  unsendable?: string;
  /** Its time was over, and it had certainly not gone out. */
  untried?: boolean;
}

/** `age`: since it was made. `beginMs`: what it has to go out; undefined also where it has. */
type Known = Pick<Open, "sent" | "marked" | "cancelled" | "epoch"> & { age: number; beginMs: number | undefined };

/** What was sent and not confirmed goes out again after so long. */
const resendMs = 10_000;
/** How much later than its time a command's result may come: a program that is ended has a while to see to it. */
const lateResultMs = 15_000;
/** The same after libzmq could not take a frame for the agent. */
const resendSlowMs = 500;
const cancelledUnsent = "it was cancelled before it was sent";
/** So long something waits for its turn before that is told. */
const backlogAfterMs = 60_000;

export class Dispatch {
  readonly #options: DispatchOptions;
  readonly #open = new Map<string, Open>();
  readonly #turns: CommandTurns<Open>;
  /** Since when something waits for its turn, by the monotonic clock, and whether that was told. */
  #backlog: { since: number; isTold: boolean } | undefined;

  /** `unfinished`: the oldest first. */
  constructor(options: DispatchOptions, unfinished: OpenExecution[]) {
    this.#options = options;
    this.#turns = new CommandTurns(options.limits);
    const now = options.clock.now();
    for (const { cancelled = false, begun = false, epoch, ...execution } of unfinished) {
      // Over a restart only the wall clock has gone on; a command from the future has all its time and no more.
      const age = Math.max(0, now - execution.created);
      const marked = begun || epoch !== undefined;
      // Otherwise what no mark says of was sent in the last moments, or not at all: it takes its turn again, and its host knows it by its id.
      const sent = marked || execution.lent !== undefined || !options.isSettled(execution.agent);
      // Where no mark says in which numbering it was sent, it is the last that its agent is known to have had, or it was not sent.
      const last = execution.lent?.held ?? options.epochOf(execution.agent);
      const known = { sent, marked, cancelled, epoch: epoch ?? (sent ? last : undefined) };
      this.#add(execution, { age, beginMs: marked ? undefined : execution.beginMs, ...known });
    }
  }

  /** Takes a command that is in the store. `cancelled`: its host may have it beforehand, and is told to drop it. */
  start(execution: Execution, { cancelled = false } = {}): void {
    const { lent, agent } = execution;
    // A host that has it beforehand may have run it, in the numbering in which it was given it (P3).
    const epoch = lent && (lent.held ?? this.#options.epochOf(agent));
    const sent = lent !== undefined;
    this.#add(execution, { age: 0, beginMs: execution.beginMs, sent, marked: false, cancelled: cancelled && sent, epoch });
    // It must not go out first: what is to be dropped would be begun.
    if (cancelled && sent) this.#sendCancel(this.#open.get(execution.id)!);
    this.#pump(execution.agent);
  }

  /** An agent has a session again: everything that it has not confirmed, and what it may have lost with a result, goes out. */
  resume(agent: string): void {
    this.#turns.reconnected(agent);
    for (const open of this.#turns.of(agent)) {
      if (open.unsendable !== undefined) continue;
      if (open.cancelled) this.#sendCancel(open);
      else this.#turns.line(open);
    }
    this.#pump(agent);
  }

  /** An agent may have no session any more. */
  left(agent: string): void {
    this.#pump(agent);
  }

  /** Whether an agent may ask for a content: a command that it has not ended brings it. */
  brings(agent: string, digest: string): boolean {
    for (const { content } of this.#turns.of(agent)) if (content === digest) return true;
    return false;
  }

  accepted(agent: string, execution: string): void {
    const open = this.#open.get(execution);
    if (open?.execution.agent !== agent || !this.#turns.confirmed(open)) return;
    this.#options.mark([{ execution, state: "accepted", at: this.#options.clock.now() }]);
    this.#pump(agent);
  }

  /** A frame for this agent got lost on the way out: which one is not known. */
  slow(agent: string): void {
    const soon = this.#options.monotonic.now() + resendSlowMs;
    for (const open of this.#turns.of(agent)) if (open.cancelled || this.#turns.isOnTheWay(open)) open.resend = Math.min(open.resend, soon);
  }

  /** The task of a command was cancelled. Returns the command when it has certainly not gone out, and now never will. */
  cancel(execution: string): Expired[] {
    const open = this.#open.get(execution);
    if (open === undefined || open.cancelled) return [];
    open.cancelled = true;
    this.#turns.withdraw(open);
    if (open.sent) this.#sendCancel(open);
    else open.unsendable = cancelledUnsent;
    this.#pump(open.execution.agent);
    return open.unsendable === undefined ? [] : [{ execution: open.execution, reason: open.unsendable }];
  }

  ended(execution: string): void {
    const open = this.#open.get(execution);
    if (open === undefined) return;
    this.#open.delete(execution);
    this.#turns.ended(open);
    this.#pump(open.execution.agent);
  }

  /** Sends again what nobody confirmed; returns what is given up, again at each call until it has ended. */
  tick(): Expired[] {
    const now = this.#options.monotonic.now();
    const expired: Expired[] = [];
    for (const agent of this.#turns.agents()) {
      for (const open of this.#turns.of(agent)) {
        const reason = open.unsendable ?? (now >= givenUpAt(open) ? this.#timeUp(open) : undefined);
        if (reason === undefined) this.#sendAgain(open, now);
        else {
          this.#turns.withdraw(open);
          expired.push({ execution: open.execution, reason, untried: open.untried === true });
        }
      }
      this.#pump(agent);
    }
    this.#tellBacklog(now);
    return expired;
  }

  /** Whether marks say of all commands that may have gone out to an agent that they have. */
  isMarked(agent: string): boolean {
    for (const { sent, marked, execution } of this.#turns.of(agent)) if (sent && !marked && execution.lent === undefined) return false;
    return true;
  }

  /**
   * What a command waits for that has not been given out; undefined: it has been, or it is not known (P5). `withPlace`: and how many are before it,
   * for which all that wait are looked at.
   */
  waitOf(execution: string, { withPlace }: { withPlace: boolean }): string | undefined {
    const open = this.#open.get(execution);
    const wait = open === undefined ? undefined : this.#turns.waitOf(open);
    if (open === undefined || wait === undefined) return undefined;
    return waitText(wait, open.execution.agent, withPlace ? this.#turns.before(open, wait) : undefined);
  }

  /** Commands that are with hosts, and that wait for their turn at hosts that are there. */
  counts(): Backlog {
    return this.#turns.counts();
  }

  /** It neither goes out nor is waited for any more. */
  #timeUp(open: Open): string {
    open.untried = !open.sent;
    return (open.unsendable = expiryReason(open, this.#turns.waitOf(open)));
  }

  #add(execution: Execution, { age, beginMs = Infinity, ...known }: Known): void {
    const since = this.#options.monotonic.now() - age;
    const expires = since + (execution.expiresMs ?? this.#options.expiresMs);
    const open: Open = { execution, since, expires, beginBy: since + beginMs, resend: Infinity, ...known };
    this.#open.set(execution.id, open);
    this.#turns.add(open, open.marked);
    if (!open.cancelled) this.#turns.line(open);
    else if (!open.sent) open.unsendable = cancelledUnsent;
  }

  /** Sends what may go now: to this agent, and, where it has left room, to others. */
  #pump(agent: string): void {
    const turns = this.#turns;
    const marks: Mark[] = [];
    turns.here(agent, this.#options.sessionOf(agent) !== undefined);
    for (let open = turns.urgent(agent); open !== undefined; open = turns.urgent(agent)) if (!this.#give(open, marks)) break;
    for (let open = turns.next(); open !== undefined; open = turns.next()) if (!this.#give(open, marks)) turns.pause(open.execution.agent);
    if (marks.length > 0) this.#options.mark(marks);
  }

  /** False: its host takes nothing at the moment. */
  #give(open: Open, marks: Mark[]): boolean {
    const { agent, id } = open.execution;
    const session = this.#options.sessionOf(agent);
    const now = this.#options.monotonic.now();
    if (session === undefined) return false;
    const isOver = now >= Math.min(open.expires, open.beginBy);
    if (!isOver && this.#sendCommand(session, open, now)) {
      this.#turns.went(open);
      open.sent = open.marked = true;
      open.beginBy = Infinity;
      marks.push({ execution: id, state: "sent", at: this.#options.clock.now(), epoch: open.epoch ?? session.epoch });
      return true;
    }
    if (!isOver && open.unsendable === undefined) return false;
    // The next tick tells it.
    if (!open.sent && open.unsendable === undefined) this.#timeUp(open);
    this.#turns.withdraw(open);
    return true;
  }

  #tellBacklog(now: number): void {
    const counts = this.#turns.counts();
    if (counts.waiting === 0) return void (this.#backlog = undefined);
    this.#backlog ??= { since: now, isTold: false };
    if (this.#backlog.isTold || now - this.#backlog.since < backlogAfterMs) return;
    this.#backlog.isTold = true;
    this.#options.onBacklog(counts);
  }

  #sendAgain(open: Open, now: number): void {
    if (now < open.resend) return;
    const session = this.#options.sessionOf(open.execution.agent);
    if (open.cancelled) this.#sendCancel(open);
    else if (session !== undefined && this.#turns.isOnTheWay(open)) this.#sendCommand(session, open, now);
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
        behindMs: Math.round(standingOf({ priority, since: open.since }, this.#options.limits.risesAfterMs) - now),
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
function givenUpAt({ expires, beginBy, sent, execution }: Open): number {
  return Math.min(beginBy, sent && execution.expiresMs !== undefined ? expires + lateResultMs : expires);
}

/** `wait`: it was not given out before its time was over. */
function expiryReason({ execution: { action, agent }, cancelled, sent }: Open, wait: Wait | undefined): string {
  if (cancelled) return `${agent} did not say within its time what became of it`;
  if (wait !== undefined && wait.for !== "host")
    return `${action} did not get its turn within its time; it waited for ${waitText(wait, agent, undefined)}`;
  return sent ? `${action} on ${agent} had no result within its time` : `${agent} was not there within the time of ${action}`;
}

function waitText(wait: Wait, agent: string, before: number | undefined): string {
  if (wait.for === "host") return `${agent}, which is not connected`;
  const turn = `its turn: ${before === undefined ? "" : `${before} before it; `}`;
  if (wait.for === "link") return `${turn}the connection to ${agent} takes no more for now`;
  const { limit, given } = wait;
  return `${turn}${given === 1 ? "1 command is" : `${given} commands are`} with ${wait.for === "all" ? "hosts" : agent} (${limit})`;
}
