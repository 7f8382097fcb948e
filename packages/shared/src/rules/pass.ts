/**
 * The way of a candidate: what suppresses it, then its flow, then it fires. What a flow lets wait comes this way again when its time has come.
 */
import type { Candidate } from "./candidate.ts";
import { firingOf } from "./fire.ts";
import { admit, fired, flowDue, type FlowState, release } from "./flow.ts";
import { Hearing, valuesOf } from "./hearing.ts";
import { countCaused } from "./loop.ts";
import type { Profile } from "./profile.ts";
import type { ProblemState } from "./raise.ts";
import { inhibit, inhibitForAWhile, suppressed } from "./suppress.ts";
import { put, say, type Turn } from "./turn.ts";
import type { Firing, Flow } from "./types.ts";
import { admissionText, candidateText } from "./wording.ts";

export function offer(turn: Turn, profile: Profile, candidate: Candidate, hearing: Hearing): void {
  if (holdsBack(turn, profile, candidate, hearing)) return;
  const { flow } = profile.reactor;
  if (flow === undefined) fire(turn, profile, candidate, { hearing, branch: "do" });
  else goThrough(turn, profile, { flow, candidate, hearing });
}

function goThrough(
  turn: Turn,
  profile: Profile,
  { flow, candidate, hearing }: { flow: Flow; candidate: Candidate; hearing: Hearing },
): void {
  const { reactor } = profile;
  const event = hearing.seen.event.id;
  const found = flow.by === undefined ? { ok: true as const, values: candidate.key } : valuesOf(flow.by, hearing.scope(profile));
  if (!found.ok) return say(turn, reactor, { event, reason: found.reason }, () => `flow by ${found.detail}`);
  const row = `f${JSON.stringify(found.values)}`;
  const state = turn.keys.get(reactor.name, row) as FlowState | undefined;
  const keyed = reactor.correlation === undefined ? { ...candidate, key: found.values } : candidate;
  const admission = admit(flow, state, keyed, turn.now);
  if (admission.outcome === "fire") {
    keepFlow(turn, profile, { flow, row, state: fired(flow, state, event, turn.now) });
    return fire(turn, profile, keyed, { hearing, branch: "do" });
  }
  keepFlow(turn, profile, { flow, row, state: admission.state });
  const { outcome: reason, until } = admission;
  say(turn, reactor, { event, reason, until }, () => admissionText(turn, flow, admission));
}

/** The time of a flow has come: what has waited comes out, as far as it may, or the window is over. */
export function flowTime(turn: Turn, profile: Profile, { row, state: found }: { row: string; state: unknown }): void {
  const { flow } = profile.reactor;
  let state = found as FlowState | undefined;
  for (;;) {
    const next = flow === undefined ? undefined : release(flow, state, turn.now);
    if (flow === undefined || next === undefined) break;
    const { candidate, rest } = next;
    const hearing = new Hearing(turn.world, candidate.trigger);
    state = rest;
    if (holdsBack(turn, profile, candidate, hearing)) continue;
    state = fired(flow, state, candidate.trigger.event.id, turn.now);
    fire(turn, profile, candidate, { hearing, branch: "do" });
  }
  if (flow !== undefined) keepFlow(turn, profile, { flow, row, state });
}

/** A window that is over and in which nothing waits is nothing. */
function keepFlow(turn: Turn, profile: Profile, { flow, row, state }: { flow: Flow; row: string; state: FlowState | undefined }): void {
  const due = state === undefined ? undefined : flowDue(flow, state);
  const over = due === undefined || (due <= turn.now && state?.waiting.length === 0);
  put(turn, profile, row, over ? { state: undefined } : { state, due });
}

function holdsBack(turn: Turn, profile: Profile, candidate: Candidate, hearing: Hearing): boolean {
  const by = suppressed(turn, profile, hearing);
  if (by === undefined) return false;
  const { reason, until, detail } = by;
  say(turn, profile.reactor, { event: candidate.trigger.event.id, reason, until }, () => detail);
  return true;
}

const reasons = { live: "fired", plan: "planned", shadow: "shadow", off: "shadow" } as const;

export function fire(turn: Turn, profile: Profile, candidate: Candidate, how: { hearing: Hearing; branch: Firing["branch"] }): void {
  const { reactor } = profile;
  const { trigger, problems = [] } = candidate;
  const reason = reasons[reactor.mode];
  const firing = reason === "shadow" ? undefined : firingOf(reactor, candidate, how);
  say(turn, reactor, { event: trigger.event.id, reason, firing }, () => candidateText(profile, candidate, how.branch));
  if (trigger.ancestry.length > 0) countCaused(turn, profile, trigger.root);
  for (const problem of problems) markFired(turn, profile, problem);
  if (reason !== "shadow" && reactor.correlation?.kind !== "raise") inhibitForAWhile(turn, profile, how.hearing);
}

/** Its problem has been told, so that its end will be; unless it ended while this waited. */
function markFired(turn: Turn, profile: Profile, { row, id }: { row: string; id: string }): void {
  const state = turn.keys.get(profile.reactor.name, row) as ProblemState | undefined;
  if (state?.state !== "raised" || state.id !== id || state.fired) return;
  put(turn, profile, row, { state: { ...state, fired: true } satisfies ProblemState });
  inhibit(turn, profile, { rows: state.inhibits, begins: true });
}
