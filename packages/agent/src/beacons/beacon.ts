/**
 * What a beacon is to the agent: it is started with a definition and a context, watches until it is stopped, and says what it saw
 * through `emit`.
 */
import type { Logger } from "pino";
import type { BeaconDefinition, BeaconType } from "@needfire/shared/beacon";
import type { Clock } from "@needfire/shared/clock";
import type { EventDraft, Severity } from "@needfire/shared/event";
import type { ManagedFiles } from "../managed-files.ts";
import type { Remedies } from "../remedies.ts";

/** An event as a beacon makes it; its name, the time and the definition's severity are filled in. */
export type BeaconEvent = Omit<EventDraft, "beacon" | "time" | "severity"> & { severity?: Severity; time?: number };

export interface BeaconContext {
  clock: Clock;
  log: Logger;
  emit(draft: BeaconEvent): void;
  /** It cannot go on: it is stopped, and `beacon.failed` says why. */
  fail(error: unknown): void;
  managed: ManagedFiles;
  remedies: Remedies;
}

export interface RunningBeacon {
  stop(): Promise<void>;
  /** Resolves when it really watches. */
  ready: Promise<void>;
}

export type StartBeacon<T extends BeaconType> = (
  definition: Extract<BeaconDefinition, { type: T }>,
  context: BeaconContext,
) => RunningBeacon;
