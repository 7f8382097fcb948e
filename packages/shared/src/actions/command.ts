/** Actions that run programs. */
import type { JSONSchema } from "json-schema-to-ts";
import { durationPattern } from "../duration.ts";
import { digestPattern } from "../ids.ts";
import { type ActionSpec, path, sourced } from "./spec.ts";

/** How a program is run. */
const process = {
  cwd: { ...path, default: "/", description: "where it runs: an absolute path" },
  env: {
    type: "object",
    additionalProperties: { type: "string" },
    default: {},
    description: "added to the fixed environment (PATH, LANG=C.UTF-8, HOME); nothing is inherited from the agent",
  },
  stdin: { type: "string", default: "", maxLength: 65_536, description: "what the program can read" },
  timeout: {
    type: "string",
    title: "a duration such as 30s",
    pattern: durationPattern,
    default: "1m",
    description: "how long it may take; then SIGTERM, and SIGKILL 5 s later",
  },
  output_bytes_max: {
    type: "integer",
    minimum: 0,
    maximum: 131_072,
    default: 32_768,
    description: "of stdout and of stderr; the rest is counted and left out",
  },
  success_codes: {
    type: "array",
    items: { type: "integer", minimum: 0, maximum: 255 },
    default: [0],
    description: "exit codes that mean success",
  },
} as const;

const argv = {
  type: "array",
  items: { type: "string", maxLength: 131_072 },
  minItems: 1,
  maxItems: 1_000,
  description: "the program and its arguments, each passed on as it is",
} as const;

const commandRunArgs = {
  type: "object",
  properties: {
    argv,
    shell: {
      type: "boolean",
      default: false,
      description:
        "true: argv[0] is a script for /bin/sh, the rest its positional parameters ($1, $2, ...); values never become part of the script",
    },
    ...process,
  },
  required: ["argv"],
  additionalProperties: false,
} as const satisfies JSONSchema;
const commandLocalArgs = {
  type: "object",
  properties: {
    argv,
    ...process,
  },
  required: ["argv"],
  additionalProperties: false,
} as const satisfies JSONSchema;
const scriptRunArgs = {
  type: "object",
  properties: {
    ...sourced,
    args: {
      type: "array",
      items: { type: "string", maxLength: 131_072 },
      maxItems: 1_000,
      default: [],
      description: "its arguments, each passed on as it is",
    },
    ...process,
  },
  required: ["source"],
  additionalProperties: false,
} as const satisfies JSONSchema;

/** How it ended. */
const ended = {
  exit_code: { type: ["integer", "null"] },
  signal: { type: ["string", "null"] },
  timed_out: { type: "boolean" },
  duration_ms: { type: "number" },
  stdout: { type: "string" },
  stderr: { type: "string" },
  output_note: { type: "string", description: "present when output was cut" },
  env: { type: "object", additionalProperties: { type: "string" }, description: "the environment that the program saw" },
} as const;
const endedAlways = ["exit_code", "signal", "timed_out", "duration_ms", "stdout", "stderr", "env"] as const;

const commandRunResult = {
  type: "object",
  properties: ended,
  required: endedAlways,
  additionalProperties: false,
} as const satisfies JSONSchema;

const scriptRunResult = {
  type: "object",
  properties: { digest: { type: "string", pattern: digestPattern, description: "of the script that ran" }, ...ended },
  required: ["digest", ...endedAlways],
  additionalProperties: false,
} as const satisfies JSONSchema;

export const commandActions = {
  "command.run": {
    runsOn: "agent",
    summary: "Run a program without a shell, with a time limit, a stated environment and capped output.",
    args: commandRunArgs,
    result: commandRunResult,
    command: ({ argv, shell, env }) => ({
      argv: shell === true ? ["/bin/sh", "-c", (argv as string[])[0] ?? "", "sh", ...(argv as string[]).slice(1)] : (argv as string[]),
      env: Object.keys(env as object),
    }),
  },
  "command.local": {
    runsOn: "master",
    summary: "Run a program on the master's host, as `commands_local` in master.yaml allows it.",
    args: commandLocalArgs,
    result: commandRunResult,
  },
  "script.run": {
    runsOn: "agent",
    summary: "Run a script of the master's file root, as it was when the command went out: its digest is checked on the host.",
    args: scriptRunArgs,
    result: scriptRunResult,
    sourced: true,
    // By what is in it, not by its name, which is the master's to give.
    command: ({ digest, args, env }) => ({ argv: [`sha256:${String(digest)}`, ...(args as string[])], env: Object.keys(env as object) }),
  },
} as const satisfies Record<string, ActionSpec>;
