/** `needfire agents`: the hosts, and what is known of them. */
import type { Command } from "commander";
import type { Presence } from "@needfire/shared/api";
import { type Column, labelsText, styled, styleOf } from "../output.ts";
import { valueLines } from "../render.ts";
import { examples, type Session } from "../session.ts";

const columns: Column[] = [
  { title: "AGENT" },
  { title: "STATE" },
  { title: "SINCE" },
  { title: "LAST SEEN" },
  { title: "BEACONS", align: "right" },
  { title: "FILES", align: "right" },
  { title: "LABELS", shrinkTo: 10 },
];

export function register(agents: Command, session: Session): void {
  agents.addHelpText("after", examples(["needfire agents list", "all hosts"], ["needfire agents show web1", "one host"]));
  agents
    .command("list")
    .summary("list the accepted agents")
    .description("List the accepted agents: present, away (for a moment, or never there), lost, or stopped, and since when.")
    .addHelpText(
      "after",
      examples(
        ["needfire agents list", "all agents"],
        ["needfire agents list --json | jq -r 'select(.presence == \"lost\").id'", "who is lost"],
      ),
    )
    .action(session.run(() => list(session)));
  agents
    .command("show")
    .summary("show one agent: labels, beacons, files and facts")
    .description("Show one agent: its labels, beacons, managed files and facts.")
    .argument("<id>", "the agent's id")
    .addHelpText(
      "after",
      examples(["needfire agents show web1", "everything about web1"], ["needfire agents show web1 --json | jq .facts", "its facts"]),
    )
    .action(session.run((id: string) => show(session, id)));
}

async function list({ out, master }: Session): Promise<void> {
  const { agents } = await master.agents();
  out.list(agents, {
    columns,
    row: ({ id, connected, presence, presence_since, last_seen, beacons, files, labels }) => [
      id,
      styled(stateOf({ connected, presence })),
      out.ago(presence_since),
      out.ago(last_seen),
      String(beacons.length),
      String(files.length),
      labelsText(labels),
    ],
    empty: "No agent is accepted yet: `needfire keys list` shows who waits.",
  });
}

/** Away: without a session for so short a time that it is not lost, or never there. */
function stateOf({ connected, presence }: { connected: boolean; presence?: Presence | undefined }): string {
  return presence === undefined || (presence === "present" && !connected) ? "away" : presence;
}

async function show({ out, master }: Session, id: string): Promise<void> {
  const agent = await master.agent(id);
  if (out.json) return out.record(agent);
  out.title(agent.id);
  out.fields([
    ["state", stateOf(agent), styleOf(stateOf(agent))],
    ["since", out.timeInFull(agent.presence_since)],
    ["last seen", out.timeInFull(agent.last_seen)],
    ["fingerprint", agent.fingerprint],
    ["labels", labelsText(agent.labels)],
  ]);
  section(
    "Beacons",
    agent.beacons.map(({ name, type }) => `${name} (${type})`),
  );
  section("Managed files", agent.files);
  section("Facts", agent.facts);

  function section(title: string, value: readonly string[] | Record<string, unknown>): void {
    if (Object.keys(value).length === 0) return;
    out.line();
    out.title(title);
    for (const line of valueLines(out, value)) out.line(`  ${line}`);
  }
}
