/**
 * A replay: given reactors over recorded events, in the journal's order and with recorded time, without acting. Says what would have fired and,
 * where it is asked to, sets the tasks that did beside it. The world is that of now: labels and facts of agents as they are, no silences. What
 * it holds is bounded: firings are handed out as they come, and only counted beyond a limit.
 */
import { setImmediate as nextTurn } from "node:timers/promises";
import type { ReplayFiring, ReplayGone, ReplayProgress, ReplaySummary } from "@needfire/shared/api-replay";
import { isoTime } from "@needfire/shared/clock";
import type { Rules } from "@needfire/shared/rules/rules";
import type { ReactorIndex } from "@needfire/shared/rules/reactor-index";
import { type Decision, type Judgement, type Reason, reasons, type Seen } from "@needfire/shared/rules/types";
import type { Event } from "@needfire/shared/event";
import type { AgentView } from "@needfire/shared/target";
import type { WireEvent } from "@needfire/shared/wire-event";
import { eventOfRow, type EventRow, type Names, wireOfRow } from "./journal/partition.ts";
import type { Recorded } from "./journal/recorded.ts";
import { Sieve } from "./sieve.ts";
import type { Made } from "./store/past.ts";

const progressMs = 250;
/** Tasks that are compared; what is beyond is told of. */
const tasksMax = 200_000;

export type ReplayLine = ReplayFiring | ReplayGone | ReplayProgress;

export interface ReplayOptions {
  index: ReactorIndex;
  /** Makes decisions of the reasons that are `told`. */
  rules: Rules;
  recorded: Recorded;
  /** Engine time goes on up to here after the last event. */
  until: number;
  agentView(id: string): AgentView;
  seenOf(event: Event): Seen;
  /** Undefined: nothing is compared. */
  made: Iterable<Made> | undefined;
  /** Beyond so many lines firings are only counted. */
  firingsMax: number;
  say(lines: ReplayLine[]): void;
  /** Ms, for the rate. */
  now(): number;
  signal: AbortSignal;
}

/** The decisions that are counted: all but that a condition did not hold, since most events for which none does are not even judged. */
export const told: ReadonlySet<Reason> = new Set(reasons.filter((reason) => !reason.startsWith("when-")));
const firingReasons = ["fired", "planned", "shadow"] as const;

export class Replay {
  readonly #options: ReplayOptions;
  readonly #sieve: Sieve;
  readonly #reasons = new Map<string, Map<Reason, number>>();
  /** Tasks that no firing was found for, by reactor and event. */
  #made = new Map<string, Made>();
  #compared = true;
  #lines: ReplayLine[] = [];
  #events = 0;
  #heard = 0;
  #firings = 0;
  #told = 0;
  #same = 0;
  #at = 0;

  constructor(options: ReplayOptions) {
    this.#options = options;
    this.#sieve = new Sieve({ reactors: () => options.index, agentView: options.agentView });
  }

  /** Undefined: it was cancelled. */
  async run(): Promise<ReplaySummary | undefined> {
    const { recorded, index, rules, until, made, now, signal } = this.#options;
    const begun = now();
    if (made !== undefined) this.#takeMade(made);
    let progressed = begun;
    for (const { setBack, rows, read } of recorded.pages((type) => index.hearsType(type))) {
      // The clock may have been set back while nothing came that is heard: whoever was live has noticed.
      if (setBack !== undefined) for (const time of [setBack.before, setBack.after]) this.#note(rules.tick(time));
      for (const { row, names } of rows) this.#hear(row, names);
      this.#events += read;
      // A word to cancel it is heard between pages.
      await nextTurn();
      if (signal.aborted) return undefined;
      if (now() - progressed < progressMs) continue;
      progressed = now();
      this.#tell(progressed - begun);
    }
    this.#note(rules.tick(until));
    for (const { id, reactor, event, created } of this.#made.values())
      this.#say({ kind: "gone", reactor, event, task: id, created: isoTime(created) });
    this.#tell(now() - begun);
    return this.#summary(now() - begun);
  }

  #hear(row: EventRow, names: Names): void {
    const { agentView, seenOf, rules } = this.#options;
    const wire: WireEvent = wireOfRow(row);
    const received = row[5] as number;
    if (!this.#sieve.hears({ ...names, received }, wire, agentView(names.agent))) return;
    this.#heard++;
    this.#at = received;
    this.#note(rules.hear(seenOf(eventOfRow(row, names))));
  }

  #note({ decisions }: Judgement): void {
    for (const decision of decisions) {
      const { reactor, reason } = decision;
      let reasons = this.#reasons.get(reactor.name);
      if (reasons === undefined) this.#reasons.set(reactor.name, (reasons = new Map()));
      reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
      const as = firingReasons.find((each) => each === reason);
      if (as !== undefined) this.#fired(decision, as);
    }
  }

