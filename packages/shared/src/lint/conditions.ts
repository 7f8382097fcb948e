/**
 * Conditions that can never hold, and such that always do. Only what is certain is said: what CEL would fail on counts as not holding,
 * and anything that is not a comparison of one field with a constant is taken to be able to go either way.
 */
import { compileCel } from "../cel.ts";
import { type CelNode, type Comparison, operandsOf, pathOf, textOf, walk } from "../cel-tree.ts";
import { plain } from "./types.ts";
import type { Finding } from "./warning.ts";

type Constant = string | number | boolean | null;

/** One thing said of one field: `event.data.x > 5`; or a whole condition that is true or false. */
export type Fact =
  | { about: string; kind: "compare"; op: Exclude<Comparison, "in">; value: Constant }
  | { about: string; kind: "among"; values: readonly Constant[]; why?: string }
  | { about: string; kind: "fits"; fits(value: Constant): boolean; why: string }
  | { about: string; kind: "is"; value: boolean };

export function lintConditions(tree: CelNode, source: string, given: readonly Fact[]): Finding[] {
  const findings: Finding[] = [];
  judge(tree, { source, findings, known: given });
  return findings;
}

/** What a condition says of single fields, wherever it holds. */
export function factsOf(tree: CelNode, source: string): Fact[] {
  return operandsOf(tree, "and").flatMap((operand) => factOf(operand, source) ?? []);
}

interface Judging {
  source: string;
  findings: Finding[];
  /** What holds wherever this is asked. */
  known: readonly Fact[];
}

function judge(node: CelNode, judging: Judging): void {
  const constant = constantOf(node, judging.source);
  if (constant !== undefined) return sayConstant(node, constant, judging);
  if (node.kind === "or") return judgeOr(node, judging);
  if (node.kind === "not") return judge(node.of, { ...judging, known: [] });
  judgeAnd(node, judging);
}

function judgeAnd(node: CelNode, judging: Judging): void {
  const { source, findings } = judging;
  const operands = operandsOf(node, "and");
  const known = [...judging.known];
  for (const operand of operands) {
    const fact = factOf(operand, source);
    if (fact === undefined) continue;
    const clash = contradiction(known, fact);
    if (clash !== undefined) {
      const message = `${textOf(operand, source)} can never hold here: ${clash}`;
      findings.push({ code: "unreachable-condition", offset: operand.start, message });
      return;
    }
    const negated = negationOf(fact);
    const certain = negated === undefined || !sameTypes(known, fact) ? undefined : contradiction(known, negated);
    if (certain !== undefined) {
      const message = `${textOf(operand, source)} always holds here: ${certain}`;
      findings.push({ code: "constant-condition", offset: operand.start, message });
    } else known.push(fact);
  }
  for (const operand of operands) judgeInside(operand, { ...judging, known });
}

/** What is no `&&` by itself; its own comparison, if it is one, has been judged. */
function judgeInside(operand: CelNode, judging: Judging): void {
  if (operand.kind === "or" || operand.kind === "not" || constantOf(operand, judging.source) !== undefined) judge(operand, judging);
}

function judgeOr(node: CelNode, judging: Judging): void {
  const { source, findings } = judging;
  const operands = operandsOf(node, "or");
  const denied: Fact[] = [];
  for (const operand of operands) {
    const fact = factOf(operand, source);
    const negated = fact === undefined ? undefined : negationOf(fact);
    if (negated === undefined) continue;
    if (contradiction(denied, negated) !== undefined) {
      const message = `${textOf(node, source)} always holds where ${negated.about} is there`;
      return void findings.push({ code: "constant-condition", offset: node.start, message });
    }
    denied.push(negated);
  }
  for (const operand of operands) judge(operand, judging);
}

function sayConstant(node: CelNode, value: boolean, { source, findings }: Judging): void {
  const code = value ? "constant-condition" : "unreachable-condition";
  findings.push({ code, offset: node.start, message: `${textOf(node, source)} is ${value ? "always true" : "never true"}` });
}

/** The value of a condition that reads nothing. */
function constantOf(node: CelNode, source: string): boolean | undefined {
  let reads = false;
  walk(node, ({ kind }) => (reads ||= kind === "name"));
  if (reads) return undefined;
  const compiled = compileCel(textOf(node, source), "event");
  const evaluated = compiled.ok ? compiled.expression.evaluate({}) : undefined;
  return evaluated?.ok === true && typeof evaluated.value === "boolean" ? evaluated.value : undefined;
}

