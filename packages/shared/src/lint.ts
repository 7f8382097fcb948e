/**
 * The linter of reactors: what is not wrong in a file, and hardly meant. For files that compile (reactor.ts finds what is wrong). Pure;
 * of types that are not in the catalogue of event types it says nothing, since they are people's own.
 */
import { compileCel } from "./cel.ts";
import { eventTypes, eventTypesOn } from "./event-types.ts";
import { globMatcher } from "./glob.ts";
import { type Fact, factsOf, lintConditions } from "./lint/conditions.ts";
import { knownSeverities, knownTypes, namesOf } from "./lint/names.ts";
import {
  type CelPlace,
  celPlacesOf,
  type EntryPlace,
  entriesOf,
  type On,
  type ReactorDocument,
  valueScope,
} from "./lint/reactor-places.ts";
import { lintTypes } from "./lint/types.ts";
import type { Finding, Warning, WarningCode } from "./lint/warning.ts";
import { isReservedType, reservedPrefixes } from "./event.ts";
import { didYouMean } from "./schema.ts";
import { compileTemplate } from "./value.ts";
import { parseYaml, type Path, type YamlDocument } from "./yaml-file.ts";

export type { Warning } from "./lint/warning.ts";

export interface LintOptions {
  /** The text of the tests beside the file: `X.test.yaml` for `X.yaml`. */
  tests?: string | undefined;
}

/** Every warning about the reactors of a file, in their order. A file that does not compile is no matter of this: it has none. */
export function lint(file: string, text: string, { tests }: LintOptions = {}): Warning[] {
  const parsed = parseYaml(file, text);
  if (!parsed.ok) return [];
  const tested = testedIn(tests);
  return parsed.documents
    .flatMap((document) => new Linter(document).lint(tested))
    .toSorted((a, b) => a.line - b.line || a.column - b.column);
}

class Linter {
  readonly #document: YamlDocument;
  readonly #reactor: ReactorDocument;
  readonly #warnings: Warning[] = [];

  constructor(document: YamlDocument) {
    this.#document = document;
    this.#reactor = document.value as ReactorDocument;
  }

