/**
 * Gives hosts beforehand what they are to take back by themselves: a lease is in the store before it comes here (P2), is offered when its host has a
 * session, again until the host answers, and once more in another numbering of the host's events, whose records of leases may be lost. What was
 * answered goes to the lease's task, which decides. It is offered no longer when a command of it is sent, or has a result. A host that
 * says nothing does not know leases: it gets the commands when they are due.
 */
import { type AnyActionName, specOf } from "@needfire/shared/action";
import { NeedfireError } from "@needfire/shared/errors";
import { taskOfExecution } from "@needfire/shared/ids";
import type { LeaseWord, Offer } from "@needfire/shared/task";
import type { AgentBody, MasterBody, MasterMessage } from "@needfire/shared/wire";
import type { Revealed } from "./secrets.ts";
import type { Session } from "./sessions.ts";

/** What a host, or this master in its place, says of a lease. */
export interface LeaseAnswer {
  task: string;
  word: LeaseWord;
}

export interface LeasesOptions {
  sessionOf(agent: string): Session | undefined;
  /** `urgent` overtakes what is not (P8). */
  send(session: Session, message: MasterMessage, urgent: boolean): boolean;
  /** A command's arguments with its secrets in place. */
  reveal(args: Record<string, unknown>): Revealed;
  answer(answers: LeaseAnswer[]): void;
  clock: { now(): number };
  monotonic: { now(): number };
}

/** `held`: its host has it with this time, in this numbering. `offered`: so often in this session, lastly at `at`, and then due in so long. */
interface Lent {
  offer: Offer;
  held: Offer["held"];
  offered: number;
  at: number;
  inMs: number;
}

/** Of one host. `asked`: those that it is to be offered, or has not answered yet, in the order in which they came. */
interface Host {
  all: Set<Lent>;
  asked: Set<Lent>;
}

/** Offers to one host that are on their way; the others wait. */
const windowMax = 100;
/** An offer that nobody answers goes out again after so long, and so often in one session. */
const resendMs = 10_000;
const offersMax = 3;

export class Leases {
  readonly #options: LeasesOptions;
  /** By the id of the first command. */
  readonly #lent = new Map<string, Lent>();
  readonly #hosts = new Map<string, Host>();

  constructor(options: LeasesOptions, offers: readonly Offer[]) {
    this.#options = options;
    for (const offer of offers) this.#add(offer);
  }

  /** Takes a lease that is in the store, or another time for one. */
  lend(offer: Offer): void {
    this.#add(offer);
    this.#offer(offer.agent);
  }

  /** An agent has a session again: what it does not have in this numbering it is asked about anew. */
  resume(agent: string): void {
    const host = this.#hosts.get(agent);
    const session = this.#options.sessionOf(agent);
    if (host === undefined || session === undefined) return;
    host.asked = new Set([...host.all].filter(({ held, offer }) => held?.epoch !== session.epoch || held.due !== offer.due));
    for (const lent of host.asked) Object.assign(lent, { offered: 0, at: -Infinity });
    this.#offer(agent);
  }

  answered(session: Session, { execution, inMs, refused }: AgentBody<"leased">): void {
    const { agent, epoch } = session;
    const lent = this.#lent.get(execution);
    // P6: of what it was not given it cannot speak.
    if (lent?.offer.agent !== agent || lent.inMs !== inMs) return;
    this.#hosts.get(agent)?.asked.delete(lent);
    const { due } = lent.offer;
    if (refused === undefined) lent.held = { epoch, due };
    this.#answer([refused === undefined ? { kind: "leased", execution, epoch, due } : refusal(execution, refused)]);
    this.#offer(agent);
  }

  /** A command is sent, or has ended: if it is the first one of a lease, that is its host's and its task's from now on. */
  begun(execution: string): void {
    const lent = this.#lent.get(execution);
    if (lent === undefined) return;
    this.#lent.delete(execution);
    const { agent } = lent.offer;
    const host = this.#hosts.get(agent);
    host?.all.delete(lent);
    host?.asked.delete(lent);
    if (host?.all.size === 0) this.#hosts.delete(agent);
  }

  /** Offers again what nobody answered. */
  tick(): void {
    for (const [agent, { asked }] of this.#hosts) if (asked.size > 0) this.#offer(agent);
  }

  #add(offer: Offer): void {
    const before = this.#lent.get(offer.execution);
    const lent: Lent = before ?? { offer, held: offer.held, offered: 0, at: -Infinity, inMs: -1 };
    Object.assign(lent, { offer, offered: 0, at: -Infinity });
    this.#lent.set(offer.execution, lent);
    const host = this.#hosts.get(offer.agent) ?? { all: new Set(), asked: new Set() };
    this.#hosts.set(offer.agent, host);
    host.all.add(lent);
    host.asked.add(lent);
  }

  /** The first of what the host is to be asked, as far as the window has room. */
  #offer(agent: string): void {
    const { asked } = this.#hosts.get(agent) ?? {};
    const session = this.#options.sessionOf(agent);
    if (asked === undefined || session === undefined) return;
    const now = this.#options.monotonic.now();
    const refusals: LeaseWord[] = [];
    let onTheWay = 0;
    for (const lent of asked) {
      if (onTheWay >= windowMax) break;
      onTheWay++;
      if (now < lent.at + resendMs) continue;
      if (lent.offered >= offersMax) {
        // It does not know leases: until it comes again it is asked no more.
        asked.clear();
        break;
      }
      lent.inMs = Math.max(0, Math.round(lent.offer.due - this.#options.clock.now()));
      const refused = this.#send(session, lent.offer, lent.inMs);
      if (refused !== undefined) {
        refusals.push(refusal(lent.offer.execution, refused));
        asked.delete(lent);
      }
      lent.offered++;
      lent.at = now;
    }
    if (refusals.length > 0) this.#answer(refusals);
  }

  /** Why it cannot be given; undefined: it is on its way, or was lost on it. */
  #send(session: Session, { execution, priority, steps }: Offer, inMs: number): string | undefined {
    for (const { action, args } of steps) {
      const reason = this.#staysHere(action, args);
      if (reason !== undefined) return reason;
    }
    const body: MasterBody<"lease"> = { execution, inMs, priority, steps: steps.map(({ action, args }) => ({ action, args })) };
    try {
      // As its rung's commands go, so that it is there before them.
      this.#options.send(session, { kind: "lease", body }, priority === "critical");
      return undefined;
    } catch (error) {
      if (!(error instanceof NeedfireError) || error.code !== "FRAME_TOO_LARGE") throw error;
      return error.message;
    }
  }

  /** What a host keeps on its disk must be no secret, and need nothing of this master when its time comes. */
  #staysHere(action: AnyActionName, args: Record<string, unknown>): string | undefined {
    const revealed = this.#options.reveal(args);
    if (!revealed.ok) return `${action}: ${revealed.reason}`;
    if (revealed.secrets.length > 0) return `${action} is given a secret, which no host keeps`;
    if (specOf(action).sourced === true && typeof args["source"] === "string") return `${action} brings content that the master has`;
    return undefined;
  }

  #answer(words: LeaseWord[]): void {
    this.#options.answer(words.map((word) => ({ task: taskOfExecution(word.execution), word })));
  }
}

function refusal(execution: string, reason: string): LeaseWord {
  return { kind: "lease_refused", execution, reason };
}
