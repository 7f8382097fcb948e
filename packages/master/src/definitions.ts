/**
 * Reactors and beacons from YAML files, read at start, on SIGHUP and whenever a file changes. Each file is taken as a whole or not at
 * all, with the other files that it is made of: a bad one keeps its last good content in force and never touches the others.
 */
import { readdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { errorText, systemCode } from "@needfire/shared/errors";
import type { Problem } from "@needfire/shared/yaml-file";
import { textOf } from "./rule-files.ts";

/** `inputs`: what other files held that it was made of, by path; they are looked at as the file itself is. */
type Load<T> = (
  file: string,
  text: string,
) => ({ ok: true; items: T[] } | { ok: false; problems: Problem[] }) & { inputs?: ReadonlyMap<string, string | undefined> };

/** What a reload did, file by file. */
export interface Reloaded {
  taken: string[];
  refused: Problem[];
}

export interface DefinitionsOptions<T> {
  /** Files and directories. */
  paths: readonly string[];
  load: Load<T>;
  nameOf(item: T): string;
  /** The text of a file that was in force before anything was read: a file that is bad at the start is as bad as over a reload, and no worse. */
  lastGood?(file: string): string | undefined;
}

interface Held<T> {
  /** As last read; undefined when it must be judged anew whatever it says. */
  text: string | undefined;
  /** The text that `items` come from: the last good one. */
  inForce: string;
  items: T[];
  problems: Problem[];
  /** What other files held when it was read, by path. */
  inputs: ReadonlyMap<string, string | undefined>;
}

const nothing = { text: undefined, inForce: "", items: [], problems: [], inputs: new Map<string, undefined>() };

/** The definitions of one kind, from some files and directories. */
export class Definitions<T> {
  readonly #options: DefinitionsOptions<T>;
  #held = new Map<string, Held<T>>();
  #unreadable: Problem[] = [];

  constructor(options: DefinitionsOptions<T>) {
    this.#options = options;
  }

  all(): T[] {
    return [...this.#held.values()].flatMap(({ items }) => items);
  }

  /** The files that are in force, each with the text that is, and what that came to: the same list as before where it is as before. */
  held(): { file: string; text: string; items: readonly T[] }[] {
    return [...this.#held]
      .filter(([, { items }]) => items.length > 0)
      .map(([file, { inForce, items }]) => ({ file, text: inForce, items }));
  }

  /** Other files that these are made of. */
  inputs(): string[] {
    return [...this.#held.values()].flatMap(({ inputs }) => [...inputs.keys()]);
  }

  problems(): Problem[] {
    return [...this.#unreadable, ...[...this.#held.values()].flatMap(({ problems }) => problems)];
  }

  /** Reads everything again; files whose text is as before are left alone. */
  reload(): Reloaded {
    const reloaded: Reloaded = { taken: [], refused: [] };
    const held = new Map<string, Held<T>>();
    this.#unreadable = [];
    for (const file of this.#files()) {
      const before = this.#held.get(file);
      const read = this.#read(file, before);
      held.set(file, read);
      if (read === before) continue;
      if (read.problems.length > 0) reloaded.refused.push(...read.problems);
      else reloaded.taken.push(file);
    }
    for (const file of this.#held.keys()) if (!held.has(file)) reloaded.taken.push(file);
    this.#held = held;
    const doubles = this.#refuseDoubles();
    const refused = [...reloaded.refused, ...doubles, ...this.#unreadable];
    return { taken: reloaded.taken.filter((file) => !doubles.some((double) => double.file === file)), refused };
  }

  #read(file: string, before: Held<T> | undefined): Held<T> {
    let text: string;
    try {
      text = readFileSync(file, "utf8");
    } catch (error) {
      const problem = { file, line: 1, column: 1, message: `the file cannot be read: ${errorText(error)}` };
      const { inForce, items } = before ?? this.#lastGood(file);
      return { ...nothing, inForce, items, problems: [problem] };
    }
    if (before?.text === text && [...before.inputs].every(([path, held]) => textOf(path) === held)) return before;
    const loaded = this.#options.load(file, text);
    const { inputs = nothing.inputs } = loaded;
    if (loaded.ok) return { text, inForce: text, items: loaded.items, problems: [], inputs };
    const { inForce, items } = before ?? this.#lastGood(file);
    return { text, inForce, items, problems: loaded.problems, inputs };
  }

  /** What a file was in the last life; nothing when it was not in force then, or what it was is no good any more. */
  #lastGood(file: string): Pick<Held<T>, "inForce" | "items"> {
    const text = this.#options.lastGood?.(file);
    const loaded = text === undefined ? undefined : this.#options.load(file, text);
    return text !== undefined && loaded?.ok === true ? { inForce: text, items: loaded.items } : nothing;
  }

  /** Of two files that define one name the first by path is in force. */
  #refuseDoubles(): Problem[] {
    const seen = new Map<string, string>();
    const problems: Problem[] = [];
    for (const [file, held] of this.#held) {
      const double = held.items.find((item) => seen.has(this.#options.nameOf(item)));
      if (double === undefined) {
        for (const item of held.items) seen.set(this.#options.nameOf(item), file);
        continue;
      }
      const name = this.#options.nameOf(double);
      const problem = { file, line: 1, column: 1, message: `"${name}" is defined in ${seen.get(name)} already; this file is not in force` };
      // Judged anew at the next reload: the other one may be gone by then.
      this.#held.set(file, { ...nothing, problems: [problem] });
      problems.push(problem);
    }
    return problems;
  }

  #files(): string[] {
    return this.#options.paths.flatMap((path) => {
      try {
        return statSync(path).isDirectory() ? yamlFilesIn(path) : [path];
      } catch (error) {
        // A directory that is not there yet is an empty one: the installed defaults need not exist.
        if (systemCode(error) !== "ENOENT" || /\.ya?ml$/.test(path)) {
          this.#unreadable.push({ file: path, line: 1, column: 1, message: `cannot be read: ${errorText(error)}` });
        }
        if (systemCode(error) === "ENOENT") return [];
        // It is there and cannot be looked at: what was read from it stays in force.
        return [...this.#held.keys()].filter((file) => file === path || dirname(file) === path);
      }
    });
  }
}

function yamlFilesIn(directory: string): string[] {
  return readdirSync(directory)
    .filter((name) => /\.ya?ml$/.test(name) && !/\.test\.ya?ml$/.test(name) && !name.startsWith("."))
    .toSorted()
    .map((name) => join(directory, name));
}
