/**
 * Calendars: windows of time that begin by a cron expression and last. Pure: whether a moment lies in one is asked with that moment.
 */
import { compileCron } from "../cron.ts";
import { durationMs, formatDuration } from "../duration.ts";
import type { Calendar } from "../rules/types.ts";

export interface CalendarSource {
  cron: string;
  for: string;
  zone: string;
}

export type CompiledCalendar = { ok: true; calendar: Calendar } | { ok: false; key: keyof CalendarSource; message: string };

export function compileCalendar({ cron: pattern, for: lasts, zone }: CalendarSource): CompiledCalendar {
  const lastsMs = durationMs(lasts);
  const compiled = compileCron(pattern, zone);
  if (!compiled.ok) return compiled;
  const { cron } = compiled;
  return {
    ok: true,
    calendar: {
      text: `${pattern} ${zone} for ${formatDuration(lastsMs)}`,
      covers: (now) => {
        const begun = cron.previous(now + 1);
        return begun !== undefined && now < begun + lastsMs ? { until: begun + lastsMs } : undefined;
      },
      next: (now) => cron.next(now),
    },
  };
}
