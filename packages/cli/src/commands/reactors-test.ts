/** `needfire reactors test`: runs the tests of reactors on a clock of their own, without a master. */
import type { Command } from "commander";
import type { TestResult } from "@needfire/shared/reactor-test/run";
import type { SuiteResult, TestedFile } from "@needfire/shared/reactor-test/suite";
import type { Problem } from "@needfire/shared/yaml-file";
import type { JunitSuite } from "../junit.ts";
import { wholeNumber } from "../options.ts";
import { Output } from "../output.ts";
import type { ReactorFile } from "../reactor-files.ts";
import type { RouterFiles } from "../router-file.ts";
import { examples, exit, type Session } from "../session.ts";
import { counted, visible } from "../text.ts";
import { routerText, showFinding } from "./reactors-check.ts";

interface TestOptions {
  watch?: boolean;
  coverage?: boolean;
  coverageMin?: number;
  strict?: boolean;
  router?: string;
  junit?: string;
}

export function registerTest(reactors: Command, session: Session): void {
  reactors
    .command("test")
    .summary("run the tests of reactors, without a master")
    .description(
      "Run the tests of reactors, without a master and without waiting: each is a timeline of events on a clock of its own. Exit code 1 when one fails, when a file has a problem, or when there is no test at all.",
    )
    .argument("[path...]", "reactor files, test files, and directories (default: ./reactors)")
    .addHelpText(
      "after",
      examples(
        ["needfire reactors test", "all tests of ./reactors"],
        ["needfire reactors test reactors/web.test.yaml --watch", "again whenever a file changes"],
        ["needfire reactors test --coverage", "which conditions were seen true and false"],
        ["needfire reactors test --strict --coverage-min 80 --junit tests.xml", "for CI"],
      ),
    )
    .option("--watch", "run them again whenever a file changes, until Ctrl-C")
    .option("--coverage", "show what the tests have seen: each condition and part of one, true and false, and each way to end")
    .option("--coverage-min <percent>", "exit code 1 when they have seen less; implies --coverage", wholeNumber(0, 100))
    .option("--strict", "exit code 1 for a reactor without a test, too")
    .option("--router <file>", "the operator's router (default: router.yaml in the reactors' folder, or beside the folder)")
    .option("--junit <file>", "write the outcome as JUnit's XML, too")
    .action(session.run((paths: string[], options: TestOptions) => run(session.out, paths.length === 0 ? ["reactors"] : paths, options)));
}

async function run(out: Output, paths: readonly string[], options: TestOptions): Promise<number> {
  if (options.watch !== true) return runOnce(out, paths, options);
  const { watchFiles } = await import("../watch.ts");
  const stop = new AbortController();
  process.once("SIGINT", () => stop.abort());
  let code: number = exit.done;
  const again = async () => {
    if (!out.json && process.stdout.isTTY) process.stdout.write("\x1b[2J\x1b[H");
    code = await runOnce(out, paths, options);
    if (!out.json) out.line(out.paint("dim", `(${out.time(new Date(out.now()).toISOString())}; waits for changes, Ctrl-C ends)`));
  };
  const { routerPlaces } = await import("../router-file.ts");
  const beside = (directory: string) => (options.router === undefined ? routerPlaces(directory) : [options.router]);
  await watchFiles(paths, { beside, onReady: again, onChange: again, signal: stop.signal });
  return code;
}

/** What is judged: all problems, of the files and of tests that name what is not there. */
interface Outcome extends SuiteResult {
  problems: Problem[];
  results: TestResult[];
  failed: TestResult[];
  texts: ReadonlyMap<string, string>;
  /** Files of routers. */
  routers: readonly string[];
}

async function runOnce(out: Output, paths: readonly string[], options: TestOptions): Promise<number> {
  // The compiler and the engine are heavy: only this command loads them.
  const { readReactorFiles } = await import("../reactor-files.ts");
  const { runSuite } = await import("@needfire/shared/reactor-test/suite");
  const { RouterFiles } = await import("../router-file.ts");
  const { problems, files, texts } = await readReactorFiles(paths);
  const routers = new RouterFiles({ named: options.router, texts });
  const suite = runSuite(files.map((file) => routed(file, routers)));
  const results = suite.files.flatMap((file) => file.results);
  const failed = results.filter(({ unmet }) => unmet.length > 0);
  const outcome: Outcome = {
    ...suite,
    problems: [...problems, ...routers.problems, ...suite.problems],
    results,
    failed,
    texts,
    routers: routers.files,
  };
  const { percentOf } = await import("../test-report.ts");
  const percent = percentOf(suite.coverage);
  if (out.json) tellProgram(out, outcome, percent);
  else await tellPeople(out, outcome, options);
  if (options.junit !== undefined) {
    const { writeJunit } = await import("../junit.ts");
    writeJunit(options.junit, "needfire reactors test", await suitesOf(outcome));
  }
  const tooLittle = options.coverageMin !== undefined && percent < options.coverageMin;
  if (tooLittle && !out.json) out.line(out.paint("red", `coverage is below ${options.coverageMin} %`));
  const untested = options.strict === true && suite.untested.length > 0;
  return outcome.problems.length > 0 || failed.length > 0 || results.length === 0 || tooLittle || untested ? exit.failed : exit.done;
}

