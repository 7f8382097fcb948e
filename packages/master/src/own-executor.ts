/**
 * The master as its own agent: runs the commands that are for the master itself, each at most once (P3: it is durable that one has begun before
 * it begins), a few side by side, the critical first (P8), and every end a result in the journal. What was under way when the master died is
 * `interrupted`. All of it is in the main thread's background: neither the engine nor a session ever waits for it.
 */
import { setTimeout as delay } from "node:timers/promises";
import type { Logger } from "pino";
import { type ExecutionReport, type Outcome, specOf } from "@needfire/shared/action";
import { formatDuration } from "@needfire/shared/duration";
import { errorText, NeedfireError } from "@needfire/shared/errors";
import { resultType } from "@needfire/shared/event";
import { Line } from "@needfire/shared/line";
import { maskGiven, Masking } from "@needfire/shared/masking";
import { rankOf } from "@needfire/shared/rank";
import type { Execution } from "@needfire/shared/task";
import type { OwnContext } from "./actions/action.ts";
import { prepareOwn } from "./actions/registry.ts";
import type { Commit } from "./commit.ts";
import type { Revealed } from "./secrets.ts";
import type { OpenExecution } from "./store/store.ts";
import type { UserActions } from "./user-actions.ts";

export interface OwnExecutorOptions {
  /** What is durable when it resolves. Throws `DISK_FULL`. */
  commit: Commit;
  /** Arguments with their secrets in place; what this gives is kept nowhere. */
  reveal(args: Record<string, unknown>): Revealed;
  /** Without any secret that the master knows. */
  mask<T>(value: T): T;
  context: Pick<OwnContext, "allowed" | "maintenance">;
  userActions: Pick<UserActions, "find">;
  clock: { now(): number };
  /** What a command's time runs by. */
  monotonic: { now(): number };
  log: Logger;
  expiresMs: number;
  /** The time after which what waits stands where something new of the next higher priority does. */
  risesAfterMs: number;
}

interface Waiting {
  execution: Execution;
  /** When it may not be begun any more, by the monotonic clock. */
  expires: number;
}

interface Ending {
  outcome: Outcome;
  changed: boolean;
  message?: string;
  result?: Record<string, unknown>;
}

const runningMax = 8;
/** Commands that may wait; beyond it they are refused, so that a flood is seen (P4). */
const waitingMax = 10_000;
/** While the disk takes nothing. */
const retryMs = 1_000;
const nothing = { secrets: [], changed: false } as const;

export class OwnExecutor {
  readonly #options: OwnExecutorOptions;
  readonly #waiting = new Line<Waiting>();
  readonly #running = new Map<string, { ended: Promise<void>; cancel: AbortController }>();
  readonly #stop = new AbortController();

  constructor(options: OwnExecutorOptions) {
    this.#options = options;
  }

  /** What the last life left: what had begun is interrupted, and the rest begins. To be called before anything of it can be cancelled. */
  resume(unfinished: readonly OpenExecution[]): void {
    const now = this.#options.clock.now();
    for (const { cancelled, begun, ...execution } of unfinished) {
      // The task itself ends it.
      if (specOf(execution.action).inStep === true) continue;
      if (begun === true)
        this.#track(execution, () => this.#end(execution, now, { outcome: "interrupted", changed: true, message: interrupted }, []));
      else if (cancelled === true) this.#cancelled(execution);
      else this.#take(execution, Math.max(0, now - execution.created));
    }
  }

  /** Takes a command that is in the store. */
  start(execution: Execution): void {
    this.#take(execution, 0);
  }

  /** A command is not wanted any more: what has not begun does not, and what runs is ended. */
  cancel(id: string): void {
    this.#running.get(id)?.cancel.abort("it was cancelled");
    const waiting = this.#waiting.values().find(({ execution }) => execution.id === id);
    if (waiting === undefined) return;
    this.#waiting.delete(waiting);
    this.#cancelled(waiting.execution);
  }

  /** Ends what runs, and waits for its results to be durable. What has not begun does so in the next life. */
  async stop(): Promise<void> {
    this.#waiting.clear();
    this.#stop.abort("the master is stopping");
    await Promise.all([...this.#running.values()].map(({ ended }) => ended));
  }

  #take(execution: Execution, age: number): void {
    if (this.#waiting.size >= waitingMax) {
      const message = `more than ${waitingMax} commands wait on the master`;
      return this.#track(execution, () =>
        this.#end(execution, this.#options.clock.now(), { outcome: "refused", changed: false, message }, []),
      );
    }
    const { monotonic, risesAfterMs } = this.#options;
    const { expiresMs = this.#options.expiresMs, beginMs = Infinity } = execution;
    const since = monotonic.now() - age;
    const expires = since + Math.min(expiresMs, beginMs);
    this.#waiting.add({ execution, expires }, rankOf({ priority: execution.priority, since }, risesAfterMs));
    this.#next();
  }

  #next(): void {
    while (this.#running.size < runningMax && !this.#stop.signal.aborted) {
      const waiting = this.#waiting.shift();
      if (waiting === undefined) return;
      this.#track(waiting.execution, (signal) => this.#run(waiting, signal));
    }
  }

