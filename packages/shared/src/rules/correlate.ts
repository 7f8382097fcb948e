/**
 * The operators over several events, as pure functions on the state of one key: what is there and one more event give what is there then
 * and, when it is complete, what went in. State is never changed in place, since rows of it wait to be stored.
 */
import type { Gathered, Kept } from "./candidate.ts";
import { type Correlation, eventsKeptMax } from "./types.ts";

type Spec<K extends Correlation["kind"]> = Extract<Correlation, { kind: K }>;

/** Oldest first. Of those that no firing can name any more only the time is kept. */
export interface CountState {
  taken: readonly (Kept | number)[];
}
/** In the order in which they came. */
export interface AllState {
  filled: readonly (Kept & { step: number })[];
}
/** The events that each has so far, the oldest partial first. */
export interface SequenceState {
  partials: readonly (readonly Kept[])[];
}

export interface Taken<State> {
  state: State | undefined;
  complete: Gathered | undefined;
}

/** Sequences of one key that are under way. */
export const partialsMax = 100;

export function takeCount({ count, withinMs, consume }: Spec<"count">, state: CountState | undefined, item: Kept): Taken<CountState> {
  const before = state?.taken ?? [];
  const first = before.findIndex((other) => timeOf(other) >= item.at - withinMs);
  const taken = first < 0 ? [] : before.slice(first);
  if (item.value !== undefined) forget(taken, item.value);
  taken.push(item);
  slim(taken);
  const complete = taken.length >= count ? { events: taken } : undefined;
  const rest = complete === undefined ? taken : consume ? [] : taken.slice(-count);
  return { state: rest.length === 0 ? undefined : { taken: rest }, complete };
}

/** Of a value that is there already the last event counts. */
function forget(taken: (Kept | number)[], value: string): void {
  const index = taken.findIndex((other) => typeof other !== "number" && other.value === value);
  if (index >= 0) taken.splice(index, 1);
}

/** Each event pushes at most one out of what a firing can name. With `distinct` any may have to move up again: all are kept. */
function slim(taken: (Kept | number)[]): void {
  const index = taken.length - eventsKeptMax - 1;
  const item = taken[index];
  if (item !== undefined && typeof item !== "number" && item.value === undefined && item.from === undefined) taken[index] = item.at;
}

/** `steps`: those that the event matches, in order. */
export function takeAll(
  { steps: wanted, withinMs, consume }: Spec<"all">,
  state: AllState | undefined,
  { item, steps }: { item: Kept; steps: readonly number[] },
): Taken<AllState> {
  const fresh = (state?.filled ?? []).filter(({ at }) => at >= item.at - withinMs);
  const empty = steps.find((step) => fresh.every((other) => other.step !== step));
  const oldest = fresh.find(({ step }) => steps.includes(step))?.step;
  const targets = consume ? [empty ?? oldest!] : steps;
  const filled = [...fresh.filter(({ step }) => !targets.includes(step)), ...targets.map((step) => ({ ...item, step }))];
  const complete = filled.length === wanted ? { events: filled, steps: filled.map(({ step }) => step) } : undefined;
  return { state: complete !== undefined && consume ? undefined : { filled }, complete };
}

/**
 * `matches`: whether the event can be this step after these events. `used`: whether it became a part of any. `letGo`: how many of the oldest had to
 * go, since too many are under way.
 */
export function takeSequence(
  { steps, withinMs, consume }: Spec<"sequence">,
  state: SequenceState | undefined,
  { item, matches }: { item: Kept; matches(step: number, bound: readonly Kept[]): boolean },
): Taken<SequenceState> & { used: boolean; letGo: number } {
  const fresh = (state?.partials ?? []).filter((partial) => partial[0]!.at >= item.at - withinMs);
  const partials: (readonly Kept[])[] = [];
  let complete: Gathered | undefined;
  let used = false;
  for (const partial of fresh) {
    const takes = !(consume && used) && matches(partial.length, partial);
    if (!takes || !consume) partials.push(partial);
    if (!takes) continue;
    used = true;
    const advanced = [...partial, item];
    if (advanced.length < steps) partials.push(advanced);
    else complete ??= { events: advanced, steps: advanced.map((_, step) => step) };
  }
  if (!(consume && used) && matches(0, [])) {
    partials.push([item]);
    used = true;
  }
  const rest = partials.slice(-partialsMax);
  return { state: rest.length === 0 ? undefined : { partials: rest }, complete, used, letGo: partials.length - rest.length };
}

/** When nothing of the state is in its window any more: then its row goes. Times are whole milliseconds, and a window includes its end. */
export function windowEnds(withinMs: number, newest: number): number {
  return newest + withinMs + 1;
}

export function newestOf(state: CountState | AllState | SequenceState): number {
  if ("taken" in state) return timeOf(state.taken.at(-1)!);
  if ("filled" in state) return state.filled.at(-1)!.at;
  // Copies stand behind their original and began with it, so the last is the newest.
  return state.partials.at(-1)![0]!.at;
}

export function timeOf(item: Kept | number): number {
  return typeof item === "number" ? item : item.at;
}