  lint(tested: (reactor: string) => boolean): Warning[] {
    const entries = entriesOf(this.#reactor);
    for (const entry of entries) this.#typesOf(entry);
    this.#clearing(entries);
    this.#stepNames(entries);
    for (const place of [...celPlacesOf(this.#reactor), ...this.#values("do"), ...this.#values("on_clear")]) this.#cel(place);
    if ((this.#reactor.tests ?? []).length === 0 && !tested(this.#reactor.name)) {
      const message = `"${this.#reactor.name}" has no test: write tests here, or in a file NAME.test.yaml beside this one`;
      this.#warn("no-test", ["name"], message);
    }
    return this.#warnings;
  }

  #cel({ path, source, offset = 0, kind, sees, on, matched }: CelPlace & { offset?: number }): void {
    const compiled = compileCel(source, sees);
    if (!compiled.ok) return;
    const tree = compiled.expression.tree();
    const asked = compiled.expression.requires.get("type");
    // What a condition asks of the type, it knows of the data.
    const names = namesOf({ on: asked === undefined ? on : [asked], matched, vars: Object.keys(this.#reactor.vars ?? {}) });
    const findings: Finding[] = lintTypes(tree, source, names);
    if (kind === "condition") findings.push(...lintConditions(tree, source, this.#given(path, on)));
    for (const { code, offset: at, message } of findings) this.#warn(code, path, message, offset + at);
  }

  /** What holds before a condition is asked: what `on` lets in and, for those of entries, the reactor's own condition. */
  #given(path: Path, on: On): Fact[] {
    const matches = globMatcher(on);
    const why = `on: ${on.join(", ")}`;
    const facts: Fact[] = [{ about: "event.type", kind: "fits", fits: (value) => typeof value === "string" && matches(value), why }];
    const types = knownTypes(on);
    const severities = types === undefined ? undefined : knownSeverities(types);
    if (severities !== undefined)
      facts.push({ about: "event.severity", kind: "among", values: severities, why: `such events are ${severities.join(" or ")}` });
    const own = path.length > 1 && this.#reactor.when !== undefined ? compileCel(this.#reactor.when, "event") : undefined;
    return own?.ok === true ? [...facts, ...factsOf(own.expression.tree(), own.expression.source)] : facts;
  }

  #values(branch: "do" | "on_clear"): (CelPlace & { offset: number })[] {
    const { expressions } = compileTemplate(this.#reactor[branch] ?? [], [branch]);
    const scope = valueScope(this.#reactor, branch);
    return expressions.map(({ path, offset, expression: { source, sees } }) => ({ path, offset, source, sees, kind: "value", ...scope }));
  }

  #typesOf({ path, on }: EntryPlace): void {
    const own = path.length === 0 || (this.#document.value as { on?: unknown }).on === undefined ? path : path;
    for (const [index, pattern] of on.entries()) {
      const message = unknownType(pattern);
      if (message === undefined) continue;
      const at: Path = [...own, "on"];
      this.#warn("unknown-type", on.length > 1 ? [...at, index] : at, message);
    }
  }

  /** An event that both raises and clears raises only. */
  #clearing(entries: readonly EntryPlace[]): void {
    const raise = entries.find(({ role }) => role === "raise");
    const clear = entries.find(({ role }) => role === "clear");
    if (raise === undefined || clear === undefined) return;
    const takesAll = raise.when === undefined || raise.when.trim() === clear.when?.trim();
    const sameTypes = clear.on.every((pattern) => raise.on.includes(pattern));
    if (!takesAll || !sameTypes) return;
    const message = 'whatever clears raises too, and then it raises only: this never clears, and "on_clear" is never done';
    this.#warn("unreachable-condition", ["clear"], message);
  }

  #stepNames(entries: readonly EntryPlace[]): void {
    for (const { path, as } of entries) {
      if (as === undefined || !variables.has(as)) continue;
      this.#warn(
        "shadowed-name",
        [...path, "as"],
        `"${as}" is a variable already: matched.${as} is easily taken for it; take another name`,
      );
    }
  }

  #warn(code: WarningCode, path: Path, message: string, offset?: number): void {
    this.#warnings.push({ ...this.#document.problemAt(path, message, offset === undefined ? {} : { offset }), code });
  }
}

const variables = new Set(["event", "agent", "vars", "route", "matched", "events", "count", "key"]);

/** Why nobody makes events of this type, as far as that can be said of a type that may be people's own. */
function unknownType(pattern: string): string | undefined {
  if (eventTypesOn([pattern]).length > 0) return undefined;
  const known = Object.keys(eventTypes);
  const [first = "", ...rest] = pattern.split(".");
  const last = rest.join(".");
  if (isReservedType(pattern)) {
    const hint = didYouMean(pattern, known);
    return `nobody makes "${pattern}": types under ${reservedPrefixes.find((prefix) => pattern.startsWith(prefix))} are the master's own${hint}`;
  }
  const firsts = [...new Set(known.map((type) => type.slice(0, type.indexOf("."))))];
  // Nearly right in one of its two parts: more would take people's own types for misspelt ones.
  const near = known.filter((type) => {
    const [knownFirst, knownLast] = [type.slice(0, type.indexOf(".")), type.slice(type.indexOf(".") + 1)];
    return (knownFirst === first && isNear(last, knownLast)) || (knownLast === last && isNear(first, knownFirst));
  });
  if (near.length > 0) return `Needfire makes no "${pattern}"${didYouMean(pattern, near)}`;
  const isGlob = /[*?{}]/.test(last) && !firsts.includes(first);
  const hint = isGlob ? didYouMean(first, firsts) : "";
  return hint === "" ? undefined : `Needfire makes no "${pattern}"${hint.replace(/"([a-z]+)"/, `"$1.${last}"`)}`;
}

function isNear(word: string, known: string): boolean {
  return word !== known && didYouMean(word, [known]) !== "";
}

/** Which reactors the tests beside a file are for. One that names none is for all of them. */
function testedIn(text: string | undefined): (reactor: string) => boolean {
  const parsed = text === undefined ? undefined : parseYaml("", text);
  if (parsed?.ok !== true) return () => false;
  const tests = parsed.documents.flatMap(({ value }) => (value as { tests?: unknown[] } | null)?.tests ?? []);
  const named = tests.map((test) => (test as { reactor?: unknown } | null)?.reactor);
  return (reactor) => named.some((name) => name === undefined || name === reactor);
}
