/**
 * Anchors: what an event must have, at the least, for a condition to hold. `event.data.user == "root"`, `event.severity in ["high", "critical"]`
 * and `event.subject.startsWith("/etc/")` are such; an index asks for them first, and leaves the rest of the condition to CEL. Knows no
 * more than it can be sure of: where it is in doubt, it names nothing, and every event must be looked at.
 */
import { type CelNode, type Constant, constantOf, isConstant, requiredPathOf } from "../cel-tree.ts";

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

/** Undefined: nothing is known of what the event must have. */
export function anchoredOf(node: CelNode): AnchoredByName | undefined {
  switch (node.kind) {
    case "and":
      return both(anchoredOf(node.left), anchoredOf(node.right));
    case "or":
      return either([anchoredOf(node.left), anchoredOf(node.right)]);
    case "compare":
      if (node.op === "==") return equality(node.left, node.right) ?? equality(node.right, node.left);
      return node.op === "in" ? membership(node.left, node.right) : undefined;
    case "method":
      return node.name === "startsWith" && node.args.length === 1 ? prefix(node.of, node.args[0]!) : undefined;
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

function equality(field: CelNode, other: CelNode): AnchoredByName | undefined {
  const path = anchorPathOf(field);
  if (path === undefined) return undefined;
  const value = constantOf(other);
  return value === undefined ? named(path, "equals", other) : anchors(path, [value]);
}

function membership(field: CelNode, list: CelNode): AnchoredByName | undefined {
  const path = anchorPathOf(field);
  if (path === undefined) return undefined;
  if (list.kind !== "list") return named(path, "among", list);
  const values = list.items.map(constantOf);
  return values.every((value) => value !== undefined) ? anchors(path, values) : undefined;
}

function prefix(field: CelNode, text: CelNode): AnchoredByName | undefined {
  const path = anchorPathOf(field);
  return path && (prefixed(path, constantOf(text)) ?? named(path, "prefix", text));
}

function named(path: readonly string[], test: Named["test"], node: CelNode): Named | undefined {
  const [vars, name, ...deeper] = requiredPathOf(node) ?? [];
  return vars === "vars" && name !== undefined && deeper.length === 0 ? { kind: "variable", path, test, name } : undefined;
}

/** Of `event.data.user`, `event.data["user"]`, `agent.labels.role`. */
function anchorPathOf(node: CelNode): readonly string[] | undefined {
  const path = requiredPathOf(node);
  if (path === undefined || path.length < 2) return undefined;
  return path[0] === "agent" || (path[0] === "event" && eventFields.has(path[1]!)) ? path : undefined;
}
