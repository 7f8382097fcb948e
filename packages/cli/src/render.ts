/**
 * Larger things as lines: the data of an event, a unified diff, a causal chain. Data comes from hosts: every text in it is escaped.
 */
import type { ChainLink, DecisionView } from "@needfire/shared/api";
import { formatDuration } from "@needfire/shared/duration";
import { type Column, msBetween, type Output, type Style, Table } from "./output.ts";
import { displayWidth, pad, visible, visibleLine, wrapped } from "./text.ts";

/** Data nested deeper than this is not followed: a host may send any depth. */
const depthMax = 20;

/** A value as an indented outline: names dimmed, texts of several lines as a block. */
export function valueLines(out: Output, value: unknown, depth = 0): string[] {
  if (depth > depthMax) return ["…"];
  if (Array.isArray(value)) return value.flatMap((item) => withLead("- ", valueLines(out, item, depth + 1)));
  if (typeof value === "object" && value !== null)
    return Object.entries(value).flatMap(([name, item]) => entryLines(out, name, item, depth));
  return typeof value === "string" ? textLines(value) : [visible(String(value))];
}

function entryLines(out: Output, name: string, item: unknown, depth: number): string[] {
  const shownName = out.paint("dim", `${visible(name)}:`);
  if (Array.isArray(item) && item.every((part) => typeof part !== "object"))
    return [`${shownName} ${item.length === 0 ? "none" : item.map((part) => visible(String(part))).join(", ")}`];
  if (item === null) return [`${shownName} -`];
  const lines = valueLines(out, item, depth + 1);
  if (typeof item !== "object" && lines.length === 1) return [`${shownName} ${lines[0]}`];
  return lines.length === 0 ? [`${shownName} none`] : [shownName, ...lines.map((line) => `  ${line}`)];
}

/** A trailing line end is not a line of its own. */
function textLines(text: string): string[] {
  return text.replace(/\n$/, "").split("\n").map(visibleLine);
}

function withLead(lead: string, lines: string[]): string[] {
  return lines.map((line, index) => (index === 0 ? lead : " ".repeat(lead.length)) + line);
}

/** A unified diff, coloured by line. */
export function diffLines(out: Output, diff: string): string[] {
  return textLines(diff).map((line) => out.paint(diffStyle(line), line));
}

function diffStyle(line: string): Style | undefined {
  if (line.startsWith("+++") || line.startsWith("---") || line.startsWith("===")) return "bold";
  if (line.startsWith("@@")) return "cyan";
  if (line.startsWith("+")) return "green";
  return line.startsWith("-") ? "red" : undefined;
}

const chainColumns: Column[] = [
  { title: "" },
  { title: "TIME" },
  { title: "AFTER", align: "right" },
  { title: "WHAT", shrinkTo: 30 },
  { title: "DETAIL", shrinkTo: 10 },
  { title: "ID" },
];

/** A causal chain, for a place `indent` columns in: an effect stands under its cause and further in; `>` marks the link that was asked for. */
export function chainLines(out: Output, chain: readonly ChainLink[], indent: number): string[] {
  const first = chain[0];
  if (first === undefined) return [];
  const rows = chain.map((link) => {
    const after = link === first ? "" : `+${formatDuration(Math.max(0, msBetween(first.time, link.time)))}`;
    const what = `${"  ".repeat(Math.min(link.depth, depthMax))}${link.title}`;
    return [
      link.asked ? ">" : " ",
      out.time(link.time),
      after,
      { text: what, style: link.asked ? "bold" : kindStyles[link.kind] },
      link.detail,
      { text: link.id, style: "dim" },
    ] as const;
  });
  const table = new Table(out, chainColumns, { rows, indent });
  return [table.header(), ...rows.map((row) => table.row(row))];
}

const kindStyles: Record<ChainLink["kind"], Style | undefined> = {
  event: undefined,
  rollout: "yellow",
  task: "yellow",
  execution: "cyan",
};

