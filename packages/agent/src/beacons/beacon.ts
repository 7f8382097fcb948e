/**
 * What a beacon is to the agent: it is started with a definition and a context, watches until it is stopped, and says what it saw
 * through `emit`. Each type is one module that exports `start`.
 */
import type { Logger } from "pino";
import type { BeaconDefinition } from "@needfire/shared/beacon";
import type { BeaconType } from "@needfire/shared/beacons/types";
import type { Clock } from "@needfire/shared/clock";
import type { EventDraft, Severity } from "@needfire/shared/event";
import type { ManagedFiles } from "../managed-files.ts";
import type { Remedies } from "../remedies.ts";
import type { AuditLog } from "./file/audit-log.ts";
import type { NotificationQueue } from "./file/notification-queue.ts";
import type { BeaconMemory } from "./remembered.ts";
import type { Pace } from "./pace.ts";

/** An event as a beacon makes it; its name, the time and the definition's severity are filled in. */
export type BeaconEvent = Omit<EventDraft, "beacon" | "time" | "severity"> & { severity?: Severity; time?: number };

export interface BeaconContext {
  clock: Clock;
  log: Logger;
  /** Comes when the beacon is stopped: loops end, sockets and programs are closed. */
  signal: AbortSignal;
  emit(draft: BeaconEvent): void;
  /** It cannot go on: it is stopped, `beacon.failed` says why, and it is started again later. What it throws, wherever, comes to the same. */
  fail(error: unknown): void;
  /** It goes on, but what it says here it cannot see; undefined: it sees everything (again). */
  degraded(message: string | undefined): void;
  /** What it knows across restarts. A row set in the turn of an `emit` is on the disk when that event is, both or neither. */
  memory: BeaconMemory;
  /** How much slower than told to look while the agent is over its budget. `polled` minds it. */
  pace: Pace;
  managed: ManagedFiles;
  remedies: Remedies;
  /** Whoever watches through the kernel's notifications counts them here, and hears when some were lost. */
  notifications: NotificationQueue;
  /** Who changed what, where auditd runs. */
  audit: AuditLog;
}

export interface RunningBeacon {
  stop(): Promise<void>;
  /** Resolves when it really watches. */
  ready: Promise<void>;
  /** Says once more what is not as it should be right now, as after a start without memory. Missing: its events are no lasting states. */
  restate?(): void;
}

export type DefinitionOf<T extends BeaconType> = Extract<BeaconDefinition, { type: T }>;
export type StartBeacon<T extends BeaconType> = (definition: DefinitionOf<T>, context: BeaconContext) => RunningBeacon;
