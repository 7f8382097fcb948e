/**
 * How an answer about the past says that it is not whole, at either end of the API.
 */
import type { MissingPart } from "./api.ts";

/** Parts of the journal that are named. */
const namedMax = 3;

export function missingText(parts: readonly MissingPart[]): string {
  const events = parts.reduce((sum, part) => sum + part.events, 0);
  const named = parts.slice(0, namedMax).map(({ partition, from, to }) => `part ${partition} (${from} to ${to})`);
  if (parts.length > namedMax) named.push(`${parts.length - namedMax} more`);
  return `${events} events of the journal cannot be read: ${named.join(", ")} (needfire events list --type journal.partition_damaged)`;
}
