/**
 * One reactor and one event, or one reactor and the time: own effects, loops and conditions first, then the correlation of its key, whose
 * candidates go on to `pass`.
 */
import { type Candidate, candidateOf, type Gathered, keep, type Kept, single } from "./candidate.ts";
import { type AllState, type CountState, newestOf, type SequenceState, takeAll, takeCount, takeSequence, windowEnds } from "./correlate.ts";
import { Hearing, refusal, type Refusal, type RuleScope, valuesOf } from "./hearing.ts";
import { cutsLoop } from "./loop.ts";
import { fire, flowTime, offer } from "./pass.ts";
import type { Profile } from "./profile.ts";
import { type AbsenceState, clear, type ProblemState, raise } from "./raise.ts";
import { inhibitionsOf, liftInhibitions } from "./suppress.ts";
import { clockText, put, say, type Turn } from "./turn.ts";
import type { Correlation, Entry, Reason } from "./types.ts";
import { forKey, waitingText } from "./wording.ts";

/** One event as one reactor sees it. `entries`: those whose type it is. */
interface Case {
  turn: Turn;
  profile: Profile;
  hearing: Hearing;
  scope: RuleScope;
  entries: readonly Entry[];
}

export function judgeEvent(turn: Turn, profile: Profile, heard: { hearing: Hearing; entries: readonly Entry[] }): void {
  const { reactor } = profile;
  const { hearing } = heard;
  const { seen } = hearing;
  let { entries } = heard;
  if (entries.length === 0) return;
  if (seen.ancestry.length > 0) {
    // P7: before any condition, so that a loop costs nothing.
    if (!reactor.followsSelf && seen.ancestry.includes(reactor.name)) entries = entries.filter(isEnd);
    if (entries.length === 0) {
      const { id, cause } = seen.event;
      return say(turn, reactor, { event: id, reason: "own-effect" }, () => `caused by this reactor's own remedy (${cause ?? "?"})`);
    }
    if (cutsLoop(turn, profile, seen)) return;
  }
  const scope = hearing.scope(profile);
  const no = refusal(reactor.when, scope);
  const asked: Case = { turn, profile, hearing, scope, entries };
  if (no !== undefined) return refuse(asked, no);
  judges[reactor.correlation?.kind ?? "event"](asked, reactor.correlation as never);
}

/** An end is what a remedy is for: its own effect may clear a problem and end a wait, though it begins nothing. */
function isEnd({ role: { kind } }: Entry): boolean {
  return kind === "clear" || kind === "absent";
}

type Judges = { [Kind in Correlation["kind"]]: (asked: Case, correlation: Extract<Correlation, { kind: Kind }>) => void } & {
  event: (asked: Case) => void;
};
const judges: Judges = {
  event: judgeSingle,
  any: judgeAny,
  count: judgeCount,
  all: judgeAll,
  sequence: judgeSequence,
  none: judgeNone,
  raise: judgeRaise,
};

function judgeSingle(asked: Case): void {
  if (firstHolding(asked) === undefined) return;
  const { turn, profile, hearing } = asked;
  offer(turn, profile, single(profile.reactor, hearing.seen, { key: [], at: turn.now }), hearing);
}

function judgeAny(asked: Case, { by }: Correlation): void {
  const entry = firstHolding(asked);
  const key = entry && keyOf(asked, by);
  if (key === undefined) return;
  const { turn, profile, hearing } = asked;
  const name = profile.names[stepOf(entry!)]!;
  offer(turn, profile, single(profile.reactor, hearing.seen, { key: key.values, at: turn.now, name }), hearing);
}

function judgeCount(asked: Case, correlation: Correlation & { kind: "count" }): void {
  const key = firstHolding(asked) && keyOf(asked, correlation.by);
  if (key === undefined) return;
  const item = keep(asked.profile.reactor, asked.hearing.seen, asked.turn.now);
  if (correlation.distinct !== undefined) {
    const found = valuesOf([correlation.distinct], asked.scope);
    if (!found.ok) return refuse(asked, found);
    item.value = JSON.stringify(found.values[0]) ?? "null";
  }
  settle(asked, key, takeCount(correlation, stateOf(asked, key) as CountState | undefined, item));
}

function judgeAll(asked: Case, correlation: Correlation & { kind: "all" }): void {
  const steps = holding(asked).map(stepOf);
  const key = steps.length === 0 ? undefined : keyOf(asked, correlation.by);
  if (key === undefined) return;
  const item = keep(asked.profile.reactor, asked.hearing.seen, asked.turn.now);
  settle(asked, key, takeAll(correlation, stateOf(asked, key) as AllState | undefined, { item, steps }));
}

