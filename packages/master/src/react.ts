/**
 * The loop around the pure engine: takes events in the journal's order, asks `match` and `task` what follows, makes that
 * durable together with the position reached (P2), and only then lets anything happen. After a crash it goes on from its position.
 */
import { setTimeout as delay } from "node:timers/promises";
import type { ExecutionReport } from "@needfire/shared/action";
import { errorText } from "@needfire/shared/errors";
import { type Event, resultType, severities } from "@needfire/shared/event";
import { taskOfExecution } from "@needfire/shared/ids";
import { match, type ReactorIndex } from "@needfire/shared/match";
import type { AgentView } from "@needfire/shared/target";
import { type Execution, hasEnded, startTask, stepTask, type Step, type Task } from "@needfire/shared/task";
import type { EngineLog } from "./engine-log.ts";
import type { Journal } from "./journal/journal.ts";
import type { Ledger } from "./ledger.ts";
import { originOf } from "./origin.ts";
import type { Change, Mark, Store } from "./store/store.ts";

/** A command that will have no result, and why. */
export interface Expired {
  execution: Execution;
  reason: string;
}

/** An operator cancels a task. `done` hears of the task as it then is, or of none. */
export interface Cancel {
  task: string;
  reason: string;
  by: string;
  done: PromiseWithResolvers<Task | undefined>;
}

export interface ReactOptions {
  journal: Pick<Journal, "read">;
  ledger: Ledger;
  store: Pick<Store, "task">;
  /** What is durable and may happen now: commands to send, commands that ended. */
  perform(start: Execution[], ended: string[]): void;
  /** What became of commands since the last commit. */
  takeMarks(): Mark[];
  reactors(): ReactorIndex;
  agentView(id: string): AgentView;
  clock: { now(): number };
  log: EngineLog;
}

/** Events judged in one transaction. */
const pageEventsMax = 500;
/** Committed events that may wait in memory; beyond it the loop reads them from the journal. */
const feedEventsMax = 20_000;
/** Tasks that ended and may still be asked for as a cause. */
const tasksRememberedMax = 10_000;
const retryMs = 1_000;

export class React {
  readonly #options: ReactOptions;
  readonly #tasks = new Map<string, Task>();
  #position: number;
  #saved: number;
  /** Events fresh from the journal; undefined while they must be read from it. */
  #feed: Event[] | undefined;
  /** By execution: those that wait for the store are told of again and again. */
  readonly #expired = new Map<string, Expired>();
  readonly #cancels: Cancel[] = [];
  #wake = Promise.withResolvers<void>();

  constructor(options: ReactOptions, { cursor, openTasks }: { cursor: number; openTasks: Task[] }) {
    this.#options = options;
    this.#position = cursor;
    this.#saved = cursor;
    for (const task of openTasks) this.#tasks.set(task.id, task);
  }

