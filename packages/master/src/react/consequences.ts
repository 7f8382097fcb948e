/**
 * What follows from one turn of the engine, as it comes together: to be committed as a whole with the position reached (P2). Here is also
 * what is told of limits and faults on the way (P4, P7).
 */
import type { Event } from "@needfire/shared/event";
import { hideMarks } from "@needfire/shared/secret";
import { type Decision, type Notice, reasons } from "@needfire/shared/rules/types";
import type { MasterEventDraft } from "@needfire/shared/task";
import type { KeysFull, Tripped } from "../breakers.ts";
import type { Writes } from "../store/store.ts";
import type { Tally } from "../tally.ts";

export type Consequences = Required<Pick<Writes, "changes" | "rollouts" | "rules" | "breakers" | "events" | "decisions" | "counts">>;

/** Events that were received at one time: of them, those that can have consequences. The time counts also where none can. */
export interface Arrival {
  received: number;
  events: readonly Event[];
}

/** A person lets a remedy be tried again. `key`: its values as texts; undefined: the reactor's, with all of its keys. */
export interface BreakerReset {
  reactor: string;
  key: readonly string[] | undefined;
  by: string;
  why: string | undefined;
}

/** Decisions that are recorded of one turn: beyond it they are counted (P4). */
const decisionsMax = 1_000;

/** Not that a condition is false, or lacks its field: that is the ordinary case, and asked again the event gives the same answer. */
export const recordedReasons = new Set(reasons.filter((reason) => reason !== "when-false" && reason !== "when-missing-field"));

export function noConsequences(): Consequences {
  return { changes: [], rollouts: [], rules: [], breakers: [], events: [], decisions: [], counts: [] };
}

/** P5, as far as there is room for it. `task`: or rollout, which it made or concerns. */
export function record({ decisions }: Consequences, tally: Tally, decision: Decision, task?: string): void {
  tally.decided(decision);
  const { event, reactor, at, reason, detail, until } = decision;
  const { name, version } = reactor;
  if (decisions.length < decisionsMax) decisions.push({ event, reactor: name, version, at, reason, detail, until, task });
  else tally.unrecorded(name);
}

export function noticeEvent(notice: Notice): MasterEventDraft {
  const { name } = notice.reactor;
  if (notice.kind === "keys-full") {
    const { keysMax, dropped } = notice;
    return { type: "reactor.keys_full", severity: "high", subject: name, data: { reactor: name, keys_max: keysMax, dropped } };
  }
  if (notice.kind === "set-aside") return asideEvent(name, notice.what, notice);
  const { chain, root, why } = notice;
  // Of the root, not of the event that was cut: with the chain's ancestry, a reactor that tells of it would be cut itself.
  return { type: "reactor.loop_cut", severity: "high", subject: name, cause: root, data: { reactor: name, chain: [...chain], root, why } };
}

export function asideEvent(reactor: string, what: string, { why, whole }: { why: string; whole: boolean }): MasterEventDraft {
  return { type: "reactor.set_aside", severity: "high", subject: reactor, data: { reactor, what, why, whole } };
}

export function keysFullEvent({ reactor, keysMax, dropped }: KeysFull): MasterEventDraft {
  return { type: "breaker.keys_full", severity: "high", subject: reactor, data: { reactor, keys_max: keysMax, dropped } };
}

export function resetEvent({ reactor, key, trip: { held } }: Tripped, { by, why }: Pick<BreakerReset, "by" | "why">): MasterEventDraft {
  const data = { reactor, held, by, ...(key === undefined ? {} : { key }), ...(why === undefined ? {} : { why }) };
  return { type: "breaker.reset", severity: "normal", subject: reactor, data: hideMarks(data) };
}