  #track(execution: Execution, work: (cancelled: AbortSignal) => Promise<void>): void {
    const { log } = this.#options;
    const cancel = new AbortController();
    const ended = work(cancel.signal)
      .catch((error: unknown) => log.error({ execution: execution.id, error: errorText(error) }, "the end of a command could not be kept"))
      .finally(() => {
        this.#running.delete(execution.id);
        this.#next();
      });
    this.#running.set(execution.id, { ended, cancel });
  }

  #cancelled(execution: Execution): void {
    const message = "it was cancelled before it began";
    const now = this.#options.clock.now();
    this.#track(execution, () => this.#end(execution, now, { outcome: "cancelled", changed: false, message }, []));
  }

  async #run({ execution, expires }: Waiting, cancelled: AbortSignal): Promise<void> {
    const { clock, monotonic } = this.#options;
    const started = clock.now();
    if (monotonic.now() >= expires) {
      const message = "its time was over before it could begin on the master";
      return this.#end(execution, started, { outcome: "expired", changed: false, message }, []);
    }
    // P3: it is on the disk that it has begun. Without that it does not, in this life.
    if (!(await this.#keep({ marks: [{ execution: execution.id, state: "accepted", at: started }] }))) return;
    // What a person gave a time to has no more than that.
    const late = new AbortController();
    const { expiresMs } = execution;
    const end = () => late.abort(`its time of ${formatDuration(expiresMs ?? 0)} was over`);
    const timer = expiresMs === undefined ? undefined : setTimeout(end, expires - monotonic.now());
    const { secrets, ...ending } = await this.#perform(execution, { cancelled, late: late.signal });
    clearTimeout(timer);
    await this.#end(execution, started, ending, secrets);
  }

  async #perform({ action, args, host, task, dryRun = false }: Execution, ends: Ends): Promise<Ending & { secrets: readonly string[] }> {
    const signal = AbortSignal.any([this.#stop.signal, ends.cancelled, ends.late]);
    if (signal.aborted) return { ...nothing, outcome: outcomeOf(ends), message: `${String(signal.reason)} before it began` };
    const revealed = this.#options.reveal(args);
    if (!revealed.ok) return { ...nothing, outcome: "failed", message: `${action} cannot be run: ${revealed.reason}` };
    const { secrets } = revealed;
    const prepared = prepareOwn(action, revealed.args, this.#options.userActions);
    if (!prepared.ok) return { outcome: "refused", changed: false, message: prepared.reason, secrets };
    try {
      const ending = await prepared.run({ ...this.#options.context, host, task, signal, dryRun });
      return { ...ending, outcome: ending.outcome === "failed" ? this.#cutOutcome(ends) : ending.outcome, secrets };
    } catch (error) {
      return { outcome: "failed", changed: !dryRun, message: errorText(error), secrets };
    }
  }

  /** Of what had begun, and then failed. */
  #cutOutcome({ cancelled, late }: Ends): Outcome {
    if (cancelled.aborted) return "cancelled";
    // It is nothing that never began: that alone is expired.
    return !late.aborted && this.#stop.signal.aborted ? "interrupted" : "failed";
  }

  async #end({ id, action, dryRun }: Execution, started: number, given: Ending, secrets: readonly string[]): Promise<void> {
    const { clock, log, mask } = this.#options;
    const ending = mask(maskGiven(new Masking(secrets), given));
    const report: ExecutionReport = {
      execution: id,
      action,
      ...ending,
      ...(dryRun === true ? { dry_run: true } : {}),
      started,
      ended: clock.now(),
    };
    log.info({ execution: id, action, outcome: ending.outcome, message: ending.message }, "a command of the master's own ended");
    await this.#keep({ events: [{ type: resultType, severity: "normal", cause: id, data: { ...report } }] });
  }

  /** Tries until the disk takes it, or the master stops: what is not told then is interrupted in the next life. */
  async #keep(writes: Parameters<Commit>[0]): Promise<boolean> {
    for (;;) {
      try {
        await this.#options.commit(writes);
        return true;
      } catch (error) {
        if (!(error instanceof NeedfireError) || error.code !== "DISK_FULL") throw error;
        if (this.#stop.signal.aborted) return false;
        await delay(retryMs, undefined, { signal: this.#stop.signal }).catch(() => {});
      }
    }
  }
}

const interrupted = "the master stopped while this ran; how far it came is not known";

/** What may end a command before it ends itself, but for the end of the master. */
interface Ends {
  cancelled: AbortSignal;
  late: AbortSignal;
}

/** Of what had not begun. */
function outcomeOf({ cancelled, late }: Ends): Outcome {
  if (cancelled.aborted) return "cancelled";
  return late.aborted ? "expired" : "interrupted";
}
