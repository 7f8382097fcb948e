/**
 * A reactor on its way from YAML: its document, its variables, and what is found wrong with it. Everything that compiles a part of it
 * compiles CEL through here, so that each expression has its place and knows the same names.
 */
import { compileCel, compileCondition, type Expression, type ScopeName } from "../cel.ts";
import type { Access } from "../cel-reads.ts";
import type { Warning, WarningCode } from "../lint/warning.ts";
import { loadOwnAction, type OwnAction } from "../own-action.ts";
import { ownActionFile, type OwnActionName } from "../own-action-name.ts";
import { didYouMean, shown } from "../schema.ts";
import { type CompiledTemplate, compileTemplate, settle, type Template } from "../value.ts";
import { type Path, type Problem, problemText, type YamlDocument } from "../yaml-file.ts";
import type { OneOrMore } from "./schema.ts";

interface Found {
  path: Path;
  problem: Problem;
}

/** `sees`: by default what there is with `matched`, or without. */
interface CelText {
  source: string;
  path: Path;
  matched: readonly string[] | undefined;
  what: string;
  sees?: ScopeName | undefined;
}

interface VarNames {
  values: Readonly<Record<string, unknown>>;
  secrets: ReadonlySet<string>;
  known: ReadonlySet<string>;
}

export class Draft {
  readonly document: YamlDocument;
  readonly found: Found[] = [];
  readonly #warnings: Warning[] = [];
  /** Variables that some expression reads. */
  readonly #varsRead = new Set<string>();
  #vars: ReadonlySet<string> = new Set();
  #secrets: ReadonlySet<string> = new Set();
  #known: ReadonlySet<string> = new Set();
  #values: Readonly<Record<string, unknown>> = {};
  #file: ((path: string) => string | undefined) | undefined;

  constructor(document: YamlDocument) {
    this.document = document;
  }

  /** Where files are read that an action of the user's own is in; not called: nothing is known of them. */
  knowFiles(file: ((path: string) => string | undefined) | undefined): void {
    this.#file = file;
  }

