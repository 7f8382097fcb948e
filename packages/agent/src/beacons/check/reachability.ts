/**
 * Asks a list of targets from time to time and tells when one is down, slow, or up again: what `http`, `tcp` and `dns` have in common. Each target
 * has a rhythm of its own that drifts away from the others'; so many at a time and no more. What was told of a target outlives the process.
 */
import type { BeaconType } from "@needfire/shared/beacons/types";
import { durationMs } from "@needfire/shared/duration";
import type { BeaconContext, RunningBeacon } from "../beacon.ts";
import { within } from "./deadline.ts";
import { polled } from "../polled.ts";
import { judged, type Limits, type Reach, reachOf, step, type Turn } from "./reachability-state.ts";
import { tenths } from "./stopwatch.ts";
import { Turns } from "./turns.ts";

/** Checks of one beacon under way at the same time. */
const checksAtOnceMax = 16;
const messageCharactersMax = 500;

export type Answer = { latencyMs: number; data: Record<string, unknown> } & (
  | { ok: true }
  /** `answered`: there was an answer, but not the right one. */
  | { ok: false; answered?: boolean; reason: string; message: string }
);

export interface Target {
  /** What events are about. */
  subject: string;
  /** In the data of each event. */
  data: Record<string, unknown>;
  /** Asks once. `signal`: the time is over, or the beacon is stopped; then it must end, and what it comes to is a failure. */
  check(signal: AbortSignal): Promise<Answer>;
  /** There was a usable answer, right or wrong; in the turn in which it is judged. */
  answered?(): void;
}

export interface ReachabilityDefinition {
  type: BeaconType;
  interval: string;
  timeout: string;
  attempts: number;
  successes: number;
  slow_above?: string | undefined;
  clear_below?: string | undefined;
}

/** Emits `TYPE.down`, `TYPE.slow` and `TYPE.up`. It watches at once: nobody waits for the first answers. */
export function startReachability(
  definition: ReachabilityDefinition,
  context: BeaconContext,
  targets: Target[],
  known = context.memory.take(),
): RunningBeacon {
  const turns = new Turns(checksAtOnceMax);
  const timeoutMs = durationMs(definition.timeout);
  const kept = targets.map((target) => new KeptReach(definition, context, target, known.get(rowOf(target.subject))));
  forgetOthers(context, known, targets);
  const loops = kept.map((reach) =>
    polled(context, { interval: definition.interval }, async ({ signal }) => {
      const answer = await turns.take(signal, () => within(timeoutMs, signal, (deadline) => reach.target.check(deadline)));
      if (answer !== undefined && !signal.aborted) reach.take(answer);
    }),
  );
  return {
    ready: Promise.resolve(),
    restate: () => kept.forEach((reach) => reach.restate()),
    stop: async () => void (await Promise.all(loops.map((loop) => loop.stop()))),
  };
}

const rowOf = (subject: string) => `reach:${subject}`;

/** Of targets that are not in the definition any more. */
function forgetOthers(context: BeaconContext, known: Map<string, unknown>, targets: Target[]): void {
  const rows = new Set(targets.map(({ subject }) => rowOf(subject)));
  for (const key of known.keys()) if (key.startsWith(rowOf("")) && !rows.has(key)) context.memory.set(key, undefined);
}

class KeptReach {
  readonly target: Target;
  readonly #type: BeaconType;
  readonly #context: BeaconContext;
  readonly #limits: Limits;
  #reach: Reach | undefined;
  /** What was told last, as long as that is not that it is up. */
  #told: Turn | undefined;
  #again = false;

  constructor(definition: ReachabilityDefinition, context: BeaconContext, target: Target, row: unknown) {
    const { type, attempts, successes, slow_above: slowAbove, clear_below: clearBelow = slowAbove } = definition;
    const ms = (text: string | undefined) => (text === undefined ? Number.POSITIVE_INFINITY : durationMs(text));
    this.target = target;
    this.#type = type;
    this.#context = context;
    this.#limits = { attempts, successes, slowAboveMs: ms(slowAbove), clearBelowMs: ms(clearBelow) };
    if (row === undefined) return;
    this.#told = row as Turn; // our own row
    this.#reach = reachOf(this.#told.to, this.#told.since);
  }

  take(answer: Answer): void {
    const now = this.#context.clock.now();
    if (answer.ok || answer.answered === true) this.target.answered?.();
    const before = (this.#reach ??= reachOf("up", now));
    const { reach, turn } = step(before, { seen: judged(before.state, answer, this.#limits), now }, this.#limits);
    this.#reach = reach;
    const again = this.#again && turn === undefined ? this.#told : undefined;
    this.#again = false;
    if (turn !== undefined) this.#tell(turn, answer);
    // A single answer that is better than what was told is not told as that.
    else if (again !== undefined && answer.ok === (again.to !== "down")) this.#tell({ ...again, checks: reach.runs.bad.count }, answer);
  }

  restate(): void {
    this.#again = this.#told !== undefined;
  }

  /** In one turn, so that event and row go to disk together. */
  #tell(turn: Turn, answer: Answer): void {
    const { slowAboveMs } = this.#limits;
    this.#told = turn.to === "up" ? undefined : turn;
    this.#context.emit({
      type: `${this.#type}.${turn.to}`,
      subject: this.target.subject,
      data: {
        ...this.target.data,
        ...answer.data,
        ...{ from: turn.from, since: Math.round(turn.since), lasted_ms: Math.round(turn.lastedMs), checks: turn.checks },
        latency_ms: tenths(answer.latencyMs),
        ...(Number.isFinite(slowAboveMs) ? { slow_above_ms: slowAboveMs } : {}),
        ...(answer.ok ? {} : { reason: answer.reason, message: answer.message.slice(0, messageCharactersMax) }),
      },
    });
    this.#context.memory.set(rowOf(this.target.subject), this.#told);
  }
}
