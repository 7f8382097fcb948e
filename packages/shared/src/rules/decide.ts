/**
 * What a candidate comes to: something holds it back, or it fires, alone or together with those of other hosts.
 */
import type { Candidate } from "./candidate.ts";
import { firingOf } from "./fire.ts";
import type { Hearing } from "./hearing.ts";
import { countCaused } from "./loop.ts";
import type { Profile } from "./profile.ts";
import type { ProblemState } from "./raise.ts";
import { inhibit, inhibitForAWhile, suppressed } from "./suppress.ts";
import { together } from "./together.ts";
import { put, say, type Turn } from "./turn.ts";
import type { Firing } from "./types.ts";
import { candidateText, hostsText } from "./wording.ts";

/** With what its values would be. */
export interface Ready {
  candidate: Candidate;
  hearing: Hearing;
  firing: Firing;
}

export function holdsBack(turn: Turn, profile: Profile, candidate: Candidate, hearing: Hearing): boolean {
  const by = suppressed(turn, profile, hearing);
  if (by === undefined) return false;
  const { reason, until, detail } = by;
  say(turn, profile.reactor, { event: candidate.trigger.event.id, reason, until }, () => detail);
  return true;
}

const reasons = { live: "fired", plan: "planned", shadow: "shadow", off: "shadow" } as const;

/** `why` it fires now. */
interface How {
  hearing: Hearing;
  branch: Firing["branch"];
  why?: string | undefined;
}

export function fire(turn: Turn, profile: Profile, candidate: Candidate, how: How): void {
  const { reactor } = profile;
  const reason = reasons[reactor.mode];
  const firing = reason === "shadow" ? undefined : firingOf(reactor, candidate, how);
  say(turn, reactor, { event: candidate.trigger.event.id, reason, firing }, () =>
    detailOf(candidateText(profile, candidate, how.branch), how.why),
  );
  hasFired(turn, profile, candidate, how.hearing);
}

/** Those of several hosts, which do the same: one firing. */
export function fireTogether(turn: Turn, profile: Profile, ready: readonly Ready[], why?: string): void {
  const { reactor } = profile;
  const reason = reasons[reactor.mode];
  const hosts = ready.map(({ candidate }) => candidate.trigger.agent);
  const detail = (candidate: Candidate) => detailOf(candidateText(profile, candidate, "do"), hostsText(hosts), why);
  // What is not done has nobody who would say of each event what became of it.
  for (const { candidate } of reason === "shadow" ? ready : [])
    say(turn, reactor, { event: candidate.trigger.event.id, reason }, () => detail(candidate));
  if (reason !== "shadow") {
    const firing = together(ready.map((each) => each.firing));
    say(turn, reactor, { event: firing.trigger.event.id, reason, firing }, () => detail(ready[0]!.candidate));
  }
  for (const { candidate, hearing } of ready) hasFired(turn, profile, candidate, hearing);
}

function detailOf(...parts: (string | undefined)[]): string {
  return parts.filter((part) => part !== undefined && part !== "").join("; ");
}

function hasFired(turn: Turn, profile: Profile, { trigger, problems = [] }: Candidate, hearing: Hearing): void {
  const { reactor } = profile;
  if (trigger.ancestry.length > 0) countCaused(turn, profile, trigger.root);
  for (const problem of problems) markFired(turn, profile, problem);
  if (reasons[reactor.mode] !== "shadow" && reactor.correlation?.kind !== "raise") inhibitForAWhile(turn, profile, hearing);
}

/** Its problem has been told, so that its end will be; unless it ended while this waited. */
function markFired(turn: Turn, profile: Profile, { row, id }: { row: string; id: string }): void {
  const state = turn.keys.get(profile.reactor.name, row) as ProblemState | undefined;
  if (state?.state !== "raised" || state.id !== id || state.fired) return;
  put(turn, profile, row, { state: { ...state, fired: true } satisfies ProblemState });
  inhibit(turn, profile, { rows: state.inhibits, begins: true });
}