  /** From the folder `actions` beside the one that the reactor's file lies in. */
  ownAction(name: OwnActionName): { kind: "unasked" } | { kind: "problem"; message: string } | { kind: "found"; action: OwnAction } {
    if (this.#file === undefined) return { kind: "unasked" };
    const path = `../actions/${ownActionFile(name)}`;
    const text = this.#file(path);
    if (text === undefined) return { kind: "problem", message: `there is no ${path} (seen from this file) that says what ${name} is` };
    const loaded = loadOwnAction(path, text);
    if (loaded.ok && loaded.action.name === name) return { kind: "found", action: loaded.action };
    if (loaded.ok) return { kind: "problem", message: `${path} (seen from this file) says what ${loaded.action.name} is, and not ${name}` };
    return { kind: "problem", message: `${name}: ${loaded.problems.map(problemText).join("; ")}` };
  }

  /** Must be called before anything with CEL in it is compiled. */
  knowVars({ values, secrets, known }: VarNames): void {
    this.#values = values;
    this.#vars = new Set(Object.keys(values));
    this.#secrets = secrets;
    this.#known = known;
  }

  /** The template with the values of variables in place, where they are all that it needs. */
  settled(template: Template): Template {
    const isKnown = ({ accesses }: Expression) =>
      accesses.length > 0 &&
      accesses.every(({ path: [variable, name] }) => variable === "vars" && name !== undefined && this.#known.has(name));
    return settle(template, isKnown, { vars: this.#values });
  }

  isSecret(name: string | undefined): boolean {
    return name !== undefined && this.#secrets.has(name);
  }

  problem(path: Path, message: string, at?: { key?: boolean; offset?: number }): void {
    this.found.push({ path, problem: this.document.problemAt(path, message, at) });
  }

  /** Call it when everything is compiled. */
  warnings(): Warning[] {
    const unread = [...this.#vars].filter((name) => !this.#varsRead.has(name));
    return [
      ...this.#warnings,
      ...unread.map((name) => this.#warningAt("unused-var", ["vars", name], `the variable "${name}" is not used`, { key: true })),
    ];
  }

  warning(code: WarningCode, path: Path, message: string, at?: { key?: boolean; offset?: number }): void {
    this.#warnings.push(this.#warningAt(code, path, message, at));
  }

  #warningAt(code: WarningCode, path: Path, message: string, at?: { key?: boolean; offset?: number }): Warning {
    return { ...this.document.problemAt(path, message, at), code };
  }

  /** A condition; `matched`: the names of the steps before it. */
  condition(
    source: string | undefined,
    path: Path,
    { what = "in the condition: ", matched, sees }: { matched?: readonly string[] | undefined; sees?: ScopeName; what?: string } = {},
  ): Expression | undefined {
    if (source === undefined) return undefined;
    return this.#compile(compileCondition, { source, path, matched, what, sees });
  }

  /** A text for people with values of a firing in it: no secrets. */
  text(source: string, path: Path, { matched, sees }: { matched: readonly string[]; sees: ScopeName }): CompiledTemplate {
    const compiled = compileTemplate(source, path, sees);
    for (const problem of compiled.problems) this.problem(problem.path, problem.message, { offset: problem.offset });
    for (const { expression, offset } of compiled.expressions) this.checkNames(expression, { path, offset, matched, inValue: false });
    return compiled;
  }

  /** One expression or several, whose values are a key. */
  keys(sources: OneOrMore | undefined, path: Path): Expression[] {
    if (sources === undefined) return [];
    if (typeof sources === "string") return this.#key(sources, path);
    return sources.flatMap((source, index) => this.#key(source, [...path, index]));
  }

  #key(source: string, path: Path): Expression[] {
    const compiled = this.#compile(compileCel, { source, path, matched: undefined, what: "" });
    return compiled === undefined ? [] : [compiled];
  }

  #compile(compile: typeof compileCel, { source, path, matched, what, sees }: CelText): Expression | undefined {
    const compiled = compile(source, sees ?? (matched === undefined ? "event" : "step"));
    if (!compiled.ok) {
      this.problem(path, `${what}${compiled.message}`, { offset: compiled.offset });
      return undefined;
    }
    this.checkNames(compiled.expression, { path, offset: 0, matched: matched ?? [], inValue: false });
    return compiled.expression;
  }

  /** That the expression names nothing that is not there, and no secret where it could come to light. */
  checkNames(
    { accesses }: Expression,
    { path, offset, matched, inValue }: { path: Path; offset: number; matched: readonly string[]; inValue: boolean },
  ): void {
    for (const access of accesses) {
      const message = this.#wrongName(access, matched, inValue);
      if (message !== undefined) this.problem(path, message, { offset: offset + access.offset });
    }
  }

  #wrongName({ path: [variable, name], intact }: Access, matched: readonly string[], inValue: boolean): string | undefined {
    if (variable === "matched" && name !== undefined && !matched.includes(name)) return noMatch(name, matched);
    if (variable !== "vars") return undefined;
    if (name === undefined) {
      for (const each of this.#vars) this.#varsRead.add(each);
      return this.#secrets.size > 0 ? "name the variable, as in vars.NAME: there are secrets among them" : undefined;
    }
    this.#varsRead.add(name);
    if (!this.#vars.has(name)) return `there is no variable ${shown(name)} under vars${nearest(name, [...this.#vars])}`;
    if (!this.#secrets.has(name)) return undefined;
    if (!inValue) return `the secret "${name}" may stand in values of do only: a condition would tell what it is`;
    return intact
      ? undefined
      : `the secret "${name}" can only be handed on as it is or joined to a text: its value is not known before it is sent`;
  }
}

function noMatch(name: string, known: readonly string[]): string {
  if (known.length === 0) return `there is no event ${shown(name)}: no step comes before this`;
  return `there is no event ${shown(name)} here${nearest(name, known)}`;
}

function nearest(name: string, known: readonly string[]): string {
  return didYouMean(name, known) || (known.length > 0 ? ` (known: ${known.join(", ")})` : "");
}
