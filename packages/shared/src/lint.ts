/**
 * The linter of reactors: what is not wrong in a file, and hardly meant. For files that compile (reactor.ts finds what is wrong). Pure;
 * of types that are not in the catalogue of event types it says nothing, since they are people's own.
 */
import { compileCel, type Expression } from "./cel.ts";
import { globMatcher } from "./glob.ts";
import { lintCombining } from "./lint/combining.ts";
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
import { unknownType } from "./lint/unknown-type.ts";
import type { Warning, WarningCode } from "./lint/warning.ts";
import { didYouMean } from "./schema.ts";
import { compileTemplate } from "./value.ts";
import { parseYaml, type Path, type YamlDocument } from "./yaml-file.ts";

export type { Warning } from "./lint/warning.ts";

export interface LintOptions {
  /** The text of the tests beside the file: `X.test.yaml` for `X.yaml`. */
  tests?: string | undefined;
  /** The names of all reactors that are checked together, beside those of the file. */
  reactors?: Iterable<string>;
}

/** Every warning about the reactors of a file, in their order. A file that does not compile is no matter of this: it has none. */
export function lint(file: string, text: string, { tests, reactors = [] }: LintOptions = {}): Warning[] {
  const parsed = parseYaml(file, text);
  if (!parsed.ok) return [];
  const tested = testedIn(tests);
  const names = [...new Set([...reactors, ...parsed.documents.map(({ value }) => (value as ReactorDocument).name)])];
  return parsed.documents
    .flatMap((document) => new Linter(document).lint(tested, names))
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

  lint(tested: (reactor: string) => boolean, names: readonly string[]): Warning[] {
    const entries = entriesOf(this.#reactor);
    this.#types(entries);
    this.#clearing(entries);
    this.#stepNames(entries);
    this.#inhibitors(names);
    const places = [
      ...celPlacesOf(this.#reactor),
      ...this.#values("do"),
      ...this.#values("otherwise"),
      ...this.#values("on_clear"),
    ].flatMap(compiled);
    for (const place of places) this.#cel(place);
    if (this.#reactor.combine !== undefined) this.#combining();
    if ((this.#reactor.tests ?? []).length === 0 && !tested(this.#reactor.name)) {
      const message = `"${this.#reactor.name}" has no test: write tests here, or in a file NAME.test.yaml beside this one`;
      this.#warn("no-test", ["name"], message);
    }
    return this.#warnings;
  }

  #cel({ path, offset, kind, on, matched, expression }: CompiledPlace): void {
    const { source } = expression;
    const tree = expression.tree();
    // What a condition asks of the type, it knows of the data.
    const asked = expression.requires.get("type") ?? this.#askedOfAll();
    const names = namesOf({ on: asked === undefined ? on : [asked], matched, vars: Object.keys(this.#reactor.vars ?? {}) });
    const findings = lintTypes(tree, source, names);
    if (kind === "condition") findings.push(...lintConditions(tree, source, this.#given(path, on)));
    for (const { code, offset: at, message } of findings) this.#warn(code, path, message, offset + at);
  }

  /** The type that the reactor's own condition requires of every event. */
  #askedOfAll(): string | undefined {
    return this.#own()?.requires.get("type");
  }

  #own(): Expression | undefined {
    const own = this.#reactor.when === undefined ? undefined : compileCel(this.#reactor.when, "event");
    return own?.ok === true ? own.expression : undefined;
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
    const own = path.length > 1 ? this.#own() : undefined;
    return own === undefined ? facts : [...facts, ...factsOf(own.tree(), own.source)];
  }

  #combining(): void {
    const { message } = this.#reactor.approve ?? {};
    const asked = compileTemplate(message ?? "", ["approve", "message"], "approve").expressions;
    const places = [...this.#values("do"), ...this.#values("otherwise")].flatMap(compiled);
    const { on } = valueScope(this.#reactor, "do");
    for (const { path, offset, expression } of [...places, ...asked])
      for (const finding of lintCombining(expression, on)) this.#warn(finding.code, path, finding.message, offset + finding.offset);
  }

  #values(branch: "do" | "otherwise" | "on_clear"): CelPlace[] {
    const { expressions } = compileTemplate(this.#reactor[branch] ?? [], [branch], branch === "otherwise" ? branch : "firing");
    const scope = valueScope(this.#reactor, branch);
    return expressions.map(({ path, offset, expression: { source, sees } }) => ({ path, offset, source, sees, kind: "value", ...scope }));
  }

  #types(entries: readonly EntryPlace[]): void {
    const told = new Set<string>();
    for (const { on, onPath } of entries) {
      for (const [index, pattern] of on.entries()) {
        const message = unknownType(pattern);
        const place = [...onPath, index];
        if (message !== undefined && !told.has(place.join())) this.#warn("unknown-type", place, message);
        told.add(place.join());
      }
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

  /** One that is not here may stand in a file that is not checked along; one slip away from one that is here, it hardly does. */
  #inhibitors(names: readonly string[]): void {
    for (const { name, path } of inhibitorsOf(this.#reactor.inhibited_by)) {
      const others = names.filter((other) => other !== this.#reactor.name);
      const meant = names.includes(name) ? "" : didYouMean(name, others);
      if (meant !== "") this.#warn("unknown-reactor", ["inhibited_by", ...path], `there is no reactor "${name}" here${meant}`);
    }
  }

  #warn(code: WarningCode, path: Path, message: string, offset = 0): void {
    this.#warnings.push({ ...this.#document.problemAt(path, message, { offset }), code });
  }
}

/** The reactors that `inhibited_by` names, in whichever of its forms. */
function inhibitorsOf(inhibitedBy: unknown): { name: string; path: Path }[] {
  const listed = Array.isArray(inhibitedBy) ? inhibitedBy : ((inhibitedBy as { reactors?: unknown[] } | undefined)?.reactors ?? []);
  const lead = Array.isArray(inhibitedBy) ? [] : ["reactors"];
  return listed.map((item: unknown, index) => {
    if (typeof item === "string") return { name: item, path: [...lead, index] };
    return { name: (item as { reactor: string }).reactor, path: [...lead, index, "reactor"] };
  });
}

type CompiledPlace = CelPlace & { expression: Expression };

function compiled(place: CelPlace): CompiledPlace[] {
  const made = compileCel(place.source, place.sees);
  return made.ok ? [{ ...place, expression: made.expression }] : [];
}

const variables = new Set(["event", "agent", "vars", "route", "matched", "events", "count", "key"]);

/** Which reactors the tests beside a file are for. One that names none is for all of them. */
function testedIn(text: string | undefined): (reactor: string) => boolean {
  const parsed = text === undefined ? undefined : parseYaml("", text);
  if (parsed?.ok !== true) return () => false;
  const tests = parsed.documents.flatMap(({ value }): unknown[] => {
    const listed = (value as { tests?: unknown }).tests;
    return Array.isArray(listed) ? listed : [];
  });
  const named = tests.map((test) => (test as { reactor?: unknown } | null)?.reactor);
  return (reactor) => named.some((name) => name === undefined || name === reactor);
}
