/**
 * Managed files: the map on the master that says which file of its file root belongs where, and how it must look there.
 */
import type { FromSchema, JSONSchema } from "json-schema-to-ts";
import { digestPattern } from "./ids.ts";
import { checker } from "./schema.ts";
import { compileTarget, type TargetTest, targetsSchema } from "./target.ts";
import { checkDocument, parseYaml, type Problem, type YamlDocument } from "./yaml-file.ts";

/** Larger managed files are refused at load. */
export const managedFileBytesMax = 64 * 1024 * 1024;

export const accountPattern = "^[A-Za-z0-9_][A-Za-z0-9_.-]{0,31}$";

export const fileMapSchema = {
  type: "object",
  properties: {
    files: {
      type: "array",
      maxItems: 100_000,
      items: {
        type: "object",
        properties: {
          path: { type: "string", pattern: "^/([^\\u0000]*[^/\\u0000])$", maxLength: 4096, description: "the absolute path on the host" },
          source: { type: "string", minLength: 1, maxLength: 4096, description: "the file below the file root" },
          owner: { type: "string", pattern: accountPattern, default: "root", description: "a user name or number in quotes" },
          group: { type: "string", pattern: accountPattern, default: "root", description: "a group name or number in quotes" },
          mode: { type: "string", pattern: "^0?[0-7]{3,4}$", default: "0644", description: 'a mode in quotes, such as "0644"' },
          secret: { type: "boolean", default: false, description: "its content never appears in an event" },
          targets: targetsSchema,
        },
        required: ["path", "source"],
        additionalProperties: false,
      },
    },
  },
  required: ["files"],
  additionalProperties: false,
} as const satisfies JSONSchema;
export type FileMapEntry = FromSchema<typeof fileMapSchema>["files"][number];

/** A managed file as an agent gets it: what must be at `path`. `size` in bytes, `mode` as a number. */
export const managedFileSchema = {
  type: "object",
  properties: {
    path: { type: "string", pattern: "^/", maxLength: 4096 },
    digest: { type: "string", pattern: digestPattern },
    size: { type: "integer", minimum: 0, maximum: managedFileBytesMax },
    mode: { type: "integer", minimum: 0, maximum: 0o7777 },
    owner: { type: "string", pattern: accountPattern },
    group: { type: "string", pattern: accountPattern },
    secret: { type: "boolean" },
  },
  required: ["path", "digest", "size", "mode", "owner", "group", "secret"],
  additionalProperties: false,
} as const satisfies JSONSchema;
export type ManagedFile = FromSchema<typeof managedFileSchema>;

/** What an agent keeps of them on its disk. */
export const managedListSchema = {
  type: "object",
  properties: { version: { type: "string" }, files: { type: "array", items: managedFileSchema } },
  required: ["version", "files"],
  additionalProperties: false,
} as const satisfies JSONSchema;

export interface LoadedFile {
  entry: FileMapEntry;
  test: TargetTest;
  /** A problem with this entry, found later (its source cannot be read, say), at its place in the map. */
  problem(message: string): Problem;
}

const checkMap = checker(fileMapSchema);

export function loadFileMap(file: string, text: string): { ok: true; files: LoadedFile[] } | { ok: false; problems: Problem[] } {
  const parsed = parseYaml(file, text);
  if (!parsed.ok) return parsed;
  const files: LoadedFile[] = [];
  const problems: Problem[] = [];
  for (const document of parsed.documents) {
    const checked = checkDocument(document, checkMap);
    if (!checked.ok) problems.push(...checked.problems);
    else for (const [index, entry] of checked.value.files.entries()) loadEntry(document, index, entry, { files, problems });
  }
  return problems.length > 0 ? { ok: false, problems } : { ok: true, files };
}

function loadEntry(document: YamlDocument, index: number, entry: FileMapEntry, out: { files: LoadedFile[]; problems: Problem[] }): void {
  const at = (key: string, message: string, offset = 0) => document.problemAt(["files", index, key], message, { offset });
  const unsafe = (path: string) => path.split("/").some((part) => part === ".." || part === ".") || path.includes("//");
  if (unsafe(entry.path)) return void out.problems.push(at("path", "a path may not hold //, . or .. parts"));
  if (entry.source.startsWith("/") || unsafe(entry.source)) {
    return void out.problems.push(at("source", "a source is a path below the file root, without .. parts"));
  }
  const target = compileTarget(entry.targets);
  if (!target.ok) return void out.problems.push(at("targets", target.message, target.offset));
  out.files.push({ entry, test: target.test, problem: (message) => at("source", message) });
}
