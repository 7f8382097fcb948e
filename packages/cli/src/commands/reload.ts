/** `needfire reload`: the master reads its files again; exit 1 when something is wrong with them. */
import type { Command } from "commander";
import { problemLines } from "../problems.ts";
import { examples, exit, type Session } from "../session.ts";
import { userName } from "../user.ts";

export function register(reload: Command, session: Session): void {
  reload
    .description(
      "Make the master read its reactors, beacons and managed files again. A file with a problem is left out as a whole and its old content stays in force.",
    )
    .addHelpText(
      "after",
      examples(
        ["needfire reload", "exit code 1: something was wrong, and is shown"],
        ["needfire reload --json", "the problems, one a line"],
      ),
    )
    .action(
      session.run(async () => {
        const { out, master } = session;
        const { problems } = await master.reload(userName());
        if (out.json) for (const problem of problems) out.record(problem);
        else if (problems.length === 0) out.line("Reloaded; nothing is wrong.");
        else for (const line of problemLines(out, problems)) out.line(line);
        return problems.length === 0 ? exit.done : exit.failed;
      }),
    );
}
