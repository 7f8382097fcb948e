/** What an expression reads and what it requires, known from its tree without running it. */
import { type CelNode, childrenOf, operandsOf, pathOf } from "./cel-tree.ts";

/** A name or a field that an expression reads: `["event", "data", "user"]`. */
export interface Access {
  path: readonly string[];
  /** Where it begins in the source. */
  offset: number;
  /** What it gives reaches the result as it is: whole, in a list or a map, or joined to a text. */
  intact: boolean;
}

/** What an expression reads of `event`, and of `event.data`, by the names of fields; undefined: any of them. */
export interface Reads {
  event: ReadonlySet<string> | undefined;
  data: ReadonlySet<string> | undefined;
  /** The variables that it reads at all: `event`, `vars`, `matched`, ... */
  variables: ReadonlySet<string>;
}

/** The longest paths that are read. A name that a macro has given to something else is none. */
export function accessesOf(tree: CelNode): Access[] {
  const found: Access[] = [];
  const visit = (node: CelNode, intact: boolean, bound: ReadonlySet<string>): void => {
    const path = pathOf(node);
    if (path !== undefined) {
      if (!bound.has(path[0]!)) found.push({ path, offset: node.start, intact });
    } else if (node.kind === "macro") {
      visit(node.of, false, bound);
      const inside = new Set([...bound, node.name]);
      for (const part of node.body) visit(part, false, inside);
    } else if (node.kind === "choose") {
      visit(node.condition, false, bound);
      for (const branch of [node.yes, node.no]) visit(branch, intact, bound);
    } else {
      for (const child of childrenOf(node)) visit(child, intact && keepsIntact(node), bound);
    }
  };
  visit(tree, true, new Set());
  return found;
}

function keepsIntact(node: CelNode): boolean {
  return node.kind === "list" || node.kind === "map" || (node.kind === "arithmetic" && node.op === "+");
}

export function readsOf(accesses: readonly Access[]): Reads {
  const event = new Set<string>();
  const data = new Set<string>();
  const all = { event: false, data: false };
  for (const { path } of accesses) {
    const [variable, field, name] = path;
    if (variable !== "event") continue;
    if (field === undefined) all.event = true;
    else if (field !== "data") event.add(field);
    else if (name === undefined) all.data = true;
    else data.add(name);
  }
  const variables = new Set(accesses.map(({ path }) => path[0]!));
  return { event: all.event ? undefined : event, data: all.event || all.data ? undefined : data, variables };
}

/** From `a && b && event.NAME == "text"`, whichever way round: the fields that must be exactly these texts. */
export function requiredOf(tree: CelNode): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  for (const operand of operandsOf(tree, "and")) {
    if (operand.kind !== "compare" || operand.op !== "==") continue;
    for (const [field, constant] of [
      [operand.left, operand.right],
      [operand.right, operand.left],
    ] as const) {
      const path = pathOf(field);
      if (path?.length === 2 && path[0] === "event" && constant.kind === "value" && typeof constant.value === "string")
        found.set(path[1]!, constant.value);
    }
  }
  return found;
}
