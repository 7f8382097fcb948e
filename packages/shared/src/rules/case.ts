/**
 * One event as one reactor sees it: what its judgement goes by, and the questions that each kind of correlation asks first. Whatever says no is
 * told with its reason here.
 */
import { type Hearing, refusal, type Refusal, type RuleScope, valuesOf } from "./hearing.ts";
import type { Profile } from "./profile.ts";
import { say, type Turn } from "./turn.ts";
import type { Correlation, Entry } from "./types.ts";

/** `entries`: those whose type it is. */
export interface Case {
  turn: Turn;
  profile: Profile;
  hearing: Hearing;
  scope: RuleScope;
  entries: readonly Entry[];
}

export interface Key {
  row: string;
  values: readonly unknown[];
}

/** The key of an event. Undefined, and told why: the event has no key. */
export function keyOf(asked: Case, by: Correlation["by"]): Key | undefined {
  const found = valuesOf(by, asked.scope);
  if (found.ok) return { row: `c${JSON.stringify(found.values)}`, values: found.values };
  refuse(asked, found);
  return undefined;
}

export function stateOf({ turn, profile }: Case, { row }: Key): unknown {
  return turn.keys.get(profile.reactor.name, row);
}

/** The entries whose condition holds; when there is none, why the first one's does not is told. */
export function holding(asked: Case): Entry[] {
  let no: Refusal | undefined;
  const held = asked.entries.filter(({ when }) => {
    const refused = refusal(when, asked.scope);
    no ??= refused;
    return refused === undefined;
  });
  if (held.length === 0 && no !== undefined) refuse(asked, no);
  return held;
}

export function firstHolding(asked: Case): Entry | undefined {
  let no: Refusal | undefined;
  for (const entry of asked.entries) {
    const refused = refusal(entry.when, asked.scope);
    if (refused === undefined) return entry;
    no ??= refused;
  }
  if (no !== undefined) refuse(asked, no);
  return undefined;
}

export function refuse({ turn, profile: { reactor }, hearing }: Case, { reason, detail }: Refusal): void {
  say(turn, reactor, { event: hearing.seen.event.id, reason }, () => detail);
}