  /** The journal has these in their place. */
  feed(events: Event[]): void {
    if (this.#feed !== undefined && this.#feed.length + events.length <= feedEventsMax) this.#feed.push(...events);
    else this.#feed = undefined;
    this.#wake.resolve();
  }

  /** Commands that are given up. */
  expire(expired: Expired[]): void {
    if (expired.length === 0) return;
    for (const each of expired) this.#expired.set(each.execution.id, each);
    this.#wake.resolve();
  }

  /** Resolves, when that is durable, with the task as it then is: `cancelled`, unless it had ended before. Undefined: there is none. */
  cancel(cancel: Omit<Cancel, "done">): Promise<Task | undefined> {
    const done = Promise.withResolvers<Task | undefined>();
    this.#cancels.push({ ...cancel, done });
    this.#wake.resolve();
    return done.promise;
  }

  async run(signal: AbortSignal): Promise<void> {
    signal.addEventListener("abort", () => this.#wake.resolve());
    while (!signal.aborted) {
      this.#wake = Promise.withResolvers();
      const page = await this.#next();
      const expired = [...this.#expired.values()];
      this.#expired.clear();
      const cancels = this.#cancels.splice(0);
      if (page.length === 0 && expired.length === 0 && cancels.length === 0) await this.#wake.promise;
      else await this.#judge(page, { expired, cancels }, signal);
    }
    if (this.#saved < this.#position) await this.#options.ledger.commit({ cursor: this.#position }).catch(() => {});
  }

  async #next(): Promise<Event[]> {
    while (this.#feed !== undefined) {
      const page = this.#feed.splice(0, pageEventsMax);
      const fresh = page.filter(({ position }) => position > this.#position);
      if (fresh.length > 0 || page.length === 0) return fresh;
    }
    // From here on what is committed is fed; what was committed before is read. An event in both is dropped by its position.
    this.#feed = [];
    const page = await this.#options.journal.read(this.#position, pageEventsMax);
    if (page.length === pageEventsMax) this.#feed = undefined;
    return page;
  }

  async #judge(events: Event[], { expired, cancels }: { expired: Expired[]; cancels: Cancel[] }, signal: AbortSignal): Promise<void> {
    const { clock, takeMarks, ledger, log } = this.#options;
    const changes: Change[] = [];
    for (const event of events) await this.#judgeEvent(event, changes);
    for (const { execution, reason } of expired) {
      const task = this.#tasks.get(execution.task);
      if (task !== undefined)
        this.#change(stepTask(task, { kind: "expired", execution: execution.id, reason }, clock.now()), false, changes);
    }
    const cancelled: (() => void)[] = [];
    for (const { task: id, reason, by, done } of cancels) {
      const task = await this.#task(id);
      if (task !== undefined) this.#change(stepTask(task, { kind: "cancel", reason, by }, clock.now()), false, changes);
      cancelled.push(() => done.resolve(task && (this.#tasks.get(id) ?? task)));
    }
    const answer = () => {
      for (const each of cancelled) each();
    };
    this.#position = events.at(-1)?.position ?? this.#position;
    const marks = takeMarks();
    // Nothing happened but that events were seen: the position is saved with the next thing that does, or at the end.
    if (changes.length === 0 && marks.length === 0) return answer();
    for (;;) {
      try {
        const { taken } = await ledger.commit({ cursor: this.#position, changes, marks });
        this.#saved = this.#position;
        for (const [index, { task }] of changes.entries()) if (taken[index] !== true) this.#tasks.delete(task.id);
        this.#perform(changes.filter((_change, index) => taken[index]));
        return answer();
      } catch (error) {
        log.error({ error: errorText(error) }, "reactions wait: the store does not take them");
        if (signal.aborted) {
          // What was judged is lost with this process, so the position must not pass it: the next one judges it again (P2).
          this.#position = this.#saved;
          return;
        }
        await delay(retryMs, undefined, { signal }).catch(() => {});
      }
    }
  }

  async #judgeEvent(event: Event, changes: Change[]): Promise<void> {
    const { clock, log } = this.#options;
    if (event.type === resultType) await this.#takeReport(event, changes);
    const origin = { event, ...(await originOf(event, (id) => this.#task(id))) };
    const agent = this.#options.agentView(origin.agent);
    for (const decision of match(this.#options.reactors(), { ...origin, agent })) {
      if (decision.kind === "fire") this.#change(startTask(decision, origin, clock.now()), true, changes);
      else
        log.debug(
          { event: event.id, reactor: decision.reactor.name, reason: decision.reason, detail: decision.detail },
          "a reactor did not fire",
        );
    }
  }

  async #takeReport(event: Event, changes: Change[]): Promise<void> {
    const report = event.data as unknown as ExecutionReport; // intake has checked it
    const task = await this.#task(taskOfExecution(report.execution));
    if (task === undefined || task.agent !== event.agent) return;
    this.#change(stepTask(task, { kind: "report", report }, this.#options.clock.now()), false, changes);
  }

  async #task(id: string): Promise<Task | undefined> {
    return this.#tasks.get(id) ?? (await this.#options.store.task(id));
  }

  #change({ task, effects }: Step, isNew: boolean, changes: Change[]): void {
    if (effects.length === 0) return;
    this.#tasks.set(task.id, task);
    if (this.#tasks.size > tasksRememberedMax) this.#forgetEnded();
    changes.push({ isNew, task, effects });
  }

  /** P2: only what is durable happens. */
  #perform(changes: Change[]): void {
    const effects = changes.flatMap((change) => change.effects);
    const start = inPriority(changes).flatMap((change) =>
      change.effects.flatMap((effect) => (effect.kind === "execute" ? [effect.execution] : [])),
    );
    const ended = effects.flatMap((effect) => (effect.kind === "record" ? [effect.report.execution] : []));
    if (start.length + ended.length > 0) this.#options.perform(start, ended);
  }

  #forgetEnded(): void {
    for (const [id, task] of this.#tasks) {
      if (hasEnded(task)) this.#tasks.delete(id);
      if (this.#tasks.size <= tasksRememberedMax / 2) break;
    }
  }
}

/** Of what is sent at once, the critical goes first (P8). */
function inPriority(changes: Change[]): Change[] {
  return changes.toSorted((a, b) => severities.indexOf(a.task.priority) - severities.indexOf(b.task.priority));
}
