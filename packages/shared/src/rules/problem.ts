/**
 * `raise` and `clear`: one problem with a life, for each key.
 */
import { type Candidate, single } from "./candidate.ts";
import { type Case, holding, type Key, keyOf, stateOf } from "./case.ts";
import { fire } from "./decide.ts";
import { Hearing } from "./hearing.ts";
import { offer } from "./pass.ts";
import type { Profile } from "./profile.ts";
import { clear, type ProblemState, raise } from "./raise.ts";
import { inhibitionsOf, liftInhibitions } from "./suppress.ts";
import { clockText, put, say, type Turn } from "./turn.ts";
import type { Correlation, Reason } from "./types.ts";
import { forKey } from "./wording.ts";

export function judgeRaise(asked: Case, correlation: Correlation & { kind: "raise" }): void {
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

/** It has lasted long enough. */
export function problemTime(turn: Turn, profile: Profile, { row, state }: { row: string; state: unknown }): void {
  const { trigger } = state as ProblemState & { state: "pending" };
  isRaisedNow(turn, profile, { row, values: JSON.parse(row.slice(1)) as unknown[] }, new Hearing(turn.world, trigger));
}
