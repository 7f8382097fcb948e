/**
 * Calendars: windows of time that begin by a cron expression and last. Pure: whether a moment lies in one is asked with that moment.
 */
import { Cron } from "croner";
import { durationMs, formatDuration } from "../duration.ts";
import type { Calendar } from "../rules/types.ts";
import { didYouMean, shown } from "../schema.ts";

export interface CalendarSource {
  cron: string;
  for: string;
  zone: string;
}

export type CompiledCalendar = { ok: true; calendar: Calendar } | { ok: false; key: keyof CalendarSource; message: string };

/** From here on a cron expression must be due at some time. Any date would do. */
const beginning = new Date("2024-01-01T00:00:00Z");

export function compileCalendar({ cron: pattern, for: lasts, zone }: CalendarSource): CompiledCalendar {
  if (!isZone(zone)) return { ok: false, key: "zone", message: zoneMessage(zone) };
  const lastsMs = durationMs(lasts);
  let cron: Cron;
  try {
    cron = new Cron(pattern, { timezone: zone, mode: "5-part", paused: true });
    if (cron.nextRun(beginning) === null) return { ok: false, key: "cron", message: `${shown(pattern)} is never due` };
  } catch (error) {
    return { ok: false, key: "cron", message: cronMessage(pattern, error) };
  }
  return {
    ok: true,
    calendar: {
      text: `${pattern} ${zone} for ${formatDuration(lastsMs)}`,
      covers: (now) => {
        const begun = cron.previousRuns(1, new Date(now + 1))[0]?.getTime();
        return begun !== undefined && now < begun + lastsMs ? { until: begun + lastsMs } : undefined;
      },
      next: (now) => cron.nextRun(new Date(now))?.getTime(),
    },
  };
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
