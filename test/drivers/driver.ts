/**
 * What makes real changes to what a beacon watches: the same for the benchmark and for the soak. Each change says which events it must lead
 * to, once each, so that what is missed and what is doubled can be counted.
 */
import { setTimeout as delay } from "node:timers/promises";
import type { EventView } from "@needfire/shared/api";

/** Where a driver keeps what it makes. */
export interface Place {
  folder: string;
  /** A short name that nobody else on this machine uses right now. */
  tag: string;
  /** Directories that an agent needs: one on a host of its own must see them, too. */
  shared: readonly string[];
}

/** What a key is made of. */
export type Seen = Pick<EventView, "type" | "subject" | "data">;

export interface Driver {
  /** The definition of the beacon, but for its name and type. */
  options: Record<string, unknown>;
  /** Once the beacon watches: resolves when changes may begin. */
  begin?(): Promise<void>;
  /**
   * Makes the change of this number, from 0 on, and gives the keys of the events that it must lead to. All have come before the next one is
   * made. After an even number of changes everything is as it was at the start.
   */
  change(number: number): string[] | Promise<string[]>;
  /** What tells one event of the beacon from another; undefined: none of ours. Default: type and subject. */
  keyOf?(event: Seen): string | undefined;
  /** The beacon is woken by the change, whatever its interval. */
  hears?: true;
  /** How soon it is over is up to others on this machine, too: only its beginnings, the even changes, are worth a figure. */
  endsUnmeasured?: true;
  /** What else passes until a change can be told, besides what the beacon's options say. */
  delays?: string;
  /** What is watched is on another host: its root as seen from here, and what starts an agent there. */
  host?: { root: string; through: string[] };
  /** Takes away what it has made outside of its folder. */
  stop?(): void | Promise<void>;
}

/** Nobody changes anything: time passes. Between two moments (ms since the epoch) these events must come. */
export interface Clockwork extends Omit<Driver, "change"> {
  due(from: number, to: number): string[];
  /** When an event that came was due; ms since the epoch. */
  dueOf(event: Seen): number;
}

export interface DriverRow {
  /** Why it cannot be driven on this machine; undefined: it can. */
  missing?: () => string | undefined;
  make: (place: Place) => Driver | Clockwork | Promise<Driver | Clockwork>;
}

export function isClockwork(driver: Driver | Clockwork): driver is Clockwork {
  return "due" in driver;
}

export function keyOf(driver: Driver | Clockwork, event: Seen): string | undefined {
  return driver.keyOf === undefined ? `${event.type} ${event.subject ?? ""}` : driver.keyOf(event);
}

/** A beacon that asks or reads on its own time, and compares with what it found first, has done that by then. */
export const firstLook = () => delay(firstLookMs);
const firstLookMs = 3_000;

/** Of the loopback network an address that others hardly take: a port that is closed here is not opened by somebody else. */
export const ownAddress = `127.93.${(process.pid >> 8) & 255}.${process.pid & 255}`;

/** What polls does it so often, so that a run of minutes has as many looks as hours have otherwise. */
export const interval = "200ms";
