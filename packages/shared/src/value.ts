/**
 * Values in a reactor: YAML that may hold `${{ CEL }}`. The YAML is parsed first; an expression that is the whole of a text keeps its
 * type, one inside a text becomes part of that text. Nothing is ever spliced into YAML, a template or a shell line.
 */
import { compileCel, type Expression, type Scope, type ScopeName } from "./cel.ts";
import type { Path } from "./yaml-file.ts";

type Part = string | Expression;
type Node =
  | { kind: "literal"; value: unknown }
  | { kind: "expression"; expression: Expression }
  | { kind: "text"; parts: Part[] }
  | { kind: "list"; items: Node[] }
  | { kind: "map"; entries: [string, Node][] };

/** A value with its expressions compiled. `literal`: it has none, so it is the same for every event. */
export interface Template {
  readonly literal: boolean;
  readonly node: Node;
}

export interface TemplateProblem {
  path: Path;
  offset: number;
  message: string;
}

export type Rendered = { ok: true; value: unknown } | { ok: false; message: string };

/** An expression of a template: the path of its value, and where in that text its source begins. */
export interface PlacedExpression {
  path: Path;
  offset: number;
  expression: Expression;
}

export interface CompiledTemplate {
  template: Template;
  problems: TemplateProblem[];
  expressions: PlacedExpression[];
}

/** Compiles every expression in `value`; `path` is where the value stands in its document. */
export function compileTemplate(value: unknown, path: Path, sees: ScopeName = "firing"): CompiledTemplate {
  const found: Found = { sees, problems: [], expressions: [] };
  const node = compileNode(value, path, found);
  const { problems, expressions } = found;
  return { template: { literal: isLiteral(node), node }, problems, expressions };
}

/** The static CEL type of a value that is one expression, or undefined. */
export function expressionType(template: Template, path: Path): string | undefined {
  let node: Node | undefined = template.node;
  for (const part of path) {
    if (node?.kind === "map") node = node.entries.find(([key]) => key === part)?.[1];
    else if (node?.kind === "list") node = node.items[Number(part)];
    else return undefined;
  }
  if (node?.kind === "expression") return node.expression.type;
  return node?.kind === "text" ? "string" : undefined;
}

/** Every value in a template that is made by CEL, with its static type. */
export function typedPaths(template: Template): { path: (string | number)[]; type: string }[] {
  const typed = (node: Node, path: (string | number)[]): { path: (string | number)[]; type: string }[] => {
    if (node.kind === "expression") return [{ path, type: node.expression.type }];
    if (node.kind === "text") return [{ path, type: "string" }];
    if (node.kind === "list") return node.items.flatMap((item, index) => typed(item, [...path, index]));
    return node.kind === "map" ? node.entries.flatMap(([key, item]) => typed(item, [...path, key])) : [];
  };
  return typed(template.node, []);
}

/** Those that are not settled. */
export function expressionsIn({ node }: Template): Expression[] {
  const within = (each: Node): Expression[] => {
    if (each.kind === "expression") return [each.expression];
    if (each.kind === "text") return each.parts.filter((part) => typeof part !== "string");
    if (each.kind === "list") return each.items.flatMap(within);
    return each.kind === "map" ? each.entries.flatMap(([, item]) => within(item)) : [];
  };
  return within(node);
}

/** The template with what is known already in place: every text whose expressions are all known, and can be evaluated. */
export function settle(template: Template, isKnown: (expression: Expression) => boolean, scope: Scope): Template {
  const settled = (node: Node): Node => {
    if (node.kind === "list") return { kind: "list", items: node.items.map(settled) };
    if (node.kind === "map") return { kind: "map", entries: node.entries.map(([key, item]) => [key, settled(item)]) };
    if (node.kind === "literal") return node;
    const parts = node.kind === "text" ? node.parts : [node.expression];
    if (!parts.every((part) => typeof part === "string" || isKnown(part))) return node;
    const rendered = render({ literal: false, node }, scope);
    return rendered.ok ? { kind: "literal", value: rendered.value } : node;
  };
  const node = settled(template.node);
  return { literal: isLiteral(node), node };
}

