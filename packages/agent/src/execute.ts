/**
 * Runs what the master commands: each execution at most once (P3: journalled before it runs), a few side by side, every end a result
 * in the spool. Tells the beacons what is being changed meanwhile, so that a remedy does not feed its own beacon (P7).
 */
import { rmSync } from "node:fs";
import type { Logger } from "pino";
import { argsCheckers, type ExecutionReport, type Outcome } from "@needfire/shared/action";
import type { Clock } from "@needfire/shared/clock";
import { errorText } from "@needfire/shared/errors";
import { Line } from "@needfire/shared/line";
import { maskGiven, Masking } from "@needfire/shared/masking";
import { taskOfExecution } from "@needfire/shared/ids";
import { isOwnActionName, ownActionSide } from "@needfire/shared/own-action-name";
import { type Policy, refusal, refusesPath } from "@needfire/shared/policy";
import { rankOf } from "@needfire/shared/rank";
import { problemsText } from "@needfire/shared/schema";
import type { MasterBody } from "@needfire/shared/wire";
import { failed, refused, type Self } from "./actions/action.ts";
import { loadAction, type LoadedAction, runsHere } from "./actions/registry.ts";
import { type Announced, fetchContent } from "./command-content.ts";
import type { FetchPiece, ManagedFiles } from "./managed-files.ts";
import type { OwnActions } from "./own-actions.ts";
import { lastNotifications, type Remedies } from "./remedies.ts";
import type { RestartNote } from "./restarts.ts";
import type { Spool } from "./spool.ts";

export interface ExecutorOptions {
  spool: Spool;
  managed: ManagedFiles;
  remedies: Remedies;
  self: Self;
  ownActions: Pick<OwnActions, "prepare">;
  /** Asks the master for content. */
  fetch: FetchPiece;
  /** A directory of the executor's own, for files of running actions. */
  scratch: string;
  /** What this host obeys, now. */
  policy(): Policy;
  clock: Clock;
  /** What a command's time runs by. */
  monotonic: Clock;
  log: Logger;
  /** Commands that run side by side; the others wait, the critical before the others (P8), else by the standing that the master gave them. */
  concurrencyMax: number;
  /** Tells the master that a command is in the journal here. */
  accepted(execution: string): void;
  /** A command has ended, and its result is in the spool. */
  ended?(report: ExecutionReport): void;
}

const cancelledReason = "it was cancelled";

/** Commands that may wait; beyond it they are refused, so that a flood is seen (P4). */
const waitingMax = 10_000;

/** A command that is here. `expires`: by the monotonic clock, when it may not be begun any more. */
interface Taken {
  command: MasterBody<"execute">;
  expires: number;
}

interface Running {
  ended: Promise<void>;
  cancel: AbortController;
}

interface Ending {
  outcome: Outcome;
  changed: boolean;
  message?: string;
  result?: Record<string, unknown>;
}

/** What an action may want to be done after its end is on disk. */
type Ended = Ending & { afterwards?: () => Promise<void>; goesOn?: true };

export class Executor {
  readonly #options: ExecutorOptions;
  readonly #waiting = new Line<Taken>();
  readonly #running = new Map<string, Running>();
  readonly #stop = new AbortController();

  constructor(options: ExecutorOptions) {
    this.#options = options;
    // What a crash left behind.
    rmSync(options.scratch, { recursive: true, force: true });
  }

  /** Takes a command. A second delivery of the same one only confirms the first. False: the disk took nothing, so it is not taken. */
  take(command: MasterBody<"execute">): boolean {
    const { spool, log } = this.#options;
    let isNew: boolean;
    try {
      isNew = spool.begin(command); // P3
    } catch (error) {
      // Not accepted, so the master sends it again.
      log.error({ execution: command.execution, error: errorText(error) }, "a command could not be noted and waits");
      return false;
    }
    if (isNew) this.#begin(command);
    else this.#options.accepted(command.execution);
    return true;
  }

