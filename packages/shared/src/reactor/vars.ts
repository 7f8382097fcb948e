/**
 * A reactor's variables: literal values, files, and names of the master's environment. This does no I/O: what a file or a name holds is
 * asked of {@link Sources}.
 */
import { shown } from "../schema.ts";
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
  /** Those whose values are true when the file is read: no secrets, and nothing that was not asked for. */
  known: Set<string>;
}

type VarSource = NonNullable<ReactorSource["vars"]>[string];
interface VarForm {
  value?: unknown;
  file?: string;
  env?: string;
  default?: unknown;
  secret: boolean;
}

/** One variable of a draft. */
interface Wanted {
  draft: Draft;
  path: Path;
  source: VarForm;
  sources: Sources;
}

export function compileVars(draft: Draft, { name: reactor, vars = {} }: ReactorSource, sources: Sources): Variables {
  const made: Variables = { values: {}, secrets: new Set(), known: new Set() };
  for (const [name, source] of Object.entries(vars)) {
    if (!isForm(source)) {
      made.values[name] = source;
      made.known.add(name);
      continue;
    }
    const wanted: Wanted = { draft, path: ["vars", name], source, sources };
    checkForm(wanted);
    if (source.secret) {
      made.secrets.add(name);
      made.values[name] = (sources.mark ?? secretMark)(`${reactor}/${name}`, secretText(wanted));
      continue;
    }
    made.values[name] = valueOf(wanted) ?? null;
    if (isAsked(wanted)) made.known.add(name);
  }
  return made;
}

function isForm(source: VarSource): source is VarForm & VarSource {
  return typeof source === "object" && source !== null && !Array.isArray(source);
}

function isAsked({ source: { file, env }, sources }: Wanted): boolean {
  return (file === undefined || sources.file !== undefined) && (env === undefined || sources.env !== undefined);
}

function checkForm({ draft, path, source }: Wanted): void {
  const has = (key: keyof VarForm) => Object.hasOwn(source, key);
  const wrong = (key: keyof VarForm, message: string) => draft.problem([...path, key], message, { key: true });
  const given = (["value", "file", "env"] as const).filter(has);
  if (given.length !== 1) {
    const none = "there is none; a map as the value itself is written { value: { ... } }";
    const found = given.length === 0 ? none : `there are ${given.join(" and ")}`;
    draft.problem(path, `one of value, file, env is needed, ${found}`, { key: true });
  }
  if (has("default") && !has("env")) wrong("default", '"default" is for "env"');
  if (source.secret && has("value"))
    wrong("secret", "a secret is never written into a reactor: name a file or a variable of the environment");
  if (source.secret && has("default")) wrong("default", "a secret has no default: it would stand here in clear");
}

function valueOf(wanted: Wanted): unknown {
  const { value, file, env } = wanted.source;
  if (file !== undefined) return fileValue(wanted, file);
  return env !== undefined ? envValue(wanted, env) : value;
}

function fileValue(wanted: Wanted, file: string): unknown {
  const text = fileText(wanted, file);
  if (text === undefined) return undefined;
  const parsed = parseYaml(file, text);
  if (parsed.ok && parsed.documents.length === 1) return parsed.documents[0]!.value;
  const why = parsed.ok ? `it holds ${parsed.documents.length} documents, one is wanted` : describe(parsed.problems[0]!);
  wanted.draft.problem([...wanted.path, "file"], `${shown(file)} cannot be read as YAML: ${why}`);
  return undefined;
}

function describe({ line, column, message }: { line: number; column: number; message: string }): string {
  return `line ${line}, column ${column}: ${message}`;
}

/** As a text, without the line break at its end that every editor leaves. */
function secretText(wanted: Wanted): string {
  const { file, env } = wanted.source;
  const text = file !== undefined ? fileText(wanted, file) : env !== undefined ? envValue(wanted, env) : undefined;
  const secret = typeof text === "string" ? text.replace(/\r?\n$/, "") : "";
  if (text !== undefined && secret === "") wanted.draft.problem(wanted.path, "the secret is empty");
  return secret;
}

function fileText({ draft, path, source, sources }: Wanted, file: string): string | undefined {
  // Secrets are often kept elsewhere, with rights of their own: /run/credentials.
  if (file.split("/").includes("..") || (file.startsWith("/") && !source.secret)) {
    draft.problem([...path, "file"], `expected a path below the folder of this file, got ${shown(file)}`);
    return undefined;
  }
  if (sources.file === undefined) return undefined;
  const text = sources.file(file);
  if (text === undefined) draft.problem([...path, "file"], `there is no file ${shown(file)} beside this one, or it cannot be read`);
  return text;
}

function envValue({ draft, path, source: { default: fallback }, sources }: Wanted, env: string): unknown {
  if (sources.env === undefined) return fallback;
  const value = sources.env(env) ?? fallback;
  if (value === undefined) draft.problem([...path, "env"], `"${env}" is not set in the master's environment, and there is no "default"`);
  return value;
}
