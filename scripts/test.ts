/**
 * Runs the tests with Node's own runner: all of them, or the files that are named.
 *
 *     npm test [-- FILE... [--name PATTERN]]
 *
 * The runner's summary comes last, also after failures.
 */
import { globSync } from "node:fs";
import { dirname, relative, resolve } from "node:path";
import { finished } from "node:stream/promises";
import { run } from "node:test";
import { spec } from "node:test/reporters";
import { parseArgs } from "node:util";

const everything = ["packages/*/src/**/*.test.ts", "packages/cli/test/**/*.test.ts", "test/**/*.test.ts"];

/** Side by side. End-to-end tests start several processes each and measure time, so it is as many as a small machine has cores. */
const filesAtOnce = 2;
/** For one test: what takes longer hangs. */
const testTimeoutMs = 120_000;
/** Without a word from any test: a file is done and does not end. Longer than the limit of one test, which says more. */
const silenceMsMax = 180_000;

const { values, positionals } = parseArgs({ allowPositionals: true, options: { name: { type: "string" } } });
process.chdir(dirname(import.meta.dirname));
const files = globSync(positionals.length > 0 ? positionals : everything, { exclude: (path) => path.includes("node_modules") }).toSorted();

if (files.length === 0) {
  process.stderr.write(`no test files: ${positionals.join(" ") || everything.join(" ")}\n`);
  process.exitCode = 1;
} else {
  await runTests(files);
}

async function runTests(paths: string[]): Promise<void> {
  const stop = new AbortController();
  const running = new Set(paths.map((path) => resolve(path)));
  const silence = setTimeout(() => giveUp(`nothing was heard for ${silenceMsMax / 1_000} s`), silenceMsMax);
  const giveUp = (why: string) => {
    process.stderr.write(`\n${why}; not reported yet: ${[...running].map((path) => relative(".", path)).join(", ")}\n`);
    process.exitCode = 1;
    stop.abort();
  };
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.once(signal, () => giveUp(signal));

  const stream = run({
    files: paths,
    concurrency: filesAtOnce,
    timeout: testTimeoutMs,
    signal: stop.signal,
    execArgv: ["--disable-warning=ExperimentalWarning"],
    ...(values.name === undefined ? {} : { testNamePatterns: [values.name] }),
  });
  let closing = "";
  stream.on("data", () => silence.refresh());
  stream.on("test:summary", ({ file, success, counts, duration_ms }) => {
    if (file !== undefined) return void running.delete(file);
    if (!success) process.exitCode = 1;
    closing = summary(counts, duration_ms);
  });
  const report = stream.compose(spec);
  report.pipe(process.stdout);
  await finished(report);
  clearTimeout(silence);
  // The reporter tells the failures after its summary.
  if (process.exitCode === 1) process.stdout.write(`\n${closing}`);
}

interface Counts {
  tests: number;
  suites: number;
  passed: number;
  cancelled: number;
  skipped: number;
  todo: number;
}

function summary({ tests, suites, passed, cancelled, skipped, todo }: Counts, duration: number): string {
  const fail = tests - passed - cancelled - skipped - todo;
  return Object.entries({ tests, suites, pass: passed, fail, cancelled, skipped, todo, duration_ms: duration })
    .map(([name, count]) => `ℹ ${name} ${count}\n`)
    .join("");
}
