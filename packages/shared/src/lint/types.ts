/**
 * Values in expressions against what is known of them: fields that no such event has, comparisons that their types cannot give, names
 * that hide others. One walk over an expression's tree.
 */
import { type CelNode, type Comparison, textOf, walk } from "../cel-tree.ts";
import { didYouMean } from "../schema.ts";
import { canBeAny, canCompare, canEqual, either, elementOf, fieldOf, type Shape, shapeText, valuesOf } from "./shape.ts";
import type { Finding } from "./warning.ts";

/** What each name is. Undefined under a name: anything. */
export type Names = Readonly<Record<string, Shape | undefined>>;

const boolean: Shape = { type: "boolean" };
const number: Shape = { type: "number" };
const text: Shape = { type: "string" };

/** Methods that texts alone have. */
const ofTexts: Record<string, Shape | undefined> = {
  startsWith: boolean,
  endsWith: boolean,
  matches: boolean,
  contains: boolean,
  lowerAscii: text,
  upperAscii: text,
  trim: text,
  indexOf: number,
  lastIndexOf: number,
  substring: text,
  split: { type: "array", items: text },
};

export function lintTypes(tree: CelNode, source: string, names: Names): Finding[] {
  const walker = new Walker(source);
  walker.shapeOf(tree, names);
  return walker.findings;
}

class Walker {
  readonly findings: Finding[] = [];
  readonly #source: string;

  constructor(source: string) {
    this.#source = source;
  }

  /** Looks at a node and all below it, once each. */
  shapeOf(node: CelNode, names: Names): Shape | undefined {
    switch (node.kind) {
      case "value":
        return constantShape(node.value);
      case "name":
        return Object.hasOwn(names, node.name) ? names[node.name] : undefined;
      case "field":
        return this.#field(node, this.shapeOf(node.of, names));
      case "index":
        this.shapeOf(node.at, names);
        return elementOf(this.shapeOf(node.of, names));
      case "compare":
        this.#compare(node, this.shapeOf(node.left, names), this.shapeOf(node.right, names));
        return boolean;
      case "choose":
        this.shapeOf(node.condition, names);
        return eitherOf([this.shapeOf(node.yes, names), this.shapeOf(node.no, names)]);
      case "method":
        return this.#method(node, names);
      case "macro":
        return this.#macro(node, names);
      case "list":
        return listOf(node.items.map((item) => this.shapeOf(item, names)));
      default:
        return this.#rest(node, names);
    }
  }