/** Priorities and owners by a router that has a problem would be others: then nothing of the file is tested. */
function routed(file: ReactorFile, routers: RouterFiles): TestedFile {
  const router = routers.routerOf(file.file);
  return router?.ok === false ? { ...file, reactors: [], tests: [] } : { ...file, route: router?.route };
}

async function tellPeople(out: Output, outcome: Outcome, { coverage, coverageMin, strict = false }: TestOptions): Promise<void> {
  const { coverageLines, fileLines } = await import("../test-report.ts");
  for (const file of outcome.files) for (const line of fileLines(out, file)) out.line(line);
  for (const problem of outcome.problems) showFinding(out, { ...problem, level: "error" }, outcome.texts);
  if (coverage === true || coverageMin !== undefined) {
    for (const line of coverageLines(out, outcome.coverage)) out.line(line);
    out.line();
  }
  for (const { name, file, line } of outcome.untested)
    out.line(`${out.paint(strict ? "red" : "yellow", "no test:")} ${visible(name)} (${visible(file)}:${line})`);
  out.line(verdict(out, outcome));
}

function verdict(out: Output, { results, failed, problems, routers }: Outcome): string {
  const parts = [
    ...(failed.length > 0 ? [out.paint("red", `${failed.length} failed`)] : []),
    ...(problems.length > 0 ? [out.paint("red", counted(problems.length, "problem"))] : []),
    results.length === 0
      ? out.paint("red", "no test was found")
      : `${results.length - failed.length} of ${counted(results.length, "test")} passed`,
  ];
  const said = parts.length === 1 && results.length > 0 ? out.paint("green", `ok: ${parts[0]}`) : parts.join(", ");
  return `${said}${routerText(routers)}`;
}

/** An object a line; `kind` says of what. */
function tellProgram(out: Output, { results, problems, coverage, untested, failed, routers }: Outcome, percent: number): void {
  for (const problem of problems) out.record({ kind: "problem", ...problem });
  for (const { test, unmet } of results) {
    const { name, reactor, file, line } = test;
    const told = unmet.map(({ at, line: at_line, difference, decisions }) => ({
      at_ms: at,
      line: at_line,
      ...difference,
      decisions: decisions.map(({ reactor: by, event, at: when, reason, detail }) => ({
        reactor: by.name,
        event,
        at_ms: when - test.start,
        reason,
        detail,
      })),
    }));
    out.record({ kind: "test", file, line, name, reactor, passed: unmet.length === 0, unmet: told });
  }
  for (const each of coverage) out.record({ kind: "coverage", ...each });
  for (const { name, file, line } of untested) out.record({ kind: "untested", reactor: name, file, line });
  out.record({
    kind: "total",
    tests: results.length,
    failed: failed.length,
    problems: problems.length,
    routers,
    coverage_percent: percent,
  });
}

/** A file's problems are cases of it, so that CI shows them beside its tests. */
async function suitesOf({ files, problems }: Outcome): Promise<JunitSuite[]> {
  const { unmetLines } = await import("../test-report.ts");
  const plain = new Output({ json: false, colour: false, width: undefined, now: () => 0 });
  const failureOf = (result: TestResult) => result.unmet.flatMap((unmet) => unmetLines(plain, result, unmet)).join("\n");
  const tested = files.map(({ file, results }) => ({
    file,
    cases: results.map((result) => ({
      name: result.test.name,
      file: result.test.file,
      line: result.test.line,
      ...(result.unmet.length > 0 ? { failure: failureOf(result) } : {}),
    })),
  }));
  const wrong = [...new Set(problems.map(({ file }) => file))].map((file) => ({
    file,
    cases: problems
      .filter((problem) => problem.file === file)
      .map(({ line, column, message }) => ({ name: `${line}:${column}`, line, failure: message })),
  }));
  return [...tested.filter(({ cases }) => cases.length > 0), ...wrong];
}
