/**
 * The reactors that hear one type of event, found by what an event of it must have (anchor.ts). Of each condition it picks the anchor that
 * tells the most apart; a reactor of which nothing is known is looked at with every event.
 */
import type { Anchor, Anchored } from "./anchor.ts";
import { PrefixTable } from "./prefix-table.ts";
import type { HeardReactor, Reactor } from "./types.ts";

/** One way into a reactor, and what an event must have for it. */
export interface Way<R extends HeardReactor = Reactor> {
  /** Its place in the order of definition. */
  order: number;
  /** That of the entry among those of its reactor. */
  place: number;
  reactor: R;
  entry: R["entries"][number];
  anchored: Anchored | undefined;
}

/** A reactor with those of its entries that hear a type, in their order. `order`: its place in the order of definition. */
export interface Hearer<R extends HeardReactor = Reactor> {
  order: number;
  reactor: R;
  entries: readonly R["entries"][number][];
}

/** Texts that a field may have in the eyes of who knows nothing but the conditions: one in so many events has a given one. */
const valuesGuess = 20;
const severityValues = 4;
const booleanValues = 2;

/** Whom a value leads to, in order of definition. */
type Led<R extends HeardReactor> = Hearer<R>[];
interface Field<R extends HeardReactor> {
  path: readonly string[];
  equals: ReadonlyMap<unknown, Led<R>>;
  prefixes: PrefixTable<Led<R>> | undefined;
}
interface FieldDraft<R extends HeardReactor> {
  path: readonly string[];
  equals: Map<unknown, Led<R>>;
  prefixes: Map<string, Led<R>>;
}

export class TypeIndex<R extends HeardReactor = Reactor> {
  /** All that hear the type, in order of definition. */
  readonly hearers: readonly Hearer<R>[];
  /** What is read of `event.data` to tell them apart: names of its fields; undefined: any. */
  readonly dataNames: readonly string[] | undefined;
  /** Those that are looked at with every event. */
  readonly #always: Led<R> = [];
  readonly #fields: readonly Field<R>[];

  /** `ways` in order of definition. */
  constructor(ways: readonly Way<R>[]) {
    const hearers = hearersOf(ways);
    this.hearers = [...hearers.values()];
    const valuesOf = distinctValues(ways);
    const fields = new Map<string, FieldDraft<R>>();
    for (const { order, anchored } of ways) {
      const hearer = hearers.get(order)!;
      const chosen = anchored === undefined ? undefined : choose(anchored, valuesOf);
      if (chosen === undefined || chosen.share >= 1) lead(this.#always, hearer);
      else for (const anchor of chosen.anchors) add(fields, anchor, hearer);
    }
    this.#fields = [...fields.values()].map(({ path, equals, prefixes }) => ({
      path,
      equals,
      prefixes: prefixes.size === 0 ? undefined : new PrefixTable(prefixes),
    }));
    this.dataNames = dataNamesOf(this.#fields);
  }

  /** Those whose conditions may hold, in order of definition: some too many, never one too few. */
  candidates(event: object, agent: object): readonly Hearer<R>[] {
    // Nearly always one list is all there is, and it is handed out as it stands.
    let found = this.#always;
    let own: Led<R> | undefined;
    const take = (led: Led<R>) => {
      if (found.length === 0) found = led;
      else (own ??= found = [...found]).push(...led);
    };
    for (const { path, equals, prefixes } of this.#fields) {
      const value = valueAt(path, path[0] === "event" ? event : agent);
      if (value === undefined) continue;
      const led = equals.get(value);
      if (led !== undefined) take(led);
      if (prefixes !== undefined && typeof value === "string") prefixes.each(value, take);
    }
    return own === undefined ? found : [...new Set(own)].sort((a, b) => a.order - b.order);
  }
}

function hearersOf<R extends HeardReactor>(ways: readonly Way<R>[]): Map<number, Hearer<R>> {
  const hearers = new Map<number, Hearer<R> & { entries: R["entries"][number][] }>();
  for (const { order, reactor, entry } of ways) {
    const known = hearers.get(order);
    if (known === undefined) hearers.set(order, { order, reactor, entries: [entry] });
    else known.entries.push(entry);
  }
  return hearers;
}

/** The ways of a reactor follow each other. */
function lead<R extends HeardReactor>(led: Led<R>, hearer: Hearer<R>): void {
  if (led.at(-1) !== hearer) led.push(hearer);
}

function add<R extends HeardReactor>(fields: Map<string, FieldDraft<R>>, { path, kind, value }: Anchor, hearer: Hearer<R>): void {
  const name = nameOf(path);
  let field = fields.get(name);
  if (field === undefined) fields.set(name, (field = { path, equals: new Map(), prefixes: new Map() }));
  const table: Map<unknown, Led<R>> = kind === "equals" ? field.equals : field.prefixes;
  const led = table.get(value);
  if (led === undefined) table.set(value, [hearer]);
  else lead(led, hearer);
}

/** How many values the conditions know of each field: the more, the more it tells apart. */
function distinctValues(ways: readonly Pick<Way, "anchored">[]): Map<string, number> {
  const values = new Map<string, Set<unknown>>();
  const visit = (anchored: Anchored): void => {
    if (anchored.kind !== "anchors") return anchored.of.forEach(visit);
    for (const { path, value } of anchored.anchors) {
      const known = values.get(nameOf(path));
      if (known === undefined) values.set(nameOf(path), new Set([value]));
      else known.add(value);
    }
  };
  for (const { anchored } of ways) if (anchored !== undefined) visit(anchored);
  return new Map([...values].map(([name, known]) => [name, known.size]));
}

interface Choice {
  anchors: readonly Anchor[];
  /** Of the events that have one of them, by guess. */
  share: number;
}

function choose(anchored: Anchored, valuesOf: ReadonlyMap<string, number>): Choice {
  if (anchored.kind === "anchors") {
    const share = anchored.anchors.reduce((sum, anchor) => sum + shareOf(anchor, valuesOf), 0);
    return { anchors: anchored.anchors, share };
  }
  const choices = anchored.of.map((each) => choose(each, valuesOf));
  if (anchored.kind === "all") return choices.reduce((best, choice) => (choice.share < best.share ? choice : best));
  return {
    anchors: choices.flatMap(({ anchors }) => anchors),
    share: choices.reduce((sum, { share }) => sum + share, 0),
  };
}

function shareOf({ path, kind, value }: Anchor, valuesOf: ReadonlyMap<string, number>): number {
  if (typeof value === "boolean") return 1 / booleanValues;
  if (path.length === 2 && path[1] === "severity") return 1 / severityValues;
  const share = 1 / Math.max(valuesGuess, valuesOf.get(nameOf(path)) ?? 0);
  // More events have a beginning than have a whole.
  return kind === "prefix" ? share * 2 : share;
}

function nameOf(path: readonly string[]): string {
  return path.length === 2 ? `${path[0]}\0${path[1]}` : path.join("\0");
}

function dataNamesOf(fields: readonly Pick<Field<HeardReactor>, "path">[]): readonly string[] | undefined {
  const ofData = fields.filter(({ path }) => path[0] === "event" && path[1] === "data");
  if (ofData.some(({ path }) => path.length === 2)) return undefined;
  return [...new Set(ofData.map(({ path }) => path[2]!))];
}

function valueAt(path: readonly string[], from: object): unknown {
  let value: unknown = from;
  for (let at = 1; at < path.length; at++) {
    if (typeof value !== "object" || value === null) return undefined;
    value = (value as Record<string, unknown>)[path[at]!];
  }
  return value;
}
