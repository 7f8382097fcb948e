/**
 * Files of reactors on this machine, with the tests in them and beside them, read as the master reads them and through the same compiler.
 * Knows nothing of a master.
 */
import { existsSync, readFileSync } from "node:fs";
import { readdir, readFile, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { lint, type Warning } from "@needfire/shared/lint";
import { loadReactors, type Reactor } from "@needfire/shared/reactor";
import { type LoadedTests, loadInlineTests, loadTestFile, type ReactorTest } from "@needfire/shared/reactor-test/load";
import type { Problem } from "@needfire/shared/yaml-file";
import { unreadable } from "./problems.ts";
import { isRouter } from "./router-file.ts";

export interface ReactorFile {
  file: string;
  /** None, when the file has a problem. */
  reactors: readonly Reactor[];
  tests: readonly ReactorTest[];
}

export interface ReadFiles {
  files: ReactorFile[];
  problems: Problem[];
  /** Of the files without problems. */
  warnings: Warning[];
  /** Those among them that are no reactors; they are not looked into. */
  routers: string[];
  /** The files' texts by name, to show the places of the problems. */
  texts: Map<string, string>;
}

/** `paths`: reactor files, test files (which stand for the file beside them), and directories. */
export async function readReactorFiles(paths: readonly string[]): Promise<ReadFiles> {
  const read: ReadFiles = { files: [], problems: [], warnings: [], routers: [], texts: new Map() };
  const byName = new Map<string, Reactor>();
  const compiled: Compiled[] = [];
  for (const path of paths) {
    for (const file of await filesOf(path, read.problems)) {
      const one = read.texts.has(file) ? undefined : await readOne(file, read, byName);
      if (one !== undefined) compiled.push(one);
    }
  }
  // Last, when the names of all are known.
  for (const one of compiled) read.warnings.push(...warningsOf(one, byName.keys()));
  return read;
}

/** A file without problems. */
interface Compiled {
  file: string;
  text: string;
  tests: string | undefined;
  warnings: readonly Warning[];
}

function warningsOf({ file, text, tests, warnings }: Compiled, reactors: Iterable<string>): Warning[] {
  return [...warnings, ...lint(file, text, { tests, reactors })].toSorted((a, b) => a.line - b.line || a.column - b.column);
}

/** Reads directories as the master does: their own *.yaml and *.yml files, in order of name. */
async function filesOf(path: string, problems: Problem[]): Promise<string[]> {
  try {
    if (!(await stat(path)).isDirectory()) return testedBy([path], problems);
    const names = (await readdir(path)).filter((name) => /\.ya?ml$/.test(name) && !name.startsWith(".")).toSorted();
    return testedBy(
      names.map((name) => join(path, name)),
      problems,
    );
  } catch (error) {
    problems.push(unreadable(path, error));
    return [];
  }
}

/** Each reactor file once. A test file without one is a problem: after a file was renamed its tests would be silent. */
function testedBy(files: readonly string[], problems: Problem[]): string[] {
  const found = files.flatMap((file) => {
    const tested = file.replace(/\.test(\.ya?ml)$/, "$1");
    if (tested === file || existsSync(tested)) return [tested];
    problems.push({ file, line: 1, column: 1, message: `there is no ${tested} that these tests could be of` });
    return [];
  });
  return [...new Set(found)];
}

async function readOne(file: string, read: ReadFiles, byName: Map<string, Reactor>): Promise<Compiled | undefined> {
  const text = await textOf(file, read);
  if (text === undefined) return undefined;
  if (isRouter(file, text)) {
    read.routers.push(file);
    return undefined;
  }
  const testFile = file.replace(/(\.ya?ml)$/, ".test$1");
  const testText = existsSync(testFile) ? await textOf(testFile, read) : undefined;
  const beside = testText === undefined ? [] : testsOf(loadTestFile(testFile, testText), read.problems);
  const loaded = loadReactors(file, text, { file: (path) => textBeside(join(dirname(file), path)) });
  if (!loaded.ok) {
    read.problems.push(...loaded.problems);
    read.files.push({ file, reactors: [], tests: [] });
    return undefined;
  }
  const tests = [...testsOf(loadInlineTests(file, text), read.problems), ...beside];
  read.files.push({
    file,
    reactors: loaded.reactors.filter((reactor) => isFirst(reactor, byName, { text, problems: read.problems })),
    tests,
  });
  return { file, text, tests: testText, warnings: loaded.warnings };
}

async function textOf(file: string, { texts, problems }: ReadFiles): Promise<string | undefined> {
  try {
    const text = await readFile(file, "utf8");
    texts.set(file, text);
    return text;
  } catch (error) {
    problems.push(unreadable(file, error));
    return undefined;
  }
}

function testsOf(loaded: LoadedTests, problems: Problem[]): ReactorTest[] {
  if (loaded.ok) return loaded.tests;
  problems.push(...loaded.problems);
  return [];
}

function isFirst(reactor: Reactor, byName: Map<string, Reactor>, { text, problems }: { text: string; problems: Problem[] }): boolean {
  const first = byName.get(reactor.name);
  if (first === undefined) {
    byName.set(reactor.name, reactor);
    return true;
  }
  problems.push({
    file: reactor.file,
    ...placeOfName(reactor, text),
    message: `a second reactor of the name "${reactor.name}": the first is in ${first.file}:${first.line}`,
  });
  return false;
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
