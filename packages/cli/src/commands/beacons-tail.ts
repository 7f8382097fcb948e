/** `needfire beacons tail`: what one beacon of one host says, as it says it. */
import type { Command } from "commander";
import type { EventView } from "@needfire/shared/api";
import { namePattern } from "@needfire/shared/ids";
import { fitting, pointInTime } from "../options.ts";
import type { Output } from "../output.ts";
import { valueLines } from "../render.ts";
import { examples, type Session } from "../session.ts";
import { jsonText, visible } from "../text.ts";

export function registerTail(beacons: Command, session: Session): void {
  beacons
    .command("tail")
    .summary("follow what one beacon of one host says")
    .description(
      "Follow what one beacon of one host says, with all data, until Ctrl-C (exit code 0). With --since, what it has said since then comes first.",
    )
    .argument("<agent>", "the agent's id")
    .argument("<beacon>", "the beacon's name", fitting(namePattern, "a beacon's name"))
    .option("--since <when>", "not before: 15m (ago), or a time", pointInTime)
    .addHelpText(
      "after",
      examples(
        ["needfire beacons tail web1 disks", "from now on"],
        ["needfire beacons tail web1 disks --since 1h --json", "for a program, with the last hour"],
      ),
    )
    .action(session.run((agent: string, beacon: string, options: { since?: string }) => tail(session, { agent, beacon, ...options })));
}

async function tail({ out, master }: Session, { agent, beacon, since }: { agent: string; beacon: string; since?: string }): Promise<void> {
  // Before a stream that would be silent for ever: is there such an agent?
  await master.agent(agent);
  const stop = new AbortController();
  process.once("SIGINT", () => stop.abort());
  for await (const item of master.watch({ agent, where: `event.beacon == ${JSON.stringify(beacon)}`, since }, stop.signal)) {
    if (out.json) await out.lineInTurn(jsonText(item));
    else if ("dropped" in item)
      await out.lineInTurn(out.paint("yellow", `(${item.dropped} events are left out here: this reader was too slow)`));
    else await out.lineInTurn(linesOf(out, item).join("\n"));
  }
}

function linesOf(out: Output, { time, type, subject, data }: EventView): string[] {
  return [
    `${out.time(time)}  ${out.paint("bold", visible(type))}  ${visible(subject ?? "")}`.trimEnd(),
    ...valueLines(out, data).map((line) => `    ${line}`),
  ];
}
