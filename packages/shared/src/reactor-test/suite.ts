/**
 * All tests of some files of reactors. A test runs the reactors of its own file, and beside them those that it or they name: what other
 * files hold changes no test. Pure.
 */
import type { RouteOf } from "../router.ts";
import type { Reactor } from "../rules/types.ts";
import { didYouMean } from "../schema.ts";
import type { Problem } from "../yaml-file.ts";
import { Coverage, type ReactorCoverage } from "./coverage.ts";
import type { ReactorTest } from "./load.ts";
import { runTest, type TestResult } from "./run.ts";

/** A file of reactors with the tests in it and beside it. */
export interface TestedFile {
  file: string;
  reactors: readonly Reactor[];
  tests: readonly ReactorTest[];
  /** By the operator's router; undefined: there is none. */
  route?: RouteOf | undefined;
}

export interface SuiteResult {
  files: { file: string; results: TestResult[] }[];
  /** Reactors that no test is for. */
  untested: Reactor[];
  coverage: ReactorCoverage[];
  /** Tests that name what is not there; they did not run. */
  problems: Problem[];
}

export function runSuite(files: readonly TestedFile[]): SuiteResult {
  const byName = new Map(files.flatMap(({ reactors }) => reactors.map((reactor) => [reactor.name, reactor] as const)));
  const coverage = new Coverage();
  const problems: Problem[] = [];
  for (const reactor of byName.values()) coverage.watched(reactor);
  const done = files.map(({ file, reactors, tests, route }) => {
    const results = tests.flatMap((test) => {
      const inForce = namedFrom([...reactors.map(({ name }) => name), ...mentioned(test)], byName);
      const wrong = problemsOf(test, inForce, byName);
      problems.push(...wrong);
      if (wrong.length > 0) return [];
      const counted = new Set([...(test.reactor === undefined ? reactors.map(({ name }) => name) : []), ...mentioned(test)]);
      const result = runTest(test, { reactors: inForce.map((reactor) => coverage.watched(reactor)), counted, route });
      coverage.decided(result.decisions);
      return [result];
    });
    return { file, results };
  });
  return { files: done, untested: files.flatMap(untestedIn), coverage: coverage.report(), problems };
}

function mentioned({ mentions }: ReactorTest): string[] {
  return mentions.filter(({ kind }) => kind === "reactor").map(({ name }) => name);
}

/** Those, and whoever inhibits one of them. */
function namedFrom(names: readonly string[], byName: ReadonlyMap<string, Reactor>): Reactor[] {
  const found = new Set<Reactor>();
  const add = (name: string): void => {
    const reactor = byName.get(name);
    if (reactor === undefined || found.has(reactor)) return;
    found.add(reactor);
    for (const inhibition of reactor.inhibitedBy) add(inhibition.reactor);
  };
  for (const name of names) add(name);
  return [...found];
}

function problemsOf({ mentions }: ReactorTest, inForce: readonly Reactor[], byName: ReadonlyMap<string, Reactor>): Problem[] {
  return mentions.flatMap(({ kind, name, problem }) => {
    if (kind === "reactor")
      return byName.has(name) ? [] : [problem(`there is no reactor "${name}" in what is tested${didYouMean(name, [...byName.keys()])}`)];
    const known = [...new Set(inForce.flatMap(({ vars }) => Object.keys(vars)))];
    return known.includes(name) ? [] : [problem(`no reactor of this test has a variable "${name}"${didYouMean(name, known)}`)];
  });
}

function untestedIn({ reactors, tests }: TestedFile): Reactor[] {
  return reactors.filter(({ name }) => !tests.some(({ reactor }) => reactor === undefined || reactor === name));
}
