/**
 * The engine's thread: journal, store and the loop that judges events live side by side here, off the event loop that serves the socket.
 * An event gets its place, is judged, and becomes durable with what follows from it, without a hop between threads; only then does the main
 * thread hear what is to be acknowledged (P1) and sent (P2).
 */
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { Event, IncomingEvent } from "@needfire/shared/event";
import { ReactorIndex } from "@needfire/shared/match";
import { loadReactors } from "@needfire/shared/reactor";
import type { AgentView } from "@needfire/shared/target";
import { systemClock } from "@needfire/shared/clock";
import type { Execution, MasterEventDraft, Task } from "@needfire/shared/task";
import { logTo, type LogNotice } from "./engine-log.ts";
import { GroupCommit } from "./journal/group-commit.ts";
import { JournalWriter } from "./journal/sqlite.ts";
import { Ledger } from "./ledger.ts";
import { type Expired, React } from "./react.ts";
import { Database } from "./store/database.ts";
import { StoreWriter } from "./store/sqlite.ts";
import type { Committed, Mark, Snapshot, Writes } from "./store/store.ts";

/** How long a mark waits for something to be recorded with. */
const marksWaitMs = 500;
/** How long an operator's event may take to reach the journal before its id is given out all the same. */
const emitWaitMs = 2_000;
/** How long to wait before a journal that took nothing is tried again. */
const retryMs = 1_000;

export interface EngineOptions {
  state: string;
  synchronous: "FULL" | "NORMAL";
  now: number;
}

/** What the engine says unasked. `perform`: durable by now. `committed`: for those who watch; in its place, and durable in a moment. */
export type EngineNotice = { kind: "perform"; start: Execution[]; ended: string[] } | { kind: "committed"; events: Event[] } | LogNotice;

/** What the main thread needs to know at start. */
export type EngineState = Pick<Snapshot, "keys" | "tokens" | "agents" | "openExecutions">;

/** The engine as the main thread calls it, each method answering with a promise. */
export class Engine {
  readonly #journal: JournalWriter;
  readonly #store: StoreWriter;
  readonly #commit: GroupCommit;
  readonly #ledger: Ledger;
  readonly #react: React;
  readonly #snapshot: Snapshot;
  readonly #stop = new AbortController();
  readonly #agents = new Map<string, AgentView>();
  #reactors = new ReactorIndex([]);
  #marks: Mark[] = [];
  #marking: NodeJS.Timeout | undefined;
  #watched = false;
  #running: Promise<void> | undefined;

  constructor({ state, synchronous, now }: EngineOptions, notify: (notice: EngineNotice) => void) {
    const clock = systemClock();
    const log = logTo(notify);
    const database = new Database({ file: join(state, "master.db"), synchronous });
    this.#store = new StoreWriter(database, { now });
    this.#journal = new JournalWriter(database);
    this.#snapshot = this.#store.load();
    this.#commit = new GroupCommit(this.#journal, (events) => {
      this.#react.feed(events);
      if (this.#watched) notify({ kind: "committed", events });
    });
    this.#ledger = new Ledger({ store: this.#store, journal: this.#commit, log, clock, retryMs });
    this.#react = new React(
      {
        journal: this.#journal,
        ledger: this.#ledger,
        store: this.#store,
        reactors: () => this.#reactors,
        agentView: (id) => this.#agents.get(id) ?? { id, labels: {}, facts: {} },
        takeMarks: () => this.#marks.splice(0),
        perform: (start, ended) => notify({ kind: "perform", start, ended }),
        clock,
        log,
      },
      this.#snapshot,
    );
    // Before anything else is committed: the journal has the outbox in its order, and what is told done covers all before it.
    this.#ledger.forward(this.#snapshot.outbox);
  }

  state(): EngineState {
    const { keys, tokens, agents, openExecutions } = this.#snapshot;
    return { keys, tokens, agents, openExecutions };
  }

  /** Begins to judge, from the saved position on. Reactors and agents must be known by then. */
  start(): void {
    this.#running = this.#react.run(this.#stop.signal);
  }

  /** Resolves when the events are durable. Throws `DISK_FULL`, `QUEUE_FULL`: then they may come again, and none will be there twice. */
  append(events: IncomingEvent[]): Promise<void> {
    return this.#commit.append(events);
  }

  commit(writes: Omit<Writes, "now" | "outboxDone" | "cursor" | "changes">): Promise<Committed> {
    return this.#ledger.commit(writes);
  }

  /** An event of an operator's: resolves with its id when the journal has it, so that it can be asked for. */
  async emit(event: MasterEventDraft): Promise<string> {
    const { events } = await this.#ledger.commit({ events: [event] });
    // The outbox has it: a journal that takes nothing at the moment loses nothing, and the operator need not wait for it.
    await Promise.race([this.#ledger.forwarded(), delay(emitWaitMs, undefined, { ref: false })]);
    return events[0]!.id;
  }

  /** Files that have been checked already. */
  setReactors(files: { file: string; text: string }[]): void {
    const reactors = files.flatMap(({ file, text }) => {
      const loaded = loadReactors(file, text);
      return loaded.ok ? loaded.reactors : [];
    });
    this.#reactors = new ReactorIndex(reactors);
  }

  setAgents(views: AgentView[]): void {
    for (const view of views) this.#agents.set(view.id, view);
  }

  /** When commands were sent and confirmed: recorded with the next thing that happens, or by themselves soon. */
  mark(marks: Mark[]): void {
    this.#marks.push(...marks);
    this.#marking ??= setTimeout(() => this.#keepMarks(), marksWaitMs);
  }

  expire(expired: Expired[]): void {
    this.#react.expire(expired);
  }

  /** Resolves with the task as it then is, durably; undefined when there is none. */
  cancel(cancel: { task: string; reason: string; by: string }): Promise<Task | undefined> {
    return this.#react.cancel(cancel);
  }

  /** The agent that a task is for. */
  agentOfTask(task: string): string | undefined {
    return this.#store.task(task)?.agent;
  }

  /** Whether committed events are wanted on the main thread. */
  watch(wanted: boolean): void {
    this.#watched = wanted;
  }

  async close(): Promise<void> {
    clearTimeout(this.#marking);
    this.#stop.abort();
    await this.#running;
    await this.#ledger.stop();
    await this.#commit.drained();
    this.#store.close();
  }

  /** Nothing else happened that they could have been recorded with: a command that runs for long is to be seen as running. */
  #keepMarks(): void {
    this.#marking = undefined;
    const marks = this.#marks.splice(0);
    if (marks.length > 0) this.#ledger.commit({ marks }).catch(() => this.#marks.unshift(...marks));
  }
}
