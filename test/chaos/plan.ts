/**
 * What goes wrong when, drawn from the seed before anything starts: every kind comes up in turn, in a shuffled order, and on every kind of
 * process. The same seed and round give the same plan on every machine; what a machine cannot do is left out of it with the reason.
 */
import { Chance } from "../chance.ts";
import { type FaultName, faults } from "./faults/faults.ts";
import type { Means } from "./means.ts";

export interface Pace {
  agents: number;
  /** How long the stream goes on at least. */
  loadMs: number;
  /** Between two files on a host, on average. */
  pauseMs: number;
  faults: number;
  faultMsMax: number;
  /** Whether faults that take long may. */
  patient: boolean;
}

export const paces = {
  short: { agents: 2, loadMs: 4_000, pauseMs: 60, faults: 4, faultMsMax: 2_500, patient: false },
  long: { agents: 3, loadMs: 20_000, pauseMs: 100, faults: 8, faultMsMax: 8_000, patient: true },
} satisfies Record<string, Pace>;

export interface Planned {
  fault: FaultName;
  target: string;
  atMs: number;
  lengthMs: number;
  seed: number;
  /** Why it is left out. */
  skipped?: string | undefined;
}

export interface PlanOptions {
  seed: number;
  round: number;
  pace: Pace;
  means: Means;
  /** Those that may come. */
  kinds: readonly FaultName[];
}

export function planRound({ seed, round, pace, means, kinds }: PlanOptions): Planned[] {
  const chance = new Chance(Math.imul(seed, 31) + round);
  return Array.from({ length: pace.faults }, (_, index) => {
    const fault = dealt(kinds, seed, round * pace.faults + index);
    return { fault, ...blow(fault, pace, chance), skipped: unavailable(fault, means) };
  }).toSorted((a, b) => a.atMs - b.atMs);
}

function blow(fault: FaultName, pace: Pace, chance: Chance): Omit<Planned, "fault"> {
  const { targets, lengthMsMax = 0 } = faults[fault] as { targets: string; lengthMsMax?: number };
  const agents = agentNames(pace);
  // The master as often as an agent: there is one of it, and everything hangs on it.
  const target =
    targets === "all" ? "all" : targets === "master" || (targets === "any" && chance.fraction() < 0.5) ? "master" : chance.pick(agents);
  const max = pace.patient ? Math.max(pace.faultMsMax, lengthMsMax) : pace.faultMsMax;
  return { target, atMs: chance.between(0.1, 0.9) * pace.loadMs, lengthMs: chance.between(0.1, 1) * max, seed: chance.below(2 ** 31) };
}

export function agentNames({ agents }: Pace): string[] {
  return Array.from({ length: agents }, (_, index) => `a${index + 1}`);
}

/** The card at a place of decks that are shuffled one after the other. */
function dealt(kinds: readonly FaultName[], seed: number, place: number): FaultName {
  const names = [...kinds];
  const chance = new Chance(Math.imul(seed, 17) + Math.floor(place / names.length));
  for (let last = names.length - 1; last > 0; last--) {
    const other = chance.below(last + 1);
    [names[last], names[other]] = [names[other]!, names[last]!];
  }
  return names[place % names.length]!;
}

function unavailable(name: FaultName, means: Means): string | undefined {
  const fault = faults[name] as { unavailable?(means: Means): string | undefined };
  return fault.unavailable?.(means);
}
