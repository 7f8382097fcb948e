/**
 * Runs the tests with Node's own runner: all of them, or the files that are named.
 *
 *     npm test [-- FILE... [--name PATTERN]]
 *
 * The runner's summary comes last, also after failures.
 */
import { globSync } from "node:fs";
import { dirname } from "node:path";
import { finished } from "node:stream/promises";
import { run } from "node:test";
import { spec } from "node:test/reporters";
import { parseArgs } from "node:util";

const everything = ["packages/*/src/**/*.test.ts", "packages/cli/test/**/*.test.ts", "test/**/*.test.ts"];

/** Side by side. End-to-end tests start several processes each and measure time, so it is as many as a small machine has cores. */
const filesAtOnce = 2;
/** For one test file as for one test: what takes longer hangs. */
const testTimeoutMs = 300_000;

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
  const stream = run({
    files: paths,
    concurrency: filesAtOnce,
    timeout: testTimeoutMs,
    execArgv: ["--disable-warning=ExperimentalWarning"],
    ...(values.name === undefined ? {} : { testNamePatterns: [values.name] }),
  });
  let closing = "";
  stream.on("test:summary", ({ file, success, counts, duration_ms }) => {
    if (file !== undefined) return;
    if (!success) process.exitCode = 1;
    const { tests, suites, passed, cancelled, skipped, todo } = counts;
    const lines = { tests, suites, pass: passed, fail: tests - passed - cancelled - skipped - todo, cancelled, skipped, todo, duration_ms };
    closing = Object.entries(lines)
      .map(([name, count]) => `ℹ ${name} ${count}\n`)
      .join("");
  });
  const report = stream.compose(spec);
  report.pipe(process.stdout);
  await finished(report);
  // The reporter tells the failures after its summary.
  if (process.exitCode === 1) process.stdout.write(`\n${closing}`);
}
