/** `needfire reactors`: the rules in force. What is done with rules before they are is in the files of the subcommands. */
import type { Command } from "commander";
import { formatDuration } from "@needfire/shared/duration";
import type { Column } from "../output.ts";
import { problemLines } from "../problems.ts";
import { examples, type Session } from "../session.ts";
import { registerCheck } from "./reactors-check.ts";
import { registerExplain } from "./reactors-explain.ts";
import { registerNew } from "./reactors-new.ts";
import { registerReplay } from "./reactors-replay.ts";
import { registerTest } from "./reactors-test.ts";
import { registerVersions } from "./reactors-versions.ts";

const columns: Column[] = [
  { title: "REACTOR", shrinkTo: 16 },
  { title: "MODE" },
  { title: "VERSION" },
  { title: "FIRED", align: "right" },
  { title: "LAST" },
  { title: "THROTTLED", align: "right" },
  { title: "DECIDES IN", align: "right" },
  { title: "ON", shrinkTo: 8 },
];

export function register(reactors: Command, session: Session): void {
  reactors.addHelpText(
    "after",
    examples(
      ["needfire reactors list", "the rules in force"],
      ["needfire reactors explain web1:mi4k2x:42", "why they did not fire"],
      ["needfire reactors new disk-full --on disk.high", "a new one, with its test"],
      ["needfire reactors check ./reactors", "what is wrong, or hardly meant"],
      ["needfire reactors test ./reactors", "whether they do what their tests promise"],
    ),
  );
  reactors
    .command("list")
    .summary("list the reactors in force")
    .description(
      "List the reactors in force: what they fired and left out, and how long they take to decide. What is wrong with the master's reactor files is told on stderr.",
    )
    .addHelpText(
      "after",
      examples(
        ["needfire reactors list", "all reactors"],
        ["needfire reactors list --json | jq -r 'select(.firings==0).name'", "which never fired"],
      ),
    )
    .action(session.run(() => list(session)));
  registerExplain(reactors, session);
  registerVersions(reactors, session);
  registerCheck(reactors, session);
  registerTest(reactors, session);
  registerNew(reactors, session);
  registerReplay(reactors, session);
}

async function list({ out, master }: Session): Promise<void> {
  const { reactors, problems } = await master.reactors();
  out.list(reactors, {
    columns,
    row: ({ name, mode, set_aside: isSetAside, version, firings, last_firing, throttled, decision_ms, on }) => [
      name,
      isSetAside === true ? { text: "set aside", style: "red" } : { text: mode, style: mode === "live" ? undefined : "yellow" },
      version,
      String(firings),
      out.time(last_firing),
      String(throttled),
      decision_ms === undefined ? "-" : formatDuration(decision_ms),
      on.join(" "),
    ],
    empty: "No reactor is in force.",
  });
  for (const line of problemLines(out, problems)) out.notice(line);
}
