/**
 * A reactor's variables: literal values, files, and names of the master's environment. This does no I/O: what a file or a name holds is
 * asked of {@link Sources}.
 */
import { secretMark } from "../secret.ts";
import { parseYaml, type Path } from "../yaml-file.ts";
import type { Draft } from "./draft.ts";
import type { ReactorSource } from "./schema.ts";

/**
 * Where variables come from. What is left out is not asked: a variable from there is its default, or null, and none is missing.
 * `file`: the text of a file, by its path as the reactor says it. Undefined: there is none.
 */
export interface Sources {
  file?(path: string): string | undefined;
  env?(name: string): string | undefined;
  /** The mark that stands for a secret wherever it goes, `name`: `REACTOR/VARIABLE`. Without it a mark that nothing replaces. */
  mark?(name: string, value: string): string;
}

export interface Variables {
  values: Record<string, unknown>;
  secrets: Set<string>;
}

type VarSource = NonNullable<ReactorSource["vars"]>[string];
interface VarForm {
  value?: unknown;
  file?: string;
  env?: string;
  default?: unknown;
  secret: boolean;
}

export function compileVars(draft: Draft, { name: reactor, vars = {} }: ReactorSource, sources: Sources): Variables {
  const made: Variables = { values: {}, secrets: new Set() };
  for (const [name, source] of Object.entries(vars)) {
    const path: Path = ["vars", name];
    if (!isForm(source)) {
      made.values[name] = source;
      continue;
    }
    checkForm(draft, source, path);
    if (source.secret) made.secrets.add(name);
    const value = source.secret ? secretText(draft, source, path, sources) : valueOf(draft, source, path, sources);
    made.values[name] = source.secret ? (sources.mark ?? secretMark)(`${reactor}/${name}`, String(value ?? "")) : value;
  }
  return made;
}

function isForm(source: VarSource): source is VarForm & VarSource {
  return typeof source === "object" && source !== null && !Array.isArray(source);
}

function checkForm(draft: Draft, source: VarForm, path: Path): void {
  const given = (["value", "file", "env"] as const).filter((key) => Object.hasOwn(source, key));
  if (given.length !== 1) {
    const found =
      given.length === 0 ? "there is none; a map as the value itself is written { value: { ... } }" : `there are ${given.join(" and ")}`;
    draft.problem(path, `one of value, file, env is needed, ${found}`, { key: true });
  }
  if (Object.hasOwn(source, "default") && source.env === undefined)
    draft.problem([...path, "default"], '"default" is for "env"', { key: true });
  if (!source.secret) return;
  if (Object.hasOwn(source, "value"))
    draft.problem([...path, "secret"], "a secret is never written into a reactor: name a file or a variable of the environment", {
      key: true,
    });
  if (Object.hasOwn(source, "default"))
    draft.problem([...path, "default"], "a secret has no default: it would stand here in clear", { key: true });
}

function valueOf(draft: Draft, source: VarForm, path: Path, sources: Sources): unknown {
  if (source.file !== undefined) return fileValue(draft, source.file, path, sources);
  if (source.env !== undefined) return envValue(draft, source, path, sources);
  return source.value;
}

function fileValue(draft: Draft, file: string, path: Path, sources: Sources): unknown {
  const text = fileText(draft, file, path, sources);
  if (text === undefined) return null;
  const parsed = parseYaml(file, text);
  if (parsed.ok && parsed.documents.length === 1) return parsed.documents[0]!.value;
  const why = parsed.ok ? `it holds ${parsed.documents.length} documents, one is wanted` : describe(parsed.problems[0]!);
  draft.problem([...path, "file"], `"${file}" cannot be read as YAML: ${why}`);
  return null;
}

function describe({ line, column, message }: { line: number; column: number; message: string }): string {
  return `line ${line}, column ${column}: ${message}`;
}

/** As a text, without the line break at its end that every editor leaves. */
function secretText(draft: Draft, source: VarForm, path: Path, sources: Sources): string | undefined {
  const text = source.file === undefined ? envValue(draft, source, path, sources) : fileText(draft, source.file, path, sources);
  if (typeof text !== "string") return undefined;
  const secret = text.replace(/\r?\n$/, "");
  if (secret === "") draft.problem(path, "the secret is empty");
  return secret;
}

function fileText(draft: Draft, file: string, path: Path, sources: Sources): string | undefined {
  if (file.startsWith("/") || file.split("/").includes("..")) {
    draft.problem([...path, "file"], `expected a path below the reactor's folder, got "${file}"`);
    return undefined;
  }
  if (sources.file === undefined) return undefined;
  const text = sources.file(file);
  if (text === undefined) draft.problem([...path, "file"], `there is no file "${file}" beside this one, or it cannot be read`);
  return text;
}

function envValue(draft: Draft, { env, default: fallback }: VarForm, path: Path, sources: Sources): unknown {
  if (env === undefined) return null;
  if (sources.env === undefined) return fallback ?? null;
  const value = sources.env(env) ?? fallback;
  if (value === undefined) draft.problem([...path, "env"], `"${env}" is not set in the master's environment, and there is no "default"`);
  return value ?? null;
}
