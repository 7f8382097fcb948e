/**
 * What the main thread knows of a reactor. The engine's thread compiles it and hands it over as plain data: what people are shown, and what the
 * sieve asks of events. What it does, and what it remembers, is the engine's alone.
 */
import { type Condition, conditionOf, type PlainCondition } from "@needfire/shared/cel";
import type { Reactor } from "@needfire/shared/reactor";
import type { ReactorStep } from "@needfire/shared/rules/types";

type Shown = Pick<
  Reactor,
  "name" | "description" | "owner" | "runbook" | "version" | "file" | "line" | "mode" | "priority" | "on" | "vars" | "listensFor"
> & { steps: readonly Pick<ReactorStep, "action">[] };

interface Asking<C extends PlainCondition> {
  when: C | undefined;
  entries: readonly { on: readonly string[]; when: C | undefined }[];
}

export type PlainReactor = Shown & Asking<PlainCondition>;
export type KnownReactor = Shown & Asking<Condition>;

export function plainReactors(reactors: readonly Reactor[]): PlainReactor[] {
  const plain = eachOnce(({ source, sees, anchored, reads, quick }: Condition): PlainCondition => ({
    source,
    sees,
    anchored,
    reads,
    quick,
  }));
  return reactors.map((reactor) => {
    const { name, description, owner, runbook, version, file, line, mode, priority, on, vars, remedy, when, entries, listensFor } = reactor;
    const shown = { name, description, owner, runbook, version, file, line, mode, priority, on, vars };
    return {
      ...shown,
      steps: remedy.rungs.flatMap(({ steps }) => steps).map(({ action }) => ({ action })),
      listensFor,
      when: plain(when),
      entries: entries.map((entry) => ({ on: entry.on, when: plain(entry.when) })),
    };
  });
}

export function knownReactors(reactors: readonly PlainReactor[]): KnownReactor[] {
  const known = eachOnce(conditionOf);
  return reactors.map(({ when, entries, ...shown }) => ({
    ...shown,
    when: known(when),
    entries: entries.map(({ on, when: own }) => ({ on, when: known(own) })),
  }));
}

/** Reactors share conditions of the same text; so do these. */
function eachOnce<A extends object, B>(make: (from: A) => B): (from: A | undefined) => B | undefined {
  const made = new Map<A, B>();
  return (from) => {
    if (from === undefined) return undefined;
    let to = made.get(from);
    if (to === undefined) made.set(from, (to = make(from)));
    return to;
  };
}
