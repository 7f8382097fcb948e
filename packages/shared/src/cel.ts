/**
 * CEL expressions (https://cel.dev): conditions and `${{ }}` values. Compiled once at load, with the place of an error inside the
 * text; evaluated on parsed values, so nothing that a host sends can become code.
 */
import { Environment, EvaluationError, ParseError, TypeError as CelTypeError } from "@marcbachmann/cel-js";
import { errorText } from "./errors.ts";

/** What an expression can see. */
export interface Scope {
  event?: unknown;
  agent?: unknown;
}

export type Evaluated = { ok: true; value: unknown } | { ok: false; missing: boolean; message: string };
/** What an expression reads of `event`, and of `event.data`, by the names of fields; undefined: any of them. */
export interface Reads {
  event: ReadonlySet<string> | undefined;
  data: ReadonlySet<string> | undefined;
}

export type Expression = {
  source: string;
  /** The library's syntax tree: what anchors are found in (rules/anchor.ts). */
  ast(): unknown;
  reads: Reads;
  /** Fields of `event` that must be exactly these texts wherever the expression holds: what an index may be asked for first. */
  requires: ReadonlyMap<string, string>;
  /** CEL's name of the static type; `dyn` where only the data will tell. */ type: string;
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

const environments = {
  event: environment(["event", "agent", "vars"]),
  agent: environment(["agent"]),
};

function environment(variables: string[]): Environment {
  const made = new Environment({ homogeneousAggregateLiterals: false, enableOptionalTypes: true, limits });
  for (const variable of variables) made.registerVariable(variable, "map");
  for (const [operator, apply] of Object.entries(arithmetic)) {
    made.registerOperator(`double ${operator} int`, (a: number, b: bigint) => apply(a, Number(b)));
    made.registerOperator(`int ${operator} double`, (a: bigint, b: number) => apply(Number(a), b));
  }
  made.registerOperator("double % double", (a: number, b: number) => a % b);
  return made;
}

/** Compiles and type-checks. `sees`: `event` for conditions on an event and its agent, `agent` for targets. */
export function compileCel(source: string, sees: keyof typeof environments): Compiled {
  const env = environments[sees];
  try {
    const checked = env.check(source);
    if (!checked.valid) return failure(checked.error);
    const run = env.parse(source);
    return {
      ok: true,
      expression: {
        source,
        ast: () => run.ast,
        reads: readsOf(run.ast),
        requires: requiredOf(run.ast),
        type: String(checked.type),
        evaluate: (scope) => evaluate(run, scope),
      },
    };
  } catch (error) {
    return failure(error);
  }
}

/** Compiles an expression that must be a condition. */
export function compileCondition(source: string, sees: keyof typeof environments): Compiled {
  const compiled = compileCel(source, sees);
  if (compiled.ok && compiled.expression.type !== "bool" && compiled.expression.type !== "dyn") {
    return { ok: false, message: `a condition must be true or false, this is of type ${compiled.expression.type}`, offset: 0 };
  }
  return compiled;
}

function evaluate(run: (scope: Record<string, unknown>) => unknown, scope: Scope): Evaluated {
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
}

function readsOf(ast: unknown): Reads {
  const event = new Set<string>();
  const data = new Set<string>();
  const all = { event: false, data: false };
  const visit = (value: unknown): void => {
    if (Array.isArray(value)) return value.forEach(visit);
    if (!isNode(value)) return;
    const { op, args } = value;
    if (op === "id" && args === "event") all.event = true;
    const [of, name] = Array.isArray(args) ? (args as unknown[]) : [];
    if (op === "." && typeof name === "string") {
      if (isField(of, "data")) return void data.add(name);
      if (isField(value, "data")) return void (all.data = true);
      if (isEvent(of)) return void event.add(name);
    }
    visit(args);
  };
  visit(ast);
  return { event: all.event ? undefined : event, data: all.event || all.data ? undefined : data };
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

/** Whether a node is `event.NAME`. */
function isField(node: unknown, name: string): boolean {
  return isNode(node) && node.op === "." && Array.isArray(node.args) && isEvent(node.args[0]) && node.args[1] === name;
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

function failure(error: unknown): Compiled {
  const range = error instanceof ParseError || error instanceof EvaluationError || error instanceof CelTypeError ? error.range : undefined;
  return { ok: false, message: summaryOf(error), offset: range?.start ?? 0 };
}

/** The library's message without its drawing of the source, which our own errors place in the file. */
function summaryOf(error: unknown): string {
  return errorText(error).split("\n")[0]!.trim();
}
