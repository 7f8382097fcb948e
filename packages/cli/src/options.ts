/**
 * Readers of option values: text from the command line becomes a value once, or a usage error that says what was expected.
 */
import { InvalidArgumentError } from "commander";
import { parseDuration, parseWhen } from "@needfire/shared/duration";

export function wholeNumber(min: number, max: number): (text: string) => number {
  return (text) => {
    const number = Number(text);
    if (/^\d+$/.test(text) && number >= min && number <= max) return number;
    throw new InvalidArgumentError(`Expected a whole number from ${min} to ${max}.`);
  };
}

/** Milliseconds of a duration. */
export function duration(text: string): number {
  const ms = parseDuration(text);
  if (ms === undefined) throw new InvalidArgumentError("Expected a duration such as 30s, 15m, 1h30m or 2d.");
  return ms;
}

/** How long something that people begin may last. */
const longestMs = 31_622_400_000;
const shortestMs = 1_000;

export function lasting(text: string): number {
  const ms = duration(text);
  if (ms >= shortestMs && ms <= longestMs) return Math.round(ms);
  throw new InvalidArgumentError("Expected a duration from 1s to 366d.");
}

/** A point in time as RFC 3339: people write local times and "15m ago", the API takes neither as such. */
export function pointInTime(text: string): string {
  const at = parseWhen(text, Date.now());
  if (at === undefined)
    throw new InvalidArgumentError("Expected a duration such as 15m (ago), or a time such as 2026-11-22T10:00 or 2026-11-22T10:00:00Z.");
  return new Date(at).toISOString();
}

/** `--label role=web`, as often as wanted. */
export function label(text: string, before: Record<string, string> = {}): Record<string, string> {
  const equals = text.indexOf("=");
  if (equals < 1) throw new InvalidArgumentError("Expected key=value.");
  return { ...before, [text.slice(0, equals)]: text.slice(equals + 1) };
}

export function jsonObject(text: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new InvalidArgumentError(`Not JSON: ${error instanceof Error ? error.message : String(error)}.`);
  }
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new InvalidArgumentError("Expected a JSON object such as '{\"version\": 3}'.");
  return value as Record<string, unknown>;
}

/** A text that fits a pattern of shared's; `expected` names it. */
export function fitting(pattern: string, expected: string): (text: string) => string {
  const test = new RegExp(pattern);
  return (text) => {
    if (test.test(text)) return text;
    throw new InvalidArgumentError(`Expected ${expected}.`);
  };
}
