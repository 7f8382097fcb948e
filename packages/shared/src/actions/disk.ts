/** Actions on what fills a disk. */
import type { JSONSchema } from "json-schema-to-ts";
import { durationPattern } from "../duration.ts";
import { type ActionSpec, path } from "./spec.ts";

const diskCleanArgs = {
  type: "object",
  properties: {
    path: { ...path, description: "the directory: an absolute path" },
    match: {
      type: "array",
      items: { type: "string", minLength: 1, maxLength: 1_000 },
      minItems: 1,
      maxItems: 100,
      description: 'globs of paths below it: "*.log" those in it, "**/*.log" those in its directories, too',
    },
    older_than: {
      type: "string",
      title: "a duration such as 7d",
      pattern: durationPattern,
      description: "only those not changed for so long",
    },
    larger_than: { type: "integer", minimum: 0, description: "only those of more bytes" },
    keep: { type: "integer", minimum: 0, maximum: 100_000, default: 0, description: "of those that match, so many of the newest stay" },
    cross_mounts: { type: "boolean", default: false, description: "go into file systems that are mounted below it" },
    looks_max: {
      type: "integer",
      minimum: 1,
      maximum: 1_000_000,
      default: 100_000,
      description: "entries that are looked at; where there are more, it fails, and removes nothing",
    },
  },
  required: ["path", "match"],
  additionalProperties: false,
} as const satisfies JSONSchema;
const diskCleanResult = {
  type: "object",
  properties: {
    path: { type: "string" },
    removed: { type: "integer", description: "files" },
    bytes: { type: "integer", description: "that they took on the disk" },
    failed: { type: "integer", description: "files that could not be removed, or that somebody put another in the place of" },
    refused: { type: "integer", description: "files that the policy or the list of managed files keeps" },
    files: { type: "array", items: { type: "string" }, description: "the largest of them" },
  },
  required: ["path", "removed", "bytes", "failed", "refused", "files"],
  additionalProperties: false,
} as const satisfies JSONSchema;

export const diskActions = {
  "disk.clean": {
    runsOn: "agent",
    summary: "Remove files below a directory, by age, size and glob. Never follows a link, never leaves the file system unless told.",
    args: diskCleanArgs,
    judged: { path: "paths" },
    result: diskCleanResult,
  },
} as const satisfies Record<string, ActionSpec>;
