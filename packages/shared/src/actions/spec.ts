/** What is said of an action: on which side it runs, the schemas of its arguments and of its result. */
import type { JSONSchema } from "json-schema-to-ts";
import { durationPattern } from "../duration.ts";
import { digestPattern } from "../ids.ts";

/**
 * `runsOn`: which side performs it. `verify`: the action that confirms, with the same arguments, that it held. `judged`: which arguments the
 * agent's policy judges (policy.ts), and against which of its lists. `command`: what it starts, for one that starts what it is told to.
 * `inStep`: the task does it itself, with nothing but the journal and the time.
 */
export interface ActionSpec {
  readonly runsOn: "agent" | "master";
  readonly summary: string;
  readonly args: JSONSchema;
  readonly result: JSONSchema;
  readonly verify?: string;
  /** Its `source` is content of the master's file root. */
  readonly sourced?: boolean;
  readonly inStep?: true;
  readonly judged?: Readonly<Record<string, "paths" | "users" | "units" | "packages">>;
  readonly command?: (args: Readonly<Record<string, unknown>>) => { argv: readonly string[]; env: readonly string[] };
}

/** Content of this size, in bytes, an action takes from the file root: it is held in memory on the host. */
export const contentBytesMax = 16_777_216;

/** Content of the master's file root: an author writes `source`, the master adds the others when the command goes out. */
export const sourced = {
  source: {
    type: "string",
    title: "a path below the file root, without .. parts",
    pattern: "^(?!/)(?!.*(^|/)\\.{0,2}(/|$))[^\\u0000]+$",
    maxLength: 4096,
    description: "a file below the master's file root",
  },
  digest: {
    type: "string",
    pattern: digestPattern,
    description: "SHA-256 of the source; given, it must be this one, else the master fills it in",
  },
  size: { type: "integer", minimum: 0, maximum: contentBytesMax, description: "of the source, in bytes; the master fills it in" },
} as const;

export const path = { type: "string", title: "an absolute path", pattern: "^/", maxLength: 4096, description: "an absolute path" } as const;

export function timeout<const D extends string>(preset: D, description: string) {
  return { type: "string", title: "a duration such as 30s", pattern: durationPattern, default: preset, description } as const;
}

export const user = {
  type: "string",
  title: "the name of a user",
  pattern: "^[A-Za-z_][A-Za-z0-9_.-]*[$]?$",
  maxLength: 256,
  description: "a name in /etc/passwd",
} as const;