  #begin(command: MasterBody<"execute">): void {
    const { clock, accepted } = this.#options;
    if (command.again === true) {
      const message = "this host has lost its record of commands: whether it ran is not known";
      this.#finish(command, clock.now(), { outcome: "interrupted", changed: command.dryRun !== true, message });
      return accepted(command.execution);
    }
    if (this.#waiting.size >= waitingMax) {
      return this.#finish(command, clock.now(), {
        outcome: "refused",
        changed: false,
        message: `more than ${waitingMax} commands wait on this host`,
      });
    }
    this.#enqueue(command);
    this.#next();
    // The remedy goes first: to say this wakes another thread. Of what has ended by then the result says it.
    setImmediate(() => {
      if (this.#waiting.size > 0 || this.#running.has(command.execution)) accepted(command.execution);
    });
  }

  /** A restart of the host that the last life asked for: it may be over by now. */
  resume(note: RestartNote): void {
    const { execution, priority, asked } = note;
    const cancel = new AbortController();
    const command = { execution, action: "host.reboot", args: {}, priority } as const;
    const work = async () => {
      // Not before it is asked for: most agents never restart their host.
      const { untilRestarted } = await import("./actions/host-reboot.ts");
      const signal = AbortSignal.any([this.#stop.signal, cancel.signal]);
      await this.#settle(command, asked, {
        ended: await untilRestarted(note, { self: this.#options.self, signal }),
        cancelled: cancel.signal,
      });
    };
    const ended = work().finally(() => this.#running.delete(execution));
    this.#running.set(execution, { ended, cancel });
  }

  /** A command is not wanted any more. One that is done keeps its result; one that has not come yet will not run when it does (P3). */
  cancel({ execution, action }: MasterBody<"cancel">): void {
    const { spool, clock, log } = this.#options;
    const running = this.#running.get(execution);
    if (running !== undefined) return running.cancel.abort(cancelledReason);
    const waiting = this.#waiting.values().find(({ command }) => command.execution === execution);
    if (waiting !== undefined) {
      this.#waiting.delete(waiting);
      const message = "it was cancelled before it began";
      return this.#finish(waiting.command, clock.now(), { outcome: "cancelled", changed: false, message });
    }
    const command = { execution, action, args: {}, priority: "normal" } as const;
    try {
      if (!spool.begin(command)) return; // its result is on its way
    } catch (error) {
      // Not answered, so the master sends it again.
      return log.error({ execution, error: errorText(error) }, "a cancellation could not be noted and waits");
    }
    const message = "it was cancelled before it came to this host";
    this.#finish(command, clock.now(), { outcome: "cancelled", changed: false, message });
  }

  /** Whether a command of this task is at work here, or waits. */
  isAtWork(task: string): boolean {
    const isOfTask = (execution: string) => taskOfExecution(execution) === task;
    return [...this.#running.keys()].some(isOfTask) || this.#waiting.values().some(({ command }) => isOfTask(command.execution));
  }

  /** Why this would not be done here, as it is now; undefined: it would be tried. */
  refuses({ action, args }: Pick<MasterBody<"execute">, "action" | "args">): string | undefined {
    const judged = this.#judge(action, args);
    return judged.ok ? undefined : judged.reason;
  }

  /** Stops what runs, and waits for it. What had not begun is reported as interrupted at the next start. */
  async stop(): Promise<void> {
    this.#waiting.clear();
    this.#stop.abort("the agent is stopping");
    await Promise.all([...this.#running.values()].map(({ ended }) => ended));
  }

  /** How its priority counts against the time for which it has waited, the master has worked out. */
  #enqueue(command: MasterBody<"execute">): void {
    const { priority, expiresInMs = Infinity, behindMs = 0 } = command;
    const now = this.#options.monotonic.now();
    this.#waiting.add({ command, expires: now + expiresInMs }, rankOf({ priority, since: now + behindMs }, 0));
  }

  #next(): void {
    while (this.#running.size < this.#options.concurrencyMax && !this.#stop.signal.aborted) {
      const taken = this.#waiting.shift();
      if (taken === undefined) return;
      const { execution } = taken.command;
      const cancel = new AbortController();
      const ended = this.#run(taken, cancel.signal).finally(() => {
        this.#running.delete(execution);
        this.#next();
      });
      this.#running.set(execution, { ended, cancel });
    }
  }

  async #run({ command, expires }: Taken, cancelled: AbortSignal): Promise<void> {
    const { managed, remedies, self, scratch, policy, clock, monotonic, log } = this.#options;
    const started = clock.now();
    if (monotonic.now() >= expires) {
      // The master has given it up, or is about to: what it does now would surprise everybody.
      const message = "its time was over before it could begin on this host";
      return this.#finish(command, started, { outcome: "expired", changed: false, message });
    }
    const prepared = await this.#prepare(command);
    if (!prepared.ok) return this.#finish(command, started, prepared.ending);
    const { action } = prepared;
    const { dryRun = false } = command;
    // What changes nothing needs nobody to look away.
    const scope = dryRun ? undefined : action.scope;
    if (scope !== undefined) remedies.begin(command.execution, scope);
    let ended: Ended;
    try {
      const signal = AbortSignal.any([this.#stop.signal, cancelled]);
      const context = {
        ...{ execution: command.execution, priority: command.priority, managed, remedies, self, signal, log, dryRun, scratch },
        content: (announced: Announced) => fetchContent(announced, this.#options.fetch, signal),
        refusesPath: (path: string) => refusesPath(policy(), command.action, path),
      };
      ended = signal.aborted ? failed(String(signal.reason)) : await action.run(context);
    } catch (error) {
      ended = failed(errorText(error));
    }
    // What is changed once its result is known is not its doing, so the window closes with the result (P7).
    if (scope === "host") await lastNotifications();
    await this.#settle(command, started, { ended, cancelled });
  }

  /** What ended since it was told to has its name; what goes on has no result yet. */
  async #settle(
    command: MasterBody<"execute">,
    started: number,
    { ended, cancelled }: { ended: Ended; cancelled: AbortSignal },
  ): Promise<void> {
    const { goesOn, afterwards, ...ending } = ended;
    if (goesOn === true && !cancelled.aborted) return;
    const wasTold = (cancelled.aborted || this.#stop.signal.aborted) && ending.outcome === "failed";
    this.#finish(command, started, wasTold ? { ...ending, outcome: cancelled.aborted ? "cancelled" : "interrupted" } : ending);
    this.#options.remedies.end(command.execution);
    await afterwards?.();
  }

  /** The action with its arguments, or why it is not begun. */
  async #prepare({
    action: name,
    args,
  }: MasterBody<"execute">): Promise<{ ok: true; action: LoadedAction } | { ok: false; ending: Ending }> {
    const judged = this.#judge(name, args);
    if (!judged.ok) return { ok: false, ending: refused(judged.reason) };
    try {
      return { ok: true, action: await judged.load() };
    } catch (error) {
      return { ok: false, ending: failed(`${name} cannot be loaded: ${errorText(error)}`) };
    }
  }

  /** Whether it may be done here, with these arguments. */
  #judge(
    name: string,
    args: Record<string, unknown>,
  ): { ok: true; load(): LoadedAction | Promise<LoadedAction> } | { ok: false; reason: string } {
    const { policy, ownActions } = this.#options;
    if (isOwnActionName(name) && ownActionSide(name) === "agent") {
      const reason = refusal(policy(), name, args);
      const own = reason === undefined ? ownActions.prepare(name, args) : { ok: false as const, reason };
      return own.ok ? { ok: true, load: () => own.action } : own;
    }
    if (!runsHere(name)) return { ok: false, reason: `${name} runs on the master` }; // the door let only known actions in
    const checked = argsCheckers[name](args);
    if (!checked.ok) return { ok: false, reason: `arguments: ${problemsText(checked.problems)}` };
    const known = checked.value as Record<string, unknown>;
    const reason = refusal(policy(), name, known);
    return reason === undefined ? { ok: true, load: () => loadAction(name, known) } : { ok: false, reason };
  }

  /** What it was given in secret is in nothing that is kept here: not in the log, not in the spool. */
  #finish(command: MasterBody<"execute">, started: number, given: Ending): void {
    const { execution, action, args, priority } = command;
    const masking = new Masking(command.secrets ?? []);
    const ending = maskGiven(masking, given);
    const dry = command.dryRun === true ? { dry_run: true } : {};
    const report: ExecutionReport = { execution, action, ...ending, ...dry, started, ended: this.#options.clock.now() };
    const subject = typeof args["path"] === "string" ? masking.maskReply(args["path"]) : undefined;
    this.#options.log.info({ execution, action, outcome: ending.outcome, message: ending.message }, "a command ended");
    this.#options.spool.finish(report, { priority, ...(subject === undefined ? {} : { subject }) });
    this.#options.ended?.(report);
  }
}