const flipped = { "==": "==", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<=" } as const;
const opposite = { "==": "!=", "!=": "==", "<": ">=", "<=": ">", ">": "<=", ">=": "<" } as const;

function factOf(node: CelNode, source: string): Fact | undefined {
  if (node.kind === "not") {
    const inner = factOf(node.of, source);
    return inner === undefined ? { about: normal(node.of, source), kind: "is", value: false } : negationOf(inner);
  }
  if (node.kind !== "compare") return { about: normal(node, source), kind: "is", value: true };
  const { op, left, right } = node;
  if (op === "in") {
    const values = right.kind === "list" ? right.items.map(constantValue) : [undefined];
    return values.includes(undefined) ? undefined : { about: normal(left, source), kind: "among", values: values as Constant[] };
  }
  const [field, constant, turned] = right.kind === "value" ? [left, right, op] : [right, left, flipped[op]];
  const value = constantValue(constant);
  return value === undefined ? undefined : { about: normal(field, source), kind: "compare", op: turned, value };
}

function constantValue(node: CelNode): Constant | undefined {
  return node.kind === "value" ? plain(node.value) : undefined;
}

/** The same text for the same field however it is written. */
function normal(node: CelNode, source: string): string {
  return pathOf(node)?.join(".") ?? textOf(node, source);
}

/** What holds when the fact does not, the field being there and of a fitting type. */
function negationOf(fact: Fact): Fact | undefined {
  if (fact.kind === "compare") return { ...fact, op: opposite[fact.op] };
  return fact.kind === "is" ? { ...fact, value: !fact.value } : undefined;
}

/** What is of another type fails rather than holds. */
function sameTypes(known: readonly Fact[], fact: Fact): boolean {
  const values = [...known, fact].filter(({ about }) => about === fact.about).flatMap((each) => valuesOf(each) ?? []);
  return new Set(values.map((value) => typeof value)).size <= 1;
}

/** Why the fact cannot hold together with all the others, in words. */
function contradiction(known: readonly Fact[], fact: Fact): string | undefined {
  const same = [...known.filter(({ about }) => about === fact.about), fact];
  const before = same.slice(0, -1);
  if (before.length === 0) return undefined;
  const candidates = same.find(({ kind }) => kind === "among") ?? same.find((each) => each.kind === "compare" && each.op === "==");
  const values = candidates === undefined ? undefined : valuesOf(candidates);
  const impossible =
    values === undefined ? isEmptyRange(same) || isBoth(same) : values.every((value) => same.some((each) => !allows(each, value)));
  return impossible ? [...new Set(before.map(factText))].join(" and ") : undefined;
}

function valuesOf(fact: Fact): readonly Constant[] | undefined {
  if (fact.kind === "among") return fact.values;
  return fact.kind === "compare" ? [fact.value] : undefined;
}

function allows(fact: Fact, value: Constant): boolean {
  switch (fact.kind) {
    case "among":
      return fact.values.includes(value);
    case "fits":
      return fact.fits(value);
    case "is":
      return value === fact.value;
    case "compare":
      return comparisonHolds(fact.op, value, fact.value);
  }
}

function comparisonHolds(op: Exclude<Comparison, "in">, left: Constant, right: Constant): boolean {
  if (op === "==") return left === right;
  if (op === "!=") return left !== right;
  if (typeof left === "number" && typeof right === "number") return ordered(op, left, right);
  // CEL orders texts, too; by what, is not ours to say. Of different types nothing is ordered.
  return typeof left === "string" && typeof right === "string";
}

function ordered(op: "<" | "<=" | ">" | ">=", left: number, right: number): boolean {
  return { "<": left < right, "<=": left <= right, ">": left > right, ">=": left >= right }[op];
}

/** `x > 5 && x < 3`: no number lies between. */
function isEmptyRange(facts: readonly Fact[]): boolean {
  const bounds = facts.filter((fact) => fact.kind === "compare").filter(({ value }) => typeof value === "number");
  const lower = bounds.filter(({ op }) => op === ">" || op === ">=");
  const upper = bounds.filter(({ op }) => op === "<" || op === "<=");
  const low = Math.max(...lower.map(({ value }) => value as number));
  const high = Math.min(...upper.map(({ value }) => value as number));
  const strict = [...lower.filter(({ value }) => value === low), ...upper.filter(({ value }) => value === high)];
  return low > high || (low === high && strict.some(({ op }) => op === "<" || op === ">"));
}

/** A part that is said to be true and to be false. */
function isBoth(facts: readonly Fact[]): boolean {
  const values = facts.flatMap((fact) => (fact.kind === "is" ? [fact.value] : []));
  return values.includes(true) && values.includes(false);
}

function factText(fact: Fact): string {
  switch (fact.kind) {
    case "compare":
      return `${fact.about} ${fact.op} ${JSON.stringify(fact.value)}`;
    case "among":
      return fact.why ?? `${fact.about} in ${JSON.stringify(fact.values)}`;
    case "fits":
      return fact.why;
    case "is":
      return `${fact.about} is ${fact.value}`;
  }
}
