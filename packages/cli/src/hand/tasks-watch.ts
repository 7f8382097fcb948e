/** `needfire tasks watch`: each step of tasks' lives, as it happens. */
import type { EventView } from "@needfire/shared/api";
import { formatDuration } from "@needfire/shared/duration";
import { globMatcher } from "@needfire/shared/glob";
import { type Cell, type Column, type Output, type Style, styleOf, Table } from "../output.ts";
import type { Session } from "../session.ts";
import { counted, jsonText } from "../text.ts";

export interface WatchFilter {
  agent?: string | undefined;
  reactor?: string | undefined;
  since?: string | undefined;
}

const columns: Column[] = [
  { title: "TIME" },
  { title: "STEP" },
  { title: "REACTOR", shrinkTo: 8 },
  { title: "AGENT" },
  { title: "SUBJECT", shrinkTo: 8 },
  { title: "DETAIL", shrinkTo: 12 },
  { title: "TASK" },
];
/** Wide enough from the start that most rows stand under one another. */
const usual = ["00:00:00.000", "escalated", "restore-file", "agent", "/etc/some.conf", "rung 1 of 2, attempt 1 of 3", "t-0000000000000000"];

export async function watchTasks({ out, master }: Session, { agent, reactor, since }: WatchFilter): Promise<void> {
  const stop = new AbortController();
  process.once("SIGINT", () => stop.abort());
  const isWanted = filterOf({ agent, reactor });
  const table = new Table(out, columns, { rows: [usual] });
  if (!out.json) out.line(table.header());
  for await (const item of master.watch({ type: "task.*", since }, stop.signal)) {
    if ("dropped" in item) {
      const text = `(${item.dropped} events are left out here: this reader was too slow; \`needfire events list --type 'task.*'\` has them)`;
      await out.lineInTurn(out.json ? jsonText(item) : out.paint("yellow", text));
    } else if (isWanted(item)) await out.lineInTurn(out.json ? jsonText(item) : table.row(cells(out, item)));
  }
}

function filterOf({ agent, reactor }: Pick<WatchFilter, "agent" | "reactor">): (event: EventView) => boolean {
  const agentMatches = agent === undefined ? () => true : globMatcher(agent);
  const reactorMatches = reactor === undefined ? () => true : globMatcher(reactor);
  return ({ data }) => {
    const agents = Array.isArray(data["agents"]) ? data["agents"] : [data["agent"]];
    return agents.some((id) => agentMatches(String(id))) && reactorMatches(text(data["reactor"]) ?? "by hand");
  };
}

function cells(out: Output, event: EventView): Cell[] {
  const { time, type, subject = "-", data, id } = event;
  const step = type.slice("task.".length);
  const agents = Array.isArray(data["agents"]) ? data["agents"].map(String) : [];
  const agent = text(data["agent"]) ?? (agents.length === 1 ? agents[0]! : counted(agents.length, "host"));
  const about = text(data["task"]) ?? id;
  return [
    out.time(time),
    { text: step, style: styles[step] ?? styleOf(step) },
    text(data["reactor"]) ?? "by hand",
    agent,
    subject,
    details[step]?.(data) ?? text(data["reason"]) ?? "",
    { text: about, style: "dim" },
  ];
}

const styles: Record<string, Style> = { created: "cyan", ordered: "cyan", retried: "cyan", undo_failed: "red", otherwise_failed: "red" };

type Data = Record<string, unknown>;
/** What a step says beyond its reason. */
const details: Record<string, (data: Data) => string | undefined> = {
  ordered: (data) => says(data["by"], data["why"]),
  retried: (data) => says(data["by"], data["why"]),
  waiting: ({ from, message }) => says(Array.isArray(from) ? from.join(" or ") : undefined, message),
  approved: (data) => says(data["by"], data["why"]),
  denied: (data) => says(data["by"], data["why"]),
  comment: (data) => says(data["by"], data["text"]),
  cancelled: (data) => says(data["by"], data["reason"]),
  created: ({ actions }) => (Array.isArray(actions) ? actions.map(String).join(", ") : undefined),
  attempt: place,
  retrying: (data) => `${place(data)}: ${text(data["reason"]) ?? "failed"}`,
  verifying: ({ action }) => text(action),
  resolved: (data) => `${data["verified"] === true ? "verified, " : ""}${took(data)}`,
};

function says(by: unknown, what: unknown): string {
  return [text(by), text(what)].filter((part) => part !== undefined).join(": ");
}

function place({ rung, rungs, attempt, attempts }: Data): string {
  return `rung ${String(rung)} of ${String(rungs)}, attempt ${String(attempt)} of ${String(attempts)}`;
}

function took({ took_ms: ms }: Data): string {
  return typeof ms === "number" ? formatDuration(Math.max(0, ms)) : "";
}

function text(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}
