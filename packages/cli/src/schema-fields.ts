/** The fields of an object's schema as rows for people: name, default, meaning. */

/** What is read of a schema. */
export interface FieldSchema {
  readonly properties?: Readonly<Record<string, FieldSchema>>;
  readonly required?: readonly string[];
  readonly description?: string;
  readonly default?: unknown;
  readonly enum?: readonly unknown[];
}

export interface Field {
  name: string;
  /** `required`, a default, or `-`. */
  fallback: string;
  meaning: string;
}

export function fieldsOf({ properties = {}, required = [] }: FieldSchema): Field[] {
  return Object.entries(properties).map(([name, field]) => ({
    name,
    fallback: required.includes(name) ? "required" : defaultText(field),
    meaning: meaning(field),
  }));
}

function defaultText({ default: value }: FieldSchema): string {
  if (value === undefined) return "-";
  return typeof value === "string" ? value : JSON.stringify(value);
}

function meaning({ description = "", enum: allowed }: FieldSchema): string {
  return [allowed?.join(" | "), description].filter((part) => part !== undefined && part !== "").join(": ");
}
