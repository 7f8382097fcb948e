/** `needfire reactors check`: what is wrong in files of reactors, and what is hardly meant, before they are in force. */
import type { Command } from "commander";
import type { Problem } from "@needfire/shared/yaml-file";
import type { JunitCase, JunitSuite } from "../junit.ts";
import type { Output } from "../output.ts";
import { codeFrame, problemLine, warningLine } from "../problems.ts";
import type { ReadFiles } from "../reactor-files.ts";
import type { RouterFiles } from "../router-file.ts";
import { examples, exit, type Session } from "../session.ts";
import { counted, visible } from "../text.ts";

interface CheckOptions {
  strict?: boolean;
  junit?: string;
}

export function registerCheck(reactors: Command, session: Session): void {
  reactors
    .command("check")
    .summary("check reactor files, without a master")
    .description(
      "Check reactor files, their tests and the router.yaml among or beside them, without a master: every problem with its place (exit code 1 when there is one), and warnings about what is hardly meant. Tests are not run: that is `needfire reactors test`.",
    )
    .argument("[path...]", "files, and directories whose *.yaml files are read (default: ./reactors)")
    .addHelpText(
      "after",
      examples(
        ["needfire reactors check", "everything in ./reactors"],
        ["needfire reactors check web.yaml", "one file"],
        ["needfire reactors check --strict", "for CI: warnings fail, too"],
        ["needfire reactors check --json /etc/needfire/reactors", "problems and warnings, one a line"],
      ),
    )
    .option("--strict", "exit code 1 for warnings, too")
    .option("--junit <file>", "write the outcome as JUnit's XML, too")
    .action(session.run((paths: string[], options: CheckOptions) => check(session, paths, options)));
}

async function check({ out }: Session, paths: string[], { strict = false, junit }: CheckOptions): Promise<number> {
  // The compiler of reactors is heavy: only this command loads it.
  const { readReactorFiles } = await import("../reactor-files.ts");
  const read = await readReactorFiles(paths.length === 0 ? ["reactors"] : paths);
  const { warnings, texts } = read;
  const routers = await routersOf(read);
  const problems = [...read.problems, ...routers.problems];
  const checked = { ...read, problems, routers: routers.files };
  for (const problem of problems) showFinding(out, { ...problem, level: "error" }, texts);
  for (const warning of warnings) showFinding(out, { ...warning, level: "warning" }, texts);
  if (!out.json) out.line(verdict(out, checked, strict));
  if (junit !== undefined) {
    const { writeJunit } = await import("../junit.ts");
    writeJunit(junit, "needfire reactors check", suitesOf(checked, strict));
  }
  return problems.length > 0 || (strict && warnings.length > 0) ? exit.failed : exit.done;
}

/** That of each file, and those that were given themselves. */
async function routersOf({ files, routers: given, texts }: ReadFiles): Promise<RouterFiles> {
  const { RouterFiles } = await import("../router-file.ts");
  const routers = new RouterFiles({ named: undefined, texts });
  for (const file of given) routers.load(file);
  for (const { file } of files) routers.routerOf(file);
  return routers;
}

/** A problem or a warning with the place itself, or as an object for a program. */
export function showFinding(
  out: Output,
  told: Problem & { level: "error" | "warning"; code?: string },
  texts: ReadonlyMap<string, string>,
): void {
  if (out.json) return out.record(told);
  out.line(told.code === undefined ? problemLine(out, told) : warningLine(out, { ...told, code: told.code }));
  const text = texts.get(told.file);
  for (const line of text === undefined ? [] : codeFrame(out, told, text)) out.line(line);
  out.line();
}

function verdict(out: Output, { files, problems, warnings, routers }: ReadFiles, strict: boolean): string {
  const reactors = files.reduce((sum, file) => sum + file.reactors.length, 0);
  const checked = `${counted(reactors, "reactor")} in ${counted(files.length, "file")}${routerText(routers)}`;
  const warned = warnings.length === 0 ? "" : out.paint(strict ? "red" : "yellow", counted(warnings.length, "warning"));
  if (problems.length > 0)
    return `${out.paint("red", counted(problems.length, "problem"))}${warned === "" ? "" : `, ${warned}`}; without problems: ${checked}`;
  if (warned === "") return `${out.paint("green", "ok")}: ${checked}`;
  return strict ? `${warned}, which --strict does not let pass: ${checked}` : `${out.paint("green", "ok")}, ${warned}: ${checked}`;
}

/** Which routers took part, after a verdict. */
export function routerText(files: readonly string[]): string {
  return files.length === 0 ? "" : `; router: ${files.map(visible).join(", ")}`;
}

/** A case for each finding, and one that passes for each file without any. */
function suitesOf({ files, routers, problems, warnings }: ReadFiles, strict: boolean): JunitSuite[] {
  const names = new Set([...files.map(({ file }) => file), ...routers, ...problems.map(({ file }) => file)]);
  return [...names].map((file) => {
    const cases: JunitCase[] = [
      ...problems.filter((each) => each.file === file).map((problem) => ({ ...caseOf(problem), failure: textOf(problem) })),
      ...warnings
        .filter((each) => each.file === file)
        .map((warning) => ({ ...caseOf(warning), [strict ? "failure" : "note"]: `${textOf(warning)} [${warning.code}]` })),
    ];
    return { file, cases: cases.length === 0 ? [{ name: "check" }] : cases };
  });
}

function caseOf({ line, column, message }: Problem): JunitCase {
  return { name: `${line}:${column} ${message}`, line };
}

function textOf({ file, line, column, message }: Problem): string {
  return `${file}:${line}:${column}: ${message}`;
}
