/** `needfire status`: how the master is doing. */
import type { Command } from "commander";
import { examples, type Session } from "../session.ts";
import { problemLines } from "../problems.ts";

export function register(status: Command, session: Session): void {
  status
    .description("Show how the master is doing: its address and fingerprint, what it knows, and what is wrong with its files.")
    .addHelpText("after", examples(["needfire status", "for people"], ["needfire status --json | jq .agents_connected", "for programs"]))
    .action(
      session.run(async () => {
        const { out, master } = session;
        const view = await master.status();
        if (out.json) return out.record(view);
        out.title(`Master ${view.version}, up since ${out.time(view.started)} (${out.ago(view.started)})`);
        out.fields([
          ["process", String(view.pid)],
          ["address", view.address],
          ["fingerprint", view.fingerprint],
          ["join string", view.join_string],
          ["enrolment", view.enrolment],
          [
            "agents",
            `${view.agents_connected} connected of ${view.agents_known}, ${view.agents_lost} lost, ${view.agents_stopped} stopped`,
            view.agents_lost > 0 ? "red" : undefined,
          ],
          ["commands", `${view.commands_given} with hosts, ${view.commands_waiting} wait for their turn`],
          ["events", String(view.events)],
          ["tasks", String(view.tasks)],
          ["reactors", String(view.reactors)],
          ["beacons", String(view.beacons)],
          ["managed files", String(view.files)],
        ]);
        if (view.problems.length > 0) out.line();
        for (const line of problemLines(out, view.problems)) out.line(line);
      }),
    );
}
