/** `needfire reactors`: the rules in force, and a check of rules before they are. */
import type { Command } from "commander";
import { type Column, styled } from "../output.ts";
import { codeFrame, problemLine, problemLines } from "../problems.ts";
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
    .description("Check reactor files, without a master: every problem with its place. Exit code 1 when there is one.")
    .argument("[path...]", "files, and directories whose *.yaml files are read (default: ./reactors); *.test.yaml files are left out")
    .addHelpText(
      "after",
      examples(
        ["needfire reactors check", "everything in ./reactors"],
        ["needfire reactors check web.yaml", "one file"],
        ["needfire reactors check --json /etc/needfire/reactors", "the problems, one a line"],
      ),
    )
    .action(session.run((paths: string[]) => check(session, paths)));
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

async function check({ out }: Session, paths: string[]): Promise<number> {
  // The compiler of reactors is heavy: only this command loads it.
  const { checkReactors } = await import("../check.ts");
  const { files, reactors, problems, texts } = await checkReactors(paths.length === 0 ? ["reactors"] : paths);
  for (const problem of problems) {
    if (out.json) {
      out.record(problem);
      continue;
    }
    out.line(problemLine(out, problem));
    const text = texts.get(problem.file);
    for (const line of text === undefined ? [] : codeFrame(out, problem, text)) out.line(line);
    out.line();
  }
  const checked = `${count(reactors, "reactor")} in ${count(files, "file")}`;
  if (!out.json)
    out.line(
      problems.length === 0
        ? `${out.paint("green", "ok")}: ${checked}`
        : `${out.paint("red", count(problems.length, "problem"))}; without problems: ${checked}`,
    );
  return problems.length === 0 ? exit.done : exit.failed;
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}
