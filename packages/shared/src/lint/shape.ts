/**
 * What is known of a value before there is one: as much of its JSON Schema as a linter needs. Undefined stands for "anything".
 * Whatever a schema leaves open counts as possible: a shape never says no to a value that could come.
 */

/** A part of JSON Schema that every schema of ours fits. */
export interface Shape {
  readonly type?: string | readonly string[];
  readonly properties?: Readonly<Record<string, Shape>>;
  readonly additionalProperties?: boolean | Shape;
  readonly items?: Shape | boolean;
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly anyOf?: readonly Shape[];
}

export type Field = { kind: "any" } | { kind: "known"; shape: Shape } | { kind: "absent"; names: string[] };

export function either(shapes: readonly Shape[]): Shape {
  return shapes.length === 1 ? shapes[0]! : { anyOf: [...new Set(shapes)] };
}

/** What `value.name` can be; absent: no value of this shape has it, these are the names that there are. */
export function fieldOf(shape: Shape, name: string): Field {
  const found: Shape[] = [];
  const names = new Set<string>();
  for (const each of alternatives(shape)) {
    if (!canBe(each, "object")) continue;
    if (each.properties !== undefined && Object.hasOwn(each.properties, name)) found.push(each.properties[name]!);
    else if (typeof each.additionalProperties === "object") found.push(each.additionalProperties);
    else if (each.additionalProperties !== false) return { kind: "any" };
    for (const known of Object.keys(each.properties ?? {})) names.add(known);
  }
  if (found.length === 0) return { kind: "absent", names: [...names] };
  return { kind: "known", shape: either(found) };
}

/** What an element of a list, or a key of a map, can be. */
export function elementOf(shape: Shape | undefined): Shape | undefined {
  if (shape === undefined) return undefined;
  const lists = alternatives(shape).filter((each) => canBe(each, "array"));
  const items = lists.map((each) => each.items);
  if (lists.length === 0 || items.some((each) => typeof each !== "object")) return undefined;
  return either(items as Shape[]);
}

/** Whether a value of this shape can be this constant. */
export function canEqual(shape: Shape, constant: unknown): boolean {
  return alternatives(shape).some((each) => {
    if (each.const !== undefined) return each.const === constant;
    if (each.enum !== undefined) return each.enum.includes(constant);
    if (typeof constant !== "number") return canBe(each, typeOf(constant));
    return canBe(each, "number") || (canBe(each, "integer") && Number.isInteger(constant));
  });
}

/** Whether it can be ordered against this constant: numbers with numbers, texts with texts. */
export function canCompare(shape: Shape, constant: unknown): boolean {
  return typeof constant === "number" ? canBeAny(shape, ["number", "integer"]) : canBeAny(shape, [typeOf(constant)]);
}

export function canBeAny(shape: Shape, types: readonly string[]): boolean {
  return alternatives(shape).some((each) => types.some((type) => canBe(each, type)));
}

/** The values that it can be, when these are all; for a suggestion. */
export function valuesOf(shape: Shape): string[] {
  return alternatives(shape).flatMap((each) => (each.enum ?? []).map(String));
}

/** In words: `a number or null`. */
export function shapeText(shape: Shape): string {
  const words = alternatives(shape).flatMap((each) => {
    if (each.const !== undefined) return [JSON.stringify(each.const)];
    if (each.enum !== undefined) return [`one of ${each.enum.map(String).join(", ")}`];
    return [each.type ?? []].flat().map((type) => typeWords[type] ?? type);
  });
  return [...new Set(words)].join(" or ");
}

const typeWords: Record<string, string> = {
  array: "a list",
  boolean: "true or false",
  integer: "a whole number",
  number: "a number",
  object: "a map",
  string: "a text",
};

function alternatives(shape: Shape): readonly Shape[] {
  return shape.anyOf === undefined ? [shape] : shape.anyOf.flatMap(alternatives);
}

function canBe({ type, enum: values, const: only }: Shape, wanted: string): boolean {
  if (type !== undefined) return [type].flat().includes(wanted);
  const possible = only === undefined ? values : [only];
  return possible === undefined || possible.some((value) => typeOf(value) === wanted);
}

function typeOf(value: unknown): string {
  if (value === null) return "null";
  return Array.isArray(value) ? "array" : typeof value;
}
