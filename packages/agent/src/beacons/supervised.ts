/**
 * One beacon in force: started, watched over, started again. One that fails, by saying so or by throwing anywhere, is stopped, told as
 * `beacon.failed` and started again after a wait that doubles each time; it never takes another beacon or the agent down. What it emits
 * bears its name and severity, and goes by its rate (P4).
 */
import type { AsyncLocalStorage } from "node:async_hooks";
import type { Logger } from "pino";
import type { BeaconDefinition } from "@needfire/shared/beacon";
import type { Clock } from "@needfire/shared/clock";
import { errorText } from "@needfire/shared/errors";
import type { EventDraft } from "@needfire/shared/event";
import type { ManagedFiles } from "../managed-files.ts";
import type { Remedies } from "../remedies.ts";
import type { AuditLog } from "./file/audit-log.ts";
import type { BeaconContext, BeaconEvent, RunningBeacon } from "./beacon.ts";
import type { NotificationQueue } from "./file/notification-queue.ts";
import { BeaconMemory, type MemoryStore } from "./remembered.ts";
import type { Pace } from "./pace.ts";
import { RateLimit } from "./rate-limit.ts";
import { startBeacon } from "./registry.ts";

/** The waits before a beacon is started again: doubling from the first to the last, each up to a fifth longer. */
const retryMs = { first: 1_000, last: 300_000 };
/** One that has watched for so long since it was started again, or as long as it had to wait for that, has recovered. */
const steadyMsMin = 10_000;

export interface BeaconWorld {
  clock: Clock;
  log: Logger;
  managed: ManagedFiles;
  remedies: Remedies;
  pace: Pace;
  memory: MemoryStore;
  notifications: NotificationQueue;
  audit: AuditLog;
  emit(draft: EventDraft): void;
  /** Whom an error that nobody caught belongs to. */
  blame: AsyncLocalStorage<(error: unknown) => void>;
  /** What starts a beacon; the registry's, unless a test has its own. */
  start?: ((definition: BeaconDefinition, context: BeaconContext) => RunningBeacon | Promise<RunningBeacon>) | undefined;
}

/** How a beacon is. `message`: what is the matter. */
export type Health = { state: "starting" | "watching" } | { state: "degraded" | "failed"; message: string };

/** From one start to its stop. */
interface Life {
  stop: AbortController;
  running: RunningBeacon | undefined;
  degraded: string | undefined;
}

export class SupervisedBeacon {
  readonly definition: BeaconDefinition;
  readonly #world: BeaconWorld;
  readonly #log: Logger;
  readonly #limit: RateLimit;
  #life: Life | undefined;
  #health: Health = { state: "starting" };
  #failures = 0;
  #waitMs = 0;
  /** Told, and not yet taken back by `beacon.recovered`. */
  #trouble: { message: string; since: number } | undefined;
  #timer: NodeJS.Timeout | undefined;
  #ending: Promise<void> = Promise.resolve();
  #stopped = false;

