/** `needfire events`: what happened, as it happens, and why. */
import { type Command, Option } from "commander";
import { countKeys, type EventView, type MissingPart } from "@needfire/shared/api";
import { missingText } from "@needfire/shared/api-missing";
import { formatDuration } from "@needfire/shared/duration";
import { customTypePattern, severities } from "@needfire/shared/event";
import type { CountFilter, EventsFilter } from "../client.ts";
import { fitting, jsonObject, pointInTime, wholeNumber } from "../options.ts";
import { type Cell, type Column, msBetween, type Output, styled, styleOf, Table } from "../output.ts";
import { chainLines, decisionLines, diffLines, valueLines } from "../render.ts";
import { examples, type Session } from "../session.ts";
import { jsonText, visible } from "../text.ts";
import { userName } from "../user.ts";

const columns: Column[] = [
  { title: "TIME" },
  { title: "TYPE" },
  { title: "SEV" },
  { title: "AGENT" },
  { title: "SUBJECT", shrinkTo: 12 },
  { title: "ID" },
];

export function register(events: Command, session: Session): void {
  events.addHelpText(
    "after",
    examples(
      ["needfire events watch", "what happens"],
      ["needfire events list --since 1h", "what happened"],
      ["needfire events count --since 1d", "how much of what"],
      ["needfire events show web1:mi4k2x:42", "why, and what came of it"],
    ),
  );
  filters(events.command("list").summary("list what happened, newest first").description("List what happened, newest first."))
    .option("--until <when>", "not after", pointInTime)
    .option("-n, --limit <n>", "how many at most (default: 50)", wholeNumber(1, 10_000))
    .addHelpText(
      "after",
      examples(
        ["needfire events list", "the newest 50"],
        ["needfire events list --since 15m --type 'file.*'", "files, in the last quarter of an hour"],
        ["needfire events list --agent 'web*' --since 2026-11-22T08:00 --until 2026-11-22T09:00", "some hosts, this morning"],
        ["needfire events list --where 'event.severity == \"high\" && event.data.percent > 95.0'", "by a CEL condition"],
        ["needfire events list --json | jq -r .id", "in a script"],
      ),
    )
    .action(session.run((filter: EventsFilter) => list(session, filter)));
  narrowed(
    events
      .command("count")
      .summary("count what happened")
      .description("Count what happened, by type or by something else. Quick over a long past: whole hours are counted already."),
  )
    .option("--until <when>", "not after", pointInTime)
    .addOption(new Option("--by <key>", "what to count by (default: type)").choices(countKeys))
    .option("-n, --limit <n>", "how many lines at most (default: 1000)", wholeNumber(1, 10_000))
    .addHelpText(
      "after",
      examples(
        ["needfire events count --since 1d", "what happened since yesterday"],
        ["needfire events count --by agent --type 'file.*' --since 1h", "who is it that changes files"],
        ["needfire events count --by hour --since 2d --json", "for a graph"],
      ),
    )
    .action(session.run((filter: CountFilter) => count(session, filter)));
  filters(
    events
      .command("watch")
      .summary("follow what happens")
      .description("Follow what happens until Ctrl-C (exit code 0). With --since, what has happened since then comes first."),
  )
    .addHelpText(
      "after",
      examples(
        ["needfire events watch", "everything"],
        ["needfire events watch --type 'task.*' --agent web1", "what is done on web1"],
        ["needfire events watch --json | jq 'select(.severity==\"critical\")'", "in a script"],
      ),
    )
    .action(session.run((filter: EventsFilter) => watch(session, filter)));
  events
    .command("show")
    .summary("show one event, and what led to it and came of it")
    .description("Show one event: its data, the change as a diff, and the whole chain of causes and effects that it stands in.")
    .argument("<id>", "the event's id, as `needfire events list` prints it")
    .addHelpText(
      "after",
      examples(
        ["needfire events show web1:mi4k2x:42", "everything about one event"],
        ["needfire events show web1:mi4k2x:42 --json | jq .chain", "the chain for a program"],
      ),
    )
    .action(session.run((id: string) => show(session, id)));
  events
    .command("send")
    .summary("put an event of your own into the journal")
    .description(
      "Put an event of your own into the journal; reactors see it like any other. Who sent it stands in its data, as `by`. Prints its id.",
    )
    .argument(
      "<type>",
      "such as deploy.wanted",
      fitting(customTypePattern, "a type such as deploy.wanted, and none of the master's own (task.*, agent.*, ...)"),
    )
    .option("--subject <text>", "what it is about")
    .addOption(new Option("--severity <severity>", "how grave it is (default: normal)").choices(severities))
    .option("--data <json>", "an object", jsonObject)
    .addHelpText(
      "after",
      examples(
        ["needfire events send deploy.wanted --subject shop", "the least"],
        ['needfire events send deploy.wanted --severity high --data \'{"version": "1.4.2"}\'', "with data for the reactors"],
      ),
    )
    .action(
      session.run(async (type: string, options: { subject?: string; severity?: string; data?: Record<string, unknown> }) => {
        const { out, master } = session;
        const sent = await master.send({ type, ...options, by: userName() });
        if (out.json) out.record(sent);
        else out.line(visible(sent.id));
      }),
    );
}

