/**
 * The engine in this process, on a real directory, for tests. A crash is a copy of the files as they are at that instant, which is what a
 * process that is killed leaves behind; the new engine starts on the copy and the old one is no longer listened to.
 */
import { copyFileSync, existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import type { Outcome } from "@needfire/shared/action";
import { type Clock, systemClock } from "@needfire/shared/clock";
import type { Event, IncomingEvent } from "@needfire/shared/event";
import { executionId, taskOfExecution } from "@needfire/shared/ids";
import type { Execution, Offer } from "@needfire/shared/task";
import { problemText } from "@needfire/shared/yaml-file";
import { Engine, type EngineNotice } from "./engine.ts";
import { eventsFrame, incoming, settled, temporaryDirectory, wire } from "./fixture.ts";
import { SqliteJournalReader } from "./journal/sqlite-reader.ts";
import { JournalWriter } from "./journal/sqlite.ts";
import { Database } from "./store/database.ts";
import { SqliteStoreReader } from "./store/sqlite-reader.ts";

const lookMs = 20;
const looksMax = 3_000;
const retention = { keepMs: 86_400_000_000, bytesMax: 1_000_000_000 };
export interface Definition {
  file: string;
  text: string;
}

const wireOf = ({ sequence, id: _id, source: _source, agent: _agent, epoch: _epoch, received: _received, ...given }: IncomingEvent) =>
  wire(sequence, given);

/** A host as the engine sees it: runs each command once, and tells of everything again until it was taken (P1, P3). */
class Host {
  readonly #agent: string;
  readonly runs = new Map<string, number>();
  readonly #outcomes = new Map<string, Outcome>();
  readonly spool: IncomingEvent[] = [];
  /** When the master is said to have received a frame. */
  received = () => 1_000_000;
  /** How a command ends there. */
  outcomeOf: (execution: Pick<Execution, "id" | "action">) => Outcome = () => "succeeded";
  /** What it has beforehand, by the first command, with how many of its steps are done. */
  readonly leases = new Map<string, Offer & { done: number }>();
  #sequence = 0;

  constructor(agent: string) {
    this.#agent = agent;
  }

  happens(make: (sequence: number) => IncomingEvent): void {
    this.spool.push(make(++this.#sequence));
  }

  take(given: Execution): void {
    this.#run(given);
  }

  /** What it has not begun it never will. */
  drop(given: Pick<Execution, "id" | "action">): void {
    this.#run(given, "cancelled");
    this.leases.delete(given.id);
  }

  #run(given: Pick<Execution, "id" | "action">, end?: Outcome): void {
    const { id, action } = given;
    if (this.runs.has(id)) return;
    this.runs.set(id, 1);
    const outcome = end ?? this.outcomeOf(given);
    this.#outcomes.set(id, outcome);
    const data = { execution: id, action, outcome, changed: true, started: 1, ended: 2 };
    this.happens((sequence) => incoming(sequence, { agent: this.#agent, type: "execution.finished", cause: id, data }));
  }

  lend(offer: Offer): void {
    this.leases.set(offer.execution, { ...offer, done: this.leases.get(offer.execution)?.done ?? 0 });
  }

  /** By itself it does a step of what is due by then. */
  passTime(now: number): void {
    for (const lease of this.leases.values()) {
      const step = lease.due <= now ? lease.steps[lease.done] : undefined;
      if (step === undefined) continue;
      const { execution } = lease;
      const first = Number(execution.slice(execution.lastIndexOf(".") + 1));
      const id = executionId(taskOfExecution(execution), first + lease.done);
      this.#run({ id, action: step.action });
      lease.done = this.#outcomes.get(id) === "succeeded" ? lease.done + 1 : lease.steps.length;
    }
  }

  /** `heard`: whether the answer still reaches the host, which it does not when the master died meanwhile. */
  async send(engine: Engine, { batch, heard }: { batch: number; heard(): boolean }): Promise<void> {
    const events = this.spool.slice(0, batch);
    if (events.length === 0) return;
    const after = events[0]!.sequence - 1;
    const [verdict] = await engine.take([{ ...eventsFrame(events.map(wireOf), { agent: this.#agent, after }), received: this.received() }]);
    if (!heard() || verdict?.kind !== "taken") return;
    for (const event of events) if (this.spool.includes(event)) this.spool.splice(this.spool.indexOf(event), 1);
  }
}

/** Engines, one after the other, on directories of which each is what the one before left. */
export class World {
  readonly hosts = new Map([["web1", new Host("web1")]]);
  readonly problems: string[] = [];
  /** Whatever the engine of this life says. */
  heard: (notice: EngineNotice) => void = () => {};
  readonly #over = new Set<string>();
  engine!: Engine;
  directory!: string;
  readonly #parent: string;
  readonly #old: Engine[] = [];
  #lives = 0;

  readonly #clock: Clock;
  readonly #partitionEventsMax: number;

  constructor(t: TestContext, reactors: Definition[], { start = true, clock = systemClock(), partitionEventsMax = 100_000 } = {}) {
    this.#partitionEventsMax = partitionEventsMax;
    this.#parent = temporaryDirectory(t);
    this.#clock = clock;
    this.write(reactors);
    this.#begin(start);
  }

  get host(): Host {
    return this.hosts.get("web1")!;
  }

  /** Further hosts, all with an accepted key. */
  addHosts(names: readonly string[]): void {
    for (const name of names) this.hosts.set(name, this.hosts.get(name) ?? new Host(name));
    this.#introduce();
  }

  #introduce(): void {
    const names = [...this.hosts.keys()];
    this.engine.setAgents(names.map((id) => ({ id, labels: {}, facts: {} })));
    this.engine.setHosts(names, true);
  }

  /** A command goes to its host, or that it is not wanted any more. */
  #give(execution: Execution, isUnwanted: boolean): void {
    const host = this.hosts.get(execution.agent);
    if (isUnwanted) host?.drop(execution);
    else host?.take(execution);
  }

  /** Other reactors than those that there are. */
  define(reactors: readonly Definition[]): void {
    this.write(reactors);
    this.#enforce();
  }

  /** They are written and nobody has looked at them. */
  write(reactors: readonly Definition[]): void {
    rmSync(this.#rules, { recursive: true, force: true });
    mkdirSync(this.#rules);
    for (const { file, text } of reactors) writeFileSync(join(this.#rules, file), text);
  }

  #enforce(): void {
    this.problems.push(...this.engine.readRules().problems.map(problemText));
    this.engine.enforceRules();
  }

  /** Where the reactors stand. */
  get #rules(): string {
    return join(this.#parent, "reactors");
  }

  #begin(start: boolean): void {
    const life = ++this.#lives;
    const directory = join(this.#parent, String(life));
    mkdirSync(directory);
    if (life > 1) this.#copy(this.directory, directory);
    this.directory = directory;
    const options = {
      state: directory,
      synchronous: "NORMAL" as const,
      retention,
      partitionEventsMax: this.#partitionEventsMax,
      rules: { reactors: [this.#rules], nonce: "" },
      risesAfterMs: 300_000,
      guardMs: 300_000,
      now: 1_700_000_000_000,
    };
    const hear = (notice: EngineNotice) => {
      if (life === this.#lives) this.#hear(notice);
    };
    this.engine = new Engine(options, hear, this.#clock);
    this.#enforce();
    this.#introduce();
    for (const execution of this.engine.state().openExecutions) this.#give(execution, execution.cancelled === true);
    for (const offer of this.engine.state().offers) this.hosts.get(offer.agent)?.lend(offer);
    if (start) void this.engine.start();
  }

  /** Between two steps of the program no write is half done: the files are what the kernel would keep. */
  #copy(from: string, to: string): void {
    for (const name of ["master.db", "master.db-wal"]) {
      if (existsSync(join(from, name))) copyFileSync(join(from, name), join(to, name));
    }
  }

  #hear(notice: EngineNotice): void {
    this.heard(notice);
    if (notice.kind === "log") this.problems.push(notice.message);
    if (notice.kind !== "perform") return;
    for (const offer of notice.lend) this.hosts.get(offer.agent)?.lend(offer);
    for (const execution of notice.ended) this.#over.add(execution);
    for (const execution of notice.start) {
      if (this.#over.has(execution.id)) this.problems.push(`${execution.id} begins after its end`);
      this.#give(execution, notice.stop.includes(execution.id));
    }
  }

  async send(batch: number): Promise<void> {
    const life = this.#lives;
    for (const host of this.hosts.values()) await host.send(this.engine, { batch, heard: () => life === this.#lives });
  }

  /** The next engine takes over; whether it also starts to judge. */
  crash({ start = true } = {}): void {
    this.#old.push(this.engine);
    this.#begin(start);
  }

  /** Until the host has nothing to tell and the engine nothing to do. */
  async quiet(): Promise<void> {
    const isQuiet = () => [...this.hosts.values()].every(({ spool }) => spool.length === 0);
    for (let idle = 0; idle < 3; idle = isQuiet() ? idle + 1 : 0) {
      await this.send(100);
      await settled();
    }
  }

  /** What the store has. */
  read<T>(ask: (reader: SqliteStoreReader) => T): T {
    const reader = new SqliteStoreReader({ file: join(this.directory, "master.db") });
    try {
      return ask(reader);
    } finally {
      reader.close();
    }
  }

  /** The events of a type that the journal has, the oldest first. */
  found(type: string): Event[] {
    const reader = new SqliteJournalReader({ file: join(this.directory, "master.db") });
    try {
      return reader.query({ type, limit: 10_000 }).toReversed();
    } finally {
      reader.close();
    }
  }

  /** Until the journal has so many events of a type. */
  async until(type: string, count: number): Promise<Event[]> {
    for (let looks = 0; looks < looksMax; looks++) {
      const found = this.found(type);
      if (found.length >= count) return found;
      await delay(lookMs);
    }
    throw new Error(`there are not ${count} of ${type} but ${this.found(type).length}; ${[...new Set(this.problems)].join("; ")}`);
  }

  /** The same, while hosts answer. */
  async untilHeard(type: string, count: number): Promise<Event[]> {
    for (let looks = 0; looks < looksMax; looks++) {
      await this.quiet();
      const found = this.found(type);
      if (found.length >= count) return found;
      await delay(lookMs);
    }
    throw new Error(`there are not ${count} of ${type} but ${this.found(type).length}; ${[...new Set(this.problems)].join("; ")}`);
  }

  async end(): Promise<Event[]> {
    for (const engine of [...this.#old, this.engine]) await engine.close();
    const journal = new JournalWriter(new Database({ file: join(this.directory, "master.db"), synchronous: "NORMAL" }));
    try {
      return journal.read(0, 100_000);
    } finally {
      journal.close();
    }
  }
}
