/**
 * Files of reactors with what they take from outside: other files beside them and the master's environment, read once, when the file is,
 * so that whoever compiles the file again, to explain what it decided, compiles the same. Values of secrets come out only by `Secrets`.
 */
import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import type { Sources } from "@needfire/shared/reactor";

/** By the names that the reactors use. */
export interface Taken {
  files: Record<string, string>;
  env: Record<string, string>;
}

export interface RuleFile {
  file: string;
  text: string;
  taken?: Taken;
}

/** A value for a variable may be so long. */
const fileBytesMax = 1_048_576;

/** Sources that read what is asked of them, and the record of what they gave. `asked`: what was read, by path; of each file once. */
export function readingSources(file: string): { sources: Omit<Sources, "mark">; taken: Taken; asked: Map<string, string | undefined> } {
  const taken: Taken = { files: {}, env: {} };
  const asked = new Map<string, string | undefined>();
  const sources = {
    file: (path: string) => {
      const at = resolve(dirname(file), path);
      const text = asked.has(at) ? asked.get(at) : textOf(at);
      asked.set(at, text);
      if (text !== undefined) taken.files[path] = text;
      return text;
    },
    env: (name: string) => {
      const value = process.env[name];
      if (value !== undefined) taken.env[name] = value;
      return value;
    },
  };
  return { sources, taken, asked };
}

/** Sources that give again what was given before. */
export function takenSources({ files, env }: Taken): Omit<Sources, "mark"> {
  return { file: (path) => (Object.hasOwn(files, path) ? files[path] : undefined), env: (name) => env[name] };
}

/** Undefined when it cannot be read, or is no value. */
export function textOf(path: string): string | undefined {
  try {
    const text = readFileSync(path, "utf8");
    return text.length <= fileBytesMax ? text : undefined;
  } catch {
    return undefined;
  }
}
