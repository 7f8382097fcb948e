/**
 * The short way through an expression: fields set against constants, joined by `&&`, `||` and `!`. That is what nearly all conditions of
 * reactors are made of, and it takes far less time and memory than CEL's own way does. It answers only where it is sure to say
 * what CEL would say: a missing field, a value of an unexpected kind and everything that it does not know are CEL's to judge.
 */
import { type CelNode, type Constant, constantOf, requiredPathOf } from "./cel-tree.ts";

/** Not known here. */
export const unsure = Symbol("unsure");

type Scalar = Constant | null;
type Order = "<" | "<=" | ">" | ">=";
/** One shape for all, so that the machine reads them alike. `set`: of texts. */
export interface Quick {
  kind:
    | "field"
    | "constant"
    | "equal"
    | "unequal"
    | "among"
    | "has"
    | "and"
    | "or"
    | "not"
    | "prefix"
    | "suffix"
    | "part"
    | "is"
    | "isnt"
    | Order
    | "unsure";
  path: readonly string[];
  constant: Scalar;
  set: ReadonlySet<string> | undefined;
  left: Quick | undefined;
  right: Quick | undefined;
}

/** Undefined: there is no short way. */
export function quickOf(tree: CelNode): Quick | undefined {
  const quick = convert(tree);
  return quick.kind === "unsure" ? undefined : quick;
}

const noPath: readonly string[] = [];
const textTests: Readonly<Record<string, Quick["kind"]>> = { startsWith: "prefix", endsWith: "suffix", contains: "part" };
const isUnsure: Quick = { kind: "unsure", path: noPath, constant: null, set: undefined, left: undefined, right: undefined };

function convert(node: CelNode): Quick {
  const constant = constantOf(node);
  if (constant !== undefined) return { ...isUnsure, kind: "constant", constant };
  switch (node.kind) {
    case "field":
      return fieldOf(node, "field");
    case "and":
    case "or":
      return joined(node.kind, convert(node.left), convert(node.right));
    case "not":
      return notOf(convert(node.of));
    case "compare":
      return comparisonOf(node);
    case "call":
      return node.name === "has" && node.args[0]?.kind === "field" ? fieldOf(node.args[0], "has") : isUnsure;
    case "method":
      return textTestOf(node);
    default:
      return isUnsure;
  }
}

function fieldOf(node: CelNode, kind: "field" | "has"): Quick {
  const path = requiredPathOf(node);
  return path === undefined ? isUnsure : { ...isUnsure, kind, path: shared(path) };
}

function comparisonOf({ op, left, right }: CelNode & { kind: "compare" }): Quick {
  if (op === "in") return amongOf(convert(left), right);
  return compared(op === "==" ? "equal" : op === "!=" ? "unequal" : op, convert(left), convert(right));
}

function notOf(left: Quick): Quick {
  return left.kind === "unsure" ? isUnsure : { ...isUnsure, kind: "not", left };
}

/** One half that is known may be enough. */
function joined(kind: "and" | "or", left: Quick, right: Quick): Quick {
  return left.kind === "unsure" && right.kind === "unsure" ? isUnsure : { ...isUnsure, kind, left, right };
}

function compared(kind: Quick["kind"], left: Quick, right: Quick): Quick {
  const plain = (node: Quick) => node.kind === "field" || node.kind === "constant";
  if (!plain(left) || !plain(right)) return isUnsure;
  // What comes most, in one piece.
  if (left.kind === "field" && right.kind === "constant" && (kind === "equal" || kind === "unequal"))
    return { ...isUnsure, kind: kind === "equal" ? "is" : "isnt", path: left.path, constant: right.constant };
  return { ...isUnsure, kind, left, right };
}

function amongOf(left: Quick, list: CelNode): Quick {
  const items = list.kind === "list" ? list.items.map(constantOf) : undefined;
  if (left.kind !== "field" || items === undefined || !items.every((item) => typeof item === "string")) return isUnsure;
  return { ...isUnsure, kind: "among", left, set: new Set(items) };
}

