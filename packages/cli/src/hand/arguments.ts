/**
 * An action's arguments as people type them: `name=nginx lines=3 argv=ls argv=-l`. Which of them is a number, a list or a text is in the action's
 * schema; what does not fit is passed on as it is, since the master checks all of it and knows what to say. Pure.
 */
import { NeedfireError } from "@needfire/shared/errors";

/** What is read of a schema. */
interface FieldSchema {
  readonly type?: string | readonly string[];
  readonly properties?: Readonly<Record<string, FieldSchema>>;
  readonly additionalProperties?: unknown;
  readonly items?: FieldSchema;
  readonly anyOf?: readonly FieldSchema[];
  readonly oneOf?: readonly FieldSchema[];
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
}

/** `given`: what was given as JSON, which words add to. Throws `BAD_REQUEST` for a word that is no `key=value`. */
export function argumentsOf(
  words: readonly string[],
  schema: object | undefined,
  given: Readonly<Record<string, unknown>> = {},
): Record<string, unknown> {
  const fields = (schema as FieldSchema | undefined)?.properties ?? {};
  const values = new Map<string, string[]>();
  for (const word of words) {
    const equals = word.indexOf("=");
    if (equals < 1) throw new NeedfireError("BAD_REQUEST", `expected key=value, got '${word}'`);
    const key = word.slice(0, equals);
    values.set(key, [...(values.get(key) ?? []), word.slice(equals + 1)]);
  }
  const typed = [...values].map(([key, texts]) => [key, valueOf(texts, Object.hasOwn(fields, key) ? fields[key] : undefined, key)]);
  return { ...given, ...Object.fromEntries(typed) };
}

function valueOf(texts: readonly string[], field: FieldSchema | undefined, key: string): unknown {
  const [first = ""] = texts;
  const types = typesOf(field);
  if (types.has("array")) {
    // One that begins like a list of JSON is one, unless it is none: then it is the only item.
    const whole = texts.length === 1 && first.startsWith("[") ? parsed(first) : undefined;
    if (Array.isArray(whole)) return whole;
    if (texts.length > 1 || !types.has("string")) return texts.map((text) => scalar(text, typesOf(itemsOf(field))));
  }
  if (texts.length > 1) throw new NeedfireError("BAD_REQUEST", `'${key}' is given ${texts.length} times, and takes one value`);
  return scalar(first, types);
}

/** A text that could be a number stays a text where the schema takes texts. */
function scalar(text: string, types: ReadonlySet<string>): unknown {
  if (types.has("string") || types.size === 0) return text;
  if ((types.has("number") || types.has("integer")) && /^-?\d+(\.\d+)?$/.test(text)) return Number(text);
  if (types.has("boolean") && (text === "true" || text === "false")) return text === "true";
  if (types.has("null") && text === "null") return null;
  if (types.has("object") || types.has("array")) return parsed(text) ?? text;
  return text;
}

function typesOf(field: FieldSchema | undefined): ReadonlySet<string> {
  if (field === undefined) return new Set();
  const { type = [], anyOf = [], oneOf = [] } = field;
  const allowed = [...(field.enum ?? []), ...("const" in field ? [field.const] : [])].map((value) => typeof value);
  return new Set([
    ...(typeof type === "string" ? [type] : type),
    ...allowed,
    ...[...anyOf, ...oneOf].flatMap((branch) => [...typesOf(branch)]),
  ]);
}

function itemsOf(field: FieldSchema | undefined): FieldSchema | undefined {
  return field?.items ?? [...(field?.anyOf ?? []), ...(field?.oneOf ?? [])].find(({ items }) => items !== undefined)?.items;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
