/**
 * Why a condition is what it is: which part of it decided, with the values that it saw. Every part is evaluated by the same library as
 * the whole, as an expression of its own; only `&&`, `||`, `!` and `?:` are taken apart here. Inside of macros nothing is looked at.
 */
import { compileCel, type Evaluated, type Expression, type Scope } from "./cel.ts";
import { type CelNode, pathOf, textOf, walk } from "./cel-tree.ts";

/** A part of a condition and what it came to. */
export type ExplainedPart = { source: string } & ({ value: unknown } | { error: string });

export interface Explanation {
  /** What the library makes of the whole. */
  outcome: Evaluated;
  /** The parts that were looked at, in the order of the source; those that `&&` or `||` did not need are left out. */
  parts: ExplainedPart[];
  /** In words: `event.data.percent >= event.data.above is false: 71 >= 90`. */
  blame: string;
}

/** What one node came to, and the words for it. */
interface Finding {
  outcome: Evaluated;
  blame: string;
}

/** Longer values are cut in the words. */
const shownCharactersMax = 80;

export function explain(expression: Expression, scope: Scope): Explanation {
  const parts: ExplainedPart[] = [];
  const { outcome, blame } = judge(expression.tree(), { expression, scope, parts });
  return { outcome, parts, blame };
}

interface Asking {
  expression: Expression;
  scope: Scope;
  parts: ExplainedPart[];
}

function judge(node: CelNode, asking: Asking): Finding {
  switch (node.kind) {
    case "and":
      return judgeLogical(node, false, asking);
    case "or":
      return judgeLogical(node, true, asking);
    case "not":
      return judgeNot(node, asking);
    case "choose":
      return judgeChoice(node, asking);
    default:
      return judgePart(node, asking);
  }
}

/** `decisive`: the value of one side that is enough. CEL takes it from either side, even when the other fails. */
function judgeLogical(node: CelNode & { kind: "and" | "or" }, decisive: boolean, asking: Asking): Finding {
  const left = judge(node.left, asking);
  if (is(left, decisive)) return left;
  const right = judge(node.right, asking);
  if (is(right, decisive)) return right;
  const word = node.kind === "and" ? "and" : "or";
  if (is(left, !decisive) && is(right, !decisive)) return { outcome: right.outcome, blame: `${left.blame}; ${right.blame}` };
  // One side at least gave neither true nor false: the library says which failure the whole has.
  const outcome = evaluateNode(node, asking);
  const failed = [left, right].filter((side) => !isBoolean(side)).map(({ blame }) => blame);
  return { outcome, blame: failed.length > 0 ? failed.join("; ") : failureText(outcome, word) };
}

function judgeNot(node: CelNode & { kind: "not" }, asking: Asking): Finding {
  const inner = judge(node.of, asking);
  if (!isBoolean(inner)) return { outcome: evaluateNode(node, asking), blame: inner.blame };
  return { outcome: { ok: true, value: !(inner.outcome as { value: unknown }).value }, blame: inner.blame };
}

function judgeChoice(node: CelNode & { kind: "choose" }, asking: Asking): Finding {
  const condition = judge(node.condition, asking);
  if (!isBoolean(condition)) return { outcome: evaluateNode(node, asking), blame: condition.blame };
  const chosen = judge(is(condition, true) ? node.yes : node.no, asking);
  return { outcome: chosen.outcome, blame: `${condition.blame}; ${chosen.blame}` };
}

function judgePart(node: CelNode, asking: Asking): Finding {
  const source = textOf(node, asking.expression.source);
  const outcome = evaluateNode(node, asking);
  asking.parts.push(outcome.ok ? { source, value: outcome.value } : { source, error: outcome.message });
  if (!outcome.ok) return { outcome, blame: `${source} cannot be told: ${whyFailed(node, outcome, asking)}` };
  const seen = valuesText(node, asking);
  return { outcome, blame: `${source} is ${shown(outcome.value)}${seen === "" ? "" : `: ${seen}`}` };
}

/** For a comparison both its sides; for anything else the fields that it reads. */
function valuesText(node: CelNode, asking: Asking): string {
  if (node.kind === "compare" && !(isConstant(node.left) && isConstant(node.right)))
    return `${sideText(node.left, asking)} ${node.op} ${sideText(node.right, asking)}`;
  const read = fieldsOf(node).filter((field) => field !== node);
  const texts = read.map((field) => {
    const evaluated = evaluateNode(field, asking);
    const source = textOf(field, asking.expression.source);
    return evaluated.ok ? `${source} is ${shown(evaluated.value)}` : missingText(field, asking);
  });
  return [...new Set(texts)].join(", ");
}

function sideText(node: CelNode, asking: Asking): string {
  const evaluated = evaluateNode(node, asking);
  return evaluated.ok ? shown(evaluated.value) : textOf(node, asking.expression.source);
}

function whyFailed(node: CelNode, outcome: Evaluated & { ok: false }, asking: Asking): string {
  const missing = fieldsOf(node).filter((field) => isMissing(evaluateNode(field, asking)));
  if (outcome.missing && missing.length > 0) return [...new Set(missing.map((field) => missingText(field, asking)))].join(", ");
  const values = node.kind === "compare" ? ` (${sideText(node.left, asking)} ${node.op} ${sideText(node.right, asking)})` : "";
  return `${outcome.message}${values}`;
}

/** The outermost field that is not there: of `event.data.a.b` perhaps `event.data.a`. */
function missingText(field: CelNode, asking: Asking): string {
  let absent = field;
  for (let at: CelNode = field; at.kind === "field"; at = at.of) if (isMissing(evaluateNode(at, asking))) absent = at;
  return `there is no ${textOf(absent, asking.expression.source)}`;
}

/** The fields that a node reads, the longest paths of them, macros' own names left out. */
function fieldsOf(node: CelNode): CelNode[] {
  const found: CelNode[] = [];
  const inner = new Set<CelNode>();
  walk(node, (each, bound) => {
    const path = each.kind === "field" ? pathOf(each) : undefined;
    if (each.kind !== "field" || path === undefined || bound.has(path[0]!)) return;
    if (!inner.has(each)) found.push(each);
    for (let at = each.of; at.kind === "field"; at = at.of) inner.add(at);
  });
  return found;
}

/** One node, as an expression of its own. */
function evaluateNode(node: CelNode, { expression, scope }: Asking): Evaluated {
  const compiled = compileCel(textOf(node, expression.source), expression.sees);
  return compiled.ok ? compiled.expression.evaluate(scope) : { ok: false, missing: false, message: compiled.message };
}

function isConstant(node: CelNode): boolean {
  let constant = true;
  walk(node, ({ kind }) => (constant &&= kind !== "name"));
  return constant;
}

function isMissing(outcome: Evaluated): boolean {
  return !outcome.ok && outcome.missing;
}

function is({ outcome }: Finding, value: boolean): boolean {
  return outcome.ok && outcome.value === value;
}

function isBoolean(finding: Finding): boolean {
  return is(finding, true) || is(finding, false);
}

function failureText(outcome: Evaluated, word: string): string {
  return outcome.ok ? `${word} is ${shown(outcome.value)}` : outcome.message;
}

function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? "nothing";
  return text.length > shownCharactersMax ? `${text.slice(0, shownCharactersMax - 3)}...` : text;
}
