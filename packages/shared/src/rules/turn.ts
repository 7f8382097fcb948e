/**
 * One call of the engine: what its parts work on together, and what has been decided so far.
 */
import type { Evicted, Keys } from "./keys.ts";
import type { Profile } from "./profile.ts";
import type { Decision, Firing, Judgement, Reactor, Reason, World } from "./types.ts";

export interface Turn extends Judgement {
  readonly keys: Keys;
  readonly world: World;
  /** Reasons of which decisions are made; firings always are. */
  readonly records: (reason: Reason) => boolean;
  /** Engine time. */
  readonly now: number;
  /** How far engine time is ahead of the clock that events and calendars go by. */
  readonly skew: number;
  /** Keys of a reactor that has too many. */
  dropped(reactor: Reactor, keys: number): void;
}

interface Said {
  event: string;
  reason: Reason;
  /** Engine time. */
  until?: number | undefined;
  firing?: Firing | undefined;
}

/** `detail` is worked out only when somebody wants to know. */
export function say(turn: Turn, reactor: Reactor, { event, reason, until, firing }: Said, detail: () => string): void {
  if (firing === undefined && !turn.records(reason)) return;
  const decision: Decision = { reactor, event, at: turn.now - turn.skew, reason, detail: detail() };
  if (until !== undefined) decision.until = until - turn.skew;
  if (firing !== undefined) decision.firing = firing;
  turn.decisions.push(decision);
}

/** Keeps the state of one key, or lets go of it. Gives the keys that had to go for it. */
export function put(turn: Turn, { reactor }: Profile, key: string, kept: { state: unknown; due?: number | undefined }): readonly Evicted[] {
  const evicted = turn.keys.put(reactor.name, key, { state: kept.state, due: kept.due });
  if (evicted.length > 0) turn.dropped(reactor, evicted.length);
  return evicted;
}

/** A point in engine time, for people. */
export function clockText(turn: Turn, at: number): string {
  const date = new Date(at - turn.skew);
  return Number.isNaN(date.getTime()) ? String(at) : date.toISOString();
}
