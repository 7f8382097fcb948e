/**
 * Validation: one Ajv, one way to say what is wrong. A schema error becomes a sentence that names what was expected, what was found
 * and, for a name that is nearly right, what may have been meant.
 *
 * To load Ajv and let it compile takes a start 50 ms. What it makes of the schemas that an agent meets is therefore kept as code
 * (schema-compiled.cjs, by `npm run checkers`), found by the schema's fingerprint: a schema that was changed since is compiled anew.
 */
import { createHash } from "node:crypto";
import { createRequire } from "node:module";
import type { ErrorObject } from "ajv/dist/2020.js";
import type { FromSchema, JSONSchema } from "json-schema-to-ts";
import type * as compiler from "./schema-compile.ts";
import type { CheckMode, Validate } from "./schema-compile.ts";

/** `path`: keys and indexes down to the value. `atKey`: the trouble is the key itself, not its value. */
export interface SchemaProblem {
  path: (string | number)[];
  atKey: boolean;
  message: string;
}

export type Checked<T> = { ok: true; value: T } | { ok: false; problems: SchemaProblem[] };

/** A checker for a schema: fills in defaults (it changes the value it is given) and returns it typed, or every problem. */
export function checker<const S extends JSONSchema>(schema: S): (value: unknown) => Checked<FromSchema<S>> {
  return untypedChecker(schema as object) as (value: unknown) => Checked<FromSchema<S>>;
}

/** The same for a schema that is only known at run time. */
export function untypedChecker(schema: object): (value: unknown) => Checked<unknown> {
  return lazyChecker("all", schema);
}

/** A checker for values from the network: fills in nothing and stops at the first problem, since a hostile value may have any number. */
export function doorChecker<const S extends JSONSchema>(schema: S): (value: unknown) => Checked<FromSchema<S>> {
  return untypedDoorChecker(schema as object) as (value: unknown) => Checked<FromSchema<S>>;
}

export function untypedDoorChecker(schema: object): (value: unknown) => Checked<unknown> {
  return lazyChecker("first", schema);
}

/** Made at first use: a program checks few of the schemas that it knows, and the CLI must start at once. */
function lazyChecker(mode: CheckMode, schema: object): (value: unknown) => Checked<unknown> {
  let validate: Validate | undefined;
  return (value) => {
    validate ??= compiledBefore()[schemaFingerprint(mode, schema)] ?? compileNow(mode, schema);
    if (validate(value)) return { ok: true, value };
    return { ok: false, problems: problemsOf(validate.errors ?? []) };
  };
}

// Checking is synchronous, and so is what it loads late.
const require = createRequire(import.meta.url);

function compiledBefore(): Record<string, Validate> {
  return require("./schema-compiled.cjs") as Record<string, Validate>;
}

function compileNow(mode: CheckMode, schema: object): Validate {
  return (require("./schema-compile.ts") as typeof compiler).compile(mode, schema);
}

/** What a compiled checker is found by. */
export function schemaFingerprint(mode: CheckMode, schema: object): string {
  return createHash("sha256")
    .update(`${mode} ${JSON.stringify(schema)}`)
    .digest("base64url")
    .slice(0, 16);
}

/** Problems as one line, for values that have no file to point into. */
export function problemsText(problems: readonly SchemaProblem[]): string {
  return problems.map(({ path, message }) => (path.length > 0 ? `${path.join(".")}: ${message}` : message)).join("; ");
}

function problemsOf(errors: ErrorObject[]): SchemaProblem[] {
  // What is wrong with a name follows `propertyNames` as an error of its own.
  const real = errors.filter((error) => error.keyword !== "if" && error.keyword !== "propertyNames");
  // Of a failed union the branches' errors say less than the union's own, but for a list: there they say which item it is.
  const unions = real.filter((error) => error.keyword === "anyOf" || error.keyword === "oneOf");
  const isOf = (union: ErrorObject, error: ErrorObject) =>
    error.schemaPath.startsWith(`${union.schemaPath}/`) && error.instancePath.startsWith(union.instancePath);
  const isItem = (union: ErrorObject, error: ErrorObject) =>
    Array.isArray(union.data) && isOf(union, error) && error.instancePath !== union.instancePath;
  const bySaidItem = (union: ErrorObject) => unions.includes(union) && real.some((error) => isItem(union, error));
  const isSaid = (error: ErrorObject) => unions.some((union) => isOf(union, error) && !isItem(union, error));
  return real.filter((error) => !isSaid(error) && !bySaidItem(error)).map(problemOf);
}

