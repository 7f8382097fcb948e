/**
 * P7: no loop feeds itself. A chain of remedies that is too deep, or in which one reactor fires too often on what one event began, is cut.
 */
import type { Profile } from "./profile.ts";
import { put, say, type Turn } from "./turn.ts";
import { chainDepthMax, chainFiringsMax, type Seen } from "./types.ts";

/** Firings of one reactor from one root; `told`: when it was last said that the chain was cut. */
interface LoopState {
  log: readonly number[];
  told: number | undefined;
}

const minuteMs = 60_000;

/** Whether the chain that led to an event has been cut for a reactor. Nothing else is looked at then, so that a loop costs nothing. */
export function cutsLoop(turn: Turn, profile: Profile, { event, ancestry, root }: Seen): boolean {
  const { reactor } = profile;
  const key = keyOf(root);
  const state = turn.keys.get(reactor.name, key) as LoopState | undefined;
  const why = whyCut(recent(state, turn.now).length, ancestry.length);
  if (why === undefined) return false;
  say(turn, reactor, { event: event.id, reason: "loop-cut" }, () => `${why}; the chain began with ${root}: ${ancestry.join(" > ")}`);
  if (state?.told !== undefined && turn.now - state.told < minuteMs) return true;
  turn.notices.push({ kind: "loop-cut", reactor, chain: ancestry, root, why });
  store(turn, profile, key, { log: state?.log ?? [], told: turn.now });
  return true;
}

/** A firing on what another remedy did. */
export function countCaused(turn: Turn, profile: Profile, root: string): void {
  const { reactor } = profile;
  const key = keyOf(root);
  const state = turn.keys.get(reactor.name, key) as LoopState | undefined;
  store(turn, profile, key, { log: [...recent(state, turn.now), turn.now].slice(-chainFiringsMax), told: state?.told });
}

function whyCut(firings: number, depth: number): string | undefined {
  if (depth > chainDepthMax) return `a chain of ${depth} remedies, and at most ${chainDepthMax} are followed`;
  if (firings >= chainFiringsMax) return `it fired ${firings} times within a minute on what one event began`;
  return undefined;
}

function recent(state: LoopState | undefined, now: number): readonly number[] {
  return (state?.log ?? []).filter((at) => at > now - minuteMs);
}

function store(turn: Turn, profile: Profile, key: string, state: LoopState): void {
  const due = Math.max(state.log.at(-1) ?? 0, state.told ?? 0) + minuteMs;
  put(turn, profile, key, { state, due });
}

function keyOf(root: string): string {
  return `l${JSON.stringify([root])}`;
}
