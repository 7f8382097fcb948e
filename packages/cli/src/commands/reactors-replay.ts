/** `needfire reactors replay`: what rules would have done with the events of the past, beside what was done. Nothing acts. */
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Command } from "commander";
import type { ReplayFiring, ReplayGone, ReplayProgress, ReplaySummary } from "@needfire/shared/api-replay";
import { pointInTime, wholeNumber } from "../options.ts";
import { type Cell, type Column, type Output, styled, Table } from "../output.ts";
import { codeFrame, problemLine } from "../problems.ts";
import { examples, exit, type Session } from "../session.ts";
import { visible } from "../text.ts";

interface Flags {
  since: string;
  until?: string;
  diff?: boolean;
  limit: number;
}

const firingsShown = 200;
const barWidth = 24;

const columns: Column[] = [
  { title: "" },
  { title: "TIME" },
  { title: "REACTOR" },
  { title: "AGENT" },
  { title: "SUBJECT", shrinkTo: 12 },
  { title: "DOES", shrinkTo: 12 },
  { title: "EVENT" },
];

export function registerReplay(reactors: Command, session: Session): void {
  reactors
    .command("replay")
    .summary("try reactor files on recorded events")
    .description(
      "Try reactor files on recorded events, in their order and with their time, without acting: what would have fired. Labels and facts of agents are taken as they are now; there are no silences.",
    )
    .argument("<path...>", "files, and directories whose *.yaml files are read")
    .requiredOption("--since <time>", "how far back: a duration (7d) or a time", pointInTime)
    .option("--until <time>", "up to when (default: now)", pointInTime)
    .option("--diff", "set the tasks that did fire beside it: + only now, - only then, = both")
    .option("--limit <n>", "firings that are shown; the others are counted", wholeNumber(0, 1_000_000), firingsShown)
    .addHelpText(
      "after",
      examples(
        ["needfire reactors replay web.yaml --since 7d", "what would it have done?"],
        ["needfire reactors replay ./reactors --since 7d --diff", "what changes?"],
        ["needfire reactors replay web.yaml --since 7d --json | jq -c 'select(.kind==\"firing\")'", "the firings, one a line"],
      ),
    )
    .action(session.run((paths: string[], flags: Flags) => replay(session, paths, flags)));
}

async function replay({ out, master }: Session, paths: string[], { since, until, diff = false, limit }: Flags): Promise<number> {
  // The compiler of reactors is heavy: only who needs it loads it.
  const { readReactorFiles } = await import("../reactor-files.ts");
  const { files: read, problems, texts } = await readReactorFiles(paths);
  for (const problem of problems) {
    out.notice(problemLine(out, problem));
    for (const line of codeFrame(out, problem, texts.get(problem.file) ?? "")) out.notice(line);
  }
  if (problems.length > 0) return exit.failed;
  const files = read.map(({ file }) => ({ file, text: texts.get(file)! }));
  const sources = await sourcesOf(files);
  const interrupted = new AbortController();
  const interrupt = () => interrupted.abort();
  process.once("SIGINT", interrupt);
  const names = read.flatMap(({ reactors }) => reactors.map(({ name }) => name));
  const view = new View(out, diff, names);
  try {
    const wish = { files, sources, since, diff, firings_max: limit, ...(until === undefined ? {} : { until }) };
    for await (const line of master.replay(wish, interrupted.signal)) {
      if (out.json) await out.lineInTurn(JSON.stringify(line));
      else view.show(line);
    }
  } finally {
    process.removeListener("SIGINT", interrupt);
    view.clear();
  }
  return interrupted.signal.aborted ? exit.failed : exit.done;
}

/** The files that variables of the reactors are read from, by their paths: the master need not have them. */
async function sourcesOf(files: readonly { file: string; text: string }[]): Promise<Record<string, string>> {
  const { loadReactors } = await import("@needfire/shared/reactor");
  const sources: Record<string, string> = {};
  for (const { file, text } of files) {
    loadReactors(file, text, {
      file: (path) => {
        const from = join(dirname(file), path);
        try {
          return (sources[from] = readFileSync(from, "utf8"));
        } catch {
          // The compiler says that it is missing, with its place; here and, where it runs, on the master.
          return undefined;
        }
      },
    });
  }
  return sources;
}

