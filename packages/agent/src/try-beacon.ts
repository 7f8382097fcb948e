/**
 * Runs one beacon here and now, without a master, a spool or a memory: for who wants to see what it sees before it goes live.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import type { BeaconDefinition } from "@needfire/shared/beacon";
import { systemClock } from "@needfire/shared/clock";
import type { EventDraft } from "@needfire/shared/event";
import { Beacons } from "./beacons/beacons.ts";
import { forgetfulStore } from "./beacons/remembered.ts";
import { BlobStore } from "./blobs.ts";
import { ManagedFiles } from "./managed-files.ts";
import { Remedies } from "./remedies.ts";

export interface Trial {
  /** Why it does not watch, when it does not. */
  failed: string | undefined;
  stop(): Promise<void>;
}

/** Resolves when the beacon watches or has failed; events come through `emit` from then on, and before. */
export async function tryBeacon(definition: BeaconDefinition, emit: (event: EventDraft) => void): Promise<Trial> {
  const state = mkdtempSync(join(tmpdir(), "needfire-try-"));
  const log = pino({ level: "silent" });
  const beacons = new Beacons({
    clock: systemClock(),
    log,
    managed: new ManagedFiles({ blobs: new BlobStore(join(state, "blobs")), listFile: join(state, "files.json"), log }),
    remedies: new Remedies(),
    pace: { factor: 1 },
    memory: forgetfulStore(),
    emit,
  });
  const takeUncaught = (error: unknown) => {
    if (!beacons.takeUncaught(error)) throw error;
  };
  process.on("uncaughtException", takeUncaught);
  await beacons.apply([definition]);
  const health = beacons.list()[0]?.health;
  return {
    failed: health?.state === "failed" ? health.message : undefined,
    stop: async () => {
      await beacons.stop();
      process.off("uncaughtException", takeUncaught);
      rmSync(state, { recursive: true, force: true });
    },
  };
}