function textTestOf({ name, of, args: [given, ...rest] }: CelNode & { kind: "method" }): Quick {
  const kind = Object.hasOwn(textTests, name) ? textTests[name] : undefined;
  const constant = given === undefined || rest.length > 0 ? undefined : constantOf(given);
  const left = convert(of);
  return kind === undefined || left.kind !== "field" || typeof constant !== "string" ? isUnsure : { ...isUnsure, kind, left, constant };
}

/** A text, a number, a truth value, or {@link unsure}. */
export function quickValue(node: Quick, scope: object): unknown {
  switch (node.kind) {
    case "constant":
      return node.constant;
    case "field":
      return scalarAt(node.path, scope);
    case "is":
      return equal(scalarAt(node.path, scope), node.constant);
    case "isnt":
      return not(equal(scalarAt(node.path, scope), node.constant));
    case "equal":
      return equal(quickValue(node.left!, scope), quickValue(node.right!, scope));
    case "unequal":
      return not(equal(quickValue(node.left!, scope), quickValue(node.right!, scope)));
    case "and": {
      const left = quickValue(node.left!, scope);
      if (left === false) return false;
      const right = quickValue(node.right!, scope);
      // What is false makes it false, whatever the other half is: so CEL says.
      if (right === false) return false;
      return left === true && right === true ? true : unsure;
    }
    case "or": {
      const left = quickValue(node.left!, scope);
      if (left === true) return true;
      const right = quickValue(node.right!, scope);
      if (right === true) return true;
      return left === false && right === false ? false : unsure;
    }
    case "not":
      return not(quickValue(node.left!, scope));
    case "among": {
      const left = quickValue(node.left!, scope);
      return typeof left === "string" ? node.set!.has(left) : unsure;
    }
    case "has":
      return has(node.path, scope);
    case "prefix":
    case "suffix":
    case "part":
      return textTest(node.kind, quickValue(node.left!, scope), node.constant as string);
    case "unsure":
      return unsure;
    default:
      return ordered(node.kind, quickValue(node.left!, scope), quickValue(node.right!, scope));
  }
}

function equal(left: unknown, right: unknown): unknown {
  // Of different kinds: some of them CEL compares, and some it refuses to.
  return left === unsure || typeof left !== typeof right || left === null || right === null ? unsure : left === right;
}

function not(value: unknown): unknown {
  return typeof value === "boolean" ? !value : unsure;
}

function ordered(kind: Order, left: unknown, right: unknown): unknown {
  if (typeof left !== "number" || typeof right !== "number") return unsure;
  if (kind === "<") return left < right;
  if (kind === "<=") return left <= right;
  return kind === ">" ? left > right : left >= right;
}

function textTest(kind: "prefix" | "suffix" | "part", text: unknown, constant: string): unknown {
  if (typeof text !== "string") return unsure;
  if (kind === "prefix") return text.startsWith(constant);
  return kind === "suffix" ? text.endsWith(constant) : text.includes(constant);
}

function scalarAt(path: readonly string[], scope: object): unknown {
  const value = at(path, path.length, scope);
  return typeof value === "string" || typeof value === "number" || typeof value === "boolean" ? value : unsure;
}

function has(path: readonly string[], scope: object): unknown {
  const of = at(path, path.length - 1, scope);
  if (!isPlain(of)) return unsure;
  const name = path[path.length - 1]!;
  return Object.hasOwn(of, name) && of[name] !== undefined;
}

/** What the first `length` names of a path lead to. */
function at(path: readonly string[], length: number, scope: object): unknown {
  let value: unknown = scope;
  for (let index = 0; index < length; index++) {
    if (!isPlain(value)) return unsure;
    // What an object inherits is no scalar, and leads to none.
    value = value[path[index]!];
  }
  return value;
}

function isPlain(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && value.constructor === Object;
}

/** Paths come again and again: reactors share them. Beyond so many the memory begins anew. */
const pathsMax = 10_000;
const paths = new Map<string, readonly string[]>();

function shared(names: readonly string[]): readonly string[] {
  const key = names.join("\0");
  const known = paths.get(key);
  if (known !== undefined) return known;
  if (paths.size >= pathsMax) paths.clear();
  paths.set(key, names);
  return names;
}
