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
/** They load the machine, or need it quiet: one after the other, when the rest is done. */
const alone = ["packages/agent/src/beacons/resource/cpu.test.ts", "test/chaos.test.ts", "test/cpu.test.ts", "test/fuzz.test.ts"];
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
  const together = await runGroup(
    paths.filter((path) => !alone.includes(path)),
    filesAtOnce,
  );
  const after = await runGroup(
    paths.filter((path) => alone.includes(path)),
    1,
  );
  // Each group's reporter has told its own failures and counts; this is the sum.
  process.stdout.write(`\n${summary(together, after)}`);
}

/** Resolves with the group's counts; sets the exit code when something failed. */
async function runGroup(paths: string[], concurrency: number): Promise<Counts> {
  let total: Counts = { tests: 0, suites: 0, passed: 0, cancelled: 0, skipped: 0, todo: 0, duration_ms: 0 };
  if (paths.length === 0) return total;
  const stop = new AbortController();
  const running = new Set(paths.map((path) => resolve(path)));
  const silence = setTimeout(() => giveUp(`nothing was heard for ${silenceMsMax / 1_000} s`), silenceMsMax);
  const giveUp = (why: string) => {
    process.stderr.write(`\n${why}; not reported yet: ${[...running].map((path) => relative(".", path)).join(", ")}\n`);
    process.exitCode = 1;
    stop.abort();
  };
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
  for (const signal of signals) process.on(signal, giveUp);

  const stream = run({
    files: paths,
    concurrency,
    timeout: testTimeoutMs,
    signal: stop.signal,
    execArgv: ["--disable-warning=ExperimentalWarning"],
    ...(values.name === undefined ? {} : { testNamePatterns: [values.name] }),
  });
  stream.on("data", () => silence.refresh());
  stream.on("test:summary", ({ file, success, counts, duration_ms }) => {
    if (file !== undefined) return void running.delete(file);
    if (!success) process.exitCode = 1;
    total = { ...counts, duration_ms };
  });
  const report = stream.compose(spec);
  report.pipe(process.stdout, { end: false });
  await finished(report);
  clearTimeout(silence);
  for (const signal of signals) process.off(signal, giveUp);
  return total;
}

interface Counts {
  tests: number;
  suites: number;
  passed: number;
  cancelled: number;
  skipped: number;
  todo: number;
  duration_ms: number;
}

/** As Node's own reporter says it. */
function summary(...groups: Counts[]): string {
  const sum = (name: keyof Counts) => groups.reduce((total, group) => total + group[name], 0);
  const fail = sum("tests") - sum("passed") - sum("cancelled") - sum("skipped") - sum("todo");
  const lines = {
    tests: sum("tests"),
    suites: sum("suites"),
    pass: sum("passed"),
    fail,
    cancelled: sum("cancelled"),
    skipped: sum("skipped"),
    todo: sum("todo"),
    duration_ms: sum("duration_ms"),
  };
  return Object.entries(lines)
    .map(([name, count]) => `ℹ ${name} ${count}\n`)
    .join("");
}