function judgeSequence(asked: Case, correlation: Correlation & { kind: "sequence" }): void {
  const key = keyOf(asked, correlation.by);
  if (key === undefined) return;
  const { turn, profile, hearing, scope, entries } = asked;
  let no: Refusal | undefined;
  const matches = (step: number, bound: readonly Kept[]): boolean => {
    const entry = entries.find(({ role }) => role.kind === "step" && role.step === step);
    if (entry === undefined) return false;
    const refused = refusal(entry.when, { ...scope, matched: matchedBy(profile, bound) });
    no ??= refused;
    return refused === undefined;
  };
  const item = keep(profile.reactor, hearing.seen, turn.now);
  const taken = takeSequence(correlation, stateOf(asked, key) as SequenceState | undefined, { item, matches });
  if (taken.used) return settle(asked, key, taken);
  if (no !== undefined) return refuse(asked, no);
  const { state } = taken;
  say(turn, profile.reactor, { event: item.id, reason: "waiting" }, () => waitingText(turn, profile, { state, key: key.values }));
}

function matchedBy({ names }: Profile, bound: readonly Kept[]): NonNullable<RuleScope["matched"]> {
  return Object.fromEntries(bound.flatMap(({ event }, step) => (event === undefined ? [] : [[names[step]!, event]])));
}

/** Stores what a correlation of several events has now, and offers what is complete. */
function settle(
  { turn, profile, hearing }: Case,
  { row, values: key }: Key,
  { state, complete }: { state: CountState | AllState | SequenceState | undefined; complete: Gathered | undefined },
): void {
  const { correlation } = profile.reactor;
  const withinMs = correlation !== undefined && "withinMs" in correlation ? correlation.withinMs : 0;
  put(turn, profile, row, { state, due: state && windowEnds(withinMs, newestOf(state)) });
  const { seen } = hearing;
  if (complete !== undefined) return offer(turn, profile, candidateOf(complete, { trigger: seen, key, names: profile.names }), hearing);
  say(turn, profile.reactor, { event: seen.event.id, reason: "waiting" }, () => waitingText(turn, profile, { state, key }));
}

/** What must not come ends a wait; then the event may begin the next, so that a periodic event that stops coming is noticed. */
function judgeNone(asked: Case, { by, withinMs }: Correlation & { kind: "none" }): void {
  const key = keyOf(asked, by);
  if (key === undefined) return;
  const { turn, profile, hearing, scope, entries } = asked;
  const { seen } = hearing;
  const event = seen.event.id;
  let wait = stateOf(asked, key) as AbsenceState | undefined;
  let no: Refusal | undefined;
  let isTold = false;
  for (const entry of entries.filter(({ role }) => role.kind === "absent")) {
    if (wait === undefined) continue;
    const refused = refusal(entry.when, { ...scope, matched: { first: wait.trigger.event } });
    no ??= refused;
    if (refused !== undefined) continue;
    const { trigger, since } = wait;
    wait = undefined;
    isTold = true;
    say(
      turn,
      profile.reactor,
      { event, reason: "cancelled" },
      () => `it came: ${trigger.event.id} waited for it since ${clockText(turn, since)}`,
    );
  }
  for (const entry of entries.filter(({ role }) => role.kind === "event")) {
    const refused = refusal(entry.when, scope);
    no ??= refused;
    if (refused !== undefined) continue;
    wait ??= { trigger: seen, since: turn.now, due: turn.now + withinMs };
    const { since, due } = wait;
    isTold = true;
    say(
      turn,
      profile.reactor,
      { event, reason: "waiting", until: due },
      () => `since ${clockText(turn, since)}, until ${clockText(turn, due)}${forKey(key.values)}`,
    );
    break;
  }
  if (isTold) return void put(turn, profile, key.row, { state: wait, due: wait?.due });
  if (no !== undefined) return refuse(asked, no);
  say(turn, profile.reactor, { event, reason: "waiting" }, () => `nothing is waiting for it${forKey(key.values)}`);
}

function judgeRaise(asked: Case, correlation: Correlation & { kind: "raise" }): void {
  const key = keyOf(asked, correlation.by);
  if (key === undefined) return;
  const held = holding(asked);
  if (held.some(({ role }) => role.kind === "raise")) return raises(asked, key, correlation);
  if (held.length > 0) clears(asked, key);
}

function raises(asked: Case, key: Key, { forMs }: Correlation & { kind: "raise" }): void {
  const { turn, profile, hearing } = asked;
  const before = stateOf(asked, key) as ProblemState | undefined;
  const raised = raise(before, forMs, hearing.seen, turn.now);
  if (raised.outcome === "raise") return isRaisedNow(turn, profile, key, hearing);
  const event = hearing.seen.event.id;
  if (raised.outcome === "joined") {
    keepProblem(turn, profile, key.row, before);
    return say(
      turn,
      profile.reactor,
      { event, reason: "joined" },
      () => `raised since ${clockText(turn, before!.since)}${forKey(key.values)}`,
    );
  }
  const { state } = raised;
  keepProblem(turn, profile, key.row, state);
  say(
    turn,
    profile.reactor,
    { event, reason: "pending", until: state.due },
    () => `since ${clockText(turn, state.since)}, raised at ${clockText(turn, state.due)} unless it clears${forKey(key.values)}`,
  );
}

