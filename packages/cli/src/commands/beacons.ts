/** `needfire beacons`: what is watched, on which hosts, and how the watchers are. */
import type { Command } from "commander";
import type { BeaconView } from "@needfire/shared/api-beacons";
import type { Cell, Column } from "../output.ts";
import { styled } from "../output.ts";
import { problemLines } from "../problems.ts";
import { examples, type Session } from "../session.ts";
import { registerCheck } from "./beacons-check.ts";
import { registerTail } from "./beacons-tail.ts";
import { registerTest } from "./beacons-test.ts";
import { registerTypes } from "./beacons-types.ts";

export function register(beacons: Command, session: Session): void {
  beacons.addHelpText(
    "after",
    examples(
      ["needfire beacons types", "what can be watched"],
      ["needfire beacons test disk --options '{above: 10, for: 0s}'", "try one, here and now"],
      ["needfire beacons check ./beacons", "what is wrong in files of them"],
      ["needfire beacons list --agent web1", "how those of a host are"],
      ["needfire beacons tail web1 disks", "what one of them says, as it says it"],
    ),
  );
  registerTypes(beacons, session);
  beacons
    .command("list")
    .summary("list the beacons in force")
    .description(
      "List the beacons in force: those that the master gives out, with how many hosts have each; or those of one host, its local ones too, and how each is. What is wrong with the master's beacon files is told on stderr.",
    )
    .option("--agent <id>", "those of one host")
    .addHelpText(
      "after",
      examples(
        ["needfire beacons list", "those of the master's files"],
        ["needfire beacons list --agent web1", "those of one host"],
        ["needfire beacons list --agent web1 --json | jq -r 'select(.state==\"failed\").name'", "in a script"],
      ),
    )
    .action(session.run((options: { agent?: string }) => list(session, options)));
  registerCheck(beacons, session);
  registerTest(beacons, session);
  registerTail(beacons, session);
}

const fleet: Column[] = [
  { title: "BEACON" },
  { title: "TYPE" },
  { title: "SEV" },
  { title: "AGENTS", align: "right" },
  { title: "TARGETS", shrinkTo: 8 },
  { title: "FILE", shrinkTo: 12 },
];
const host: Column[] = [
  { title: "BEACON" },
  { title: "TYPE" },
  { title: "STATE" },
  { title: "SINCE" },
  { title: "FROM", shrinkTo: 12 },
  { title: "MESSAGE", shrinkTo: 16 },
];

async function list({ out, master }: Session, { agent }: { agent?: string }): Promise<void> {
  const { beacons, problems } = await master.beacons(agent);
  const onHost = ({ name, type, state, since, file, message }: BeaconView): Cell[] => [
    name,
    type,
    state === undefined ? { text: "not applied", style: "yellow" } : styled(state),
    out.ago(since),
    file ?? "this host",
    message ?? "",
  ];
  const inFleet = ({ name, type, severity, agents, targets, file }: BeaconView): Cell[] => [
    name,
    type,
    styled(severity ?? "-"),
    String(agents ?? 0),
    (targets ?? []).join(" "),
    file ?? "-",
  ];
  out.list(beacons, {
    columns: agent === undefined ? fleet : host,
    row: agent === undefined ? inFleet : onHost,
    empty: agent === undefined ? "The master gives out no beacon." : "No beacon is in force on this host.",
  });
  for (const line of problemLines(out, problems)) out.notice(line);
}