const decisionWords: Record<DecisionView["decision"], string> = {
  "when-false": "does not fire, its condition is false:",
  "when-missing-field": "does not fire, its condition asks for what the event does not have:",
  "when-error": "does not fire, its condition cannot be evaluated:",
  "own-effect": "does not fire, the event is",
  "not-asked": "was not asked:",
  fired: "fired",
  planned: "fired, and only shows what it would do",
  shadow: "would have fired, and only notes it",
  waiting: "does not fire, it waits:",
  cancelled: "does not fire any more:",
  pending: "does not fire yet, the problem has to last:",
  joined: "does not fire again, the problem is known:",
  cleared: "does not fire, the problem is over:",
  "not-raised": "does not fire, there was no problem to clear:",
  throttled: "does not fire, it has fired often enough:",
  delayed: "fires later:",
  merged: "fires later, with others:",
  debounced: "fires when it is quiet:",
  collecting: "fires later, with others:",
  combining: "fires soon, with other hosts that would do the same:",
  combined: "fired, with other hosts that do the same:",
  overflowed: "does not fire, too many wait already:",
  inhibited: "does not fire, it is held back:",
  silenced: "does not fire:",
  muted: "does not fire at this time:",
  "loop-cut": "does not fire, the chain was cut:",
  "set-aside": "was set aside:",
  "breaker-open": "does not fire, its remedy is not tried any more:",
};

const sourceWords: Record<DecisionView["source"], string> = {
  recorded: "",
  "judged-again": "judged again",
  "judged-by-now": "judged again by the reactors of now, since those of then are not known",
};

function sourceText({ source, assumed = [] }: DecisionView): string {
  return `${sourceWords[source]}${assumed.length === 0 ? "" : `, with ${visible(assumed.join("; "))}`}`;
}

/** Judged again, these say what the reactor would have done had nothing come before. */
const firings = new Set<DecisionView["decision"]>(["fired", "planned", "shadow"]);

/** What each reactor made of an event, for a place `indent` columns in. */
export function decisionLines(out: Output, decisions: readonly DecisionView[], indent: number): string[] {
  return decisions.flatMap((decision) => {
    const after = decision.source === "recorded" ? "" : ` (${sourceText(decision)})`;
    return sentenceLines(out, decision, { indent, after });
  });
}

/** A decision in words; on a terminal in as many lines as it needs, the further ones indented. */
function sentenceLines(out: Output, decision: DecisionView, { indent, after }: { indent: number; after: string }): string[] {
  const { reactor, task } = decision;
  const name = visible(reactor);
  const sentence = `${name} ${localTimes(out, saying(decision))}${task === undefined ? "" : `, task ${visible(task)}`}${after}`;
  const [first, ...rest] = wrapped(sentence, (out.width ?? Number.POSITIVE_INFINITY) - indent - furtherIn.length);
  const painted = out.paint(firings.has(decision.decision) ? "green" : "yellow", name);
  return [`${painted}${first!.slice(name.length)}`, ...rest.map((line) => `${furtherIn}${line}`)];
}

const furtherIn = "    ";

/** The master's times in a reason, as people here read them. What stands in quotes is a value from an event and stays as it is. */
function localTimes(out: Output, text: string): string {
  return text.replaceAll(/(?<!["\w])\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z(?!["\w])/g, (iso) => out.time(iso));
}

function saying({ decision, detail, source, task }: DecisionView): string {
  const fires = firings.has(decision);
  const words =
    fires && source !== "recorded" && task === undefined ? "would fire; what it did then is not recorded" : decisionWords[decision];
  if (detail === "") return words.replace(/:$/, "");
  // "fired for KEY", or "fired: what made it".
  return `${words}${fires && !detail.startsWith("for [") ? ":" : ""} ${visible(detail)}`;
}

/** The same in full: when, by which version, and what each part of its conditions came to. */
export function explanationLines(out: Output, decisions: readonly DecisionView[]): string[] {
  return decisions.flatMap((decision) => {
    const { version, at, parts = [], source } = decision;
    const by = [version === undefined ? undefined : `version ${visible(version)}`, at === undefined ? undefined : `at ${out.time(at)}`];
    const where = [...by, source === "recorded" ? undefined : sourceText(decision)].filter((text) => text !== undefined).join(", ");
    const width = Math.max(0, ...parts.map((part) => displayWidth(visible(part.source))));
    return [
      ...sentenceLines(out, decision, { indent: 0, after: "" }),
      `  ${out.paint("dim", where)}`,
      ...parts.map((part) => `  ${pad(visible(part.source), width)}  ${partValue(out, part)}`),
    ];
  });
}

function partValue(out: Output, { value, error }: { value?: string; error?: string }): string {
  if (error !== undefined) return out.paint("red", visible(error));
  return out.paint(value === "true" ? "green" : "yellow", visible(value ?? ""));
}
