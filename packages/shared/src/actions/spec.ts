/** What is said of an action: on which side it runs, the schemas of its arguments and of its result. */
import type { JSONSchema } from "json-schema-to-ts";

/**
 * `runsOn`: which side performs it. `verify`: the action that confirms, with the same arguments, that it held. `judged`: which arguments the
 * agent's policy judges (policy.ts), and against which of its lists. `command`: what it starts, for one that starts what it is told to.
 */
export interface ActionSpec {
  readonly runsOn: "agent" | "master";
  readonly summary: string;
  readonly args: JSONSchema;
  readonly result: JSONSchema;
  readonly verify?: string;
  readonly judged?: Readonly<Record<string, "paths" | "users" | "units" | "packages">>;
  readonly command?: (args: Readonly<Record<string, unknown>>) => { argv: readonly string[]; env: readonly string[] };
}

export const path = { type: "string", title: "an absolute path", pattern: "^/", maxLength: 4096, description: "an absolute path" } as const;
