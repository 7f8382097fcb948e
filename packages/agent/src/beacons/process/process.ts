/**
 * The `process` beacon: whether the processes that a definition chooses are there, how many, what they take, whether they were restarted, and
 * their zombies. Looks at /proc together with the other beacons of its type.
 */
import { readFileSync } from "node:fs";
import { compilePattern } from "@needfire/shared/pattern";
import { durationMs } from "@needfire/shared/duration";
import { globMatcher } from "@needfire/shared/glob";
import type { Accounts } from "../../accounts.ts";
import type { BeaconContext, DefinitionOf, RunningBeacon } from "../beacon.ts";
import { type Look, polled } from "../polled.ts";
import { countState, KeptCount } from "./process-count.ts";
import { bootId, type ProcessSeen, type ProcessTable, processTable, tickMs } from "./process-table.ts";
import { KeptLevel } from "../threshold.ts";

type Definition = DefinitionOf<"process">;
type Measure = "cpu_percent" | "memory_bytes" | "zombies";

const measures = ["cpu_percent", "memory_bytes", "zombies"] as const;
/** Processes that an event names. */
const namedMax = 5;
const nameCharactersMax = 64;
/** The kernel cuts names: of one that is as long, the first argument is looked at, too. */
const kernelNameCharacters = 15;
const pidFileBytesMax = 64;
/** The row of the oldest process in the beacon's memory. */
const oldestKey = "oldest";

export function start(definition: Definition, context: BeaconContext): RunningBeacon {
  const watch = new ProcessWatch(definition, context);
  const options = { interval: definition.interval, topic: "process", restate: () => watch.restate() };
  return polled(context, options, (look) => watch.look(look));
}

/** The oldest process at the last look, and the start of the youngest: `[boot, pid, start, youngest]`. */
type Oldest = [string, number, number, number];

class ProcessWatch {
  readonly #definition: Definition;
  readonly #context: BeaconContext;
  readonly #table: ProcessTable;
  readonly #fits: (process: ProcessSeen) => boolean;
  readonly #count: KeptCount;
  readonly #levels: Map<Measure, KeptLevel>;
  readonly #boot = bootId();
  #oldest: Oldest | undefined;
  /** Processor time of each at the look before, by pid and start. */
  #ticks: Map<string, number> | undefined;
  #ticksAt = 0;

