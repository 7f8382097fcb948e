/**
 * The units that a `service` beacon watches, whoever runs them: what was told of each, kept across restarts; what is to be told later, if
 * nothing changes; what a remedy holds back (P7). What they look like comes from service-systemd.ts or service-polled.ts.
 */
import { durationMs } from "@needfire/shared/duration";
import type { ServiceEventData } from "@needfire/shared/beacons/service";
import { globMatcher } from "@needfire/shared/glob";
import type { Init } from "../../init.ts";
import type { BeaconContext, DefinitionOf } from "../beacon.ts";
import { type JudgeRules, passOver, type Standing, step, type UnitSeen, unknownStanding } from "./service-judge.ts";

/** Units that one beacon watches: what is more is not watched, and said (P4). */
const unitsMax = 5_000;
/** Node's timers go no further; what is due later is looked at again by then. */
const timerMsMax = 2 ** 31 - 1;

/** One unit as it is now. `at`: since when, ms since the epoch, if the init says so. */
export interface UnitState extends UnitSeen {
  unit: string;
  at?: number | undefined;
  details: Pick<ServiceEventData, "state" | "sub_state" | "result" | "exit_code" | "signal">;
}

interface Remedied {
  held(subject?: string): boolean;
  cause(subject?: string): { cause?: string };
}

export interface WatchOptions {
  definition: DefinitionOf<"service">;
  context: BeaconContext;
  init: Init;
  /** What remedies are at work. */
  remedied(): Remedied;
}

/** What the definition names, in the words of an init: its names in full, and a test for the others. */
export interface Wanted {
  names: string[];
  hasGlobs: boolean;
  fits(unit: string): boolean;
}

