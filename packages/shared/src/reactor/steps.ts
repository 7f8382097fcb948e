/**
 * What a reactor does: the actions of `do`, `otherwise` and `on_clear` with their arguments, checked against the action's schema as far as values are
 * known when the file is read. What only the event will tell is checked again when it is known.
 */
import { actions, type AnyActionName, argsCheckers, isActionName } from "../action.ts";
import type { ActionSpec } from "../actions/spec.ts";
import type { ScopeName } from "../cel.ts";
import type { ReactorCall } from "../rules/types.ts";
import { isOwnActionName, type OwnActionName } from "../own-action-name.ts";
import { type Checked, didYouMean, type SchemaProblem, shown } from "../schema.ts";
import {
  compileTemplate,
  type CompiledTemplate,
  expressionType,
  knownValue,
  type PlacedExpression,
  type Template,
  typedPaths,
} from "../value.ts";
import type { Path } from "../yaml-file.ts";
import { typeProblem } from "./argument-types.ts";
import type { Draft } from "./draft.ts";

/** A list of actions. `path`: where it stands. */
interface StepsSource {
  sources: readonly Record<string, unknown>[] | undefined;
  path: Path;
  matched: readonly string[];
  /** What its values know. */
  sees?: ScopeName;
}

export function compileSteps(draft: Draft, { sources = [], path, ...seen }: StepsSource): ReactorCall[] {
  return sources.flatMap((source, index) => {
    const [action, args] = Object.entries(source)[0]!;
    return compileStep(draft, { action, args, path: [...path, index, action], ...seen }) ?? [];
  });
}

interface StepText {
  action: string;
  args: unknown;
  path: Path;
  matched: readonly string[];
  sees?: ScopeName;
}

export function compileStep(draft: Draft, { action, args, path, ...seen }: StepText): ReactorCall | undefined {
  const known = isActionName(action)
    ? { action, spec: actions[action], check: argsCheckers[action] }
    : isOwnActionName(action)
      ? ownAction(draft, action, path)
      : undefined;
  if (known === undefined) {
    if (!isOwnActionName(action)) draft.problem(path, noAction(action), { key: true });
    return undefined;
  }
  const source = args ?? {};
  const { template, expressions } = compileArguments(draft, { ...known, args: source, path, ...seen });
  const reads = new Set(expressions.flatMap(({ expression }) => [...expression.reads.variables]));
  return { action: known.action, args: template, source, reads, check: known.check };
}

/** What is known of an action when the file is read. */
interface KnownAction {
  action: AnyActionName;
  spec: Pick<ActionSpec, "inStep"> & { args: object };
  check(args: unknown): Checked<unknown>;
}

function ownAction(draft: Draft, action: OwnActionName, path: Path): KnownAction | undefined {
  const found = draft.ownAction(action);
  if (found.kind === "unasked") return { action, spec: { args: {} }, check: (value) => ({ ok: true, value }) };
  if (found.kind === "problem") return void draft.problem(path, found.message, { key: true });
  return { action, spec: { args: found.action.args }, check: found.action.checkArgs };
}

function noAction(action: string): string {
  const known = Object.keys(actions);
  return `there is no action ${shown(action)}${didYouMean(action, known) || ` (known: ${known.join(", ")})`}`;
}

interface StepSource extends KnownAction {
  args: unknown;
  path: Path;
  matched: readonly string[];
  sees?: ScopeName;
}

function compileArguments(draft: Draft, { action, spec, check, args, path, matched, sees = "firing" }: StepSource): CompiledTemplate {
  const compiled = compileTemplate(args, path, sees);
  const { template, problems, expressions } = compiled;
  for (const problem of problems) draft.problem(problem.path, problem.message, { offset: problem.offset });
  for (const each of expressions) {
    draft.checkNames(each.expression, { path: each.path, offset: each.offset, matched, inValue: true });
    if (spec.inStep === true) checkNoSecret(draft, each);
  }
  if (action === "command.run") checkShell(draft, args, template, path);
  const known = draft.settled(template);
  // What a broken expression would have given is not known, so its text is not judged as if it were the value.
  const broken = new Set(problems.map((problem) => JSON.stringify(problem.path)));
  for (const problem of argumentProblems({ spec, check }, args, known)) {
    const place = [...path, ...problem.path];
    if (!broken.has(JSON.stringify(place))) draft.problem(place, `${action}: ${problem.message}`, { key: problem.atKey });
  }
  return compiled;
}

function checkNoSecret(draft: Draft, { path, offset, expression }: PlacedExpression): void {
  for (const access of expression.accesses) {
    if (access.path[0] === "vars" && draft.isSecret(access.path[1]))
      draft.problem(path, "a secret may not go into an event: everybody who sees history would see it", { offset: offset + access.offset });
  }
}

/** With a shell, argv[0] is its script and must be known when the file is read: an expression would be spliced into it. */
function checkShell(draft: Draft, args: unknown, template: Template, path: Path): void {
  const { shell } = args as { shell?: unknown };
  const withShell = (shell !== undefined && shell !== false) || expressionType(template, ["shell"]) !== undefined;
  if (!withShell) return;
  const spliced = [["argv"], ["argv", 0]].find((place) => expressionType(template, place) !== undefined);
  if (spliced !== undefined)
    draft.problem(
      [...path, ...spliced],
      "an expression may not become part of a shell script: write $1 in the script and give the value as the next of argv",
    );
}

/** An expression stands for a value of its static type. */
function argumentProblems({ spec, check }: Pick<KnownAction, "spec" | "check">, args: unknown, template: Template): SchemaProblem[] {
  const checked = check(structuredClone(knownValue(template, args)));
  const fromSchema = (checked.ok ? [] : checked.problems).filter(
    ({ path, atKey }) => atKey || expressionType(template, path) === undefined,
  );
  return template.literal ? fromSchema : [...fromSchema, ...staticTypeProblems(template, spec.args)];
}

function staticTypeProblems(template: Template, schema: object): SchemaProblem[] {
  return typedPaths(template).flatMap(({ path, type }) => {
    const message = typeProblem(schema, path, type);
    return message === undefined ? [] : [{ path, atKey: false, message }];
  });
}
