/** `needfire reactors`: the rules in force. What is done with rules before they are is in the files of the subcommands. */
import type { Command } from "commander";
import { type Column, styled } from "../output.ts";
import { problemLines } from "../problems.ts";
import { examples, type Session } from "../session.ts";
import { registerCheck } from "./reactors-check.ts";
import { registerNew } from "./reactors-new.ts";
import { registerReplay } from "./reactors-replay.ts";
import { registerTest } from "./reactors-test.ts";

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
    examples(
      ["needfire reactors list", "the rules in force"],
      ["needfire reactors new disk-full --on disk.high", "a new one, with its test"],
      ["needfire reactors check ./reactors", "what is wrong, or hardly meant"],
      ["needfire reactors test ./reactors", "whether they do what their tests promise"],
    ),
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
  registerCheck(reactors, session);
  registerTest(reactors, session);
  registerNew(reactors, session);
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