  #fired(decision: Decision, as: ReplayFiring["as"]): void {
    this.#firings++;
    const { reactor, firing, event } = decision;
    // A rollout of several is of one of their events; which that is hangs on what held others back.
    const triggers = (firing?.members ?? [firing]).map((each) => keyOf(reactor.name, each?.trigger.event.id ?? event));
    const key = triggers.find((each) => this.#made.has(each)) ?? "";
    const task = this.#made.get(key);
    if (task !== undefined) {
      this.#made.delete(key);
      this.#same++;
    }
    if (this.#told >= this.#options.firingsMax) return;
    this.#told++;
    this.#say(firingLine(decision, as, task?.id));
  }

  #takeMade(made: Iterable<Made>): void {
    const names = new Set(this.#options.index.reactors.map(({ name }) => name));
    for (const task of made) {
      if (!names.has(task.reactor)) continue;
      if (this.#made.size >= tasksMax) {
        this.#compared = false;
        break;
      }
      this.#made.set(keyOf(task.reactor, task.event), task);
    }
  }

  #say(line: ReplayLine): void {
    this.#lines.push(line);
  }

  #tell(ms: number): void {
    const lines = this.#lines;
    this.#lines = [];
    lines.push({
      kind: "progress",
      events: this.#events,
      of: Math.max(this.#events, this.#options.recorded.events),
      heard: this.#heard,
      firings: this.#firings,
      events_per_s: rate(this.#events, ms),
      ...(this.#at === 0 ? {} : { at: isoTime(this.#at) }),
    });
    this.#options.say(lines);
  }

  #summary(ms: number): ReplaySummary {
    const { index, made } = this.#options;
    return {
      kind: "summary",
      events: this.#events,
      heard: this.#heard,
      firings: this.#firings,
      untold: this.#firings - this.#told,
      events_per_s: rate(this.#events, ms),
      ms: Math.round(ms),
      ...(made === undefined
        ? {}
        : { diff: { same: this.#same, new: this.#firings - this.#same, gone: this.#made.size, complete: this.#compared } }),
      reactors: index.reactors.map(({ name, mode }) => ({
        reactor: name,
        mode,
        reasons: Object.fromEntries(this.#reasons.get(name) ?? []),
      })),
      world: "labels and facts of agents as they are now; no silences",
    };
  }
}

function firingLine({ reactor, firing, event, at }: Decision, as: ReplayFiring["as"], task: string | undefined): ReplayFiring {
  const by = task === undefined ? {} : { task };
  if (firing === undefined) return { kind: "firing", reactor: reactor.name, as, at: isoTime(at), event, ...by };
  const { trigger, branch, count, priority, plan, members } = firing;
  return {
    kind: "firing",
    reactor: reactor.name,
    as,
    at: isoTime(at),
    event: trigger.event.id,
    agent: trigger.agent,
    ...(members === undefined ? {} : { hosts: members.map((member) => member.trigger.agent) }),
    ...(trigger.event.subject === undefined ? {} : { subject: trigger.event.subject }),
    branch,
    count,
    priority,
    ...(plan.ok
      ? { do: plan.rungs.flatMap(({ steps }) => steps).map(({ action, args }) => ({ action, args })) }
      : { problem: plan.reason }),
    ...by,
  };
}

function keyOf(reactor: string, event: string): string {
  return `${reactor} ${event}`;
}

function rate(events: number, ms: number): number {
  return ms === 0 ? 0 : Math.round((events / ms) * 1_000);
}
