/**
 * What the operators pass on: events as state keeps them, and candidates, which are firings that nothing has held back yet. All of it is
 * plain JSON, since it waits in rows.
 */
import type { Event } from "../event.ts";
import { eventsKeptMax, type Reactor, type Seen } from "./types.ts";

/** An event in a reactor's state. `at`: engine time. `from`: its ancestry, when it has one. `event`: only where the reactor reads it. */
export interface Kept {
  id: string;
  at: number;
  from?: readonly string[];
  event?: Event;
  /** What `distinct` gave, as JSON. */
  value?: string;
}

/** The raised problem of a candidate: the row of its state, and the event that raised it. */
export interface ProblemReference {
  row: string;
  id: string;
}

/** `events`: the newest, at most `eventsKeptMax`; `count`: all that went in. `matched`: by the name of a step, where the reactor reads it. */
export interface Candidate {
  trigger: Seen;
  events: readonly Kept[];
  count: number;
  key: readonly unknown[];
  ancestry: readonly string[];
  matched?: Readonly<Record<string, Event>>;
  /** Of `any`: the name of the step that came. */
  step?: string;
  problems?: readonly ProblemReference[];
}

/** What a correlation took together; the oldest of many are times only. */
export interface Gathered {
  events: readonly (Kept | number)[];
  /** Step of each of `events`, where there are steps. */
  steps?: readonly number[];
}

export function keep(reactor: Reactor, { event, ancestry }: Seen, at: number): Kept {
  const kept: Kept = { id: event.id, at };
  if (ancestry.length > 0) kept.from = ancestry;
  if (reactor.keepsEvents) kept.event = event;
  return kept;
}

export function candidateOf(
  { events, steps }: Gathered,
  { trigger, key, names }: { trigger: Seen; key: readonly unknown[]; names?: readonly string[] },
): Candidate {
  // One event may stand in several slots of `all`.
  const known = events.filter((item): item is Kept => typeof item !== "number");
  const once = steps === undefined ? known : known.filter((item, index) => known[index - 1]?.id !== item.id);
  const candidate: Candidate = {
    trigger,
    events: once.slice(-eventsKeptMax),
    count: once.length + events.length - known.length,
    key,
    ancestry: union(...known.map(({ from }) => from ?? [])),
  };
  if (steps !== undefined && names !== undefined) {
    const named = known.flatMap(({ event }, index) => (event === undefined ? [] : [[names[steps[index]!]!, event] as const]));
    if (named.length > 0) candidate.matched = Object.fromEntries(named);
  }
  return candidate;
}

/** Of one event alone. */
export function single(
  reactor: Reactor,
  trigger: Seen,
  { key, at, name }: { key: readonly unknown[]; at: number; name?: string },
): Candidate {
  const candidate: Candidate = { trigger, events: [keep(reactor, trigger, at)], count: 1, key, ancestry: trigger.ancestry };
  if (name !== undefined) candidate.step = name;
  if (name !== undefined && reactor.keepsEvents) candidate.matched = { [name]: trigger.event };
  return candidate;
}

/** Two that fire as one, at the time of the later: an event that went into both is listed once, and counts in each. */
export function merged(earlier: Candidate, later: Candidate): Candidate {
  const there = new Set(earlier.events.map(({ id }) => id));
  const problems = [...(earlier.problems ?? []), ...(later.problems ?? [])].slice(-eventsKeptMax);
  return {
    ...later,
    events: [...earlier.events, ...later.events.filter(({ id }) => !there.has(id))].slice(-eventsKeptMax),
    count: earlier.count + later.count,
    ancestry: union(earlier.ancestry, later.ancestry),
    ...(problems.length > 0 ? { problems } : {}),
  };
}

/** The steps' names, by which `matched` knows their events. */
export function stepNames({ entries, correlation }: Reactor): string[] {
  const names: string[] = [];
  for (const { role, as } of entries) if (role.kind === "step") names[role.step] = as ?? `step${role.step + 1}`;
  return correlation?.kind === "none" ? ["first"] : names;
}

/**
 * All names in their order, each as often as in the list that has it most: what several chains have in common counts once, and a chain
 * that came by one reactor twice stays as long as it is (P7).
 */
export function union(...lists: (readonly string[])[]): readonly string[] {
  const found: string[] = [];
  for (const list of lists) {
    for (const [index, name] of list.entries()) {
      const times = occurrences(name, list.slice(0, index + 1));
      if (occurrences(name, found) < times) found.push(name);
    }
  }
  return found;
}

function occurrences(name: string, list: readonly string[]): number {
  return list.filter((other) => other === name).length;
}
