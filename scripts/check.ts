/**
 * Runs every check that the project keeps itself to, one line for each, and shows the output of those that fail.
 *
 *     npm run check [-- NAME...] [-- --fix]
 *
 * `--fix` formats, applies what the linter can repair and regenerates the reference. What each tool is for, and why there are two
 * that look at imports: docs/decisions/0002-checks.md.
 */
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { dirname } from "node:path";
import { parseArgs, styleText } from "node:util";

interface Check {
  check: string[];
  fix?: string[];
}

/** Run in this order, so that `--fix` formats what it generated. */
const checks: Record<string, Check> = {
  lock: { check: ["node", "scripts/lock.ts", "--check"], fix: ["node", "scripts/lock.ts"] },
  checkers: { check: ["node", "scripts/checkers.ts", "--check"], fix: ["node", "scripts/checkers.ts"] },
  docs: { check: ["node", "scripts/docs.ts", "--check"], fix: ["node", "scripts/docs.ts"] },
  lint: { check: ["oxlint", "--deny-warnings"], fix: ["oxlint", "--deny-warnings", "--fix"] },
  format: { check: ["oxfmt", "--check", "."], fix: ["oxfmt", "."] },
  types: { check: ["tsc", "--project", "."] },
  dependencies: { check: ["depcruise", "--config", ".dependency-cruiser.mjs", "--output-type", "err-long", ...foldersPresent()] },
  dead: { check: ["knip", "--no-progress", "--no-config-hints"] },
};

const { values, positionals } = parseArgs({ allowPositionals: true, options: { fix: { type: "boolean", default: false } } });
process.chdir(dirname(import.meta.dirname));
process.exitCode = await main(positionals.length > 0 ? positionals : Object.keys(checks));

async function main(names: string[]): Promise<number> {
  const failures: { name: string; output: string }[] = [];
  for (const name of names) {
    const check = checks[name];
    if (check === undefined) {
      process.stderr.write(`there is no check "${name}" (known: ${Object.keys(checks).join(", ")})\n`);
      return 2;
    }
    const { ok, output, ms } = await runTool(values.fix ? (check.fix ?? check.check) : check.check);
    const mark = ok ? styleText("green", "✔") : styleText("red", "✖");
    process.stdout.write(`${mark} ${name.padEnd(12)} ${(ms / 1000).toFixed(1).padStart(5)} s\n`);
    if (!ok) failures.push({ name, output });
  }
  for (const { name, output } of failures) process.stdout.write(`\n${styleText("bold", name)}\n${output.trimEnd()}\n`);
  if (failures.length > 0) process.stdout.write(`\n${failures.length} of ${names.length} checks failed\n`);
  return failures.length > 0 ? 1 : 0;
}

/** Its output is kept, so that what is fine takes one line. */
function runTool([command, ...args]: string[]): Promise<{ ok: boolean; output: string; ms: number }> {
  const begun = performance.now();
  return new Promise((settle) => {
    const end = (ok: boolean) => settle({ ok, output, ms: performance.now() - begun });
    let output = "";
    const child = spawn(command!, args, { stdio: ["ignore", "pipe", "pipe"] });
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (text: string) => (output += text));
    child.on("error", (error) => {
      output += error.message;
      end(false);
    });
    child.on("close", (code) => end(code === 0));
  });
}

function foldersPresent(): string[] {
  return ["packages", "scripts", "test", "bench"].filter((folder) => existsSync(`${dirname(import.meta.dirname)}/${folder}`));
}
