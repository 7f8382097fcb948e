/**
 * CEL expressions (https://cel.dev): conditions and `${{ }}` values. Compiled once at load, with the place of an error inside the
 * text; evaluated on parsed values, so nothing that a host sends can become code.
 */
import { Environment, EvaluationError, ParseError, TypeError as CelTypeError } from "@marcbachmann/cel-js";
import { errorText } from "./errors.ts";
import { type Quick, quickOf, quickValue, unsure } from "./quick.ts";
import { type AnchoredByName, anchoredOf } from "./rules/anchor.ts";
import { didYouMean } from "./schema.ts";

/** What an expression can see; which of it, says the name of its scope in {@link scopes}. */
export interface Scope {
  event?: unknown;
  agent?: unknown;
  vars?: unknown;
  route?: unknown;
  matched?: unknown;
  events?: unknown;
  count?: unknown;
  key?: unknown;
}

export type Evaluated = { ok: true; value: unknown } | { ok: false; missing: boolean; message: string };

/** A name or a field that an expression reads: `["event", "data", "user"]`. */
export interface Access {
  path: readonly string[];
  /** Where it begins in the source. */
  offset: number;
  /** What it gives reaches the result as it is: whole, in a list or a map, or joined to a text. */
  intact: boolean;
}

/** What an expression reads of `event`, and of `event.data`, by the names of fields; undefined: any of them. */
export interface Reads {
  event: ReadonlySet<string> | undefined;
  data: ReadonlySet<string> | undefined;
  /** The variables that it reads at all: `event`, `vars`, `matched`, ... */
  variables: ReadonlySet<string>;
}

export type Expression = {
  source: string;
  /** What an event must have for it to hold. */
  anchored: AnchoredByName | undefined;
  reads: Reads;
  accesses: readonly Access[];
  /** Fields of `event` that must be exactly these texts wherever the expression holds: what an index may be asked for first. */
  requires: ReadonlyMap<string, string>;
  /** CEL's name of the static type; `dyn` where only the data will tell. */
  type: string;
  evaluate(scope: Scope): Evaluated;
};
export type Compiled = { ok: true; expression: Expression } | { ok: false; message: string; offset: number };

const limits = { maxAstNodes: 2_000, maxDepth: 50 };

/** JSON has one kind of number, CEL has two; these let `event.data.count + 1` mean what everybody expects. */
const arithmetic: Record<string, (a: number, b: number) => number> = {
  "+": (a, b) => a + b,
  "-": (a, b) => a - b,
  "*": (a, b) => a * b,
  "/": (a, b) => a / b,
  "%": (a, b) => a % b,
};

const types = {
  event: "map",
  agent: "map",
  vars: "map",
  route: "map",
  matched: "map",
  events: "list",
  // JSON's number, so that it can be set against CEL's whole numbers and fractions alike.
  count: "dyn",
  key: "list",
} as const;
type Variable = keyof typeof types;

/**
 * Which variables are known where. `plain`: about an event, outside of reactors. `event`: a reactor's conditions and keys. `step`: the
 * conditions of a correlation's later steps. `firing`: values of `do` and `on_clear`.
 */
const scopes = {
  agent: ["agent"],
  plain: ["event", "agent"],
  event: ["event", "agent", "vars", "route"],
  step: ["event", "agent", "vars", "route", "matched"],
  firing: ["event", "agent", "vars", "route", "matched", "events", "count", "key"],
} as const satisfies Record<string, readonly Variable[]>;
export type ScopeName = keyof typeof scopes;

const environments = {
  agent: environment(scopes.agent),
  plain: environment(scopes.plain),
  event: environment(scopes.event),
  step: environment(scopes.step),
  firing: environment(scopes.firing),
};

function environment(variables: readonly Variable[]): Environment {
  const made = new Environment({ homogeneousAggregateLiterals: false, enableOptionalTypes: true, limits });
  for (const variable of variables) made.registerVariable(variable, types[variable]);
  for (const [operator, apply] of Object.entries(arithmetic)) {
    made.registerOperator(`double ${operator} int`, (a: number, b: bigint) => apply(a, Number(b)));
    made.registerOperator(`int ${operator} double`, (a: bigint, b: number) => apply(Number(a), b));
  }
  made.registerOperator("double % double", (a: number, b: number) => a % b);
  return made;
}

