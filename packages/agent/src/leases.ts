/**
 * What the master has lent to this host: the undo of what it did for a time, which is due whether or not anybody is there then. Keeps each lease on
 * the disk before it is confirmed, hands its steps to the executor one after the other from its time on, as commands whose ids the master
 * has given (P3: who else sends them sends the same ones), and forgets it when they are done, or one did not succeed. The result is the
 * executor's to tell, the order of the steps its doing; a lease that cannot be taken is refused with a reason (P4, P5).
 *
 * A lease counts by the time since the host was started, which nobody can set. Over a restart of the host there is only the wall clock: then it is
 * due when that says so, and at the latest when it has waited once more for as long as it had left. Keeps running when the master's key or this
 * agent's own is not trusted any more: it gives the host back the state that it had.
 */
import type { Logger } from "pino";
import type { ExecutionReport } from "@needfire/shared/action";
import type { Clock } from "@needfire/shared/clock";
import { errorText } from "@needfire/shared/errors";
import { executionIdPattern, taskOfExecution } from "@needfire/shared/ids";
import { pack } from "@needfire/shared/pack";
import type { AgentBody, MasterBody } from "@needfire/shared/wire";
import type { BootClock } from "./boot-clock.ts";
import type { Executor } from "./execute.ts";
import type { Spool } from "./spool.ts";
import { type KeptLease, stepId } from "./spool-leases.ts";

export interface LeasesOptions {
  spool: Pick<Spool, "lend" | "leases" | "isTorn">;
  executor: Pick<Executor, "take" | "refuses" | "isAtWork">;
  /** Tells the master that a lease is on the disk, or why it is not. */
  answer(answer: AgentBody<"leased">): void;
  clock: Clock;
  boot: BootClock;
  log: Logger;
}

/** Leases that a host holds at most, and what their steps take together; what is more stays with the master. */
const leasesMax = 10_000;
const leasesBytesMax = 16_777_216;
const reasonCharactersMax = 2_000;
/** How long it is not looked whether one is due: the wall clock may have been set, or the machine have slept. */
const lookMs = 10_000;
/** While the disk takes nothing, or a command of the same task is still at work. */
const retryMs = 1_000;

/** `wakesUp`: by the time since boot, due then at the latest. `bytes`: of its steps. `isBegun`: its next step is in the journal of commands. */
interface Held extends KeptLease {
  wakesUp: number;
  bytes: number;
  isBegun: boolean;
}

export class Leases {
  readonly #options: LeasesOptions;
  /** By the id of the first command. */
  readonly #held = new Map<string, Held>();
  /** Of them, those under way, by the id of the command that is next. */
  readonly #byStep = new Map<string, Held>();
  #bytes = 0;
  #timer: NodeJS.Timeout | undefined;
  #looksAt = Infinity;

  constructor(options: LeasesOptions) {
    this.#options = options;
  }

  /** Those of before. What came due meanwhile begins; throws what the disk says. */
  start(): void {
    const { spool, boot } = this.#options;
    for (const lease of spool.leases()) this.#hold(lease, lease.boot === boot.boot ? lease.dueUp : boot.now() + lease.leftMs);
    if (spool.isTorn) this.#giveUpDue();
    this.look();
  }

  /** The master gives one, or gives it again. */
  take({ execution, inMs, priority, steps }: MasterBody<"lease">): void {
    const { spool, clock, boot, answer, log } = this.#options;
    const before = this.#held.get(execution);
    const refused = before === undefined ? this.#refusal(execution, steps)?.slice(0, reasonCharactersMax) : undefined;
    if (refused !== undefined) {
      log.warn({ execution, refused }, "a lease is refused");
      return answer({ execution, inMs, refused });
    }
    const due = { due: clock.now() + inMs, boot: boot.boot, dueUp: boot.now() + inMs, leftMs: inMs };
    // One that is under way goes on as it is.
    if (before === undefined || before.next === 0) {
      try {
        const lease: KeptLease = { execution, priority, steps, ...due, next: 0 };
        if (spool.lend(lease)) this.#hold(lease, due.dueUp);
      } catch (error) {
        log.error({ execution, error: errorText(error) }, "a lease could not be kept");
        return answer({ execution, inMs, refused: `the agent's disk does not take it: ${errorText(error)}`.slice(0, reasonCharactersMax) });
      }
    }
    answer({ execution, inMs });
    this.#lookIn(inMs);
  }

