/**
 * What is not judged, because judging it throws: an event, or what was due, for one reactor; and a reactor altogether when it goes on like that. A
 * fault in our own code must not stop everything else, nor may it pass in silence: each skip is a decision, and told (P4, P5).
 *
 * The rules only ask. What is put here, and when it may go, is for whoever sees a judgement fail.
 */
import type { Reactor } from "./types.ts";

/** Things that are set aside of one version of a reactor; with the last of them the reactor is. */
export const setAsideMax = 5;

/** Judging threw. `what`: the event's id, or the key of the row that was due. */
export class JudgingFailed extends Error {
  readonly reactor: Named;
  readonly what: string;

  constructor(reactor: Named, what: string, cause: unknown) {
    super(`judging ${what} for ${reactor.name} failed: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
    this.reactor = { name: reactor.name, version: reactor.version };
    this.what = what;
  }
}

type Named = Pick<Reactor, "name" | "version">;

/** `last`: with this one the reactor as a whole is set aside. `isNews`: it has not been told; what goes with the reactor as a whole is not. */
export interface SetAside {
  why: string;
  last: boolean;
  isNews: boolean;
}

export class Aside {
  /** By reactor, of one version each. */
  readonly #reactors = new Map<string, { version: string; things: Map<string, SetAside>; failures: number }>();

  get isEmpty(): boolean {
    return this.#reactors.size === 0;
  }

  /** Whether anything was set aside of this version of a reactor. */
  has({ name, version }: Named): boolean {
    return this.#reactors.get(name)?.version === version;
  }

  add({ name, version }: Named, what: string, why: string): void {
    let of = this.#reactors.get(name);
    if (of?.version !== version) this.#reactors.set(name, (of = { version, things: new Map(), failures: 0 }));
    if (of.things.has(what)) return;
    of.failures++;
    of.things.set(what, { why, last: of.failures === setAsideMax, isNews: true });
  }

  remove({ name }: Named, what: string): void {
    const of = this.#reactors.get(name);
    if (of?.things.delete(what) !== true) return;
    of.failures--;
    if (of.failures === 0) this.#reactors.delete(name);
  }

  /** Undefined: it is judged. */
  of({ name, version }: Named, what: string): SetAside | undefined {
    const of = this.#reactors.get(name);
    if (of?.version !== version) return undefined;
    return of.things.get(what) ?? (of.failures >= setAsideMax ? { why: reactorWhy, last: false, isNews: false } : undefined);
  }

  /** Reactors that are set aside as a whole; of each the version that was, which may not be in force any more. */
  get whole(): readonly Named[] {
    const all = [...this.#reactors].filter(([, { failures }]) => failures >= setAsideMax);
    return all.map(([name, { version }]) => ({ name, version }));
  }

  /** What was set aside up to now is behind us, and will not be asked for again; a reactor that is set aside stays so, until it is another. */
  settle(): void {
    for (const { things } of this.#reactors.values()) things.clear();
  }
}

const reactorWhy = `judging it has failed on ${setAsideMax} things, and so it is set aside until it is changed or the master is restarted`;
