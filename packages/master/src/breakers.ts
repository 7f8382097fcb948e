/**
 * The breakers of all reactors, as the engine asks for them: whether a firing may make a task. Decides nothing itself (shared/task/breaker.ts).
 * What changes is handed over to be stored with the turn that changed it (P2).
 */
import type { BreakerLimits } from "@needfire/shared/rules/types";
import { type Breaker, breakerKey, judged, mayTrip, type Strike, struck, type Trip, trip, tripAll } from "@needfire/shared/task/breaker";
import type { BreakerRow } from "./store/store.ts";

/** Of one reactor. Beyond it the one that was struck longest ago is forgotten, which is told (P4); those that have tripped stay. */
const keysMax = 10_000;
/** It is told at once, and then so often how many more. */
const tellEveryMs = 60_000;

/** Keys that were forgotten although they might have tripped. */
export interface KeysFull {
  reactor: string;
  keysMax: number;
  dropped: number;
}

/** `own`: of the key. `all`: of the reactor, which trips with it. */
export interface Tripping {
  key: unknown[];
  own: Trip;
  all: Trip | undefined;
}

export type Admission = { kind: "closed" } | { kind: "open"; trip: Trip } | ({ kind: "trips" } & Tripping);

/** `key` undefined: the reactor as a whole. */
export interface Tripped {
  reactor: string;
  key: unknown[] | undefined;
  trip: Trip;
}

interface Keyed {
  key: unknown[];
  breaker: Breaker;
}

interface OfReactor {
  all: Trip | undefined;
  /** The one that was struck longest ago first. */
  keys: Map<string, Keyed>;
}

const none: Breaker = { strikes: [] };

export class Breakers {
  readonly #reactors = new Map<string, OfReactor>();
  readonly #touched = new Map<string, { reactor: string; key: string }>();
  /** By reactor. */
  readonly #full = new Map<string, { told: number; dropped: number }>();

  /** Replaces all. */
  load(rows: readonly BreakerRow[]): void {
    this.#reactors.clear();
    this.#touched.clear();
    for (const { reactor, key, body } of rows) {
      const of = this.#of(reactor);
      if (key === "") of.all = body?.breaker.trip;
      else if (body !== undefined) of.keys.set(key, body);
    }
  }

  /** Whether a firing may make a task. One that may not is counted. */
  admit(reactor: string, about: Parameters<typeof breakerKey>[0], { limits, now }: { limits: BreakerLimits; now: number }): Admission {
    const of = this.#reactors.get(reactor);
    // Nearly always.
    if (of === undefined) return { kind: "closed" };
    if (of.all !== undefined) return this.#held(reactor, "", of.all);
    const key = breakerKey(about);
    const name = JSON.stringify(key);
    const { breaker } = of.keys.get(name) ?? { breaker: none };
    const verdict = judged(breaker, limits, now);
    if (verdict === "closed") return { kind: "closed" };
    if (breaker.trip !== undefined) return this.#held(reactor, name, breaker.trip);
    const own = trip(breaker, limits, now);
    of.keys.set(name, { key, breaker: { strikes: [], trip: own } });
    this.#touch(reactor, name);
    of.all = tripAll(tripsOf(of), limits, now);
    if (of.all !== undefined) this.#touch(reactor, "");
    return { kind: "trips", key, own, all: of.all };
  }

  /** A task came to nothing, or its problem may come back. */
  strike(reactor: string, about: Parameters<typeof breakerKey>[0], { limits, strike }: { limits: BreakerLimits; strike: Strike }): void {
    const { keys } = this.#of(reactor);
    const key = breakerKey(about);
    const name = JSON.stringify(key);
    const { breaker } = keys.get(name) ?? { breaker: none };
    if (breaker.trip !== undefined) return;
    keys.delete(name);
    keys.set(name, { key, breaker: struck(breaker, strike, limits) });
    this.#touch(reactor, name);
    if (keys.size > keysMax) this.#forgetOldest(reactor, keys, { limits, now: strike.at });
  }

  /** What had tripped and may try again now. `key`: its values as texts; undefined: the reactor and all of its keys. */
  reset(reactor: string, key: readonly string[] | undefined): Tripped[] {
    const of = this.#reactors.get(reactor);
    if (of === undefined) return [];
    const wanted = JSON.stringify(key);
    const reset = trippedOf(reactor, of).filter((each) => key === undefined || JSON.stringify(each.key?.map(valueText)) === wanted);
    for (const each of reset) {
      const name = each.key === undefined ? "" : JSON.stringify(each.key);
      if (name === "") of.all = undefined;
      else of.keys.delete(name);
      this.#touch(reactor, name);
    }
    return reset;
  }

  /** All that have tripped, the first one first. */
  list(): Tripped[] {
    return [...this.#reactors].flatMap(([reactor, of]) => trippedOf(reactor, of)).toSorted((a, b) => a.trip.at - b.trip.at);
  }

  /** What is to be stored with this turn. */
  takeDirty(): BreakerRow[] {
    const rows = [...this.#touched.values()].map(({ reactor, key }): BreakerRow => {
      const of = this.#reactors.get(reactor);
      const body = key === "" ? of?.all && { key: [], breaker: { strikes: [], trip: of.all } } : of?.keys.get(key);
      return { reactor, key, body };
    });
    this.#touched.clear();
    return rows;
  }

  /** What is to be told by now. */
  takeFull(now: number): KeysFull[] {
    const due = [...this.#full].filter(([, { told, dropped }]) => dropped > 0 && now - told >= tellEveryMs);
    return due.map(([reactor, { dropped }]) => {
      this.#full.set(reactor, { told: now, dropped: 0 });
      return { reactor, keysMax, dropped };
    });
  }

  #held(reactor: string, key: string, open: Trip): Admission {
    open.held++;
    this.#touch(reactor, key);
    return { kind: "open", trip: open };
  }

  #forgetOldest(reactor: string, keys: OfReactor["keys"], { limits, now }: { limits: BreakerLimits; now: number }): void {
    for (const [name, { breaker }] of keys) {
      if (breaker.trip !== undefined) continue;
      keys.delete(name);
      const { told = Number.NEGATIVE_INFINITY, dropped = 0 } = this.#full.get(reactor) ?? {};
      if (mayTrip(breaker, limits, now)) this.#full.set(reactor, { told, dropped: dropped + 1 });
      return this.#touch(reactor, name);
    }
  }

  #of(reactor: string): OfReactor {
    let of = this.#reactors.get(reactor);
    if (of === undefined) this.#reactors.set(reactor, (of = { all: undefined, keys: new Map() }));
    return of;
  }

  #touch(reactor: string, key: string): void {
    this.#touched.set(`${reactor} ${key}`, { reactor, key });
  }
}

function tripsOf({ keys }: OfReactor): Trip[] {
  return [...keys.values()].flatMap(({ breaker }) => breaker.trip ?? []);
}

function trippedOf(reactor: string, { all, keys }: OfReactor): Tripped[] {
  const own = [...keys.values()].flatMap(({ key, breaker: { trip: found } }) =>
    found === undefined ? [] : [{ reactor, key, trip: found }],
  );
  return all === undefined ? own : [{ reactor, key: undefined, trip: all }, ...own];
}

/** A value of a key as people give it. */
export function valueText(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}
