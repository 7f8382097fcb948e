/**
 * A database that was damaged is told of (P4): durably, before it is forgotten. Nobody waits for it: a full disk must not keep the master from
 * its work.
 */
import { setTimeout as delay } from "node:timers/promises";
import { NeedfireError } from "@needfire/shared/errors";
import type { MasterEventDraft } from "@needfire/shared/task";
import { retryMs, type Room } from "./room.ts";
import { type Damage, damageEvents } from "./store/salvage.ts";

export interface TellingDamage {
  damage: Damage;
  /** Resolves when they are durable. Throws `DISK_FULL`. */
  emit(events: MasterEventDraft[]): Promise<unknown>;
  forget(): void;
  room: Room;
  signal: AbortSignal;
}

export async function tellDamage({ damage, emit, forget, room, signal }: TellingDamage): Promise<void> {
  for (;;) {
    try {
      await emit(damageEvents(damage));
      break;
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof NeedfireError) || error.code !== "DISK_FULL") throw error;
      await delay(retryMs, undefined, { signal }).catch(() => {});
    }
  }
  if (!signal.aborted) await room.untilTaken(forget, () => {});
}
