/**
 * Whether a value of a CEL type can be what an action's schema wants at a place. Says nothing where CEL or the schema leaves it open.
 */

/** What is read of an argument's schema. */
interface Schema {
  readonly type?: string | readonly string[];
  readonly enum?: readonly unknown[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: boolean | Schema;
  readonly items?: Schema;
}

const jsonTypes: Record<string, readonly string[]> = {
  string: ["string"],
  int: ["integer", "number"],
  uint: ["integer", "number"],
  double: ["number", "integer"],
  bool: ["boolean"],
  null: ["null"],
  list: ["array"],
  map: ["object"],
};

/** What is wrong with a value of the type at `path` below `schema`, or undefined. */
export function typeProblem(schema: object, path: readonly (string | number)[], celType: string): string | undefined {
  let at: Schema | undefined = schema;
  for (const part of path) at = at === undefined ? undefined : below(at, part);
  return at === undefined ? undefined : mismatch(at, celType);
}

function below(schema: Schema, part: string | number): Schema | undefined {
  if (typeof part === "number") return schema.items;
  if (schema.properties !== undefined && Object.hasOwn(schema.properties, part)) return schema.properties[part];
  return typeof schema.additionalProperties === "object" ? schema.additionalProperties : undefined;
}

function mismatch(schema: Schema, celType: string): string | undefined {
  const { name, inner } = parseType(celType);
  const possible = jsonTypes[name];
  const allowed = typesOf(schema);
  if (possible === undefined || allowed === undefined) return undefined;
  if (!allowed.some((type) => possible.includes(type))) return `expected ${allowed.join(" or ")}, this expression gives ${name}`;
  const part = name === "list" ? schema.items : typeof schema.additionalProperties === "object" ? schema.additionalProperties : undefined;
  if (inner === undefined || part === undefined || mismatch(part, inner) === undefined) return undefined;
  return `expected a ${name} of ${typesOf(part)?.join(" or ")}, this expression gives ${celType}`;
}

function typesOf({ type, enum: values }: Schema): readonly string[] | undefined {
  if (type !== undefined) return typeof type === "string" ? [type] : type;
  return values?.every((value) => typeof value === "string") === true ? ["string"] : undefined;
}

/** `list<string>` is a list of string, `map<string, list<int>>` a map of list<int>. */
function parseType(celType: string): { name: string; inner: string | undefined } {
  const match = /^(list|map)<(.*)>$/.exec(celType);
  if (match === null) return { name: celType, inner: undefined };
  const [, name, inner] = match as unknown as [string, string, string];
  return { name, inner: name === "list" ? inner : inner.slice(inner.indexOf(",") + 1).trim() };
}