function filters(command: Command): Command {
  return narrowed(command).option("--where <cel>", "only where a CEL condition over `event` holds");
}

function narrowed(command: Command): Command {
  return command
    .option("--agent <glob>", "only of these agents, such as 'web*'")
    .option("--type <glob>", "only of these types, such as 'file.*'")
    .option("--since <when>", "not before: 15m (ago), or a time", pointInTime);
}

async function list({ out, master }: Session, filter: EventsFilter): Promise<void> {
  const { events, missing } = await master.events(filter);
  out.list(events, { columns, row: (event) => cells(out, event), empty: "No such event." });
  tellMissing(out, missing);
}

async function count({ out, master }: Session, filter: CountFilter): Promise<void> {
  const { by, total, counts, missing } = await master.count(filter);
  const shown = counts.reduce((sum, { events }) => sum + events, 0);
  const cell = (key: string): Cell => (by === "severity" ? styled(key) : by === "hour" ? out.time(key) : key);
  out.list(counts, {
    columns: [{ title: "EVENTS", align: "right" }, { title: by.toUpperCase() }],
    row: ({ key, events }) => [String(events), cell(key)],
    empty: "No such event.",
  });
  if (!out.json && counts.length > 0)
    out.notice(shown === total ? `${total} in all` : `${total} in all; ${total - shown} of them have no line here: --limit shows more`);
  tellMissing(out, missing);
}

/** Also to a program, which reads the answer elsewhere. */
function tellMissing(out: Output, missing: readonly MissingPart[]): void {
  if (missing.length > 0) out.notice(`The answer is not whole: ${missingText(missing)}`);
}

function cells(out: Output, { time, type, severity, agent, subject, id }: EventView): Cell[] {
  return [
    out.time(time),
    { text: type, style: severity === "normal" ? undefined : styleOf(severity) },
    styled(severity),
    agent,
    subject ?? "-",
    { text: id, style: "dim" },
  ];
}

async function watch({ out, master }: Session, filter: EventsFilter): Promise<void> {
  const stop = new AbortController();
  process.once("SIGINT", () => stop.abort());
  // Wide enough from the start that most rows stand under one another.
  const usual = ["00:00:00.000", "execution.finished", "critical", "agent-name", "/etc/needfire/some.conf", "agent-name:mi4k2x:1234"];
  const table = new Table(out, columns, { rows: [usual] });
  if (!out.json) out.line(table.header());
  for await (const item of master.watch(filter, stop.signal)) {
    if (out.json) await out.lineInTurn(jsonText(item));
    else if ("dropped" in item)
      await out.lineInTurn(
        out.paint("yellow", `(${item.dropped} events are left out here: this reader was too slow; \`needfire events list\` has them)`),
      );
    else await out.lineInTurn(table.row(cells(out, item)));
  }
}

async function show({ out, master }: Session, id: string): Promise<void> {
  const view = await master.chain(id);
  tellMissing(out, view.missing);
  if (out.json) return out.record(view);
  const { event } = view;
  out.title(`${event.type}  ${event.subject ?? ""}`.trimEnd());
  out.fields([
    ["id", event.id],
    ["time", out.timeInFull(event.time)],
    ["received", `${formatDuration(Math.max(0, msBetween(event.time, event.received)))} later`],
    ["severity", event.severity, styleOf(event.severity)],
    ["agent", event.agent],
    ["beacon", event.beacon],
    ["source", event.source],
    ["cause", event.cause],
  ]);
  const { diff, ...data } = event.data;
  section("Data", valueLines(out, typeof diff === "string" ? data : event.data));
  if (typeof diff === "string") section("Diff", diffLines(out, diff));
  section("Reactors", decisionLines(out, view.decisions, 2));
  section("Chain", chainLines(out, view.chain, 2));
  if (view.cut) out.line(out.paint("dim", "  (there are more effects than are shown)"));

  function section(title: string, lines: string[]): void {
    if (lines.length === 0) return;
    out.line();
    out.title(title);
    for (const line of lines) out.line(`  ${line}`);
  }
}