/** It is raised whether or not something holds the firing back: the clear has to know. */
function isRaisedNow(turn: Turn, profile: Profile, { row, values }: Key, hearing: Hearing): void {
  const { reactor } = profile;
  const { seen } = hearing;
  const { id } = seen.event;
  const inhibits = reactor.mode === "shadow" ? [] : inhibitionsOf(profile, hearing);
  keepProblem(turn, profile, row, { state: "raised", id, since: turn.now, fired: false, ...(inhibits.length > 0 ? { inhibits } : {}) });
  const candidate: Candidate = { ...single(reactor, seen, { key: values, at: turn.now }), problems: [{ row, id }] };
  offer(turn, profile, candidate, hearing);
}

function clears(asked: Case, key: Key): void {
  const { turn, profile, hearing } = asked;
  const { reactor } = profile;
  const { seen } = hearing;
  const problem = stateOf(asked, key) as ProblemState | undefined;
  const outcome = clear(problem);
  keepProblem(turn, profile, key.row, undefined);
  liftInhibitions(turn, profile, problem);
  if (outcome === "on_clear" && reactor.onClear.length > 0)
    return fire(turn, profile, single(reactor, seen, { key: key.values, at: turn.now }), { hearing, branch: "on_clear" });
  const reason: Reason = outcome === "on_clear" ? "cleared" : outcome;
  const since = () => (problem === undefined ? "" : ` since ${clockText(turn, problem.since)}`);
  say(turn, reactor, { event: seen.event.id, reason }, () => `${problem?.state ?? "nothing was raised"}${since()}${forKey(key.values)}`);
}

function keepProblem(turn: Turn, profile: Profile, row: string, state: ProblemState | undefined): void {
  const evicted = put(turn, profile, row, { state, due: state?.state === "pending" ? state.due : undefined });
  for (const gone of evicted) liftInhibitions(turn, profile, gone.state as ProblemState);
}

/** The time of a row has come. */
export function judgeTime(turn: Turn, profile: Profile, { row, state }: { row: string; state: unknown }): void {
  const { correlation } = profile.reactor;
  if (row.startsWith("f")) return flowTime(turn, profile, { row, state });
  const values = JSON.parse(row.slice(1)) as unknown[];
  if (row.startsWith("c") && correlation?.kind === "raise") {
    const { trigger } = state as ProblemState & { state: "pending" };
    return isRaisedNow(turn, profile, { row, values }, new Hearing(turn.world, trigger));
  }
  put(turn, profile, row, { state: undefined });
  if (!row.startsWith("c") || correlation?.kind !== "none") return;
  const { trigger, since } = state as AbsenceState;
  offer(turn, profile, single(profile.reactor, trigger, { key: values, at: since, name: "first" }), new Hearing(turn.world, trigger));
}

interface Key {
  row: string;
  values: readonly unknown[];
}

/** Undefined, and told why: the event has no key. */
function keyOf(asked: Case, by: Correlation["by"]): Key | undefined {
  const found = valuesOf(by, asked.scope);
  if (found.ok) return { row: `c${JSON.stringify(found.values)}`, values: found.values };
  refuse(asked, found);
  return undefined;
}

function stateOf({ turn, profile }: Case, { row }: Key): unknown {
  return turn.keys.get(profile.reactor.name, row);
}

function stepOf({ role }: Entry): number {
  return role.kind === "step" ? role.step : 0;
}

/** The entries whose condition holds; when there is none, why the first one's does not is told. */
function holding(asked: Case): Entry[] {
  let no: Refusal | undefined;
  const held = asked.entries.filter(({ when }) => {
    const refused = refusal(when, asked.scope);
    no ??= refused;
    return refused === undefined;
  });
  if (held.length === 0 && no !== undefined) refuse(asked, no);
  return held;
}

function firstHolding(asked: Case): Entry | undefined {
  let no: Refusal | undefined;
  for (const entry of asked.entries) {
    const refused = refusal(entry.when, asked.scope);
    if (refused === undefined) return entry;
    no ??= refused;
  }
  if (no !== undefined) refuse(asked, no);
  return undefined;
}

function refuse({ turn, profile: { reactor }, hearing }: Case, { reason, detail }: Refusal): void {
  say(turn, reactor, { event: hearing.seen.event.id, reason }, () => detail);
}