/** Thousands of reactors say `event.agent`: each text is compiled once. Beyond so many the memory begins anew. */
const rememberedMax = 10_000;
const remembered = new Map<string, Compiled>();

/** Compiles and type-checks. */
export function compileCel(source: string, sees: ScopeName): Compiled {
  const key = `${sees} ${source}`;
  let compiled = remembered.get(key);
  if (compiled !== undefined) return compiled;
  compiled = compileAnew(source, sees);
  if (remembered.size >= rememberedMax) remembered.clear();
  remembered.set(key, compiled);
  return compiled;
}

function compileAnew(source: string, sees: ScopeName): Compiled {
  try {
    const run = environments[sees].parse(source);
    const checked = run.check();
    if (!checked.valid) return failure(checked.error, sees);
    const accesses = accessesOf(run.ast);
    return {
      ok: true,
      expression: {
        source,
        anchored: anchoredOf(run.ast),
        reads: readsOf(accesses),
        accesses,
        requires: requiredOf(run.ast),
        type: String(checked.type),
        evaluate: evaluator(source, sees, run),
      },
    };
  } catch (error) {
    return failure(error, sees);
  }
}

/** Compiles an expression that must be a condition. */
export function compileCondition(source: string, sees: ScopeName): Compiled {
  const compiled = compileCel(source, sees);
  if (compiled.ok && compiled.expression.type !== "bool" && compiled.expression.type !== "dyn") {
    return { ok: false, message: `a condition must be true or false, this is of type ${compiled.expression.type}`, offset: 0 };
  }
  return compiled;
}

const holds: Evaluated = { ok: true, value: true };
const fails: Evaluated = { ok: true, value: false };
type Run = ReturnType<Environment["parse"]>;

function evaluator(source: string, sees: ScopeName, run: Run): Expression["evaluate"] {
  const quick = quickOf(run.ast);
  return quick === undefined ? (scope) => evaluate(run, scope) : quickEvaluator(source, sees, quick);
}

/** The short way. What CEL itself needs, which takes kilobytes, is made only when it is asked for. */
function quickEvaluator(source: string, sees: ScopeName, quick: Quick): Expression["evaluate"] {
  let run: Run | undefined;
  return (scope) => {
    const value = quickValue(quick, scope);
    if (value === true) return holds;
    if (value === false) return fails;
    return value === unsure ? evaluate((run ??= environments[sees].parse(source)), scope) : { ok: true, value };
  };
}

function evaluate(run: Run, scope: Scope): Evaluated {
  try {
    return { ok: true, value: toJson(run(scope as Record<string, unknown>)) };
  } catch (error) {
    const message = summaryOf(error);
    return { ok: false, missing: /^No such key/i.test(message), message };
  }
}

/** A node of the library's syntax tree, as far as it concerns us. */
interface Node {
  op: string;
  args: unknown;
  start: number;
}

/** Macros that give a name of their own to what they go through: `list.exists(each, each > 1)`. */
const binders = new Set(["all", "exists", "exists_one", "map", "filter", "bind"]);

function accessesOf(ast: unknown): Access[] {
  const found: Access[] = [];
  const visit = (value: unknown, intact: boolean, bound: ReadonlySet<string>): void => {
    if (Array.isArray(value)) return value.forEach((item) => visit(item, intact, bound));
    if (!isNode(value)) return;
    const path = pathOf(value);
    if (path !== undefined) {
      if (Object.hasOwn(types, path[0]!) && !bound.has(path[0]!)) found.push({ path, offset: value.start, intact });
      return;
    }
    const { op, args } = value;
    if (op === "?:") {
      const [condition, ...branches] = args as unknown[];
      visit(condition, false, bound);
      return visit(branches, intact, bound);
    }
    if (op === "rcall") {
      const [name, of, given] = args as [string, unknown, unknown[]];
      const [first, ...rest] = given;
      visit(of, false, bound);
      if (!binders.has(name) || !isNode(first) || first.op !== "id") return visit(given, false, bound);
      return visit(rest, false, new Set([...bound, String(first.args)]));
    }
    visit(args, intact && keepsIntact.has(op), bound);
  };
  visit(ast, true, new Set());
  return found;
}

