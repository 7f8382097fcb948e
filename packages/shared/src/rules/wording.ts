/**
 * The details of decisions, for people: with the values that decided. Made only when somebody wants to read them.
 */
import type { Candidate } from "./candidate.ts";
import { type AllState, type CountState, type SequenceState, timeOf } from "./correlate.ts";
import type { Admission } from "./flow.ts";
import type { Profile } from "./profile.ts";
import { clockText, type Turn } from "./turn.ts";
import type { Correlation, Firing, Flow } from "./types.ts";

/** How far a correlation of several events is. */
export function waitingText(turn: Turn, { reactor, names }: Profile, { state, key }: { state: unknown; key: readonly unknown[] }): string {
  const correlation = reactor.correlation!;
  const of = forKey(key);
  if (state === undefined) return `nothing is waiting for it${of}`;
  switch (correlation.kind) {
    case "count": {
      const { taken } = state as CountState;
      const what = correlation.distinct === undefined ? "" : ` different values of ${correlation.distinct.source}`;
      return `${taken.length} of ${correlation.count}${what} within ${spanText(correlation.withinMs)}${of}, the first at ${clockText(turn, timeOf(taken[0]!))}`;
    }
    case "all": {
      const there = new Set((state as AllState).filled.map(({ step }) => step));
      const missing = names.filter((_, step) => !there.has(step));
      return `${there.size} of ${correlation.steps} within ${spanText(correlation.withinMs)}${of}: ${missing.join(", ")} ${missing.length === 1 ? "is" : "are"} missing`;
    }
    case "sequence": {
      const [oldest] = (state as SequenceState).partials;
      const step = oldest!.length;
      return `step ${step + 1} of ${correlation.steps} (${names[step]}) is waiting since ${clockText(turn, oldest!.at(-1)!.at)}${of}`;
    }
    default:
      return of.trimStart();
  }
}

/** What made a candidate. */
export function candidateText({ reactor }: Profile, candidate: Candidate, branch: Firing["branch"]): string {
  const { count, key } = candidate;
  const { correlation, flow } = reactor;
  const of = forKey(key);
  if (branch === "on_clear") return `cleared${of}`;
  const many = flow !== undefined && count > 1 ? `${count} events${of}` : of.trimStart();
  return correlation === undefined ? many : `${texts[correlation.kind](correlation as never, candidate)}${of}`;
}

type Texts = {
  [Kind in Correlation["kind"]]: (
    correlation: Extract<Correlation, { kind: Kind }>,
    candidate: Pick<Candidate, "count" | "step">,
  ) => string;
};
const texts: Texts = {
  count: ({ count, withinMs }, { count: taken }) => `${taken} events, ${count} within ${spanText(withinMs)}`,
  all: ({ steps, withinMs }) => `all ${steps} within ${spanText(withinMs)}`,
  any: ({ steps }, { step }) => (step === undefined ? `one of ${steps}` : `${step}, one of ${steps}`),
  sequence: ({ steps, withinMs }) => `all ${steps} steps in their order within ${spanText(withinMs)}`,
  none: ({ withinMs }) => `nothing came within ${spanText(withinMs)}`,
  raise: ({ forMs }) => (forMs === 0 ? "raised" : `raised for ${spanText(forMs)}`),
};

/** Why a flow does not let a candidate fire now. */
export function admissionText(turn: Turn, flow: Flow, admission: Exclude<Admission, { outcome: "fire" }>): string {
  const { outcome, state, until } = admission;
  const end = clockText(turn, until);
  if (state.kind === "gather") {
    const [{ count }] = state.waiting;
    return `${count} since ${clockText(turn, state.opened)}; ${outcome === "collecting" ? `they fire at ${end}` : `fires at ${end} if no other comes`}`;
  }
  const limit = flow.kind === "rate" ? `${flow.count} in ${spanText(flow.windowMs)}; ` : "";
  const since = clockText(turn, state.kind === "once" ? state.opened : state.log.at(-1)!);
  const [first] = state.waiting;
  const waits = {
    throttled: "",
    overflowed: ` and ${state.waiting.length} wait already`,
    delayed: ` and ${state.waiting.length} ${state.waiting.length === 1 ? "waits" : "wait"}, to go one by one`,
    merged: ` and ${first?.count ?? 0} ${first?.count === 1 ? "waits" : "wait"}, to go together`,
  };
  return `${limit}throttled until ${end}${waits[outcome as keyof typeof waits]}; fired at ${since} by ${state.by}`;
}

/** Several hosts, so many of them by name. */
export function hostsText(hosts: readonly string[], namedMax = 5): string {
  const others = hosts.length - namedMax;
  return `${hosts.length} ${hosts.length === 1 ? "host" : "hosts"}: ${hosts.slice(0, namedMax).join(", ")}${others > 0 ? ` and ${others} more` : ""}`;
}

export function forKey(key: readonly unknown[]): string {
  return key.length === 0 ? "" : ` for ${JSON.stringify(key)}`;
}

const units = [
  ["w", 604_800_000],
  ["d", 86_400_000],
  ["h", 3_600_000],
  ["m", 60_000],
  ["s", 1_000],
  ["ms", 1],
] as const;

/** A duration as an author writes it: `1h30m`. */
export function spanText(ms: number): string {
  let rest = ms;
  let text = "";
  for (const [unit, size] of units) {
    const amount = Math.floor(rest / size);
    if (amount > 0) text += `${amount}${unit}`;
    rest -= amount * size;
  }
  return text === "" ? "0s" : text;
}
