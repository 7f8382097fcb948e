/** `needfire reactors`: the rules in force, and a check of rules before they are. */
import type { Command } from "commander";
import type { Problem } from "@needfire/shared/yaml-file";
import type { CheckedReactors } from "../check.ts";
import { type Column, type Output, styled } from "../output.ts";
import { codeFrame, problemLine, problemLines, warningLine } from "../problems.ts";
import { examples, exit, type Session } from "../session.ts";
import { registerReplay } from "./replay.ts";

const columns: Column[] = [
  { title: "REACTOR" },
  { title: "PRIORITY" },
  { title: "ON", shrinkTo: 10 },
  { title: "DOES", shrinkTo: 12 },
  { title: "FIRED", align: "right" },
  { title: "LAST" },
  { title: "FILE", shrinkTo: 12 },
];

export function register(reactors: Command, session: Session): void {
  reactors.addHelpText(
    "after",
    examples(["needfire reactors list", "the rules in force"], ["needfire reactors check ./reactors", "before they are"]),
  );
  reactors
    .command("list")
    .summary("list the reactors in force")
    .description("List the reactors in force. What is wrong with the master's reactor files is told on stderr.")
    .addHelpText(
      "after",
      examples(
        ["needfire reactors list", "all reactors"],
        ["needfire reactors list --json | jq -r 'select(.firings==0).name'", "which never fired"],
      ),
    )
    .action(session.run(() => list(session)));
  reactors
    .command("check")
    .summary("check reactor files, without a master")
    .description(
      "Check reactor files, without a master: every problem with its place (exit code 1 when there is one), and warnings about what is hardly meant.",
    )
    .argument("[path...]", "files, and directories whose *.yaml files are read (default: ./reactors); *.test.yaml files are left out")
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
    .action(session.run((paths: string[], options: { strict?: boolean }) => check(session, paths, options)));
  registerReplay(reactors, session);
}

async function list({ out, master }: Session): Promise<void> {
  const { reactors, problems } = await master.reactors();
  out.list(reactors, {
    columns,
    row: ({ name, priority, on, actions, firings, last_firing, file, line }) => [
      name,
      styled(priority),
      on.join(" "),
      actions.join(" "),
      String(firings),
      out.time(last_firing),
      `${file}:${line}`,
    ],
    empty: "No reactor is in force.",
  });
  for (const line of problemLines(out, problems)) out.notice(line);
}

async function check({ out }: Session, paths: string[], { strict = false }: { strict?: boolean }): Promise<number> {
  // The compiler of reactors is heavy: only this command loads it.
  const { checkReactors } = await import("../check.ts");
  const checked = await checkReactors(paths.length === 0 ? ["reactors"] : paths);
  const { problems, warnings, texts } = checked;
  for (const problem of problems) show(out, { ...problem, level: "error" }, texts);
  for (const warning of warnings) show(out, { ...warning, level: "warning" }, texts);
  if (!out.json) out.line(verdict(out, checked, strict));
  return problems.length > 0 || (strict && warnings.length > 0) ? exit.failed : exit.done;
}

function show(out: Output, told: Problem & { level: "error" | "warning"; code?: string }, texts: ReadonlyMap<string, string>): void {
  if (out.json) return out.record(told);
  out.line(told.code === undefined ? problemLine(out, told) : warningLine(out, { ...told, code: told.code }));
  const text = texts.get(told.file);
  for (const line of text === undefined ? [] : codeFrame(out, told, text)) out.line(line);
  out.line();
}

function verdict(out: Output, { files, reactors, problems, warnings }: CheckedReactors, strict: boolean): string {
  const checked = `${count(reactors, "reactor")} in ${count(files, "file")}`;
  const warned = warnings.length === 0 ? "" : out.paint(strict ? "red" : "yellow", count(warnings.length, "warning"));
  if (problems.length > 0)
    return `${out.paint("red", count(problems.length, "problem"))}${warned === "" ? "" : `, ${warned}`}; without problems: ${checked}`;
  if (warned === "") return `${out.paint("green", "ok")}: ${checked}`;
  return strict ? `${warned}, which --strict does not let pass: ${checked}` : `${out.paint("green", "ok")}, ${warned}: ${checked}`;
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}