  constructor(definition: BeaconDefinition, world: BeaconWorld) {
    this.definition = definition;
    this.#world = world;
    this.#log = world.log.child({ beacon: definition.name });
    this.#limit = new RateLimit(definition.rate, (data) => {
      this.#log.warn(data, "a beacon made more events than its rate; they were left out");
      this.#tell("beacon.limited", "normal", { ...data });
    });
  }

  get health(): Health {
    return this.#health;
  }

  /** Resolves when it watches, or has failed for the first time. Never rejects. */
  async start(): Promise<void> {
    const { start = startBeacon, blame } = this.#world;
    const life: Life = { stop: new AbortController(), running: undefined, degraded: undefined };
    this.#life = life;
    const fail = (error: unknown) => this.#fail(life, error);
    try {
      // Whatever its timers, sockets and promises throw later is found by this, too.
      const starting = blame.run(fail, () => start(this.definition, this.#context(life, fail)));
      const running = await starting;
      if (this.#life === life) life.running = running;
      else return await this.#end(running);
      await running.ready;
      if (this.#life === life) this.#watches(life);
    } catch (error) {
      fail(error);
    }
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    this.#endLife();
    await this.#ending;
    this.#limit.stop();
  }

  /** See `RunningBeacon.restate`. */
  restate(): void {
    const life = this.#life;
    if (life?.running?.restate === undefined) return;
    try {
      life.running.restate();
    } catch (error) {
      this.#fail(life, error);
    }
  }

  #context(life: Life, fail: (error: unknown) => void): BeaconContext {
    const { clock, managed, remedies, pace, memory, notifications, audit } = this.#world;
    const { type, name } = this.definition;
    return {
      ...{ clock, managed, remedies, pace, notifications, audit, fail },
      log: this.#log,
      signal: life.stop.signal,
      memory: new BeaconMemory(memory, `${type}:${name}`),
      emit: (draft) => this.#emit(draft),
      degraded: (message) => this.#degraded(life, message),
    };
  }

  #emit({ severity = this.definition.severity, time = this.#world.clock.now(), ...draft }: BeaconEvent): void {
    // What is critical always passes (P8); the spool's own limit bounds it.
    if (severity !== "critical" && !this.#limit.take(draft.type, time)) return;
    this.#take({ ...draft, beacon: this.definition.name, severity, time });
  }

  #tell(type: string, severity: EventDraft["severity"], data: Record<string, unknown>): void {
    const { name } = this.definition;
    this.#take({ type, beacon: name, subject: name, time: this.#world.clock.now(), severity, data });
  }

  #take(draft: EventDraft): void {
    const { blame, emit } = this.#world;
    try {
      // What comes of it in the spool and on the bus is not this beacon's.
      blame.exit(() => emit(draft));
    } catch (error) {
      this.#log.error({ type: draft.type, subject: draft.subject }, `an event could not be taken: ${errorText(error)}`);
    }
  }

  #watches(life: Life): void {
    this.#health = life.degraded === undefined ? { state: "watching" } : { state: "degraded", message: life.degraded };
    if (this.#failures === 0) return;
    const steady = () => {
      this.#failures = 0;
      if (life.degraded === undefined) this.#recovered();
    };
    this.#timer = setTimeout(steady, Math.max(steadyMsMin, this.#waitMs)).unref();
  }

  #degraded(life: Life, message: string | undefined): void {
    if (this.#life !== life || life.degraded === message) return;
    life.degraded = message;
    if (this.#health.state !== "starting") this.#health = message === undefined ? { state: "watching" } : { state: "degraded", message };
    if (message !== undefined) {
      this.#log.warn({ message }, "a beacon does not see all that it should");
      this.#note(message);
      this.#tell("beacon.degraded", "normal", { message });
    } else if (this.#failures === 0) this.#recovered();
  }

  #note(message: string): void {
    this.#trouble = { message, since: this.#trouble?.since ?? this.#world.clock.now() };
  }

  #recovered(): void {
    const trouble = this.#trouble;
    this.#trouble = undefined;
    if (trouble === undefined) return;
    const lasted = Math.max(0, Math.round(this.#world.clock.now() - trouble.since));
    this.#tell("beacon.recovered", "normal", { message: trouble.message, lasted_ms: lasted });
  }

  #fail(life: Life, error: unknown): void {
    if (this.#life !== life || this.#stopped) return;
    const message = errorText(error);
    const wait = Math.min(retryMs.first * 2 ** this.#failures, retryMs.last);
    this.#waitMs = Math.round(wait * (1 + Math.random() / 5));
    this.#failures += 1;
    this.#log.error({ err: error, retry_ms: this.#waitMs }, "a beacon failed and will be started again");
    // Once for each trouble, not for each try.
    if (this.#failures === 1 || this.#trouble?.message !== message)
      this.#tell("beacon.failed", "high", { message, retry_ms: this.#waitMs });
    this.#note(message);
    this.#health = { state: "failed", message };
    clearTimeout(this.#timer);
    this.#endLife();
    this.#timer = setTimeout(() => {
      // The one before may still be stopping.
      void this.#ending.then(() => (this.#stopped ? undefined : this.start()));
    }, this.#waitMs).unref();
  }

  #endLife(): void {
    const life = this.#life;
    this.#life = undefined;
    if (life === undefined) return;
    life.stop.abort();
    const { running } = life;
    if (running !== undefined) this.#ending = this.#ending.then(() => this.#end(running));
  }

  async #end(running: RunningBeacon): Promise<void> {
    try {
      await running.stop();
    } catch (error) {
      this.#log.error({ err: error }, "a beacon did not stop cleanly");
    }
  }
}
