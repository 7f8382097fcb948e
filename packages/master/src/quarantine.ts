/**
 * Judging that throws is tried again, since it may have been the moment's fault. When it goes on throwing, what it fails on is found and set
 * aside, and nothing else with it, so that the engine goes on (P4). That is told with the judgement that did without it.
 *
 * Nearly always the rules say which reactor failed on what. Otherwise it is looked for: by halves among the events that were judged together,
 * then reactor by reactor. What fails without any of them, too, is no event's fault, and nothing is set aside for it.
 */
import { errorText } from "@needfire/shared/errors";
import type { Event } from "@needfire/shared/event";
import { Aside, JudgingFailed } from "@needfire/shared/rules/aside";
import type { Reactor } from "@needfire/shared/rules/types";
import { isDiskTrouble } from "./disk-trouble.ts";

/** So often something must fail, before it is taken for its own fault. Of a reactor of which something was set aside, once. */
const triesMax = 3;
/** Events that are read at once from the journal, when there is something to catch up with. */
const pageEventsMax = 500;
/** Reactors that are tried one by one. */
const suspectsMax = 100;

export type Suspect = Pick<Reactor, "name" | "version">;

/** In whose name an event is set aside for all. */
export const everybody: Suspect = { name: "*", version: "" };

/** One after the other is left out. */
interface Trial {
  event: string;
  suspects: readonly Suspect[];
  at: number;
}

export class Quarantine {
  readonly aside = new Aside();
  readonly #suspectsOf: (event: Event) => readonly Suspect[];
  readonly #failures = new Map<string, number>();
  #tries = 0;
  /** How many events are judged together. */
  #pageMax = pageEventsMax;
  /** Where those end among which one is looked for. */
  #until: number | undefined;
  #trial: Trial | undefined;

  /** `suspectsOf`: the reactors that an event may concern. */
  constructor(suspectsOf: (event: Event) => readonly Suspect[]) {
    this.#suspectsOf = suspectsOf;
  }

  get pageMax(): number {
    return this.#pageMax;
  }

  /** `page`: what was being caught up with. Whether something else is tried from now on, so that there is nothing to wait for. */
  failed(error: unknown, page: readonly Event[]): boolean {
    if (error instanceof JudgingFailed) return this.#failedOn(error);
    const [first] = page;
    if (first === undefined || isDiskTrouble(error)) return false;
    if (this.#trial?.event === first.id && page.length === 1) return this.#tryNext(this.#trial, error);
    if (++this.#tries < triesMax) return false;
    if (page.length === 1) {
      const suspects = [...this.#suspectsOf(first).slice(0, suspectsMax), everybody];
      return this.#tryNext((this.#trial = { event: first.id, suspects, at: -1 }), error);
    }
    this.#pageMax = Math.ceil(page.length / 2);
    this.#until ??= page.at(-1)!.position;
    return true;
  }

  /** A page was judged, and what followed is kept. */
  passed(position: number): void {
    this.#trial = undefined;
    if (this.#until !== undefined && position < this.#until) return;
    this.#until = undefined;
    this.#pageMax = pageEventsMax;
    this.#tries = 0;
  }

  /** Everything was judged up to now. */
  settled(): void {
    if (this.#failures.size === 0 && this.aside.isEmpty && this.#tries === 0) return;
    this.#failures.clear();
    this.aside.settle();
    this.passed(Number.POSITIVE_INFINITY);
  }

  #failedOn({ reactor, what, cause }: JudgingFailed): boolean {
    const key = `${reactor.name} ${what}`;
    const failures = (this.#failures.get(key) ?? 0) + 1;
    this.#failures.set(key, failures);
    if (failures < triesMax && !this.aside.has(reactor)) return false;
    this.aside.add(reactor, what, `judging it failed: ${errorText(cause)}`);
    return true;
  }

  #tryNext(trial: Trial, error: unknown): boolean {
    const before = trial.suspects[trial.at];
    if (before !== undefined) this.aside.remove(before, trial.event);
    const next = trial.suspects[++trial.at];
    if (next === undefined) return false;
    this.aside.add(next, trial.event, `what follows from it cannot be kept: ${errorText(error)}`);
    return true;
  }
}
