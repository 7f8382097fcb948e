/**
 * What holds a candidate back whatever its flow: another reactor that inhibits it, a silence, a calendar. And what inhibits: a problem while
 * it lasts, any other reactor for a while after it fired.
 */
import type { Hearing } from "./hearing.ts";
import { valuesOf } from "./hearing.ts";
import { equalId, type Profile } from "./profile.ts";
import type { ProblemState } from "./raise.ts";
import { clockText, put, type Turn } from "./turn.ts";
import type { Reason } from "./types.ts";

/** Per reactor that inhibits, and values of `equal`. `raised`: its problems with these values. `fired`: when it did so last. */
interface InhibitionState {
  raised: number;
  fired: number | undefined;
}

export interface Suppressed {
  reason: Extract<Reason, "inhibited" | "silenced" | "muted">;
  detail: string;
  until?: number | undefined;
}

export function suppressed(turn: Turn, profile: Profile, hearing: Hearing): Suppressed | undefined {
  return inhibited(turn, profile, hearing) ?? silenced(turn, profile, hearing) ?? muted(turn, profile);
}

function inhibited(turn: Turn, { reactor }: Profile, hearing: Hearing): Suppressed | undefined {
  for (const { reactor: by, equal, forMs } of reactor.inhibitedBy) {
    const found = valuesOf(equal, hearing.scope({ reactor, readsRoute: true }));
    if (!found.ok) continue;
    const state = turn.keys.get(by, keyOf(equalId(equal, reactor.vars), found.values)) as InhibitionState | undefined;
    const of = found.values.length === 0 ? "" : ` for ${JSON.stringify(found.values)}`;
    if (state !== undefined && state.raised > 0) return { reason: "inhibited", detail: `inhibited by ${by}, which is raised${of}` };
    if (state?.fired === undefined || turn.now >= state.fired + forMs) continue;
    const until = state.fired + forMs;
    return { reason: "inhibited", detail: `inhibited by ${by}${of} until ${clockText(turn, until)}`, until };
  }
  return undefined;
}

function silenced(turn: Turn, { reactor }: Profile, { seen }: Hearing): Suppressed | undefined {
  const silence = turn.world.silence(reactor.name, seen.agent, turn.now - turn.skew);
  if (silence === undefined) return undefined;
  const until = silence.until + turn.skew;
  return { reason: "silenced", detail: `silenced by ${silence.id} until ${clockText(turn, until)}: ${silence.why}`, until };
}

function muted(turn: Turn, { reactor: { muteDuring, onlyDuring } }: Profile): Suppressed | undefined {
  const now = turn.now - turn.skew;
  for (const calendar of muteDuring) {
    const window = calendar.covers(now);
    if (window === undefined) continue;
    const until = window.until + turn.skew;
    return { reason: "muted", detail: `muted until ${clockText(turn, until)}: ${calendar.text}`, until };
  }
  if (onlyDuring.length === 0 || onlyDuring.some((calendar) => calendar.covers(now) !== undefined)) return undefined;
  const detail = `muted outside of ${onlyDuring.map(({ text }) => text).join(" and ")}`;
  const next = onlyDuring.flatMap((calendar) => calendar.next(now) ?? []);
  if (next.length === 0) return { reason: "muted", detail: `${detail}; there is no such time any more` };
  const until = Math.min(...next) + turn.skew;
  return { reason: "muted", detail: `${detail}; the next window begins at ${clockText(turn, until)}`, until };
}

/** The rows of what a problem inhibits once it has fired: worked out when it is raised, since its event is at hand then. */
export function inhibitionsOf(profile: Profile, hearing: Hearing): string[] {
  return profile.inhibits.flatMap(({ id, by, vars }) => {
    const found = valuesOf(by, { ...hearing.scope({ ...profile, readsRoute: true }), vars });
    return found.ok ? [keyOf(id, found.values)] : [];
  });
}

/** A problem has fired, and inhibits from now on; or it is over. */
export function inhibit(
  turn: Turn,
  profile: Profile,
  { rows = [], begins }: { rows: readonly string[] | undefined; begins: boolean },
): void {
  for (const row of rows) {
    const before = (turn.keys.get(profile.reactor.name, row) as InhibitionState | undefined)?.raised ?? 0;
    const raised = Math.max(0, before + (begins ? 1 : -1));
    put(turn, profile, row, { state: raised === 0 ? undefined : { raised, fired: undefined } });
  }
}

/** A reactor that raises nothing has fired, and inhibits for a while. */
export function inhibitForAWhile(turn: Turn, profile: Profile, hearing: Hearing): void {
  for (const equal of profile.inhibits) {
    const [row] = inhibitionsOf({ ...profile, inhibits: [equal] }, hearing);
    if (row === undefined || equal.forMs === 0) continue;
    put(turn, profile, row, { state: { raised: 0, fired: turn.now }, due: turn.now + equal.forMs });
  }
}

/** A problem's own way to stop: see `inhibit`. */
export function liftInhibitions(turn: Turn, profile: Profile, problem: ProblemState | undefined): void {
  if (problem?.state === "raised" && problem.fired) inhibit(turn, profile, { rows: problem.inhibits, begins: false });
}

function keyOf(id: string, values: readonly unknown[]): string {
  return `i${JSON.stringify([id, values])}`;
}