function problemOf(error: ErrorObject): SchemaProblem {
  const path = error.instancePath
    .split("/")
    .slice(1)
    .map((part) => part.replaceAll("~1", "/").replaceAll("~0", "~"))
    .map((part) => (/^\d+$/.test(part) ? Number(part) : part));
  const found = shown(error.data);
  switch (error.keyword) {
    case "additionalProperties": {
      const key = String(error.params["additionalProperty"]);
      const known = Object.keys((error.parentSchema?.["properties"] as object | undefined) ?? {});
      return { path: [...path, key], atKey: true, message: `unknown key ${shown(key)}${suggestion(key, known)}` };
    }
    case "required":
      return { path, atKey: false, message: `the key "${String(error.params["missingProperty"])}" is missing` };
    case "type": {
      // A text with a form of its own is better described by that: mode: 0644 is a number, and wants quotes.
      const hasForm = error.parentSchema?.["pattern"] !== undefined || error.parentSchema?.["title"] !== undefined;
      const title = hasForm ? titleOf(error) : undefined;
      return { path, atKey: false, message: `expected ${title ?? listOf(error.params["type"])}, got ${found}` };
    }
    case "enum": {
      const allowed = (error.params["allowedValues"] as unknown[]).map(String);
      const meant = typeof error.data === "string" ? didYouMean(error.data, allowed) : "";
      return { path, atKey: false, message: `expected one of ${allowed.join(", ")}, got ${found}${meant}` };
    }
    case "pattern": {
      if (error.propertyName !== undefined) return { path: [...path, error.propertyName], atKey: true, message: patternMessage(error) };
      return { path, atKey: false, message: patternMessage(error) };
    }
    case "minItems":
    case "maxItems":
    case "minProperties":
    case "maxProperties": {
      const thing = error.keyword.endsWith("Items") ? "a list" : "a map";
      const bound = `${error.keyword.startsWith("min") ? "at least" : "at most"} ${String(error.params["limit"])}`;
      return { path, atKey: false, message: `expected ${thing} of ${bound}, got ${found}` };
    }
    case "anyOf":
    case "not":
    case "oneOf": {
      return { path, atKey: false, message: `expected ${titleOf(error) ?? "another form"}, got ${found}` };
    }
    default:
      return { path, atKey: false, message: `${error.message ?? error.keyword}, got ${found}` };
  }
}

function patternMessage(error: ErrorObject): string {
  return `expected ${titleOf(error) ?? `text that fits ${String(error.params["pattern"])}`}, got ${shown(error.data)}`;
}

/** What a schema calls its values: its title, or else its description. */
function titleOf({ parentSchema }: ErrorObject): string | undefined {
  const title: unknown = parentSchema?.["title"] ?? parentSchema?.["description"];
  return typeof title === "string" ? title : undefined;
}

function listOf(types: unknown): string {
  return Array.isArray(types) ? types.join(" or ") : String(types);
}

/** A value, short enough for an error message. */
export function shown(value: unknown): string {
  if (value === undefined) return "nothing";
  if (Array.isArray(value)) return `a list of ${value.length}`;
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}

function suggestion(word: string, known: readonly string[]): string {
  return didYouMean(word, known) || (known.length > 0 && known.length <= 20 ? ` (known: ${known.join(", ")})` : "");
}

/** `; did you mean "x"?` for the nearest known word, or nothing when none is near. */
export function didYouMean(word: string, known: readonly string[]): string {
  const limit = Math.max(1, Math.floor(word.length / 3));
  let best: { name: string; distance: number } | undefined;
  for (const name of known) {
    const distance = editDistance(word.toLowerCase(), name.toLowerCase());
    // Of words of one letter none is near another.
    if (distance <= limit && distance < Math.max(word.length, name.length) && (best === undefined || distance < best.distance))
      best = { name, distance };
  }
  return best === undefined ? "" : `; did you mean "${best.name}"?`;
}

/** Damerau-Levenshtein (optimal string alignment): a swap of neighbours costs one. */
function editDistance(a: string, b: string): number {
  let before: number[] = [];
  let previous = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const swap = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1] ? before[j - 2]! + 1 : Number.POSITIVE_INFINITY;
      const change = previous[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      row[j] = Math.min(previous[j]! + 1, row[j - 1]! + 1, change, swap);
    }
    before = previous;
    previous = row;
  }
  return previous[b.length]!;
}
