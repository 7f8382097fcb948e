/**
 * The beacons in force on this host. A change of the definitions touches only the beacons whose definition changed; one that fails is
 * told as `beacon.failed` and never takes another down.
 */
import { isDeepStrictEqual } from "node:util";
import type { Logger } from "pino";
import type { BeaconDefinition, BeaconType } from "@needfire/shared/beacon";
import type { Clock } from "@needfire/shared/clock";
import { errorText } from "@needfire/shared/errors";
import type { EventDraft } from "@needfire/shared/event";
import type { ManagedFiles } from "../managed-files.ts";
import type { Remedies } from "../remedies.ts";
import type { BeaconContext, RunningBeacon } from "./beacon.ts";
import { RateLimit } from "./rate-limit.ts";
import { startBeacon } from "./registry.ts";

export interface BeaconsOptions {
  clock: Clock;
  log: Logger;
  managed: ManagedFiles;
  remedies: Remedies;
  emit(draft: EventDraft): void;
  /** What starts a beacon; the registry's, unless a test has its own. */
  start?: (definition: BeaconDefinition, context: BeaconContext) => RunningBeacon;
}

interface InForce {
  definition: BeaconDefinition;
  running: RunningBeacon;
  limit: RateLimit;
}

export class Beacons {
  readonly #options: BeaconsOptions;
  readonly #inForce = new Map<string, InForce>();
  #chain: Promise<void> = Promise.resolve();
  #stopped = false;

  constructor(options: BeaconsOptions) {
    this.#options = options;
  }

  /**
   * Puts these definitions in force and no others: resolves when the new ones watch. Never rejects because of one beacon. Of two with
   * one name the later is taken. One that failed before is tried again.
   */
  apply(definitions: BeaconDefinition[]): Promise<void> {
    const applied = this.#chain.then(() => this.#apply(new Map(definitions.map((definition) => [definition.name, definition]))));
    this.#chain = applied.catch(() => undefined); // the caller hears of it; the next call must run all the same
    return applied;
  }

  list(): { name: string; type: BeaconType }[] {
    return [...this.#inForce.values()].map(({ definition: { name, type } }) => ({ name, type }));
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#end([...this.#inForce.values()]);
    await this.#chain;
  }

  async #apply(wanted: Map<string, BeaconDefinition>): Promise<void> {
    if (this.#stopped) return;
    await this.#end([...this.#inForce.values()].filter(({ definition }) => !isDeepStrictEqual(wanted.get(definition.name), definition)));
    const started: Promise<void>[] = [];
    for (const definition of wanted.values()) {
      if (this.#stopped) break;
      if (!this.#inForce.has(definition.name)) started.push(this.#start(definition));
    }
    await Promise.all(started);
  }

  /** Resolves when the beacon watches, or has failed. */
  async #start(definition: BeaconDefinition): Promise<void> {
    const { start = startBeacon } = this.#options;
    const { name } = definition;
    const limit = this.#limit(definition);
    let entry: InForce | undefined;
    let failed = false;
    const fail = (error: unknown) => {
      if (failed || (entry !== undefined && this.#inForce.get(name) !== entry)) return;
      failed = true;
      this.#failed(definition, error);
      if (entry === undefined) limit.stop();
      else void this.#end([entry]);
    };
    try {
      const running = start(definition, this.#context(definition, limit, fail));
      entry = { definition, running, limit };
      this.#inForce.set(name, entry);
      if (failed) await this.#end([entry]);
      else await running.ready;
    } catch (error) {
      fail(error);
    }
  }

  #limit({ name, rate }: BeaconDefinition): RateLimit {
    const { clock, emit, log } = this.#options;
    return new RateLimit(rate, (data) => {
      log.warn({ beacon: name, ...data }, "a beacon made more events than its rate; they were left out");
      emit({ type: "beacon.limited", beacon: name, subject: name, time: clock.now(), severity: "normal", data: { ...data } });
    });
  }

  #context(definition: BeaconDefinition, limit: RateLimit, fail: (error: unknown) => void): BeaconContext {
    const { clock, managed, remedies, emit } = this.#options;
    const log = this.#options.log.child({ beacon: definition.name });
    return {
      clock,
      log,
      managed,
      remedies,
      fail,
      emit: ({ severity = definition.severity, time = clock.now(), ...draft }) => {
        // What is critical always passes (P8); the spool's own limit bounds it.
        if (severity !== "critical" && !limit.take(draft.type, time)) return;
        try {
          emit({ ...draft, beacon: definition.name, severity, time });
        } catch (error) {
          log.error({ type: draft.type, subject: draft.subject }, `an event could not be taken: ${errorText(error)}`);
        }
      },
    };
  }

  #failed({ name, type }: BeaconDefinition, error: unknown): void {
    const { log, clock, emit } = this.#options;
    const message = errorText(error);
    log.error({ beacon: name, type, err: error }, "a beacon failed and is off");
    emit({
      type: "beacon.failed",
      beacon: name,
      subject: name,
      time: clock.now(),
      severity: "high",
      data: { message: `the beacon is off: ${message}` },
    });
  }

  async #end(entries: InForce[]): Promise<void> {
    for (const { definition } of entries) this.#inForce.delete(definition.name);
    await Promise.all(
      entries.map(async ({ definition, running, limit }) => {
        try {
          await running.stop();
        } catch (error) {
          this.#options.log.error({ beacon: definition.name, err: error }, "a beacon did not stop cleanly");
        }
        limit.stop();
      }),
    );
  }
}