/** What is shown while it runs: firings as they are found, and a bar below them on a terminal. */
class View {
  readonly #out: Output;
  readonly #diff: boolean;
  readonly #table: Table;
  #any = false;
  #bar = false;

  constructor(out: Output, diff: boolean, reactors: readonly string[]) {
    this.#out = out;
    this.#diff = diff;
    // What is known of the rows to come, so that the first ones and the header stand as the others will.
    const widest = ["", "00-00 00:00:00", "", "", "", "", ""];
    this.#table = new Table(out, columns, { rows: reactors.map((name) => widest.with(2, name)) });
  }

  show(line: ReplayFiring | ReplayGone | ReplayProgress | ReplaySummary): void {
    switch (line.kind) {
      case "progress":
        return this.#progress(line);
      case "firing":
        return this.#row(firingCells(this.#out, line, this.#diff));
      case "gone":
        return this.#row(goneCells(this.#out, line));
      case "summary":
        this.clear();
        for (const text of summaryLines(this.#out, line)) this.#out.line(text);
    }
  }

  clear(): void {
    if (this.#bar) process.stderr.write("\r\x1b[K");
    this.#bar = false;
  }

  #progress(progress: ReplayProgress): void {
    if (!process.stderr.isTTY) return;
    process.stderr.write(`\r\x1b[K${progressText(progress)}`);
    this.#bar = true;
  }

  #row(cells: Cell[]): void {
    this.clear();
    if (!this.#any) this.#out.line(this.#table.header());
    this.#any = true;
    this.#out.line(this.#table.row(cells));
  }
}

/** `[######------] 50 %  1,200,000 of 2,400,000 events  210,000/s  12 firings` */
function progressText({ events, of, firings, events_per_s: perSecond }: ReplayProgress): string {
  const share = of === 0 ? 1 : events / of;
  const full = Math.round(share * barWidth);
  const bar = "#".repeat(full) + "-".repeat(barWidth - full);
  return `[${bar}] ${Math.floor(share * 100)} %  ${number(events)} of ${number(of)} events  ${number(perSecond)}/s  ${number(firings)} firings`;
}

function firingCells(out: Output, firing: ReplayFiring, diff: boolean): Cell[] {
  const { at, reactor, agent: first = "-", hosts = [], subject = "", event, task } = firing;
  const agent = hosts.length > 1 ? `${first} and ${hosts.length - 1} more` : first;
  const sign: Cell = !diff ? "" : task === undefined ? { text: "+", style: "green" } : "=";
  const doing = firing.problem === undefined ? (firing.do ?? []).map(({ action }) => action).join(" ") : `cannot: ${firing.problem}`;
  const does = firing.as === "fired" ? doing : `${firing.as}${doing === "" ? "" : `: ${doing}`}`;
  return [sign, out.time(at), reactor, agent, subject, firing.branch === "on_clear" ? `${does} (clear)` : does, event];
}

function goneCells(out: Output, { created, reactor, event, task }: ReplayGone): Cell[] {
  return [{ text: "-", style: "red" }, out.time(created), reactor, "", "", styled(task), event];
}

function summaryLines(out: Output, summary: ReplaySummary): string[] {
  const { events, heard, firings, untold, ms, events_per_s: perSecond, diff, reactors, world } = summary;
  const lines = [
    `${number(events)} events in ${(ms / 1_000).toFixed(1)} s (${number(perSecond)}/s), ${number(heard)} judged, ${out.paint("bold", `${number(firings)} firings`)}${untold > 0 ? `, ${number(untold)} of them not shown` : ""}`,
  ];
  if (diff !== undefined)
    lines.push(
      `then and now: ${number(diff.same)} the same, ${out.paint("green", `${number(diff.new)} only now`)}, ${out.paint("red", `${number(diff.gone)} only then`)}${diff.complete ? "" : " (not all tasks were compared)"}`,
    );
  for (const { reactor, mode, reasons } of reactors) {
    const said = Object.entries(reasons).map(([reason, times]) => `${reason} ${number(times)}`);
    lines.push(`  ${visible(reactor)}${mode === "live" ? "" : ` (${mode})`}: ${said.length === 0 ? "nothing" : said.join(", ")}`);
  }
  lines.push(out.paint("dim", visible(world)));
  return lines;
}

function number(value: number): string {
  return value.toLocaleString("en-US");
}
