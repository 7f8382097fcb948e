/**
 * The tree of a CEL expression: the library's syntax tree in our own words, each node with its place in the source. Whoever asks what an
 * expression reads, requires or means walks this and nothing else. Knows no values.
 */

/** Where a node stands in the expression's source, as the library has it; its text is what {@link textOf} gives. */
interface Place {
  start: number;
  end: number;
}

export type Comparison = "==" | "!=" | "<" | "<=" | ">" | ">=" | "in";

export type CelNode = Place &
  (
    | { kind: "value"; value: unknown }
    | { kind: "name"; name: string }
    /** `of.name` and `of["name"]`; `optional` is `of.?name` and `of[?"name"]`. */
    | { kind: "field"; of: CelNode; name: string; optional: boolean }
    | { kind: "index"; of: CelNode; at: CelNode; optional: boolean }
    | { kind: "and" | "or"; left: CelNode; right: CelNode }
    | { kind: "not"; of: CelNode }
    | { kind: "minus"; of: CelNode }
    | { kind: "compare"; op: Comparison; left: CelNode; right: CelNode }
    | { kind: "arithmetic"; op: string; left: CelNode; right: CelNode }
    | { kind: "choose"; condition: CelNode; yes: CelNode; no: CelNode }
    | { kind: "call"; name: string; args: CelNode[] }
    | { kind: "method"; name: string; of: CelNode; args: CelNode[] }
    /** `of.exists(name, ...)` and its like: in `body` the name stands for each element; for `cel.bind`, for `of` itself. */
    | { kind: "macro"; macro: string; of: CelNode; name: string; nameStart: number; body: CelNode[] }
    | { kind: "list"; items: CelNode[] }
    | { kind: "map"; entries: [CelNode, CelNode][] }
  );

/** A node of the library. Its arguments depend on `op`. */
interface Raw extends Place {
  op: string;
  args: unknown;
}

const comparisons = new Set<string>(["==", "!=", "<", "<=", ">", ">=", "in"]);
const eachMacros = new Set(["all", "exists", "exists_one", "map", "filter"]);

/** The tree of what the library has parsed. */
export function treeOf(ast: unknown): CelNode {
  return convert(ast as Raw);
}

/** The nodes directly below. */
export function childrenOf(node: CelNode): CelNode[] {
  switch (node.kind) {
    case "value":
    case "name":
      return [];
    case "field":
    case "not":
    case "minus":
      return [node.of];
    case "index":
      return [node.of, node.at];
    case "and":
    case "or":
    case "compare":
    case "arithmetic":
      return [node.left, node.right];
    case "choose":
      return [node.condition, node.yes, node.no];
    case "call":
      return node.args;
    case "method":
      return [node.of, ...node.args];
    case "macro":
      return [node.of, ...node.body];
    case "list":
      return node.items;
    case "map":
      return node.entries.flat();
  }
}

/** Every node, parents first. `bound`: the names that macros around it have given away. */
export function walk(
  node: CelNode,
  visit: (node: CelNode, bound: ReadonlySet<string>) => void,
  bound: ReadonlySet<string> = new Set(),
): void {
  visit(node, bound);
  if (node.kind !== "macro") {
    for (const child of childrenOf(node)) walk(child, visit, bound);
    return;
  }
  walk(node.of, visit, bound);
  const inside = new Set([...bound, node.name]);
  for (const child of node.body) walk(child, visit, inside);
}

/** The names of `a.b.?c["d"]`, or undefined when the node is something else. */
export function pathOf(node: CelNode): string[] | undefined {
  if (node.kind === "name") return [node.name];
  return node.kind === "field" ? pathOf(node.of)?.concat(node.name) : undefined;
}

/** The same of `a.b["c"]` alone, where each field must be there. */
export function requiredPathOf(node: CelNode): string[] | undefined {
  if (node.kind === "name") return [node.name];
  if (node.kind !== "field" || node.optional) return undefined;
  const path = requiredPathOf(node.of);
  path?.push(node.name);
  return path;
}

export type Constant = string | number | boolean;

/** A text, a number or a truth value that is written in the expression. A whole number that JSON's cannot hold is none. */
export function constantOf(node: CelNode): Constant | undefined {
  if (node.kind === "minus") {
    const value = constantOf(node.of);
    return typeof value === "number" ? -value : undefined;
  }
  const value = node.kind === "value" ? node.value : undefined;
  if (typeof value === "bigint") return Number.isSafeInteger(Number(value)) ? Number(value) : undefined;
  return isConstant(value) ? value : undefined;
}

