/**
 * A database that was damaged is told of (P4): it is forgotten in the transaction that tells of it, so it is told once. Nobody waits for it: a full
 * disk must not keep the master from its work.
 */
import { setTimeout as delay } from "node:timers/promises";
import { NeedfireError } from "@needfire/shared/errors";
import type { MasterEventDraft } from "@needfire/shared/task";
import { retryMs } from "./room.ts";
import { type Damage, damageEvents } from "./store/salvage.ts";

export interface TellingDamage {
  damage: Damage;
  /** Resolves when they are durable, and what `forget` does with them, in one transaction. Throws `DISK_FULL`. */
  emit(events: MasterEventDraft[], forget: () => void): Promise<unknown>;
  forget(): void;
  signal: AbortSignal;
  retryMs?: number;
}

export async function tellDamage({ damage, emit, forget, signal, retryMs: waitMs = retryMs }: TellingDamage): Promise<void> {
  for (;;) {
    try {
      await emit(damageEvents(damage), forget);
      return;
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof NeedfireError) || error.code !== "DISK_FULL") throw error;
      await delay(waitMs, undefined, { signal }).catch(() => {});
    }
  }
}
