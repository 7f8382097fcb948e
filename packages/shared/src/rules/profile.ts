/**
 * What the engine works out about a reactor once, when it comes into force, so that no event pays for it.
 */
import type { Expression } from "../cel.ts";
import { stepNames } from "./candidate.ts";
import type { By, Reactor } from "./types.ts";

/** Values by which firings of a reactor inhibit others. `id`: of these expressions; reactors that ask for the same share them. */
export interface Equal {
  id: string;
  by: By;
  vars: Reactor["vars"];
  /** The longest that any reactor asks for. */
  forMs: number;
}

export interface Profile {
  reactor: Reactor;
  names: readonly string[];
  /** An expression of it asks for `route`, which is worked out only then. */
  readsRoute: boolean;
  /** How others are inhibited by it. */
  inhibits: readonly Equal[];
}

export function profilesOf(reactors: readonly Reactor[]): Map<string, Profile> {
  const inhibits = new Map<string, Map<string, Equal>>();
  for (const inhibited of reactors) {
    for (const { reactor, equal: by, forMs } of inhibited.inhibitedBy) {
      const id = equalId(by, inhibited.vars);
      const known = inhibits.get(reactor) ?? new Map<string, Equal>();
      inhibits.set(reactor, known.set(id, { id, by, vars: inhibited.vars, forMs: Math.max(forMs, known.get(id)?.forMs ?? 0) }));
    }
  }
  return new Map(reactors.map((reactor) => [reactor.name, profileOf(reactor, [...(inhibits.get(reactor.name)?.values() ?? [])])]));
}

/** Expressions of the same text give the same values, unless they read what each reactor has for itself. */
export function equalId(by: By, vars: Reactor["vars"]): string {
  const sources = by.map(({ source }) => source);
  return JSON.stringify(by.some(({ reads }) => reads.variables.has("vars")) ? [sources, vars] : sources);
}

function profileOf(reactor: Reactor, inhibits: readonly Equal[]): Profile {
  return {
    reactor,
    names: stepNames(reactor),
    readsRoute: asked(reactor).some((expression) => expression?.reads.variables.has("route")),
    inhibits,
  };
}

/** What is asked of an event before anything fires. */
function asked({ when, entries, correlation, flow }: Reactor): (Expression | undefined)[] {
  const distinct = correlation?.kind === "count" ? correlation.distinct : undefined;
  return [when, ...entries.map((entry) => entry.when), distinct, ...(correlation?.by ?? []), ...(flow?.by ?? [])];
}