export function wanted({ units, exclude }: DefinitionOf<"service">, nameOf: (text: string) => string): Wanted {
  const isGlob = (text: string) => /[*?[{]/.test(text);
  const globs = units.filter(isGlob).map(nameOf);
  const names = new Set(units.filter((text) => !isGlob(text)).map(nameOf));
  const fits = globs.length === 0 ? () => false : globMatcher(globs);
  const excluded = exclude.length === 0 ? () => false : globMatcher(exclude.map(nameOf));
  return { names: [...names], hasGlobs: globs.length > 0, fits: (unit) => names.has(unit) || (fits(unit) && !excluded(unit)) };
}

interface Entry {
  standing: Standing;
  state: UnitState | undefined;
  named: boolean;
  /** Whose doing its state is: what waits to be told is told later than remedies are known. */
  cause: { cause?: string };
}

export class ServiceWatch {
  readonly #options: WatchOptions;
  readonly #rules: JudgeRules;
  readonly #units = new Map<string, Entry>();
  readonly #due = new Map<string, number>();
  #timer: NodeJS.Timeout | undefined;
  #wakeAt = Infinity;
  #overflowed = false;

  constructor(options: WatchOptions) {
    this.#options = options;
    const { definition, context } = options;
    this.#rules = {
      downWhen: definition.down_when,
      forMs: durationMs(definition.for),
      restartsMax: definition.flapping_restarts,
      windowMs: durationMs(definition.flapping_window),
    };
    context.signal.addEventListener("abort", () => clearTimeout(this.#timer), { once: true });
    for (const [unit, row] of context.memory.take()) {
      if (!Array.isArray(row)) continue;
      const [told, ran] = row as [Standing["told"], boolean];
      // When its restarts were is not known any more: it must be quiet for a whole window.
      const restarts = told === "flapping" ? Array<number>(this.#rules.restartsMax).fill(performance.now()) : [];
      this.#units.set(unit, { standing: { told, ran, restarts }, state: undefined, named: false, cause: {} });
    }
  }

  /** Units that something was told or is remembered of, which an init need not list. */
  known(): string[] {
    return [...this.#units.keys()];
  }

  /** Judges a unit as it is now. `named`: it stands in the definition in full. False: it is one too many, or nothing needs to be known of it. */
  see(state: UnitState, named: boolean): boolean {
    const { unit } = state;
    const known = this.#units.get(unit);
    if (known === undefined && this.#units.size >= unitsMax) return this.#overflow();
    const remedied = this.#options.remedied();
    const before = known !== undefined && this.#due.has(unit) ? known.cause : {};
    const entry: Entry = { standing: known?.standing ?? unknownStanding, state, named, cause: { ...before, ...remedied.cause(unit) } };
    this.#units.set(unit, entry);
    if (remedied.held(unit)) {
      // Judged when the remedy has ended: then all units are seen again.
      entry.standing = passOver(entry.standing, state);
      this.#due.delete(unit);
      return true;
    }
    this.#judge(unit, false);
    // Hosts start and end units of ever new names all day long.
    const settled = !named && state.verdict === "stopped" && !state.returns && entry.standing.told === "up" && !this.#due.has(unit);
    if (settled) this.forget(unit);
    return !settled;
  }

  /** There is no such unit any more, and nobody has named it in full. */
  forget(unit: string): void {
    this.#units.delete(unit);
    this.#due.delete(unit);
    this.#options.context.memory.set(unit, undefined);
  }

  restate(): void {
    for (const [unit, { standing, state }] of this.#units) if (standing.told !== "up" && state !== undefined) this.#judge(unit, true);
  }

  #judge(unit: string, again: boolean): void {
    const entry = this.#units.get(unit);
    if (entry?.state === undefined) return;
    const now = performance.now();
    const { told, ran } = entry.standing;
    const { standing, say, lastedMs, dueAt } = step(entry.standing, entry.state, { now, named: entry.named, rules: this.#rules });
    entry.standing = standing;
    if (say !== undefined || (again && standing.told !== "up")) this.#tell(entry.state, entry, lastedMs);
    if (told !== standing.told || ran !== standing.ran) this.#remember(unit, standing, entry.named);
    this.#later(unit, dueAt);
  }

  #tell({ unit, at, details }: UnitState, { standing: { told, restarts }, cause }: Entry, lastedMs: number | undefined): void {
    const { context, init } = this.#options;
    const data: ServiceEventData = {
      ...{ unit, ...details, init },
      ...{ restarts: restarts.length, window_ms: this.#rules.windowMs },
      ...(lastedMs === undefined ? {} : { lasted_ms: Math.round(lastedMs) }),
    };
    const time = at === undefined || told === "flapping" ? {} : { time: at };
    context.emit({ type: types[told], subject: unit, ...time, ...cause, data });
  }

  #remember(unit: string, { told, ran }: Standing, named: boolean): void {
    const matters = told !== "up" || (ran && !named && this.#rules.downWhen === "stopped");
    this.#options.context.memory.set(unit, matters ? [told, ran] : undefined);
  }

  #later(unit: string, dueAt: number | undefined): void {
    if (dueAt === undefined) return void this.#due.delete(unit);
    this.#due.set(unit, dueAt);
    if (dueAt < this.#wakeAt) this.#wake(dueAt);
  }

  #wake(at: number): void {
    clearTimeout(this.#timer);
    this.#wakeAt = at;
    if (at === Infinity || this.#options.context.signal.aborted) return;
    this.#timer = setTimeout(() => this.#dueNow(), Math.min(timerMsMax, Math.max(1, at - performance.now())));
  }

  #dueNow(): void {
    const now = performance.now();
    const { remedied } = this.#options;
    for (const [unit, at] of [...this.#due]) {
      if (at > now) continue;
      this.#due.delete(unit);
      if (!remedied().held(unit)) this.#judge(unit, false);
    }
    this.#wake(Math.min(Infinity, ...this.#due.values()));
  }

  #overflow(): false {
    if (!this.#overflowed) this.#options.context.degraded(`more than ${unitsMax} units fit: the others are not watched`);
    this.#overflowed = true;
    return false;
  }
}

const types = { down: "service.down", up: "service.up", flapping: "service.flapping" } as const;