export function isConstant(value: unknown): value is Constant {
  return typeof value === "string" || typeof value === "number" || typeof value === "boolean";
}

/** The operands of `a && b && c` (or of `||`), in order. */
export function operandsOf(node: CelNode, kind: "and" | "or"): CelNode[] {
  return node.kind === kind ? [...operandsOf(node.left, kind), ...operandsOf(node.right, kind)] : [node];
}

/** All but the place; a distributive Omit, so that the union stays one. */
type Parts = CelNode extends infer N ? (N extends CelNode ? Omit<N, "start" | "end"> : never) : never;

function convert(raw: Raw): CelNode {
  return { start: raw.start, end: raw.end, ...partsOf(raw) };
}

function partsOf({ op, args }: Raw): Parts {
  const list = args as Raw[];
  const child = (index: number) => convert(list[index]!);
  if (comparisons.has(op)) return { kind: "compare", op: op as Comparison, left: child(0), right: child(1) };
  switch (op) {
    case "value":
      return { kind: "value", value: args };
    case "id":
      return { kind: "name", name: String(args) };
    case ".":
    case ".?":
      return { kind: "field", of: child(0), name: String(list[1]), optional: op === ".?" };
    case "[]":
    case "[?]":
      return indexOf(child(0), child(1), op === "[?]");
    case "&&":
      return { kind: "and", left: child(0), right: child(1) };
    case "||":
      return { kind: "or", left: child(0), right: child(1) };
    case "!_":
      return { kind: "not", of: convert(args as Raw) };
    case "-_":
      return { kind: "minus", of: convert(args as Raw) };
    case "?:":
      return { kind: "choose", condition: child(0), yes: child(1), no: child(2) };
    case "call":
      return { kind: "call", name: String(list[0]), args: (list[1] as unknown as Raw[]).map(convert) };
    case "rcall":
      return methodOf(args as [string, Raw, Raw[]]);
    case "list":
      return { kind: "list", items: list.map(convert) };
    case "map":
      return { kind: "map", entries: (args as [Raw, Raw][]).map(([key, value]) => [convert(key), convert(value)]) };
    default:
      return { kind: "arithmetic", op, left: child(0), right: child(1) };
  }
}

function indexOf(of: CelNode, at: CelNode, optional: boolean): Parts {
  if (at.kind === "value" && typeof at.value === "string") return { kind: "field", of, name: at.value, optional };
  return { kind: "index", of, at, optional };
}

function methodOf([name, of, args]: [string, Raw, Raw[]]): Parts {
  const [first, second, ...rest] = args;
  const named = first?.op === "id" ? { name: String(first.args), nameStart: first.start } : undefined;
  if (named !== undefined && eachMacros.has(name) && args.length > 1)
    return { kind: "macro", macro: name, of: convert(of), ...named, body: [second!, ...rest].map(convert) };
  if (named !== undefined && name === "bind" && of.op === "id" && of.args === "cel" && args.length === 3)
    return { kind: "macro", macro: name, of: convert(second!), ...named, body: rest.map(convert) };
  return { kind: "method", name, of: convert(of), args: args.map(convert) };
}

/**
 * What stands in the source for a node. The library's places leave out parentheses around an operand at either end (of
 * `(a || b) && c` the start is `a`'s), so the place is widened until its parentheses pair.
 */
export function textOf({ start, end }: Place, source: string): string {
  let open = 0;
  let unopened = 0;
  for (const { 0: token } of source.slice(start, end).matchAll(tokens)) {
    if (token === "(") open++;
    else if (token === ")" && open > 0) open--;
    else if (token === ")") unopened++;
  }
  let [from, to] = [start, end];
  for (; unopened > 0; unopened--) from = source.lastIndexOf("(", from - 1);
  for (; open > 0; open--) to = source.indexOf(")", to) + 1;
  return source.slice(from, to);
}

/** Parentheses, and what may hold some that mean nothing: comments and texts. */
const tokens = /[()]|\/\/[^\n]*|"""(?:\\[^]|(?!""")[^])*"""|'''(?:\\[^]|(?!''')[^])*'''|"(?:\\[^]|[^"\\])*"|'(?:\\[^]|[^'\\])*'/g;
