/**
 * Firings that wait for those of other hosts which would do the same, and go with them as one: for a while (`combine`), or as long as they are
 * collected anyway. Each host's is a row of its own, `g["GROUP","HOST"]`, since there may be thousands and each comes by itself; the group is
 * `g["GROUP"]`. Of what is collected the group is the row of its flow, and that has the time.
 */
import { type Candidate, merged } from "./candidate.ts";
import { fire, fireTogether, holdsBack, type Ready } from "./decide.ts";
import { firingOf } from "./fire.ts";
import { Hearing } from "./hearing.ts";
import type { Profile } from "./profile.ts";
import { likenessOf } from "./together.ts";
import { clockText, put, say, type Turn } from "./turn.ts";
import { combiningRowsMax } from "./types.ts";

interface Group {
  opened: number;
  hosts: number;
}

/** Nothing holds it back: it fires, or waits for others first. */
export function launch(turn: Turn, profile: Profile, candidate: Candidate, hearing: Hearing): void {
  const { reactor } = profile;
  const windowMs = reactor.combining?.windowMs;
  const likeness = windowMs === undefined ? undefined : likenessOf(firingOf(reactor, candidate, { hearing, branch: "do" }));
  if (windowMs === undefined || likeness === undefined) return fire(turn, profile, candidate, { hearing, branch: "do" });
  wait(turn, profile, candidate, { group: likeness, windowMs });
}

function wait(turn: Turn, profile: Profile, candidate: Candidate, { group, windowMs }: { group: string; windowMs: number }): void {
  const { reactor } = profile;
  const { event, agent } = candidate.trigger;
  const before = waiting(turn, profile, group, agent);
  if (before !== undefined) {
    // The first one stays what it is, and knows of the other: one firing an event (P2).
    const { events, count, ancestry, problems } = merged(before, candidate);
    keepHost(turn, profile, group, { ...before, events, count, ancestry, ...(problems === undefined ? {} : { problems }) });
    const first = before.trigger.event.id;
    return say(turn, reactor, { event: event.id, reason: "joined" }, () => `${first} of this host waits for others that would do the same`);
  }
  // P4: nothing that waits is let go of; what has waited longest does so no longer.
  for (let oldest = fullGroup(turn, profile); oldest !== undefined; oldest = fullGroup(turn, profile)) {
    goTogether(turn, profile, takeHosts(turn, profile, oldest), "before its time, since too many wait");
  }
  const { opened, hosts } = keepHost(turn, profile, group, candidate, windowMs);
  const until = opened + windowMs;
  say(turn, reactor, { event: event.id, reason: "combining", until }, () => {
    const since = `${hosts} ${hosts === 1 ? "host" : "hosts"} since ${clockText(turn, opened)}`;
    return `${since}; what would do the same goes together at ${clockText(turn, until)}`;
  });
}

/** The time of a group has come. */
export function groupTime(turn: Turn, profile: Profile, row: string): void {
  goTogether(turn, profile, takeHosts(turn, profile, groupIn(row)));
}

export function dropGroup(turn: Turn, profile: Profile, row: string): void {
  takeHosts(turn, profile, groupIn(row));
}

/**
 * Those that nothing holds back by now, each with those of other hosts that would do the same: by values of now, as those of any firing are. `why` it
 * is now, where that is not its time.
 */
export function goTogether(turn: Turn, profile: Profile, candidates: readonly Candidate[], why?: string): void {
  const { reactor } = profile;
  const groups = new Map<string, Ready[]>();
  for (const candidate of candidates) {
    const hearing = new Hearing(turn.world, candidate.trigger);
    if (holdsBack(turn, profile, candidate, hearing)) continue;
    const firing = firingOf(reactor, candidate, { hearing, branch: "do" });
    const likeness = reactor.combining === undefined ? undefined : likenessOf(firing);
    const key = likeness ?? candidate.trigger.event.id;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [{ candidate, hearing, firing }]);
    else group.push({ candidate, hearing, firing });
  }
  for (const [first, ...others] of groups.values() as Iterable<[Ready, ...Ready[]]>) {
    if (others.length > 0) fireTogether(turn, profile, [first, ...others], why);
    else fire(turn, profile, first.candidate, { hearing: first.hearing, branch: "do", why });
  }
}

/** What waits for a host in a group. */
export function waiting(turn: Turn, profile: Profile, group: string, agent: string): Candidate | undefined {
  return turn.keys.get(profile.reactor.name, rowOf(group, agent)) as Candidate | undefined;
}

/** `windowMs`: a group that begins with it has a time of its own. */
export function keepHost(turn: Turn, profile: Profile, group: string, candidate: Candidate, windowMs?: number): Group {
  const { agent } = candidate.trigger;
  const { name } = profile.reactor;
  const isNew = waiting(turn, profile, group, agent) === undefined;
  const before = (turn.keys.get(name, rowOf(group)) as Group | undefined) ?? { opened: turn.now, hosts: 0 };
  put(turn, profile, rowOf(group, agent), { state: candidate });
  if (!isNew) return before;
  const after: Group = { ...before, hosts: before.hosts + 1 };
  put(turn, profile, rowOf(group), { state: after, due: windowMs === undefined ? undefined : after.opened + windowMs });
  return after;
}

/** The group with the host that has waited longest, when one more would be too many. */
export function fullGroup(turn: Turn, profile: Profile): string | undefined {
  const { name } = profile.reactor;
  // It may be the first of its group.
  if (turn.keys.count(name, "g") + 2 <= combiningRowsMax) return undefined;
  for (const { key } of turn.keys.list(name, "g")) return groupIn(key);
  return undefined;
}

/** What waits in a group, which is no more, in the journal's order. */
export function takeHosts(turn: Turn, profile: Profile, group: string): Candidate[] {
  const { name } = profile.reactor;
  const row = rowOf(group);
  const { hosts = 0 } = (turn.keys.get(name, row) as Group | undefined) ?? {};
  const prefix = `${row.slice(0, -1)},`;
  const found: { key: string; state: unknown }[] = [];
  for (const each of turn.keys.list(name, "g")) {
    if (found.length === hosts) break;
    if (each.key.startsWith(prefix)) found.push(each);
  }
  for (const { key } of found) put(turn, profile, key, { state: undefined });
  put(turn, profile, row, { state: undefined });
  const candidates = found.map(({ state }) => state as Candidate);
  return candidates.toSorted((a, b) => a.trigger.event.position - b.trigger.event.position);
}

function groupIn(row: string): string {
  return (JSON.parse(row.slice(1)) as [string])[0];
}

function rowOf(...parts: readonly string[]): string {
  return `g${JSON.stringify(parts)}`;
}
