/**
 * The life of a problem, from its raise to its clear, as pure functions on the state of one key.
 */
import type { Seen } from "./types.ts";

/** `fired`: its `do` was not held back, so that `on_clear` follows. `inhibits`: rows of what it inhibits while it lasts, once it has fired. */
export type ProblemState =
  | { state: "pending"; trigger: Seen; since: number; due: number }
  | { state: "raised"; id: string; since: number; fired: boolean; inhibits?: readonly string[] };

/** `raise`: it is a candidate now. */
export type Raised =
  | { outcome: "raise"; since: number }
  | { outcome: "pending"; state: ProblemState & { state: "pending" } }
  | { outcome: "joined" };

export function raise(state: ProblemState | undefined, forMs: number, trigger: Seen, now: number): Raised {
  if (state?.state === "raised") return { outcome: "joined" };
  if (state !== undefined) return { outcome: "pending", state };
  if (forMs === 0) return { outcome: "raise", since: now };
  return { outcome: "pending", state: { state: "pending", trigger, since: now, due: now + forMs } };
}

export type Cleared = "not-raised" | "cancelled" | "cleared" | "on_clear";

/** `on_clear`: it fired, so its end may be told. */
export function clear(state: ProblemState | undefined): Cleared {
  if (state === undefined) return "not-raised";
  if (state.state === "pending") return "cancelled";
  return state.fired ? "on_clear" : "cleared";
}