  #rest(node: CelNode & { kind: "and" | "or" | "not" | "minus" | "arithmetic" | "call" | "map" }, names: Names): Shape | undefined {
    switch (node.kind) {
      case "and":
      case "or":
        this.shapeOf(node.left, names);
        this.shapeOf(node.right, names);
        return boolean;
      case "not":
        this.shapeOf(node.of, names);
        return boolean;
      case "minus":
        return this.shapeOf(node.of, names);
      case "arithmetic":
        this.shapeOf(node.left, names);
        this.shapeOf(node.right, names);
        return undefined;
      case "call":
        for (const argument of node.args) this.shapeOf(argument, names);
        return node.name === "size" ? number : node.name === "has" ? boolean : undefined;
      case "map":
        for (const [key, value] of node.entries) {
          this.shapeOf(key, names);
          this.shapeOf(value, names);
        }
        return undefined;
    }
  }

  #field(node: CelNode & { kind: "field" }, of: Shape | undefined): Shape | undefined {
    if (of === undefined) return undefined;
    const field = fieldOf(of, node.name);
    if (field.kind === "known") return field.shape;
    if (field.kind === "absent") this.#add("unknown-field", this.#placeOfField(node), this.#noField(node, of, field.names));
    return undefined;
  }

  #noField(node: CelNode & { kind: "field" }, of: Shape, names: string[]): string {
    const owner = textOf(node.of, this.#source);
    if (names.length === 0)
      return canBeAny(of, ["object"]) ? `there is no ${owner}.${node.name}` : `${owner} is ${shapeText(of)}: it has no fields`;
    const known = names.length <= 20 ? ` (known: ${names.join(", ")})` : "";
    return `no such event has ${owner}.${node.name}${didYouMean(node.name, names) || known}`;
  }

  /** A field's name stands last in it. */
  #placeOfField({ end, name, of }: CelNode & { kind: "field" }): number {
    return Math.max(of.end, this.#source.lastIndexOf(name, end - 1));
  }

  #compare(node: CelNode & { kind: "compare" }, left: Shape | undefined, right: Shape | undefined): void {
    if (node.op === "in") return this.#in(node, left, right);
    if (node.right.kind === "value") this.#against(node, { of: node.left, shape: left, constant: node.right });
    else if (node.left.kind === "value") this.#against(node, { of: node.right, shape: right, constant: node.left });
  }

  #against(
    { op }: { op: Comparison },
    { of, shape, constant }: { of: CelNode; shape: Shape | undefined; constant: CelNode & { kind: "value" } },
  ): void {
    if (shape === undefined || of.kind === "value") return;
    const value = plain(constant.value);
    if (value === undefined) return;
    const equality = op === "==" || op === "!=";
    if (equality ? canEqual(shape, value) : canCompare(shape, value)) return;
    const what = `${textOf(of, this.#source)} is ${shapeText(shape)}`;
    const literal = textOf(constant, this.#source);
    const hint = typeof value === "string" ? didYouMean(value, valuesOf(shape)) : "";
    this.#add("wrong-value", constant.start, `${what}, ${equality ? `never ${literal}` : `which has no order with ${literal}`}${hint}`);
  }

  #in(node: CelNode & { kind: "compare" }, left: Shape | undefined, right: Shape | undefined): void {
    if (node.right.kind === "list") {
      const items = node.right.items.filter((item) => item.kind === "value");
      for (const constant of items) this.#against({ op: "==" }, { of: node.left, shape: left, constant });
    } else if (node.left.kind === "value") {
      const element = elementOf(right);
      const value = plain(node.left.value);
      if (element === undefined || value === undefined || canEqual(element, value)) return;
      const hint = typeof value === "string" ? didYouMean(value, valuesOf(element)) : "";
      const message = `an element of ${textOf(node.right, this.#source)} is ${shapeText(element)}, never ${textOf(node.left, this.#source)}${hint}`;
      this.#add("wrong-value", node.left.start, message);
    }
  }

  #method(node: CelNode & { kind: "method" }, names: Names): Shape | undefined {
    const of = this.shapeOf(node.of, names);
    for (const argument of node.args) this.shapeOf(argument, names);
    if (node.name === "size") return number;
    if (node.name === "orValue") return undefined;
    if (!Object.hasOwn(ofTexts, node.name)) return undefined;
    if (of !== undefined && !canBeAny(of, ["string"])) {
      const source = textOf(node.of, this.#source);
      this.#add("wrong-value", node.start, `${source} is ${shapeText(of)}: ${node.name} is for texts`);
    }
    return ofTexts[node.name];
  }

  #macro(node: CelNode & { kind: "macro" }, names: Names): Shape | undefined {
    const of = this.shapeOf(node.of, names);
    if (Object.hasOwn(names, node.name)) this.#shadowed(node);
    const inside = { ...names, [node.name]: node.macro === "bind" ? of : elementOf(of) };
    const shapes = node.body.map((part) => this.shapeOf(part, inside));
    if (node.macro === "filter") return of;
    if (node.macro === "bind") return shapes.at(-1);
    return node.macro === "map" ? listOf([shapes.at(-1)]) : boolean;
  }

  #shadowed({ name, nameStart, body }: CelNode & { kind: "macro" }): void {
    let used = false;
    for (const part of body) walk(part, (each) => (used ||= each.kind === "name" && each.name === name));
    const effect = used ? `inside, "${name}" is the element, not what it is outside` : `"${name}" cannot be reached inside`;
    this.#add("shadowed-name", nameStart, `the name "${name}" hides another one: ${effect}; take another name`);
  }

  #add(code: Finding["code"], offset: number, message: string): void {
    this.findings.push({ code, offset, message });
  }
}

function constantShape(value: unknown): Shape | undefined {
  const constant = plain(value);
  return constant === undefined ? undefined : { const: constant };
}

/** A constant as JSON has it; undefined for what JSON has not. */
export function plain(value: unknown): string | number | boolean | null | undefined {
  if (typeof value === "bigint") return Number(value);
  if (value === null || typeof value === "string" || typeof value === "number" || typeof value === "boolean") return value;
  return undefined;
}

function listOf(items: (Shape | undefined)[]): Shape {
  const item = eitherOf(items);
  return item === undefined ? { type: "array" } : { type: "array", items: item };
}

function eitherOf(shapes: (Shape | undefined)[]): Shape | undefined {
  const known = shapes.filter((shape) => shape !== undefined);
  return known.length === shapes.length && known.length > 0 ? either(known) : undefined;
}
