/**
 * A number that is looked at, and a threshold: one event when it has been over that for a time, one when it has been under for as long.
 * Whether it was told as high is kept across restarts, so that nothing is told twice and the end of it is not missed.
 */
import { durationMs } from "@needfire/shared/duration";
import type { BeaconContext, BeaconEvent, RunningBeacon } from "./beacon.ts";
import { calm, type Level, step } from "./hysteresis.ts";
import { type Look, polled } from "./polled.ts";

export interface ThresholdDefinition {
  above: number;
  clear_below?: number | undefined;
  for: string;
  interval: string;
}

type Turned = "high" | "normal";

/** What was measured; undefined when there is nothing to judge yet. `data` goes into the event. */
export type Measured = { value: number; data: (turned: Turned) => Record<string, unknown> | Promise<Record<string, unknown>> } | undefined;

/** Emits `KIND.high` and `KIND.normal`, with the data that every threshold has beside that of the measurement. */
export function startThreshold(
  kind: string,
  definition: ThresholdDefinition,
  context: BeaconContext,
  measure: (look: Look) => Measured | Promise<Measured>,
): RunningBeacon {
  const level = new KeptLevel(definition, context);
  return polled(context, { interval: definition.interval, restate: () => level.restate() }, async (look) => {
    const measured = await measure(look);
    if (measured === undefined) return;
    const crossing = level.step(measured.value, look.now);
    if (crossing !== undefined)
      level.tell(`${kind}.${crossing.turned}`, {}, { ...(await measured.data(crossing.turned)), ...crossing.data });
  });
}

/** A threshold of one subject, or of the beacon itself, whose state outlives the process. */
export class KeptLevel {
  readonly #thresholds: { above: number; clearBelow: number; forMs: number };
  readonly #context: BeaconContext;
  readonly #key: string;
  #level: Level;
  /** When it was last told as high, by the clock of the samples; a restart does not know. */
  #highSince: number | undefined;
  #again = false;

  /** `known`: what the beacon's memory had under this key at its start. */
  constructor(
    definition: Omit<ThresholdDefinition, "interval">,
    context: BeaconContext,
    { key = "", known = context.memory.take() }: { key?: string; known?: Map<string, unknown> } = {},
  ) {
    const { above } = definition;
    this.#thresholds = { above, clearBelow: definition.clear_below ?? above, forMs: durationMs(definition.for) };
    this.#context = context;
    this.#key = key;
    this.#level = known.get(key) === "high" ? { raised: true, since: undefined } : calm;
  }

  get raised(): boolean {
    return this.#level.raised;
  }

  /** One sample. A crossing is to be told by `tell`. */
  step(value: number, now: number): { turned: Turned; data: Record<string, number> } | undefined {
    const stepped = step(this.#level, { value, now }, this.#thresholds);
    this.#level = stepped.level;
    const again = this.#again && this.#level.raised;
    this.#again = false;
    if (stepped.crossing?.turned === "high") this.#highSince = now - stepped.crossing.lastedMs;
    if (stepped.crossing === undefined && !again) return undefined;
    const { turned, lastedMs } = stepped.crossing ?? { turned: "high", lastedMs: now - (this.#highSince ?? now) };
    const { above, clearBelow } = this.#thresholds;
    return { turned, data: { above, clear_below: clearBelow, lasted_ms: Math.round(lastedMs) } };
  }

  /** In one turn, so that event and state go to disk together. */
  tell(type: string, event: Omit<BeaconEvent, "type" | "data">, data: Record<string, unknown>): void {
    this.#context.emit({ type, ...event, data });
    this.#context.memory.set(this.#key, this.#level.raised ? "high" : undefined);
  }

  /** If it is still high with the next sample, that is told again. */
  restate(): void {
    this.#again = this.#level.raised;
  }

  /** Its subject is gone. */
  forget(): void {
    this.#context.memory.set(this.#key, undefined);
  }
}