const keepsIntact = new Set(["+", "list", "map"]);

/** The names of `a.b.?c["d"]`, or undefined when the node is something else. */
function pathOf(node: unknown): string[] | undefined {
  if (!isNode(node)) return undefined;
  if (node.op === "id") return [String(node.args)];
  if (!accessors.has(node.op) || !Array.isArray(node.args)) return undefined;
  const [of, part] = node.args as unknown[];
  const name = isNode(part) && part.op === "value" ? part.args : part;
  return typeof name === "string" ? pathOf(of)?.concat(name) : undefined;
}

const accessors = new Set([".", ".?", "[]", "[?]"]);

function readsOf(accesses: readonly Access[]): Reads {
  const event = new Set<string>();
  const data = new Set<string>();
  const all = { event: false, data: false };
  for (const { path } of accesses) {
    const [variable, field, name] = path;
    if (variable !== "event") continue;
    if (field === undefined) all.event = true;
    else if (field !== "data") event.add(field);
    else if (name === undefined) all.data = true;
    else data.add(name);
  }
  const variables = new Set(accesses.map(({ path }) => path[0]!));
  return { event: all.event ? undefined : event, data: all.event || all.data ? undefined : data, variables };
}

/** From `a && b && event.NAME == "text"`, whichever way round. */
function requiredOf(ast: unknown, found = new Map<string, string>()): ReadonlyMap<string, string> {
  if (!isNode(ast) || !Array.isArray(ast.args)) return found;
  const [left, right] = ast.args as unknown[];
  if (ast.op === "&&") requiredOf(right, requiredOf(left, found) as Map<string, string>);
  if (ast.op !== "==") return found;
  for (const [field, value] of [
    [left, right],
    [right, left],
  ]) {
    const name =
      isNode(field) && field.op === "." && Array.isArray(field.args) && isEvent(field.args[0]) ? (field.args[1] as unknown) : undefined;
    if (typeof name === "string" && isNode(value) && value.op === "value" && typeof value.args === "string") found.set(name, value.args);
  }
  return found;
}

function isNode(value: unknown): value is Node {
  return typeof value === "object" && value !== null && "op" in value && "args" in value;
}

function isEvent(node: unknown): boolean {
  return isNode(node) && node.op === "id" && node.args === "event";
}

/** CEL's values as JSON's: integers become numbers, bytes text, times ISO text. */
function toJson(value: unknown): unknown {
  if (typeof value === "bigint") return Number(value);
  if (value === null || typeof value !== "object") return value;
  if (value instanceof Date) return value.toISOString();
  if (value instanceof Uint8Array) return Buffer.from(value).toString("utf8");
  if (Array.isArray(value)) return value.map(toJson);
  if (value instanceof Map) return Object.fromEntries([...value].map(([key, item]) => [String(key), toJson(item)]));
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, toJson(item)]));
}

function failure(error: unknown, sees: ScopeName): Compiled {
  const range = error instanceof ParseError || error instanceof EvaluationError || error instanceof CelTypeError ? error.range : undefined;
  const message = summaryOf(error);
  const unknown = /^Unknown variable: (.*)$/.exec(message)?.[1];
  const hint = unknown === undefined ? "" : scopeHint(unknown, sees);
  return { ok: false, message: `${message}${hint}`, offset: range?.start ?? 0 };
}

function scopeHint(name: string, sees: ScopeName): string {
  if (name === "matched" && sees === "event") return "; it is known in later steps and in values of do only";
  if (Object.hasOwn(types, name) && sees !== "firing" && sees !== "agent") return "; it is known in values of do only";
  return didYouMean(name, scopes[sees]) || ` (known: ${scopes[sees].join(", ")})`;
}

/** The library's message without its drawing of the source, which our own errors place in the file. */
function summaryOf(error: unknown): string {
  return errorText(error).split("\n")[0]!.trim();
}
