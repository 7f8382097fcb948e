/**
 * Durations and points in time as people write them: `500ms`, `15m`, `1h30m`, `2026-11-22T10:00:00Z`.
 */

const unitMs = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 } as const;

/** A JSON Schema pattern for durations. */
export const durationPattern = "^([0-9]+(\\.[0-9]+)?(ms|s|m|h|d|w))+$";

/** Milliseconds of a duration such as `1h30m`, or undefined when the text is none. */
export function parseDuration(text: string): number | undefined {
  if (!new RegExp(durationPattern).test(text)) return undefined;
  let total = 0;
  for (const [, amount, unit] of text.matchAll(/([0-9.]+)(ms|[smhdw])/g)) {
    total += Number(amount) * unitMs[unit as keyof typeof unitMs];
  }
  return Number.isFinite(total) ? total : undefined;
}

/** Milliseconds of a duration that a schema has already checked against {@link durationPattern}. */
export function durationMs(text: string): number {
  return parseDuration(text) ?? 0;
}

/** A point in time: `15m` (ago, seen from `now`) or an ISO time. Undefined when the text is neither. */
export function parseWhen(text: string, now: number): number | undefined {
  const ago = parseDuration(text);
  if (ago !== undefined) return now - ago;
  if (!/^\d{4}-\d{2}-\d{2}/.test(text)) return undefined;
  const at = Date.parse(text);
  return Number.isNaN(at) ? undefined : at;
}

/** A duration for people: `850 µs`, `3.2 ms`, `12 s`, `4 min 5 s`, `3 h 12 min`, `2 d 4 h`. */
export function formatDuration(ms: number): string {
  if (ms < 1) return `${Math.round(ms * 1000)} µs`;
  if (ms < 1_000) return `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`;
  if (ms < 60_000) return `${ms < 10_000 ? (ms / 1_000).toFixed(1) : Math.round(ms / 1_000)} s`;
  const seconds = Math.round(ms / 1_000);
  if (seconds < 3_600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3_600)} h ${Math.floor((seconds % 3_600) / 60)} min`;
  return `${Math.floor(seconds / 86_400)} d ${Math.floor((seconds % 86_400) / 3_600)} h`;
}