  /** A command has ended, whoever gave it. */
  ended({ execution, outcome }: ExecutionReport): void {
    const lease = this.#byStep.get(execution);
    if (lease === undefined) return;
    this.#byStep.delete(execution);
    lease.next += 1;
    if (outcome !== "succeeded" || lease.next === lease.steps.length) return this.#forget(lease);
    lease.isBegun = false;
    this.#byStep.set(stepId(lease.execution, lease.next), lease);
    // It has begun, so it goes on, although the master may have begun it before its time.
    lease.wakesUp = 0;
    this.#lookIn(0);
  }

  /** The spool has begun a new file: what it held is written there. */
  keepAnew(): void {
    const { spool, log } = this.#options;
    for (const { wakesUp: _wakesUp, bytes: _bytes, isBegun, ...lease } of this.#held.values()) {
      try {
        if (!isBegun) spool.lend(lease);
      } catch (error) {
        log.error({ execution: lease.execution, error: errorText(error) }, "a lease could not be kept");
      }
    }
  }

  /** What is due by now begins. */
  look(): void {
    this.#looksAt = Infinity;
    const now = this.#now();
    let nextMs = Infinity;
    for (const lease of [...this.#held.values()]) {
      if (lease.isBegun) continue;
      const waitMs = leftMs(lease, now);
      if (waitMs > 0) nextMs = Math.min(nextMs, waitMs);
      else if (!this.#begin(lease)) nextMs = Math.min(nextMs, retryMs);
    }
    if (nextMs < Infinity) this.#lookIn(nextMs);
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#looksAt = -Infinity;
  }

  #refusal(execution: string, steps: KeptLease["steps"]): string | undefined {
    if (this.#held.size >= leasesMax) return `this host holds ${leasesMax} leases, and takes no more`;
    if (this.#bytes + pack(steps).length > leasesBytesMax) return `the leases of this host would take more than ${leasesBytesMax} bytes`;
    if (!new RegExp(executionIdPattern).test(stepId(execution, steps.length - 1))) return "there are no numbers left for its commands";
    return steps.map((step) => this.#options.executor.refuses(step)).find((reason) => reason !== undefined);
  }

  #hold(lease: KeptLease, wakesUp: number): void {
    const before = this.#held.get(lease.execution);
    if (before !== undefined) this.#forget(before);
    const held = { ...lease, wakesUp, bytes: pack(lease.steps).length, isBegun: false };
    this.#held.set(lease.execution, held);
    this.#byStep.set(stepId(lease.execution, lease.next), held);
    this.#bytes += held.bytes;
  }

  #forget(lease: Held): void {
    this.#held.delete(lease.execution);
    this.#byStep.delete(stepId(lease.execution, lease.next));
    this.#bytes -= lease.bytes;
  }

  /** P3: whether what is due was begun in what is missing of the spool is not known. */
  #giveUpDue(): void {
    const now = this.#now();
    for (const lease of [...this.#held.values()])
      if (leftMs(lease, now) <= 0) this.#options.executor.take({ ...commandOf(lease), again: true });
  }

  #now(): Now {
    const { boot, clock } = this.#options;
    return { boot: boot.boot, up: boot.now(), wall: clock.now() };
  }

  #lookIn(ms: number): void {
    const waitMs = Math.max(0, Math.min(ms, lookMs));
    const at = this.#options.boot.now() + waitMs;
    if (at >= this.#looksAt) return;
    clearTimeout(this.#timer);
    this.#looksAt = at;
    this.#timer = setTimeout(() => this.look(), waitMs);
  }

  /** False: not now. */
  #begin(lease: Held): boolean {
    const { executor } = this.#options;
    const command = commandOf(lease);
    // What is to be taken back must have been done.
    if (executor.isAtWork(taskOfExecution(command.execution))) return false;
    // The lease may be over before `take` returns.
    lease.isBegun = true;
    const isTaken = executor.take(command);
    if (!isTaken) lease.isBegun = false;
    return isTaken;
  }
}

interface Now {
  boot: string;
  /** By the time since boot, and by the wall clock. */
  up: number;
  wall: number;
}

function leftMs({ boot, due, wakesUp }: Held, now: Now): number {
  const upMs = wakesUp - now.up;
  return boot === now.boot ? upMs : Math.min(upMs, due - now.wall);
}

function commandOf({ execution, next, steps, priority }: KeptLease): MasterBody<"execute"> {
  const { action, args } = steps[next]!;
  return { execution: stepId(execution, next), action, args, priority };
}
