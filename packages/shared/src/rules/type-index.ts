/**
 * The reactors that hear one type of event, found by what an event of it must have (anchor.ts). Of each condition it picks the anchor that
 * tells the most apart; a reactor of which nothing is known is looked at with every event.
 */
import type { Anchor, Anchored } from "./anchor.ts";
import { PrefixTable } from "./prefix-table.ts";
import type { Entry, Reactor } from "./types.ts";

/** One way into a reactor, and what an event must have for it. */
export interface Way {
  /** Its place in the order of definition. */
  order: number;
  reactor: Reactor;
  entry: Entry;
  anchored: Anchored | undefined;
}

/** A reactor with those of its entries that hear a type. */
export interface Hearer {
  reactor: Reactor;
  entries: readonly Entry[];
}

/** Texts that a field may have in the eyes of who knows nothing but the conditions: one in so many events has a given one. */
const valuesGuess = 20;
const severityValues = 4;
const booleanValues = 2;

interface Field {
  path: readonly string[];
  equals: Map<unknown, number[]>;
  prefixes: PrefixTable<number[]> | undefined;
}

const none: readonly Hearer[] = [];

export class TypeIndex {
  /** All that hear the type, in order of definition. */
  readonly hearers: readonly Hearer[];
  readonly reactors: readonly Reactor[];
  /** What is read of `event.data` to tell them apart: names of its fields; undefined: any. */
  readonly dataNames: readonly string[] | undefined;
  /** Indexes of `hearers` that are looked at always, and the same as hearers. */
  readonly #always: readonly number[];
  readonly #alwaysHearers: readonly Hearer[];
  readonly #fields: readonly Field[];

  /** `ways` in order of definition. */
  constructor(ways: readonly Way[]) {
    this.hearers = hearersOf(ways);
    this.reactors = this.hearers.map(({ reactor }) => reactor);
    const valuesOf = distinctValues(ways);
    const always = new Set<number>();
    const fields = new Map<string, { path: readonly string[]; equals: Map<unknown, number[]>; prefixes: Map<string, number[]> }>();
    let hearer = -1;
    let order = -1;
    for (const way of ways) {
      if (way.order !== order) hearer++;
      order = way.order;
      const chosen = way.anchored === undefined ? undefined : choose(way.anchored, valuesOf);
      if (chosen === undefined || chosen.share >= 1) always.add(hearer);
      else for (const anchor of chosen.anchors) add(fields, anchor, hearer);
    }
    this.#always = [...always];
    this.#alwaysHearers = this.#always.map((index) => this.hearers[index]!);
    this.#fields = [...fields.values()].map(({ path, equals, prefixes }) => ({
      path,
      equals,
      prefixes: prefixes.size === 0 ? undefined : new PrefixTable(prefixes),
    }));
    this.dataNames = dataNamesOf(this.#fields);
  }

  /** Those whose conditions may hold, in order of definition: some too many, never one too few. */
  candidates(event: object, agent: object): readonly Hearer[] {
    if (this.#fields.length === 0) return this.#alwaysHearers;
    let found: number[] | undefined;
    const take = (hearers: readonly number[]) => {
      if (found === undefined) found = [...hearers];
      else for (const hearer of hearers) found.push(hearer);
    };
    for (const { path, equals, prefixes } of this.#fields) {
      const value = valueAt(path, path[0] === "event" ? event : agent);
      if (value === undefined) continue;
      const equal = equals.get(value);
      if (equal !== undefined) take(equal);
      if (prefixes !== undefined && typeof value === "string") prefixes.each(value, take);
    }
    if (found === undefined) return this.#alwaysHearers;
    if (this.#always.length > 0) take(this.#always);
    return this.#inOrder(found);
  }

  #inOrder(found: number[]): readonly Hearer[] {
    if (found.length > 1) found.sort((a, b) => a - b);
    const hearers: Hearer[] = [];
    for (let at = 0; at < found.length; at++) if (found[at] !== found[at - 1]) hearers.push(this.hearers[found[at]!]!);
    return hearers.length === 0 ? none : hearers;
  }
}

function hearersOf(ways: readonly Way[]): Hearer[] {
  const hearers = new Map<number, { reactor: Reactor; entries: Entry[] }>();
  for (const { order, reactor, entry } of ways) {
    const known = hearers.get(order);
    if (known === undefined) hearers.set(order, { reactor, entries: [entry] });
    else known.entries.push(entry);
  }
  return [...hearers.values()];
}

function add(
  fields: Map<string, { path: readonly string[]; equals: Map<unknown, number[]>; prefixes: Map<string, number[]> }>,
  { path, kind, value }: Anchor,
  hearer: number,
): void {
  const name = nameOf(path);
  let field = fields.get(name);
  if (field === undefined) fields.set(name, (field = { path, equals: new Map(), prefixes: new Map() }));
  const table: Map<unknown, number[]> = kind === "equals" ? field.equals : field.prefixes;
  const hearers = table.get(value);
  if (hearers === undefined) table.set(value, [hearer]);
  else if (hearers.at(-1) !== hearer) hearers.push(hearer);
}

/** How many values the conditions know of each field: the more, the more it tells apart. */
function distinctValues(ways: readonly Way[]): Map<string, number> {
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

function dataNamesOf(fields: readonly Field[]): readonly string[] | undefined {
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
