/** `needfire silence`: firings that are held back for a while, and how many were. */
import type { Command } from "commander";
import type { SilenceView } from "@needfire/shared/api";
import { formatDuration } from "@needfire/shared/duration";
import { lasting } from "../options.ts";
import { type Column, msBetween, type Output } from "../output.ts";
import { examples, type Session } from "../session.ts";
import { visible } from "../text.ts";
import { userName } from "../user.ts";

const columns: Column[] = [
  { title: "ID" },
  { title: "REACTOR", shrinkTo: 8 },
  { title: "AGENT", shrinkTo: 8 },
  { title: "UNTIL" },
  { title: "LEFT", align: "right" },
  { title: "HELD", align: "right" },
  { title: "BY", shrinkTo: 6 },
  { title: "WHY", shrinkTo: 10 },
];
interface Wish {
  reactor?: string;
  agent?: string;
  for: number;
  why: string;
}

export function register(silence: Command, session: Session): void {
  silence.addHelpText(
    "after",
    examples(
      ["needfire silence add --reactor 'disk-*' --agent web1 --for 2h --why 'new disk'", "hold back"],
      ["needfire silence list", "what is held back now, and how much was"],
    ),
  );
  const add = silence
    .command("add")
    .summary("hold back what reactors would do")
    .description(
      "Hold back the firings of some reactors, for some agents, for a while. They are decided all the same and recorded as silenced; none is made up for afterwards. It ends by itself.",
    )
    .option("--reactor <glob>", "of these reactors, such as 'disk-*'")
    .option("--agent <glob>", "for these agents, such as 'web*'")
    .requiredOption("--for <duration>", "for how long, such as 2h", lasting)
    .requiredOption("--why <text>", "the reason, for the record")
    .addHelpText(
      "after",
      examples(
        ["needfire silence add --agent 'db*' --for 30m --why 'moving racks'", "all reactors, some hosts"],
        ["needfire silence add --reactor cpu-high --for 2h --why 'load test' --json | jq -r .id", "one reactor, all hosts"],
      ),
    );
  add.action(
    session.run(async (wish: Wish) => {
      if (wish.reactor === undefined && wish.agent === undefined) add.error("error: say which: --reactor, --agent or both");
      await addSilence(session, wish);
    }),
  );
  silence
    .command("list")
    .summary("list the silences in force")
    .description("List the silences in force: whom they are about, how long they last, and how many firings they have held back.")
    .addHelpText(
      "after",
      examples(["needfire silence list", "all"], ["needfire silence list --json | jq 'select(.held>0)'", "those that did something"]),
    )
    .action(session.run(() => list(session)));
  silence
    .command("remove")
    .summary("end a silence before its time")
    .description("End a silence before its time. What it has held back is not made up for.")
    .argument("<id>", "the silence's id, as `needfire silence list` prints it")
    .addHelpText("after", examples(["needfire silence remove s-3f9a1c0b", "end it now"]))
    .action(session.run((id: string) => remove(session, id)));
}

async function addSilence({ out, master }: Session, { reactor, agent, for: forMs, why }: Wish): Promise<void> {
  const silence = await master.addSilence({ reactor, agent, for_ms: forMs, why, by: userName() });
  if (out.json) return out.record(silence);
  out.line(`${visible(silence.id)} holds back ${about(silence)} until ${out.time(silence.until)}.`);
}

async function list({ out, master }: Session): Promise<void> {
  const { silences } = await master.silences();
  out.list(silences, {
    columns,
    row: (silence) => [
      silence.id,
      silence.reactor ?? "*",
      silence.agent ?? "*",
      out.time(silence.until),
      left(out, silence),
      String(silence.held),
      silence.by,
      silence.why,
    ],
    empty: "Nothing is silenced.",
  });
}

async function remove({ out, master }: Session, id: string): Promise<void> {
  const silence = await master.removeSilence(id, userName());
  if (out.json) return out.record(silence);
  out.line(`${visible(silence.id)} is over; it held back ${silence.held === 1 ? "1 firing" : `${silence.held} firings`}.`);
}

function about({ reactor, agent }: SilenceView): string {
  const what = reactor === undefined ? "every reactor" : visible(reactor);
  return agent === undefined ? `${what} everywhere` : `${what} for ${visible(agent)}`;
}

function left(out: Output, { until }: SilenceView): string {
  return formatDuration(Math.max(0, msBetween(new Date(out.now()).toISOString(), until)));
}
