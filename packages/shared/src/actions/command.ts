/** Actions that run programs. */
import type { JSONSchema } from "json-schema-to-ts";
import { durationPattern } from "../duration.ts";
import { type ActionSpec, path } from "./spec.ts";

const commandRunArgs = {
  type: "object",
  properties: {
    argv: {
      type: "array",
      items: { type: "string", maxLength: 131_072 },
      minItems: 1,
      maxItems: 1_000,
      description: "the program and its arguments, each passed on as it is",
    },
    shell: {
      type: "boolean",
      default: false,
      description:
        "true: argv[0] is a script for /bin/sh, the rest its positional parameters ($1, $2, ...); values never become part of the script",
    },
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
  },
  required: ["argv"],
  additionalProperties: false,
} as const satisfies JSONSchema;
const commandRunResult = {
  type: "object",
  properties: {
    exit_code: { type: ["integer", "null"] },
    signal: { type: ["string", "null"] },
    timed_out: { type: "boolean" },
    duration_ms: { type: "number" },
    stdout: { type: "string" },
    stderr: { type: "string" },
    output_note: { type: "string", description: "present when output was cut" },
    env: { type: "object", additionalProperties: { type: "string" }, description: "the environment that the program saw" },
  },
  required: ["exit_code", "signal", "timed_out", "duration_ms", "stdout", "stderr", "env"],
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
} as const satisfies Record<string, ActionSpec>;
