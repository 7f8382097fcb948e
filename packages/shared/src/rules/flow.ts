/**
 * How often candidates may fire, as pure functions on the state of one key. A candidate is admitted, dropped, or waits in the state;
 * `release` gives what may come out when its time has come. A window opens when something fires, which the caller says with `fired`.
 */
import { type Candidate, merged } from "./candidate.ts";
import type { Flow, Overflow, Reason } from "./types.ts";

/** `by`: the last trigger that fired. `waiting`: for delay in order; for merge one, into which all have gone. */
export type FlowState =
  | { kind: "once"; opened: number; until: number; by: string; waiting: readonly Candidate[] }
  | { kind: "rate"; log: readonly number[]; by: string; waiting: readonly Candidate[] }
  | { kind: "gather"; opened: number; due: number; waiting: readonly [Candidate] };

/** `until`: when the next may fire. */
export type Admission =
  | { outcome: "fire" }
  | {
      outcome: Extract<Reason, "throttled" | "delayed" | "merged" | "debounced" | "collecting" | "overflowed">;
      state: FlowState;
      until: number;
    };

/** Candidates of one key that a delay lets wait. */
export const delayWaitingMax = 1_000;

export function admit(flow: Flow, state: FlowState | undefined, candidate: Candidate, now: number): Admission {
  switch (flow.kind) {
    case "once":
    case "rate": {
      // Nobody overtakes what waits, also at the very moment in which it may come out.
      const opens = opensAt(flow, state, now) ?? (state !== undefined && state.waiting.length > 0 ? now : undefined);
      return opens === undefined ? { outcome: "fire" } : overflow(flow.overflow, state as Limited, { candidate, until: opens });
    }
    case "debounce":
      return gather("debounced", state, { candidate, now, due: now + flow.quietMs });
    case "collect":
      return gather("collecting", state, { candidate, now, due: state?.kind === "gather" ? state.due : now + flow.windowMs });
  }
}

type Limited = Extract<FlowState, { kind: "once" | "rate" }>;

/** When the next may fire; undefined: now. */
function opensAt(flow: Flow, state: FlowState | undefined, now: number): number | undefined {
  if (state?.kind === "once") return now < state.until ? state.until : undefined;
  if (state?.kind !== "rate" || flow.kind !== "rate") return undefined;
  const log = inWindow(state.log, flow.windowMs, now);
  return log.length < flow.count ? undefined : log[log.length - flow.count]! + flow.windowMs;
}

function overflow(how: Overflow, state: Limited, { candidate, until }: { candidate: Candidate; until: number }): Admission {
  const { waiting } = state;
  if (how === "drop") return { outcome: "throttled", state, until };
  if (how === "merge") {
    const [first] = waiting;
    return { outcome: "merged", state: { ...state, waiting: [first === undefined ? candidate : merged(first, candidate)] }, until };
  }
  if (waiting.length >= delayWaitingMax) return { outcome: "overflowed", state, until };
  return { outcome: "delayed", state: { ...state, waiting: [...waiting, candidate] }, until };
}

function gather(
  outcome: "debounced" | "collecting",
  state: FlowState | undefined,
  { candidate, now, due }: { candidate: Candidate; now: number; due: number },
): Admission {
  const before = state?.kind === "gather" ? state : undefined;
  const all = before === undefined ? candidate : merged(before.waiting[0], candidate);
  return { outcome, state: { kind: "gather", opened: before?.opened ?? now, due, waiting: [all] }, until: due };
}

/** What has waited and may fire now, the oldest; undefined: nothing may. */
export function release(
  flow: Flow,
  state: FlowState | undefined,
  now: number,
): { candidate: Candidate; rest: FlowState | undefined } | undefined {
  const [candidate, ...waiting] = state?.waiting ?? [];
  if (state === undefined || candidate === undefined) return undefined;
  if (state.kind === "gather") return now < state.due ? undefined : { candidate, rest: undefined };
  return opensAt(flow, state, now) === undefined ? { candidate, rest: { ...state, waiting } } : undefined;
}

/** The state after a firing: a new window, or one more in the log. */
export function fired(flow: Flow, state: FlowState | undefined, by: string, now: number): FlowState | undefined {
  const waiting = state?.waiting ?? [];
  if (flow.kind === "once") return { kind: "once", opened: now, until: now + flow.windowMs, by, waiting };
  if (flow.kind !== "rate") return undefined;
  const log = state?.kind === "rate" ? inWindow(state.log, flow.windowMs, now) : [];
  return { kind: "rate", log: [...log, now].slice(-flow.count), by, waiting };
}

/** When time alone changes the state: something may come out, or nothing is left of it. */
export function flowDue(flow: Flow, state: FlowState): number {
  if (state.kind === "gather") return state.due;
  if (state.kind === "once") return state.until;
  if (flow.kind !== "rate") return state.log.at(-1) ?? 0;
  return (state.waiting.length > 0 ? state.log[0]! : state.log.at(-1)!) + flow.windowMs;
}

/** A window is open at its begin and over at its end. */
function inWindow(log: readonly number[], windowMs: number, now: number): readonly number[] {
  return log.filter((at) => at > now - windowMs);
}