  constructor(definition: Definition, context: BeaconContext) {
    this.#definition = definition;
    this.#context = context;
    this.#table = processTable(context.remedies);
    this.#fits = selector(definition, context.managed.accounts);
    const known = context.memory.take();
    this.#count = new KeptCount(context, { forMs: durationMs(definition.for), known });
    this.#levels = new Map(
      measures.flatMap((measure) => {
        const threshold = definition[measure];
        if (threshold === undefined) return [];
        const rules = { above: threshold.above, clear_below: threshold.clear_below, for: definition.for };
        return [[measure, new KeptLevel(rules, context, { key: measure, known })] as const];
      }),
    );
    const oldest = known.get(oldestKey);
    if (Array.isArray(oldest)) this.#oldest = oldest as Oldest;
  }

  restate(): void {
    this.#count.restate();
    for (const level of this.#levels.values()) level.restate();
  }

  async look(look: Look): Promise<void> {
    const chosen = await this.#choose();
    if (look.signal.aborted) return;
    const living = chosen.filter(({ state }) => state !== "Z" && state !== "X").toSorted((a, b) => a.start - b.start || a.pid - b.pid);
    const percents = this.#percents(living);
    const subject = this.#definition.name;
    // What a remedy is at work on is as it was, until the remedy has ended.
    if (look.held(subject)) return;
    const cause = look.cause(subject);
    this.#judgeRestart(living, cause);
    this.#judgeCount(living, look.now, cause);
    const values = {
      cpu_percent: percents === undefined ? undefined : sum([...percents.values()]),
      memory_bytes: sum(living.map(({ residentBytes }) => residentBytes)),
      zombies: chosen.length - living.length,
    };
    for (const [measure, level] of this.#levels) {
      const value = values[measure];
      const crossing = value === undefined ? undefined : level.step(value, look.now);
      if (value === undefined || crossing === undefined) continue;
      const type = crossing.turned === "normal" ? "process.normal" : measure === "zombies" ? "process.zombie" : "process.high";
      const processes = this.#topOf(measure, { chosen, living, percents });
      const data = { what: measure, value: Math.round(value * 10) / 10, count: living.length, processes };
      level.tell(type, { subject, ...cause }, { ...data, ...crossing.data });
    }
  }

  async #choose(): Promise<ProcessSeen[]> {
    const { pid_file: pidFile } = this.#definition;
    if (pidFile !== undefined) {
      const pid = readPid(pidFile);
      const process = pid === undefined ? undefined : this.#table.one(pid);
      return process !== undefined && this.#fits(process) ? [process] : [];
    }
    const { processes, isCut } = await this.#table.all();
    this.#context.degraded(isCut ? `there are more than ${processes.length} processes: the others are not seen` : undefined);
    return processes.filter((process) => this.#fits(process));
  }

  #judgeCount(living: ProcessSeen[], now: number, cause: { cause?: string }): void {
    const { min, max, name } = this.#definition;
    const said = this.#count.step(countState(living.length, { min, max }), now, cause);
    if (said === undefined) return;
    const data = { count: living.length, min, ...(max === undefined ? {} : { max }), lasted_ms: Math.round(said.lastedMs) };
    this.#count.tell({ subject: name, ...said.cause, data: { ...data, processes: this.#named(living) } });
  }

  /** Restarted: the oldest is another one, and younger than all that there were. Workers that come and go are not. */
  #judgeRestart(living: ProcessSeen[], cause: { cause?: string }): void {
    const [oldest] = living;
    // While there is none, the one before is remembered: it may be back before it is told as missing.
    if (!this.#definition.restarts || oldest === undefined) return;
    const [boot, pid, start, youngest] = this.#oldest ?? [];
    const now: Oldest = [this.#boot, oldest.pid, oldest.start, living.at(-1)!.start];
    if (boot === now[0] && pid === now[1] && start === now[2] && youngest === now[3]) return;
    const isNew =
      boot === this.#boot && pid !== undefined && (oldest.start > youngest! || (oldest.start === youngest && oldest.pid !== pid));
    if (isNew && this.#count.told !== "missing")
      this.#context.emit({
        type: "process.restarted",
        subject: this.#definition.name,
        ...cause,
        data: { pid: oldest.pid, pid_before: pid, count: living.length, processes: this.#named(living) },
      });
    this.#oldest = now;
    this.#context.memory.set(oldestKey, now);
  }

  /** Since the look before; undefined at the first. One that is new has taken all of its time since then. */
  #percents(living: ProcessSeen[]): Map<ProcessSeen, number> | undefined {
    if (!this.#levels.has("cpu_percent")) return undefined;
    const before = this.#ticks;
    const tookMs = performance.now() - this.#ticksAt;
    this.#ticks = new Map(living.map((process) => [`${process.pid}:${process.start}`, process.ticks]));
    this.#ticksAt += tookMs;
    if (before === undefined) return undefined;
    return new Map(
      living.map((process) => {
        const taken = process.ticks - (before.get(`${process.pid}:${process.start}`) ?? 0);
        return [process, ((taken * tickMs) / tookMs) * 100];
      }),
    );
  }

  #topOf(
    measure: Measure,
    { chosen, living, percents }: { chosen: ProcessSeen[]; living: ProcessSeen[]; percents: Map<ProcessSeen, number> | undefined },
  ) {
    if (measure === "zombies") return this.#named(chosen.filter((process) => !living.includes(process)));
    const value = (process: ProcessSeen) => (measure === "memory_bytes" ? process.residentBytes : (percents?.get(process) ?? 0));
    const top = living.toSorted((a, b) => value(b) - value(a)).slice(0, namedMax);
    const round = (process: ProcessSeen) => Math.round(value(process) * 10) / 10;
    return this.#named(top).map((named, i) => ({ ...named, [measure]: round(top[i]!) }));
  }

  #named(processes: ProcessSeen[]) {
    const { users } = this.#context.managed.accounts;
    return processes.slice(0, namedMax).map((process) => ({
      ...{ pid: process.pid, name: process.name.slice(0, nameCharactersMax) },
      ...{ user: users.name(process.user()), parent: process.parent },
    }));
  }
}

/** Cheap questions first: most processes are none of ours. */
function selector({ names, command, users }: Definition, accounts: Accounts): (process: ProcessSeen) => boolean {
  const tests: ((process: ProcessSeen) => boolean)[] = [];
  if (names !== undefined) {
    const fits = globMatcher(names);
    tests.push((process) => fits(process.name) || (process.name.length >= kernelNameCharacters && fits(programName(process.command()))));
  }
  // Asked anew each time: an account may be made while the beacon watches.
  if (users !== undefined) tests.push((process) => users.some((user) => accounts.users.id(user) === process.user()));
  if (command !== undefined) {
    const expression = compilePattern(command);
    tests.push((process) => expression.test(process.command()));
  }
  return (process) => tests.every((test) => test(process));
}

function programName(command: string): string {
  const [first = ""] = command.split(" ", 1);
  return first.slice(first.lastIndexOf("/") + 1);
}

function readPid(path: string): number | undefined {
  try {
    const pid = Number.parseInt(readFileSync(path, "latin1").slice(0, pidFileBytesMax), 10);
    return pid > 0 ? pid : undefined;
  } catch {
    return undefined; // no file, no process
  }
}

function sum(values: number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
