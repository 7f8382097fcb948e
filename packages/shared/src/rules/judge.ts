/**
 * One reactor and one event, or one reactor and the time: own effects, loops and conditions first, then the correlation of its key, whose
 * candidates go on to `pass`.
 */
import { explain } from "../cel-explain.ts";
import { absenceTime, judgeNone } from "./absence.ts";
import { candidateOf, type Gathered, keep, type Kept, single } from "./candidate.ts";
import { type Case, firstHolding, holding, type Key, keyOf, refuse, stateOf } from "./case.ts";
import {
  type AllState,
  type CountState,
  newestOf,
  partialsMax,
  type SequenceState,
  takeAll,
  takeCount,
  takeSequence,
  windowEnds,
} from "./correlate.ts";
import { type Hearing, refusal, type Refusal, type RuleScope, valuesOf } from "./hearing.ts";
import { dropGroup, groupTime, takeHosts } from "./combine.ts";
import { cutsLoop } from "./loop.ts";
import { flowTime, offer } from "./pass.ts";
import { judgeRaise, problemTime } from "./problem.ts";
import type { Profile } from "./profile.ts";
import { put, say, type Turn } from "./turn.ts";
import type { Correlation, Entry } from "./types.ts";
import { waitingText } from "./wording.ts";

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
  let no: { refused: Refusal; waits: (() => string) | undefined } | undefined;
  const matches = (step: number, bound: readonly Kept[]): boolean => {
    const entry = entries.find(({ role }) => role.kind === "step" && role.step === step);
    if (entry === undefined) return false;
    const seen = { ...scope, matched: matchedBy(profile, bound) };
    const refused = refusal(entry.when, seen);
    if (refused !== undefined) no ??= { refused, waits: step === 0 ? undefined : () => explain(entry.when!, seen).blame };
    return refused === undefined;
  };
  const item = keep(profile.reactor, hearing.seen, turn.now);
  const taken = takeSequence(correlation, stateOf(asked, key) as SequenceState | undefined, { item, matches });
  if (taken.used) return settle(asked, key, taken);
  // What a step that waits says of this event hangs on the events before it: only here is that known, so it is told as waiting.
  const { waits } = no ?? {};
  if (no !== undefined && waits === undefined) return refuse(asked, no.refused);
  const { state } = taken;
  const detail = () => `${waitingText(turn, profile, { state, key: key.values })}${waits === undefined ? "" : `; ${waits()}`}`;
  say(turn, profile.reactor, { event: item.id, reason: "waiting" }, detail);
}

function matchedBy({ names }: Profile, bound: readonly Kept[]): NonNullable<RuleScope["matched"]> {
  return Object.fromEntries(bound.flatMap(({ event }, step) => (event === undefined ? [] : [[names[step]!, event]])));
}

/** Stores what a correlation of several events has now, and offers what is complete. */
function settle(
  { turn, profile, hearing }: Case,
  { row, values: key }: Key,
  {
    state,
    complete,
    letGo = 0,
  }: { state: CountState | AllState | SequenceState | undefined; complete: Gathered | undefined; letGo?: number },
): void {
  const { correlation } = profile.reactor;
  const withinMs = correlation !== undefined && "withinMs" in correlation ? correlation.withinMs : 0;
  put(turn, profile, row, { state, due: state && windowEnds(withinMs, newestOf(state)) });
  const { seen } = hearing;
  if (complete !== undefined) return offer(turn, profile, candidateOf(complete, { trigger: seen, key, names: profile.names }), hearing);
  // P4: told where it happens, and in no other way, since most sequences never end.
  const gone = letGo === 0 ? "" : `; ${letGo} that began before had to go, since at most ${partialsMax} of a key are under way`;
  say(turn, profile.reactor, { event: seen.event.id, reason: "waiting" }, () => `${waitingText(turn, profile, { state, key })}${gone}`);
}

/** The time of a row has come. */
export function judgeTime(turn: Turn, profile: Profile, due: { row: string; state: unknown }): void {
  const { row } = due;
  const kind = profile.reactor.correlation?.kind;
  if (row.startsWith("f")) return flowTime(turn, profile, due);
  if (row.startsWith("g")) return groupTime(turn, profile, row);
  if (row.startsWith("c") && kind === "raise") return problemTime(turn, profile, due);
  if (row.startsWith("c") && kind === "none") return absenceTime(turn, profile, due);
  put(turn, profile, row, { state: undefined });
}

/** What waits in a row is lost with it. */
export function dropRow(turn: Turn, profile: Profile, row: string): void {
  if (row.startsWith("g")) return dropGroup(turn, profile, row);
  if (row.startsWith("f")) takeHosts(turn, profile, row);
  put(turn, profile, row, { state: undefined });
}

function stepOf({ role }: Entry): number {
  return role.kind === "step" ? role.step : 0;
}
