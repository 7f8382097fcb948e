/** `needfire agents`: the hosts, and what is known of them. */
import type { Command } from "commander";
import type { AgentApiView, Presence } from "@needfire/shared/api";
import { lasting } from "../options.ts";
import { type Column, labelsText, type Output, styled, styleOf } from "../output.ts";
import { valueLines } from "../render.ts";
import { examples, type Session } from "../session.ts";
import { visible } from "../text.ts";
import { userName } from "../user.ts";

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
  const maintenance = agents
    .command("maintenance")
    .summary("begin or end the maintenance of a host")
    .description(
      "Begin the maintenance of a host, give it another end, or end it. Meanwhile the host is watched and everything is recorded, but no reactor acts on it. When it is over, by the clock or by word, the host's beacons say once more what is not as it should be.",
    )
    .argument("<id>", "the agent's id")
    .option("--for <duration>", "for how long, such as 2h", lasting)
    .option("--why <text>", "the reason, for the record")
    .option("--end", "it is over")
    .addHelpText(
      "after",
      examples(
        ["needfire agents maintenance web1 --for 2h --why 'a new disk'", "begin, or give it another end"],
        ["needfire agents maintenance web1 --end", "it is over"],
      ),
    );
  maintenance.action(
    session.run(async (id: string, wish: MaintenanceWish) => {
      if (wish.end === true && (wish.for !== undefined || wish.why !== undefined)) maintenance.error("error: --end stands alone");
      if (wish.end !== true && (wish.for === undefined || wish.why === undefined))
        maintenance.error("error: say for how long and why (--for, --why), or --end");
      await maintain(session, id, wish);
    }),
  );
}

interface MaintenanceWish {
  for?: number;
  why?: string;
  end?: boolean;
}

async function maintain({ out, master }: Session, id: string, { for: forMs = 0, why = "", end = false }: MaintenanceWish): Promise<void> {
  const by = userName();
  const agent = end ? await master.endMaintenance(id, by) : await master.beginMaintenance(id, { for_ms: forMs, why, by });
  if (out.json) return out.record(agent);
  const { maintenance } = agent;
  if (maintenance === undefined) out.line(`The maintenance of ${visible(id)} is over.`);
  else out.line(`${visible(id)} is in maintenance until ${out.time(maintenance.until)}: it is watched, and no reactor acts on it.`);
}

async function list({ out, master }: Session): Promise<void> {
  const { agents } = await master.agents();
  out.list(agents, {
    columns,
    row: ({ id, connected, presence, presence_since, last_seen, maintenance, beacons, files, labels }) => [
      id,
      maintenance === undefined
        ? styled(stateOf({ connected, presence }))
        : { text: `${stateOf({ connected, presence })}, maintenance`, style: "yellow" },
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

function maintenanceText(out: Output, { until, why, by }: NonNullable<AgentApiView["maintenance"]>): string {
  return `until ${out.timeInFull(until)}, by ${visible(by)}: ${visible(why)}`;
}

async function show({ out, master }: Session, id: string): Promise<void> {
  const agent = await master.agent(id);
  if (out.json) return out.record(agent);
  out.title(agent.id);
  out.fields([
    ["state", stateOf(agent), styleOf(stateOf(agent))],
    ["since", out.timeInFull(agent.presence_since)],
    ["last seen", out.timeInFull(agent.last_seen)],
    ["maintenance", agent.maintenance === undefined ? undefined : maintenanceText(out, agent.maintenance), "yellow"],
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
