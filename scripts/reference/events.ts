/** Event types on a page of the reference: what each says, and the fields of its data, told once for those whose data look alike. */
import type { EventTypeSpec } from "@needfire/shared/event-types/spec";
import { fields, type Schema } from "./page.ts";

/** `example`: what stands below the line of a type. */
export function eventSections(types: Readonly<Record<string, EventTypeSpec>>, example: (type: string) => string[] = () => []): string[] {
  return sameData(types).map(({ types: alike, schema }) =>
    [...alike.flatMap(([type, spec]) => [typeLine(type, spec), ...example(type)]), fields(schema)].join("\n\n"),
  );
}

function typeLine(type: string, { description, severity }: EventTypeSpec): string {
  return `### \`${type}\`\n\n${description} Severity: ${severity}.`;
}

function sameData(types: Readonly<Record<string, EventTypeSpec>>): { types: [string, EventTypeSpec][]; schema: Schema }[] {
  const found = new Map<Schema, [string, EventTypeSpec][]>();
  for (const [type, spec] of Object.entries(types)) {
    const schema = spec.data as Schema;
    found.set(schema, [...(found.get(schema) ?? []), [type, spec]]);
  }
  return [...found].map(([schema, alike]) => ({ types: alike, schema }));
}
