/**
 * CEL expressions (https://cel.dev): conditions and `${{ }}` values. Compiled once at load, with the place of an error inside the
 * text; evaluated on parsed values, so nothing that a host sends can become code.
 */
import { Environment, EvaluationError, ParseError, TypeError as CelTypeError } from "@marcbachmann/cel-js";
import { type Access, accessesOf, type Reads, readsOf, requiredOf } from "./cel-reads.ts";
import { type CelNode, treeOf } from "./cel-tree.ts";
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
  task?: unknown;
  targets?: unknown;
}

export type Evaluated = { ok: true; value: unknown } | { ok: false; missing: boolean; message: string };

/** What must be known of a condition to ask it of events, without a function in it: threads can hand it to each other. */
export interface PlainCondition {
  source: string;
  sees: ScopeName;
  /** What an event must have for it to hold. */
  anchored: AnchoredByName | undefined;
  reads: Reads;
  /** Undefined: there is no short way. */
  quick: Quick | undefined;
}

export interface Condition extends PlainCondition {
  evaluate(scope: Scope): Evaluated;
}

export type Expression = Condition & {
  /** Made anew at each call: for those who look at few expressions, as the linter does. */
  tree(): CelNode;
  accesses: readonly Access[];
  /** Fields of `event` that must be exactly these texts wherever the expression holds: what an index may be asked for first. */
  requires: ReadonlyMap<string, string>;
  /** CEL's name of the static type; `dyn` where only the data will tell. */
  type: string;
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
  task: "map",
  targets: "list",
} as const;
type Variable = keyof typeof types;

/**
 * Which variables are known where. `plain`: about an event, outside of reactors. `event`: a reactor's conditions and keys. `step`: the
 * conditions of a correlation's later steps. `targets`: which hosts a reactor is for; `agent` is one that may be. `firing`: values of `do` and
 * `on_clear`. `approve`: of it, `targets` are the ids of the hosts. `otherwise`: values of what is done when all of `do` failed.
 */
const scopes = {
  agent: ["agent"],
  plain: ["event", "agent"],
  event: ["event", "agent", "vars", "route"],
  step: ["event", "agent", "vars", "route", "matched"],
  targets: ["event", "agent", "vars"],
  firing: ["event", "agent", "vars", "route", "matched", "events", "count", "key"],
  approve: ["event", "agent", "vars", "route", "matched", "events", "count", "key", "targets"],
  otherwise: ["event", "agent", "vars", "route", "matched", "events", "count", "key", "task"],
} as const satisfies Record<string, readonly Variable[]>;
export type ScopeName = keyof typeof scopes;

const environments = {
  agent: environment(scopes.agent),
  plain: environment(scopes.plain),
  event: environment(scopes.event),
  step: environment(scopes.step),
  targets: environment(scopes.targets),
  firing: environment(scopes.firing),
  approve: environment(scopes.approve),
  otherwise: environment(scopes.otherwise),
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
    const tree = treeOf(run.ast);
    const quick = quickOf(tree);
    const accesses = accessesOf(tree).filter(({ path }) => Object.hasOwn(types, path[0]!));
    return {
      ok: true,
      expression: {
        source,
        sees,
        tree: () => treeOf(environments[sees].parse(source).ast),
        anchored: anchoredOf(tree),
        reads: readsOf(accesses),
        accesses,
        requires: requiredOf(tree),
        type: String(checked.type),
        quick,
        evaluate: quick === undefined ? (scope) => evaluate(run, scope) : quickEvaluator(source, sees, quick),
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

/** What another thread has compiled. CEL reads its text again only when an event needs more than the short way. */
export function conditionOf(plain: PlainCondition): Condition {
  return { ...plain, evaluate: quickEvaluator(plain.source, plain.sees, plain.quick) };
}

/** The short way. What CEL itself needs takes kilobytes, and is made anew only when it is asked for: nothing here may hold it. */
function quickEvaluator(source: string, sees: ScopeName, quick: Quick | undefined): Condition["evaluate"] {
  let run: Run | undefined;
  return (scope) => {
    const value = quick === undefined ? unsure : quickValue(quick, scope);
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
  if (name === "targets") return "; it is known in approve only";
  if (Object.hasOwn(types, name) && (sees === "plain" || sees === "agent"))
    return name === "event" ? "; a target sees the agent only" : "; it is known in reactors only";
  if (name === "matched" && sees === "event") return "; it is known in later steps and in values of do only";
  if (name === "task") return "; it is known in values of otherwise only";
  if (Object.hasOwn(types, name)) return "; it is known in values of do only";
  return didYouMean(name, scopes[sees]) || ` (known: ${scopes[sees].join(", ")})`;
}

/** The library's message without its drawing of the source, which our own errors place in the file. */
function summaryOf(error: unknown): string {
  return errorText(error).split("\n")[0]!.trim();
}
