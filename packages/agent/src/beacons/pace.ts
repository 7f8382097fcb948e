/**
 * The budget of the agent as a whole: while it takes more processor time or memory than it may, its beacons look less often, and an event
 * says so; when it keeps the budget again, they look as often as they are told to.
 */
import type { EventDraft } from "@needfire/shared/event";

export interface Pace {
  /** How many times longer to wait between two looks; 1 or more. */
  readonly factor: number;
}

export interface Budget {
  /** Of one core. */
  cpuPercent: number;
  /** Resident. */
  memoryBytes: number;
}

/** What the process has taken up to now. */
export interface Usage {
  cpuMs: number;
  memoryBytes: number;
}

const measureMs = 10_000;
/** Beyond this a beacon would be as good as off. */
const factorMax = 32;
/** It goes back one step when the agent has kept well within its budget: what it took would be no more than all of it at twice the pace. */
const easyShare = 0.5;

export interface BudgetOptions {
  budget: Budget;
  usage(): Usage;
  clock: { now(): number };
  monotonic: { now(): number };
  emit(draft: EventDraft): void;
}

export class BudgetedPace implements Pace {
  factor = 1;
  readonly #options: BudgetOptions;
  #before: { at: number; cpuMs: number } | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: BudgetOptions) {
    this.#options = options;
  }

  start(): void {
    this.measure();
    this.#timer = setInterval(() => this.measure(), measureMs).unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** Judges what was taken since it was last called. */
  measure(): void {
    const { usage, monotonic, budget } = this.#options;
    const { cpuMs, memoryBytes } = usage();
    const at = monotonic.now();
    const before = this.#before;
    this.#before = { at, cpuMs };
    if (before === undefined || at <= before.at) return;
    const cpuPercent = ((cpuMs - before.cpuMs) / (at - before.at)) * 100;
    const over = cpuPercent > budget.cpuPercent || memoryBytes > budget.memoryBytes;
    const easy = cpuPercent <= budget.cpuPercent * easyShare && memoryBytes <= budget.memoryBytes;
    if (over && this.factor < factorMax) this.#set(this.factor * 2, { cpuPercent, memoryBytes });
    else if (easy && this.factor > 1) this.#set(this.factor / 2, { cpuPercent, memoryBytes });
  }

  /** Told when it begins, when it grows, and when it is over: not for the steps back between. */
  #set(factor: number, { cpuPercent, memoryBytes }: { cpuPercent: number; memoryBytes: number }): void {
    const grows = factor > this.factor;
    this.factor = factor;
    if (!grows && factor > 1) return;
    const { emit, clock, budget } = this.#options;
    const data = {
      factor,
      cpu_percent: Math.round(cpuPercent * 10) / 10,
      memory_bytes: memoryBytes,
      cpu_budget_percent: budget.cpuPercent,
      memory_budget_bytes: budget.memoryBytes,
    };
    emit({ type: grows ? "beacon.slowed" : "beacon.resumed", time: clock.now(), severity: "normal", data });
  }
}

export function processUsage(): Usage {
  const { user, system } = process.cpuUsage();
  return { cpuMs: (user + system) / 1_000, memoryBytes: process.memoryUsage.rss() };
}
