/**
 * Cron expressions: five fields, in a time zone. Where a clock is put forward over a due time, it is due at the end of the gap; where one is put
 * back, the first time counts. Pure. The only importer of croner.
 */
import { Cron as Croner } from "croner";
import { didYouMean, shown } from "./schema.ts";

export interface Cron {
  /** The first due time after a moment (ms since the epoch). */
  next(after: number): number | undefined;
  /** The last due time before a moment. */
  previous(before: number): number | undefined;
}

export type CompiledCron = { ok: true; cron: Cron } | { ok: false; key: "cron" | "zone"; message: string };

/** From here on a cron expression must be due at some time. Any date would do. */
const beginning = new Date("2024-01-01T00:00:00Z");

export function compileCron(pattern: string, zone: string): CompiledCron {
  if (!isZone(zone)) return { ok: false, key: "zone", message: zoneMessage(zone) };
  try {
    const cron = new Croner(pattern, { timezone: zone, mode: "5-part", paused: true });
    if (cron.nextRun(beginning) === null) return { ok: false, key: "cron", message: `${shown(pattern)} is never due` };
    return {
      ok: true,
      cron: {
        next: (after) => cron.nextRun(new Date(after))?.getTime(),
        previous: (before) => cron.previousRuns(1, new Date(before))[0]?.getTime(),
      },
    };
  } catch (error) {
    return { ok: false, key: "cron", message: cronMessage(pattern, error) };
  }
}

function isZone(zone: string): boolean {
  try {
    return new Intl.DateTimeFormat("en", { timeZone: zone }).resolvedOptions().timeZone !== "";
  } catch {
    return false;
  }
}

function zoneMessage(zone: string): string {
  const hint = didYouMean(zone, ["UTC", ...Intl.supportedValuesOf("timeZone")]);
  return `there is no time zone ${shown(zone)}${hint || ": write one such as Europe/Berlin"}`;
}

function cronMessage(pattern: string, error: unknown): string {
  const why = error instanceof Error ? error.message.replace(/^CronPattern: /, "").replaceAll(/\s+/g, " ") : String(error);
  return pattern.trim().split(/\s+/).length === 5
    ? `${shown(pattern)} is no cron expression: ${why}`
    : `expected minute hour day month weekday, such as 0 2 * * *, got ${shown(pattern)}`;
}
