/**
 * Secrets in values: in a compiled reactor, a plan, a task and history stands a mark in their place; the value itself is put in when a
 * command goes out, and is taken out of whatever comes in (masking.ts). Pure: who knows the values hands them in.
 */

/** Ends of a mark: of Unicode's private use, so that no keyboard and hardly any program makes them. */
const [open, close] = ["\u{F5EC}", "\u{F5ED}"];
const markPattern = new RegExp(`${open}[^${open}${close}]*${close}`, "gu");

/** What stands where a secret was. */
const masked = "***";

/**
 * The mark of a secret. `nonce`: a text that nobody outside can know, so that a host cannot make a mark and be handed the secret; without
 * it, for where no secret is ever put in (a check, a test, a replay).
 */
export function secretMark(name: string, nonce = ""): string {
  return `${open}secret ${name} ${nonce}${close}`;
}

/** Every mark in the texts of a JSON value, each once. */
export function marksIn(value: unknown): string[] {
  if (!mayHaveMark(value)) return [];
  const found = new Set<string>();
  mapTexts(value, (text) => {
    for (const [mark] of text.matchAll(markPattern)) found.add(mark);
    return text;
  });
  return [...found];
}

/** The value with secrets in place of their marks. A mark of which `values` has none stays, and so never becomes a wrong value. */
export function unmark<T>(value: T, values: ReadonlyMap<string, string>): T {
  if (!mayHaveMark(value)) return value;
  return mapTexts(value, (text) => text.replaceAll(markPattern, (mark) => values.get(mark) ?? mark)) as T;
}

/** The value with every mark as `***`: what people are shown. */
export function hideMarks<T>(value: T): T {
  if (!mayHaveMark(value)) return value;
  return mapTexts(value, (text) => text.replaceAll(markPattern, masked)) as T;
}

/** Hardly any value has one: then it need not be built anew. */
function mayHaveMark(value: unknown): boolean {
  if (typeof value === "string") return value.includes(open);
  if (typeof value !== "object" || value === null || value instanceof Uint8Array) return false;
  if (Array.isArray(value)) return value.some(mayHaveMark);
  for (const key in value) if (key.includes(open) || mayHaveMark((value as Record<string, unknown>)[key])) return true;
  return false;
}

/** A JSON value with every text in it changed. Keys are texts, too: a value may have become one. What is binary stays. */
export function mapTexts(value: unknown, change: (text: string) => string): unknown {
  if (typeof value === "string") return change(value);
  if (typeof value !== "object" || value === null || value instanceof Uint8Array) return value;
  if (Array.isArray(value)) return value.map((item) => mapTexts(item, change));
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [change(key), mapTexts(item, change)]));
}
