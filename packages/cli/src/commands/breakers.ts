/** `needfire breakers`: remedies that did not hold and are not tried any more, until somebody says so. */
import type { Command } from "commander";
import type { BreakerView } from "@needfire/shared/api";
import type { Column } from "../output.ts";
import { examples, type Session } from "../session.ts";
import { visible } from "../text.ts";
import { userName } from "../user.ts";

const columns: Column[] = [
  { title: "REACTOR", shrinkTo: 12 },
  { title: "KEY", shrinkTo: 12 },
  { title: "SINCE" },
  { title: "HELD", align: "right" },
  { title: "LAST TASK" },
  { title: "WHY", shrinkTo: 20 },
];

export function register(breakers: Command, session: Session): void {
  breakers.addHelpText(
    "after",
    examples(["needfire breakers list", "what is not tried any more"], ["needfire breakers reset nginx-stays-up", "let it try again"]),
  );
  breakers
    .command("list")
    .summary("list remedies that are not tried any more")
    .description(
      "List what has tripped, the first one first: a reactor's remedy that did not hold for a key, or for so many keys that the whole reactor did. HELD counts the firings that made no task since.",
    )
    .addHelpText(
      "after",
      examples(["needfire breakers list", "all"], ["needfire breakers list --json | jq -r '.tasks[]'", "the tasks that did not hold"]),
    )
    .action(session.run(() => list(session)));
  breakers
    .command("reset")
    .summary("let a remedy be tried again")
    .description(
      "Let a reactor's remedy be tried again: for one key, or for the reactor with all of its keys. What was held is not made up for.",
    )
    .argument("<reactor>", "the reactor's name")
    .option("--key <value...>", "only for this key: its values, as `needfire breakers list` prints them")
    .option("--why <text>", "the reason, for the record")
    .addHelpText(
      "after",
      examples(
        ["needfire breakers reset nginx-stays-up --why 'config mended'", "the whole reactor"],
        ["needfire breakers reset nginx-stays-up --key web1 nginx.service", "one key"],
      ),
    )
    .action(session.run((reactor: string, wish: { key?: string[]; why?: string }) => reset(session, reactor, wish)));
}

async function list({ out, master }: Session): Promise<void> {
  const { breakers } = await master.breakers();
  out.list(breakers, {
    columns,
    row: (each) => [
      each.reactor,
      { text: keyText(each), style: each.key === undefined ? "red" : undefined },
      out.time(each.since),
      String(each.held),
      each.tasks.at(-1) ?? "-",
      each.why,
    ],
    empty: "No breaker has tripped.",
  });
}

async function reset({ out, master }: Session, reactor: string, { key, why }: { key?: string[]; why?: string }): Promise<void> {
  const { breakers } = await master.resetBreaker(reactor, { key, why, by: userName() });
  for (const each of breakers) {
    if (out.json) out.record(each);
    else out.line(`${visible(each.reactor)} may try again for ${visible(keyText(each))}; it held back ${firings(each.held)}.`);
  }
}

function keyText({ key }: BreakerView): string {
  return key === undefined ? "all keys" : key.length === 0 ? "everything" : key.join(" ");
}

function firings(held: number): string {
  return held === 1 ? "1 firing" : `${held} firings`;
}
