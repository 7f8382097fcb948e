/**
 * `none`: the wait for an event that must come, and what fires when it does not.
 */
import { explain } from "../cel-explain.ts";
import { single } from "./candidate.ts";
import { type Case, type Key, keyOf, refuse, stateOf } from "./case.ts";
import { Hearing, refusal } from "./hearing.ts";
import { offer } from "./pass.ts";
import type { Profile } from "./profile.ts";
import { clockText, put, say, type Turn } from "./turn.ts";
import type { Correlation, Entry, Seen } from "./types.ts";
import { forKey } from "./wording.ts";

/** The wait that began with `trigger`. */
interface AbsenceState {
  trigger: Seen;
  since: number;
  due: number;
}

/** What must not come ends a wait; then the event may begin the next, so that a periodic event that stops coming is noticed. */
export function judgeNone(asked: Case, { by, withinMs }: Correlation & { kind: "none" }): void {
  const key = keyOf(asked, by);
  if (key === undefined) return;
  const { turn, profile, hearing, scope, entries } = asked;
  const { seen } = hearing;
  const before = stateOf(asked, key) as AbsenceState | undefined;
  const absent = before && entries.find(({ role }) => role.kind === "absent");
  const notOver = absent && refusal(absent.when, { ...scope, matched: { first: before.trigger.event } });
  const first = entries.find(({ role }) => role.kind === "event");
  const notBegun = first && refusal(first.when, scope);
  const isOver = absent !== undefined && notOver === undefined;
  const begins = first !== undefined && notBegun === undefined;
  const still = isOver ? undefined : before;
  const wait = begins ? (still ?? { trigger: seen, since: turn.now, due: turn.now + withinMs }) : still;
  if (isOver || begins) put(turn, profile, key.row, { state: wait, due: wait?.due });
  if (isOver) tellOver(asked, before!);
  if (begins) return tellWait(asked, key, wait);
  if (isOver) return;
  // As with a sequence: whether this event ends the wait may hang on the one that began it.
  if (notOver !== undefined) return tellStillWaits(asked, key, before!, absent!);
  if (notBegun !== undefined) return refuse(asked, notBegun);
  tellWait(asked, key, undefined);
}

function tellOver({ turn, profile, hearing }: Case, { trigger, since }: AbsenceState): void {
  const event = hearing.seen.event.id;
  const detail = () => `it came: ${trigger.event.id} waited for it since ${clockText(turn, since)}`;
  say(turn, profile.reactor, { event, reason: "cancelled" }, detail);
}

function tellStillWaits({ turn, profile, hearing, scope }: Case, { values }: Key, wait: AbsenceState, { when }: Entry): void {
  const blame = () => explain(when!, { ...scope, matched: { first: wait.trigger.event } }).blame;
  const span = () => `since ${clockText(turn, wait.since)}, until ${clockText(turn, wait.due)}${forKey(values)}`;
  say(turn, profile.reactor, { event: hearing.seen.event.id, reason: "waiting" }, () => `${span()}; ${blame()}`);
}

function tellWait({ turn, profile, hearing }: Case, { values }: Key, wait: AbsenceState | undefined): void {
  const event = hearing.seen.event.id;
  const span = () =>
    wait === undefined ? "nothing is waiting for it" : `since ${clockText(turn, wait.since)}, until ${clockText(turn, wait.due)}`;
  say(turn, profile.reactor, { event, reason: "waiting", until: wait?.due }, () => `${span()}${forKey(values)}`);
}

/** Nothing came. */
export function absenceTime(turn: Turn, profile: Profile, { row, state }: { row: string; state: unknown }): void {
  const { trigger, since } = state as AbsenceState;
  const key = JSON.parse(row.slice(1)) as unknown[];
  put(turn, profile, row, { state: undefined });
  offer(turn, profile, single(profile.reactor, trigger, { key, at: since, name: "first" }), new Hearing(turn.world, trigger));
}
