/**
 * The reactors in force, made ready once and found by event: by its type first (exact types, then globs by their literal beginning), then by
 * what it must have (type-index.ts). What an event costs grows with the reactors that could match it, not with all there are. Decides nothing.
 */
import type { Event } from "../event.ts";
import { globMatcher } from "../glob.ts";
import type { AgentView } from "../target.ts";
import { anchorsOf } from "./anchor.ts";
import { PrefixTable } from "./prefix-table.ts";
import { type Hearer, TypeIndex, type Way } from "./type-index.ts";
import type { HeardReactor, Reactor } from "./types.ts";

/** Distinct event types of which is remembered who hears them; beyond it that is worked out anew. */
const typesRemembered = 10_000;

interface Glob<R extends HeardReactor> {
  matches(type: string): boolean;
  /** What stands before its first wildcard. */
  head: string;
  ways: Way<R>[];
  number: number;
}

const nobody = new TypeIndex<never>([]);
const exactType = /^[a-z0-9_.-]+$/;

/** `R`: whole, or what a sieve needs of them. */
export class ReactorIndex<R extends HeardReactor = Reactor> {
  readonly reactors: readonly R[];
  readonly #exact = new Map<string, Way<R>[]>();
  readonly #globs: PrefixTable<Glob<R>[]>;
  readonly #byType = new Map<string, TypeIndex<R>>();
  /** Types of which the same is said share an index: hosts may make up as many types as they like. */
  readonly #bySources = new Map<string, TypeIndex<R>>();

  readonly #awaited: readonly string[];
  readonly #awaits: (type: string) => boolean;
  readonly #awaitedTypes = new Map<string, boolean>();

  /** `awaited`: types for which verifications may wait beside those of these reactors: of tasks that others have begun. */
  constructor(reactors: readonly R[], awaited: readonly string[] = []) {
    this.reactors = reactors;
    this.#awaited = [...new Set([...awaited, ...reactors.flatMap(({ listensFor }) => listensFor)])];
    this.#awaits = globMatcher(this.#awaited);
    const globs = new Map<string, Glob<R>>();
    for (const [order, reactor] of reactors.entries()) if (reactor.mode !== "off") this.#add(order, reactor, globs);
    const byHead = new Map<string, Glob<R>[]>();
    for (const glob of globs.values()) {
      const known = byHead.get(glob.head);
      if (known === undefined) byHead.set(glob.head, [glob]);
      else known.push(glob);
    }
    this.#globs = new PrefixTable(byHead);
  }

  /** Whether a verification may wait for events of a type. */
  isAwaited(type: string): boolean {
    if (this.#awaited.length === 0) return false;
    let isAwaited = this.#awaitedTypes.get(type);
    if (isAwaited === undefined) {
      isAwaited = this.#awaits(type);
      if (this.#awaitedTypes.size < typesRemembered) this.#awaitedTypes.set(type, isAwaited);
    }
    return isAwaited;
  }

  /** Whether any reactor hears events of a type. */
  hearsType(type: string): boolean {
    return this.ofType(type).hearers.length > 0;
  }

  /** The reactors that could do something about an event, with their entries of its type, in order of definition: some too many, never one too few. */
  candidates(event: Event, agent: AgentView): readonly Hearer<R>[] {
    return this.ofType(event.type).candidates(event, agent);
  }

  ofType(type: string): TypeIndex<R> {
    let index = this.#byType.get(type);
    if (index === undefined) {
      index = this.#made(type);
      if (this.#byType.size < typesRemembered) this.#byType.set(type, index);
    }
    return index;
  }

  #add(order: number, reactor: R, globs: Map<string, Glob<R>>): void {
    for (const [place, entry] of reactor.entries.entries()) {
      const way = { order, place, reactor, entry, anchored: anchorsOf([reactor.when, entry.when], reactor.vars) };
      for (const pattern of new Set(entry.on)) {
        if (exactType.test(pattern)) {
          const known = this.#exact.get(pattern);
          if (known === undefined) this.#exact.set(pattern, [way]);
          else known.push(way);
          continue;
        }
        let glob = globs.get(pattern);
        if (glob === undefined) {
          const head = /^[a-z0-9_.-]*/.exec(pattern)![0];
          globs.set(pattern, (glob = { matches: globMatcher(pattern), head, ways: [], number: globs.size }));
        }
        glob.ways.push(way);
      }
    }
  }

  #made(type: string): TypeIndex<R> {
    const exact = this.#exact.get(type);
    const globs: Glob<R>[] = [];
    this.#globs.each(type, (some) => {
      for (const glob of some) if (glob.matches(type)) globs.push(glob);
    });
    if (exact === undefined && globs.length === 0) return nobody;
    const sources = `${exact === undefined ? "" : type} ${globs
      .map(({ number }) => number)
      .toSorted((a, b) => a - b)
      .join(" ")}`;
    let index = this.#bySources.get(sources);
    if (index === undefined) {
      index = new TypeIndex(inOrder([exact ?? [], ...globs.map(({ ways }) => ways)]));
      if (this.#bySources.size < typesRemembered) this.#bySources.set(sources, index);
    }
    return index;
  }
}

/** In order of definition, and none twice: an entry may be reached by several globs. */
function inOrder<R extends HeardReactor>(sources: readonly (readonly Way<R>[])[]): Way<R>[] {
  const entries = new Map(sources.flat().map((way) => [way.entry, way]));
  return [...entries.values()].toSorted((a, b) => a.order - b.order || a.place - b.place);
}
