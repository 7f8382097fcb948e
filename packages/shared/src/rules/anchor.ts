/**
 * Anchors: what an event must have, at the least, for a condition to hold. `event.data.user == "root"`, `event.severity in ["high", "critical"]`
 * and `event.subject.startsWith("/etc/")` are such; an index asks for them first, and leaves the rest of the condition to CEL. Knows no
 * more than it can be sure of: where it is in doubt, it names nothing, and every event must be looked at.
 */

/** `path`: names of fields from `event` or `agent` on. Texts, numbers and truth values are equal as they are in CEL: 1 is 1.0, and "1" is neither. */
export type Anchor = { path: readonly string[] } & (
  | { kind: "equals"; value: string | number | boolean }
  | { kind: "prefix"; value: string }
);

/** `variable`: a value that each reactor knows for itself, by this name under `vars`. */
type Named = { kind: "variable"; path: readonly string[]; test: "equals" | "among" | "prefix"; name: string };

/** `any`: the condition holds only where at least one of them does; `all`: where all do, so that each of them alone will do to ask for. */
type Tree<Leaf> = Leaf | { kind: "all"; of: readonly Tree<Leaf>[] } | { kind: "any"; of: readonly Tree<Leaf>[] };
type Anchors = { kind: "anchors"; anchors: readonly Anchor[] };
export type Anchored = Tree<Anchors>;
/** The same before it is known what the variables are. */
export type AnchoredByName = Tree<Anchors | Named>;

/** Fields of an event that are known wherever one is looked at; its place in the journal is not. */
const eventFields = new Set(["type", "agent", "subject", "severity", "beacon", "data"]);

/** From CEL's syntax tree. Undefined: nothing is known of what the event must have. */
export function anchoredOf(node: unknown): AnchoredByName | undefined {
  if (!isNode(node) || !Array.isArray(node.args)) return undefined;
  const [left, right] = node.args as unknown[];
  switch (node.op) {
    case "&&":
      return both(anchoredOf(left), anchoredOf(right));
    case "||":
      return either([anchoredOf(left), anchoredOf(right)]);
    case "==":
      return equality(left, right) ?? equality(right, left);
    case "in":
      return membership(left, right);
    case "rcall":
      return prefix(node.args);
    default:
      return undefined;
  }
}

/** What must hold of an event for all of these conditions to. */
export function anchorsOf(
  conditions: readonly ({ anchored: AnchoredByName | undefined } | undefined)[],
  vars: Readonly<Record<string, unknown>>,
): Anchored | undefined {
  return conditions.reduce<Anchored | undefined>((found, condition) => both(found, resolved(condition?.anchored, vars)), undefined);
}

function both<Leaf>(first: Tree<Leaf> | undefined, second: Tree<Leaf> | undefined): Tree<Leaf> | undefined {
  if (first === undefined || second === undefined) return first ?? second;
  return { kind: "all", of: [first, second] };
}

/** Nothing is known when of one of them nothing is. */
function either<Leaf>(of: readonly (Tree<Leaf> | undefined)[]): Tree<Leaf> | undefined {
  return of.every((each) => each !== undefined) ? { kind: "any", of } : undefined;
}

function resolved(anchored: AnchoredByName | undefined, vars: Readonly<Record<string, unknown>>): Anchored | undefined {
  if (anchored === undefined || anchored.kind === "anchors") return anchored;
  if (anchored.kind === "variable") return anchoredTo(anchored, Object.hasOwn(vars, anchored.name) ? vars[anchored.name] : undefined);
  const of = anchored.of.map((each) => resolved(each, vars));
  return anchored.kind === "any" ? either(of) : of.reduce((first, second) => both(first, second), undefined);
}

function anchoredTo({ path, test }: Named, value: unknown): Anchored | undefined {
  if (test === "prefix") return prefixed(path, value);
  const values = test === "among" ? value : [value];
  return Array.isArray(values) && values.every(isConstant) ? anchors(path, values) : undefined;
}

function anchors(path: readonly string[], values: readonly Constant[]): Anchors {
  return { kind: "anchors", anchors: values.map((value) => ({ path, kind: "equals", value })) };
}

/** Every text begins with the empty one. */
function prefixed(path: readonly string[], value: unknown): Anchors | undefined {
  return typeof value === "string" && value !== "" ? { kind: "anchors", anchors: [{ path, kind: "prefix", value }] } : undefined;
}

/** A node of the library's syntax tree, as far as it concerns us. */
interface Node {
  op: string;
  args: unknown;
}

function equality(field: unknown, other: unknown): AnchoredByName | undefined {
  const path = pathOf(field);
  if (path === undefined) return undefined;
  const value = literal(other);
  return value === undefined ? named(path, "equals", other) : anchors(path, [value]);
}

function membership(field: unknown, list: unknown): AnchoredByName | undefined {
  const path = pathOf(field);
  if (path === undefined || !isNode(list)) return undefined;
  if (list.op !== "list" || !Array.isArray(list.args)) return named(path, "among", list);
  const values = list.args.map(literal);
  return values.every((value) => value !== undefined) ? anchors(path, values) : undefined;
}

function prefix([name, receiver, given]: unknown[]): AnchoredByName | undefined {
  const path = name === "startsWith" ? pathOf(receiver) : undefined;
  if (path === undefined || !Array.isArray(given) || given.length !== 1) return undefined;
  return prefixed(path, literal(given[0])) ?? named(path, "prefix", given[0]);
}

function named(path: readonly string[], test: Named["test"], node: unknown): Named | undefined {
  const fields = fieldsOf(node);
  return fields?.length === 2 && fields[0] === "vars" ? { kind: "variable", path, test, name: fields[1]! } : undefined;
}

/** Of `event.data.user`, `event.data["user"]`, `agent.labels.role`. */
function pathOf(node: unknown): readonly string[] | undefined {
  const path = fieldsOf(node);
  if (path === undefined || path.length < 2) return undefined;
  return path[0] === "agent" || (path[0] === "event" && eventFields.has(path[1]!)) ? path : undefined;
}

function fieldsOf(node: unknown): string[] | undefined {
  if (!isNode(node)) return undefined;
  if (node.op === "id") return typeof node.args === "string" ? [node.args] : undefined;
  if ((node.op !== "." && node.op !== "[]") || !Array.isArray(node.args)) return undefined;
  const [of, name] = node.args as unknown[];
  const text = node.op === "." ? name : literal(name);
  const before = typeof text === "string" ? fieldsOf(of) : undefined;
  before?.push(text as string);
  return before;
}

type Constant = string | number | boolean;

function literal(node: unknown): Constant | undefined {
  if (!isNode(node)) return undefined;
  if (node.op === "value") return isConstant(node.args) ? node.args : typeof node.args === "bigint" ? Number(node.args) : undefined;
  const negated = node.op === "-_" ? literal(node.args) : undefined;
  return typeof negated === "number" ? -negated : undefined;
}

function isConstant(value: unknown): value is Constant {
  return typeof value === "string" || typeof value === "number" || typeof value === "boolean";
}

function isNode(value: unknown): value is Node {
  return typeof value === "object" && value !== null && "op" in value && "args" in value;
}
