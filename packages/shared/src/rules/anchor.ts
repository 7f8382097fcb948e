/**
 * Anchors: what an event must have, at the least, for a condition to hold. `event.data.user == "root"`, `event.severity in ["high", "critical"]`
 * and `event.subject.startsWith("/etc/")` are such; an index asks for them first, and leaves the rest of the condition to CEL. Knows no
 * more than it can be sure of: where it is in doubt, it names nothing, and every event must be looked at.
 */
import type { Expression } from "../cel.ts";

/** `path`: names of fields from `event` or `agent` on. Texts, numbers and truth values are equal as they are in CEL: 1 is 1.0, and "1" is neither. */
export type Anchor = { path: readonly string[] } & (
  | { kind: "equals"; value: string | number | boolean }
  | { kind: "prefix"; value: string }
);

/** `any`: the condition holds only where at least one of them does; `all`: where all do, so that each of them alone will do to ask for. */
export type Anchored =
  | { kind: "anchors"; anchors: readonly Anchor[] }
  | { kind: "all"; of: readonly Anchored[] }
  | { kind: "any"; of: readonly Anchored[] };

/** Fields of an event that are known wherever one is looked at; its place in the journal is not. */
const eventFields = new Set(["type", "agent", "subject", "severity", "beacon", "data"]);

/** Undefined: nothing is known of what the event must have. `vars`: values that the condition knows by name. */
export function anchorsOf(when: Expression | undefined, vars: Readonly<Record<string, unknown>> = {}): Anchored | undefined {
  return when === undefined ? undefined : anchored(when.ast(), vars);
}

/** Both hold. */
export function bothAnchored(first: Anchored | undefined, second: Anchored | undefined): Anchored | undefined {
  if (first === undefined || second === undefined) return first ?? second;
  return { kind: "all", of: [first, second] };
}

/** A node of the library's syntax tree, as far as it concerns us. */
interface Node {
  op: string;
  args: unknown;
}
type Vars = Readonly<Record<string, unknown>>;

function anchored(node: unknown, vars: Vars): Anchored | undefined {
  if (!isNode(node) || !Array.isArray(node.args)) return undefined;
  const [left, right] = node.args as unknown[];
  switch (node.op) {
    case "&&":
      return bothAnchored(anchored(left, vars), anchored(right, vars));
    case "||": {
      const first = anchored(left, vars);
      const second = first && anchored(right, vars);
      return first && second && { kind: "any", of: [first, second] };
    }
    case "==":
      return equality(left, right, vars) ?? equality(right, left, vars);
    case "in":
      return membership(left, right, vars);
    case "rcall":
      return prefix(node.args, vars);
    default:
      return undefined;
  }
}

function equality(field: unknown, other: unknown, vars: Vars): Anchored | undefined {
  const path = pathOf(field);
  const value = constant(other, vars);
  return path === undefined || value === undefined ? undefined : { kind: "anchors", anchors: [{ path, kind: "equals", value }] };
}

function membership(field: unknown, list: unknown, vars: Vars): Anchored | undefined {
  const path = pathOf(field);
  const values = constants(list, vars);
  if (path === undefined || values === undefined) return undefined;
  return { kind: "anchors", anchors: values.map((value) => ({ path, kind: "equals", value })) };
}

function prefix([name, receiver, given]: unknown[], vars: Vars): Anchored | undefined {
  const path = name === "startsWith" ? pathOf(receiver) : undefined;
  const value = Array.isArray(given) && given.length === 1 ? constant(given[0], vars) : undefined;
  // Every text begins with the empty one.
  if (path === undefined || typeof value !== "string" || value === "") return undefined;
  return { kind: "anchors", anchors: [{ path, kind: "prefix", value }] };
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

function constant(node: unknown, vars: Vars): Constant | undefined {
  return literal(node) ?? plain(varOf(node, vars));
}

function constants(node: unknown, vars: Vars): Constant[] | undefined {
  const items = isNode(node) && node.op === "list" && Array.isArray(node.args) ? (node.args as unknown[]) : undefined;
  const named = varOf(node, vars);
  const values = items?.map((item) => constant(item, vars)) ?? (Array.isArray(named) ? named.map(plain) : undefined);
  return values?.every((value) => value !== undefined) === true ? (values as Constant[]) : undefined;
}

function literal(node: unknown): Constant | undefined {
  if (!isNode(node)) return undefined;
  if (node.op === "value") return plain(typeof node.args === "bigint" ? Number(node.args) : node.args);
  const negated = node.op === "-_" ? literal(node.args) : undefined;
  return typeof negated === "number" ? -negated : undefined;
}

function varOf(node: unknown, vars: Vars): unknown {
  const path = fieldsOf(node);
  return path?.length === 2 && path[0] === "vars" && Object.hasOwn(vars, path[1]!) ? vars[path[1]!] : undefined;
}

function plain(value: unknown): Constant | undefined {
  return typeof value === "string" || typeof value === "number" || typeof value === "boolean" ? value : undefined;
}

function isNode(value: unknown): value is Node {
  return typeof value === "object" && value !== null && "op" in value && "args" in value;
}
