/**
 * Ajv, and the two ways in which it is used here. Large, so nobody loads it but to compile a schema that has no checker in
 * schema-compiled.cjs, or to write that file.
 */
import { Ajv2020, type ErrorObject } from "ajv/dist/2020.js";
import standalone from "ajv/dist/standalone/index.js";

/** `all`: every problem is told, and defaults are filled in. `first`: neither, since a hostile value may have any number of problems. */
export type CheckMode = "all" | "first";

export interface Validate {
  (value: unknown): boolean;
  errors?: ErrorObject[] | null;
}

// Every schema is ours: a test holds them against the meta-schema, whose compilation costs each start 100 ms and several megabytes.
const ours = { strict: true, allowUnionTypes: true, meta: false, validateSchema: false } as const;
const modes = {
  all: { ...ours, allErrors: true, useDefaults: true, verbose: true },
  first: { ...ours, allErrors: false },
} as const satisfies Record<CheckMode, object>;
const engines = { all: new Ajv2020(modes.all), first: new Ajv2020(modes.first) };

export function compile(mode: CheckMode, schema: object): Validate {
  return engines[mode].compile(schema) as Validate;
}

/** The text of a CommonJS module that exports a checker for each schema, by its name. */
export function compiledText(mode: CheckMode, schemas: Record<string, object>): string {
  const engine = new Ajv2020({ ...modes[mode], code: { source: true } });
  for (const [name, schema] of Object.entries(schemas)) engine.addSchema(schema, name);
  return standalone.default(engine, Object.fromEntries(Object.keys(schemas).map((name) => [name, name])));
}
