/**
 * The offline check of reactor files: the same compiler as the master's, over files on this machine, and what only shows when all of
 * them are seen together.
 */
import { readFileSync } from "node:fs";
import { readdir, readFile, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { systemCode } from "@needfire/shared/errors";
import { lint, type Warning } from "@needfire/shared/lint";
import { loadReactors, type Reactor } from "@needfire/shared/reactor";
import type { Problem } from "@needfire/shared/yaml-file";

export interface CheckedReactors {
  /** How many files were read, and how many reactors in them are fine. */
  files: number;
  reactors: number;
  problems: Problem[];
  /** Of the files without problems. */
  warnings: Warning[];
  /** The files' texts by name, to show the places of the problems. */
  texts: Map<string, string>;
}

export async function checkReactors(paths: readonly string[]): Promise<CheckedReactors> {
  const checked: CheckedReactors = { files: 0, reactors: 0, problems: [], warnings: [], texts: new Map() };
  const byName = new Map<string, Reactor>();
  for (const path of paths) {
    for (const file of await filesOf(path, checked.problems)) {
      if (checked.texts.has(file)) continue;
      await checkFile(file, checked, byName);
    }
  }
  checked.reactors = byName.size;
  return checked;
}

/** Reads directories as the master does: their own *.yaml and *.yml files, in order of name. */
async function filesOf(path: string, problems: Problem[]): Promise<string[]> {
  try {
    if (!(await stat(path)).isDirectory()) return isTest(path) ? [] : [path];
    const names = await readdir(path);
    return names
      .filter((name) => /\.ya?ml$/.test(name) && !name.startsWith(".") && !isTest(name))
      .toSorted()
      .map((name) => join(path, name));
  } catch (error) {
    problems.push(unreadable(path, error));
    return [];
  }
}

async function checkFile(file: string, checked: CheckedReactors, byName: Map<string, Reactor>): Promise<void> {
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (error) {
    checked.problems.push(unreadable(file, error));
    return;
  }
  checked.files++;
  checked.texts.set(file, text);
  const loaded = loadReactors(file, text, { file: (path) => textBeside(join(dirname(file), path)) });
  if (!loaded.ok) return void checked.problems.push(...loaded.problems);
  const warnings = [...loaded.warnings, ...lint(file, text, { tests: textBeside(file.replace(/(\.ya?ml)$/, ".test$1")) })];
  checked.warnings.push(...warnings.toSorted((a, b) => a.line - b.line || a.column - b.column));
  for (const reactor of loaded.reactors) {
    const first = byName.get(reactor.name);
    if (first === undefined) byName.set(reactor.name, reactor);
    else
      checked.problems.push({
        file,
        ...placeOfName(reactor, text),
        message: `a second reactor of the name "${reactor.name}": the first is in ${first.file}:${first.line}`,
      });
  }
}

function placeOfName({ name, line }: Reactor, text: string): { line: number; column: number } {
  const column = (text.split("\n")[line - 1] ?? "").lastIndexOf(name) + 1;
  return { line, column: Math.max(1, column) };
}

/** Of a file that the reactors only refer to. Undefined: it cannot be read; who needs it says so. */
function textBeside(file: string): string | undefined {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return undefined;
  }
}

function isTest(name: string): boolean {
  return /\.test\.ya?ml$/.test(name);
}

function unreadable(file: string, error: unknown): Problem {
  const why =
    systemCode(error) === "ENOENT"
      ? "there is no such file or directory"
      : `cannot be read: ${error instanceof Error ? error.message : String(error)}`;
  return { file, line: 1, column: 1, message: why };
}