/** The value with what is known in place, and `source`, what the template was made of, where it is not. */
export function knownValue(template: Template, source: unknown): unknown {
  const known = (node: Node, from: unknown): unknown => {
    if (node.kind === "literal") return node.value;
    if (node.kind === "list") return node.items.map((item, index) => known(item, (from as unknown[])[index]));
    if (node.kind !== "map") return from;
    return Object.fromEntries(node.entries.map(([key, item]) => [key, known(item, (from as Record<string, unknown>)[key])]));
  };
  return known(template.node, source);
}

/** The value for one event; or which expression failed and why. Lists and maps of it are nobody else's. */
export function render(template: Template, scope: Scope): Rendered {
  try {
    return { ok: true, value: renderNode(template.node, scope) };
  } catch (error) {
    if (error instanceof RenderFailure) return { ok: false, message: error.message };
    throw error;
  }
}

class RenderFailure extends Error {}

type Found = Pick<CompiledTemplate, "problems" | "expressions"> & { sees: ScopeName };

function compileNode(value: unknown, path: Path, found: Found): Node {
  if (typeof value === "string") return compileText(value, path, found);
  if (Array.isArray(value)) return { kind: "list", items: value.map((item, index) => compileNode(item, [...path, index], found)) };
  if (typeof value === "object" && value !== null) {
    const entries = Object.entries(value).map(([key, item]): [string, Node] => [key, compileNode(item, [...path, key], found)]);
    return { kind: "map", entries };
  }
  return { kind: "literal", value };
}

function compileText(text: string, path: Path, found: Found): Node {
  const parts: Part[] = [];
  let end = 0;
  for (let open = text.indexOf("${{"); open >= 0; open = text.indexOf("${{", end)) {
    const close = closingBraces(text, open + 3);
    if (close < 0) {
      found.problems.push({ path, offset: open, message: 'this "${{" has no "}}"' });
      return { kind: "literal", value: text };
    }
    if (open > end) parts.push(text.slice(end, open));
    const source = text.slice(open + 3, close);
    const lead = source.length - source.trimStart().length;
    const compiled = compileCel(source.trim(), found.sees);
    const offset = open + 3 + lead;
    if (compiled.ok) {
      parts.push(compiled.expression);
      found.expressions.push({ path, offset, expression: compiled.expression });
    } else found.problems.push({ path, offset: offset + compiled.offset, message: compiled.message });
    end = close + 2;
  }
  if (end < text.length) parts.push(text.slice(end));
  const [only] = parts;
  if (parts.length === 0) return { kind: "literal", value: text };
  if (parts.length === 1) return typeof only === "string" ? { kind: "literal", value: only } : { kind: "expression", expression: only! };
  return { kind: "text", parts };
}

/** The `}}` that ends an expression: not one inside a CEL string, nor the braces of a CEL map. */
function closingBraces(text: string, from: number): number {
  let quote: string | undefined;
  let depth = 0;
  for (let at = from; at < text.length; at++) {
    const character = text[at]!;
    if (quote !== undefined) {
      if (character === "\\") at++;
      else if (character === quote) quote = undefined;
    } else if (character === '"' || character === "'") quote = character;
    else if (character === "{") depth++;
    else if (character === "}" && depth > 0) depth--;
    else if (character === "}" && text[at + 1] === "}") return at;
  }
  return -1;
}

function isLiteral(node: Node): boolean {
  switch (node.kind) {
    case "literal":
      return true;
    case "list":
      return node.items.every(isLiteral);
    case "map":
      return node.entries.every(([, item]) => isLiteral(item));
    default:
      return false;
  }
}

function renderNode(node: Node, scope: Scope): unknown {
  switch (node.kind) {
    case "literal":
      return node.value;
    case "expression":
      return evaluated(node.expression, scope);
    case "text":
      return node.parts.map((part) => (typeof part === "string" ? part : textOf(evaluated(part, scope)))).join("");
    case "list":
      return node.items.map((item) => renderNode(item, scope));
    case "map":
      return Object.fromEntries(node.entries.map(([key, item]) => [key, renderNode(item, scope)]));
  }
}

function evaluated(expression: Expression, scope: Scope): unknown {
  const result = expression.evaluate(scope);
  if (!result.ok) throw new RenderFailure(`\${{ ${expression.source} }}: ${result.message}`);
  return result.value;
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : (JSON.stringify(value) ?? "null");
}
