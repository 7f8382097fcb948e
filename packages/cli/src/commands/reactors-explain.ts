/** `needfire reactors explain`: why reactors did or did not fire on an event. */
import type { Command } from "commander";
import { explanationLines } from "../render.ts";
import { examples, type Session } from "../session.ts";

export function registerExplain(reactors: Command, session: Session): void {
  reactors
    .command("explain")
    .summary("tell why reactors did or did not fire on an event")
    .description(
      "Tell each reactor's decision on an event and its reason. What was decided then is recorded; conditions that were false are judged again, and the answer says what it takes for granted with that.",
    )
    .argument("<event>", "the event's id, as `needfire events list` prints it")
    .argument("[reactor]", "only this one, also when the event did not concern it")
    .addHelpText(
      "after",
      examples(
        ["needfire reactors explain web1:mi4k2x:42", "every reactor that hears such events"],
        ["needfire reactors explain web1:mi4k2x:42 restore", "one"],
        ["needfire reactors explain web1:mi4k2x:42 --json | jq -r '[.reactor, .decision] | @tsv'", "a decision a line"],
      ),
    )
    .action(session.run((event: string, reactor: string | undefined) => explain(session, event, reactor)));
}

async function explain({ out, master }: Session, id: string, reactor: string | undefined): Promise<void> {
  const { event, decisions } = await master.explain(id, reactor);
  if (out.json) {
    for (const decision of decisions) out.record(decision);
    return;
  }
  out.title(`${event.type}  ${event.subject ?? ""}`.trimEnd());
  out.fields([
    ["id", event.id],
    ["received", out.timeInFull(event.received)],
    ["agent", event.agent],
  ]);
  if (decisions.length === 0) return out.notice("No reactor hears such events.");
  out.line();
  for (const line of explanationLines(out, decisions)) out.line(line);
}
