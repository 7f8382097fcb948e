/** Actions on processes. */
import type { JSONSchema } from "json-schema-to-ts";
import { durationPattern } from "../duration.ts";
import { type ActionSpec, user } from "./spec.ts";

const which = {
  pid: { type: "integer", minimum: 1, maximum: 4_194_304, description: "its number; with `start` it is one process and no other" },
  start: { type: "integer", minimum: 0, description: "when it was started, in ticks since the boot (field 22 of /proc/PID/stat)" },
  name: { type: "string", minLength: 1, maxLength: 255, description: "its name, in full; the kernel keeps 15 bytes of it" },
  user: { ...user, description: "whose it is" },
  pid_file: { type: "string", pattern: "^/", maxLength: 4096, description: "the process whose number stands in this file" },
  at_most: {
    type: "integer",
    minimum: 1,
    maximum: 1_000,
    default: 10,
    description: "when more processes fit, nothing is done to any of them",
  },
} as const;

const found = {
  type: "object",
  properties: { pid: { type: "integer" }, start: { type: "integer" }, name: { type: "string" }, user: { type: "string" } },
  required: ["pid", "start", "name", "user"],
  additionalProperties: false,
} as const satisfies JSONSchema;

const reached = { type: "array", items: found, description: "whom it reached" } as const;
const spared = {
  type: "array",
  items: found,
  description: "who fitted and is never touched: the first process, the kernel's own, the agent and what it was started by",
} as const;

const signals = ["TERM", "KILL", "INT", "QUIT", "HUP", "USR1", "USR2", "STOP", "CONT", "WINCH"] as const;

const signalArgs = {
  type: "object",
  properties: {
    ...which,
    signal: { enum: signals, default: "TERM", description: "which signal" },
    kill_after: {
      type: "string",
      title: "a duration such as 10s",
      pattern: durationPattern,
      description: "wait until they have ended, and send KILL to those that live after this time",
    },
  },
  additionalProperties: false,
} as const satisfies JSONSchema;
const signalResult = {
  type: "object",
  properties: { reached, spared, killed: { type: "array", items: found, description: "whom KILL was sent to after `kill_after`" } },
  required: ["reached", "spared"],
  additionalProperties: false,
} as const satisfies JSONSchema;

const reniceArgs = {
  type: "object",
  properties: { ...which, nice: { type: "integer", minimum: -20, maximum: 19, description: "from -20 (first) to 19 (last)" } },
  required: ["nice"],
  additionalProperties: false,
} as const satisfies JSONSchema;
const reniceResult = {
  type: "object",
  properties: { reached, spared },
  required: ["reached", "spared"],
  additionalProperties: false,
} as const satisfies JSONSchema;

export const processActions = {
  "process.signal": {
    runsOn: "agent",
    summary: "Send a signal to the processes that fit all of `pid`, `start`, `name`, `user` and `pid_file` that are given.",
    args: signalArgs,
    judged: { user: "users" },
    result: signalResult,
  },
  "process.renice": {
    runsOn: "agent",
    summary: "Change how nice processes are, with all of their threads. Those that are so already are left alone.",
    args: reniceArgs,
    judged: { user: "users" },
    result: reniceResult,
  },
} as const satisfies Record<string, ActionSpec>;
