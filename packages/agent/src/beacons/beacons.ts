/**
 * The beacons in force on this host. A change of the definitions touches only the beacons whose definition changed; one that fails is
 * started again by itself (supervised.ts) and never takes another down.
 */
import { AsyncLocalStorage } from "node:async_hooks";
import { isDeepStrictEqual } from "node:util";
import type { BeaconDefinition } from "@needfire/shared/beacon";
import type { BeaconType } from "@needfire/shared/beacons/types";
import { AuditLog } from "./file/audit-log.ts";
import { NotificationQueue } from "./file/notification-queue.ts";
import { type BeaconWorld, type Health, SupervisedBeacon } from "./supervised.ts";

export type BeaconsOptions = Omit<BeaconWorld, "blame" | "notifications" | "audit"> & { audit?: AuditLog | undefined };

export class Beacons {
  readonly #world: BeaconWorld;
  readonly #blame = new AsyncLocalStorage<(error: unknown) => void>();
  readonly #inForce = new Map<string, SupervisedBeacon>();
  #chain: Promise<void> = Promise.resolve();
  #stopped = false;

  constructor({ audit = new AuditLog(), ...options }: BeaconsOptions) {
    this.#world = { ...options, audit, blame: this.#blame, notifications: new NotificationQueue() };
  }

  /**
   * Puts these definitions in force and no others: resolves when each new one watches or has failed. Never rejects because of one beacon. Of
   * two with one name the later is taken. One that failed before is tried again at once.
   */
  apply(definitions: BeaconDefinition[]): Promise<void> {
    const applied = this.#chain.then(() => this.#apply(new Map(definitions.map((definition) => [definition.name, definition]))));
    this.#chain = applied.catch(() => undefined); // the caller hears of it; the next call must run all the same
    return applied;
  }

  /** Those in force, whether they watch right now or not. */
  list(): { name: string; type: BeaconType; health: Health }[] {
    return [...this.#inForce.values()].map(({ definition: { name, type }, health }) => ({ name, type, health }));
  }

  /** Each says once more what is not as it should be right now. */
  restate(): void {
    for (const beacon of this.#inForce.values()) beacon.restate();
  }

  /** Takes an error that nobody caught, in the handler of it, to the beacon that it comes from. False: it is not a beacon's. */
  takeUncaught(error: unknown): boolean {
    const fail = this.#blame.getStore();
    fail?.(error);
    return fail !== undefined;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#end([...this.#inForce.values()]);
    await this.#chain;
    this.#world.audit.close();
  }

  async #apply(wanted: Map<string, BeaconDefinition>): Promise<void> {
    if (this.#stopped) return;
    const stays = ({ definition, health }: SupervisedBeacon) =>
      health.state !== "failed" && isDeepStrictEqual(wanted.get(definition.name), definition);
    await this.#end([...this.#inForce.values()].filter((beacon) => !stays(beacon)));
    this.#world.memory.forgetOthers(new Set([...wanted.values()].map(({ type, name }) => `${type}:${name}`)));
    const started: Promise<void>[] = [];
    for (const definition of wanted.values()) {
      if (this.#stopped) break;
      if (this.#inForce.has(definition.name)) continue;
      const beacon = new SupervisedBeacon(definition, this.#world);
      this.#inForce.set(definition.name, beacon);
      started.push(beacon.start());
    }
    await Promise.all(started);
  }

  async #end(beacons: SupervisedBeacon[]): Promise<void> {
    for (const { definition } of beacons) this.#inForce.delete(definition.name);
    await Promise.all(beacons.map((beacon) => beacon.stop()));
  }
}
