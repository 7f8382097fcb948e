/**
 * The way of a candidate: what suppresses it, then its flow, then it fires or waits for others. What a flow lets wait comes this way again when its
 * time has come.
 */
import type { Candidate } from "./candidate.ts";
import { fullGroup, goTogether, keepHost, launch, takeHosts, waiting } from "./combine.ts";
import { holdsBack } from "./decide.ts";
import { admit, fired, flowDue, type FlowState, release } from "./flow.ts";
import { Hearing, valuesOf } from "./hearing.ts";
import type { Profile } from "./profile.ts";
import { put, say, type Turn } from "./turn.ts";
import { eventsKeptMax, type Flow } from "./types.ts";
import { admissionText } from "./wording.ts";

export function offer(turn: Turn, profile: Profile, candidate: Candidate, hearing: Hearing): void {
  if (holdsBack(turn, profile, candidate, hearing)) return;
  const { flow } = profile.reactor;
  if (flow === undefined) launch(turn, profile, candidate, hearing);
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
  const keyed = reactor.correlation === undefined ? { ...candidate, key: found.values } : candidate;
  if (isForHosts(profile)) collectHost(turn, profile, row, keyed);
  const state = turn.keys.get(reactor.name, row) as FlowState | undefined;
  const admission = admit(flow, state, keyed, turn.now);
  if (admission.outcome === "fire") {
    keepFlow(turn, profile, { flow, row, state: fired(flow, state, event, turn.now) });
    return launch(turn, profile, keyed, hearing);
  }
  keepFlow(turn, profile, { flow, row, state: admission.state });
  const { outcome: reason, until } = admission;
  say(turn, reactor, { event, reason, until }, () => admissionText(turn, flow, admission));
}

/** What is collected is done on each host from which it came. */
function isForHosts({ reactor: { flow, combining } }: Profile): boolean {
  return combining !== undefined && flow?.kind === "collect";
}

/** Of each host the newest of its own; what was collected of all of them waits beside it. */
function collectHost(turn: Turn, profile: Profile, group: string, candidate: Candidate): void {
  for (let full = fullGroup(turn, profile); full !== undefined; full = fullGroup(turn, profile)) {
    // P4: nothing that waits is let go of; what has waited longest does so no longer.
    const state = turn.keys.get(profile.reactor.name, full) as FlowState & { kind: "gather" };
    flowTime(turn, profile, { row: full, state: { ...state, due: turn.now } });
  }
  const { problems = [] } = waiting(turn, profile, group, candidate.trigger.agent) ?? {};
  const all = [...problems, ...(candidate.problems ?? [])].slice(-eventsKeptMax);
  keepHost(turn, profile, group, { ...candidate, events: [], ...(all.length === 0 ? {} : { problems: all }) });
}

/** With what was collected of all hosts. */
function forHosts(turn: Turn, profile: Profile, row: string, collected: Candidate): Candidate[] {
  const { events, count, ancestry, matched } = collected;
  const of = { events, count, ancestry, ...(matched === undefined ? {} : { matched }) };
  const hosts = takeHosts(turn, profile, row).map((host) => ({ ...host, ...of }));
  // It was collected when hosts were not told apart.
  return hosts.length === 0 ? [collected] : hosts;
}

/** The time of a flow has come: what has waited comes out, as far as it may, or the window is over. */
export function flowTime(turn: Turn, profile: Profile, { row, state: found }: { row: string; state: unknown }): void {
  const { flow } = profile.reactor;
  let state = found as FlowState | undefined;
  for (;;) {
    const next = flow === undefined ? undefined : release(flow, state, turn.now);
    if (flow === undefined || next === undefined) break;
    const { candidate, rest } = next;
    if (isForHosts(profile)) {
      state = rest;
      goTogether(turn, profile, forHosts(turn, profile, row, candidate));
      continue;
    }
    const hearing = new Hearing(turn.world, candidate.trigger);
    state = rest;
    if (holdsBack(turn, profile, candidate, hearing)) continue;
    state = fired(flow, state, candidate.trigger.event.id, turn.now);
    launch(turn, profile, candidate, hearing);
  }
  if (flow !== undefined) keepFlow(turn, profile, { flow, row, state });
}

/** A window that is over and in which nothing waits is nothing. */
function keepFlow(turn: Turn, profile: Profile, { flow, row, state }: { flow: Flow; row: string; state: FlowState | undefined }): void {
  const due = state === undefined ? undefined : flowDue(flow, state);
  const over = due === undefined || (due <= turn.now && state?.waiting.length === 0);
  const evicted = put(turn, profile, row, over ? { state: undefined } : { state, due });
  if (isForHosts(profile)) for (const { key } of evicted) takeHosts(turn, profile, key);
}
