/**
 * What is seen while something is done by hand: on a terminal lines that are drawn anew, below what each host said when it ended; elsewhere only
 * the latter.
 */
import type { TaskView } from "@needfire/shared/api";
import { formatDuration } from "@needfire/shared/duration";
import { type Output, type Style, styleOf } from "../output.ts";
import { valueLines } from "../render.ts";
import { visible, visibleLine } from "../text.ts";
import { type Ending, type Fleet, type Host } from "./fleet.ts";

/** Hosts that are named while they are under way. */
const namedMax = 6;
const drawEveryMs = 200;

const words: Record<Ending, string> = { ok: "ok", failed: "failed", not_there: "not there", cancelled: "cancelled" };
const looks: Record<Ending, Style> = { ok: "green", failed: "red", not_there: "yellow", cancelled: "dim" };

export class Progress {
  readonly #out: Output;
  readonly #fleet: Fleet;
  readonly #draws: boolean;
  readonly #isCommand: boolean;
  #drawn = 0;
  #timer: NodeJS.Timeout | undefined;

  /** `isCommand`: what a host says is what a program printed. */
  constructor(out: Output, fleet: Fleet, { isCommand }: { isCommand: boolean }) {
    this.#out = out;
    this.#fleet = fleet;
    this.#isCommand = isCommand;
    this.#draws = process.stderr.isTTY && !out.json && process.env["TERM"] !== "dumb";
  }

  start(): void {
    if (this.#draws) this.#timer = setInterval(() => this.#draw(), drawEveryMs);
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#clear();
  }

  /** A host has ended. */
  ended(host: Host): void {
    const { json } = this.#out;
    if (json) return this.#out.record(hostRecord(host));
    this.#clear();
    for (const line of hostLines(this.#out, host, this.#isCommand)) this.#out.line(line);
    this.#draw();
  }

  /** A remark of ours. */
  notice(text: string): void {
    this.#clear();
    this.#out.notice(text);
    this.#draw();
  }

  summary(tookMs: number): void {
    this.stop();
    const counts = this.#fleet.counts();
    const open = this.#fleet.underWay.length;
    if (this.#out.json)
      return this.#out.record({ kind: "summary", ...counts, under_way: open, not_begun: this.#fleet.toCome, took_ms: Math.round(tookMs) });
    const parts = endingParts(this.#out, counts);
    if (open > 0) parts.push(this.#out.paint("yellow", `${open} still under way`));
    if (this.#fleet.toCome > 0) parts.push(`${this.#fleet.toCome} not begun`);
    this.#out.line(`${parts.join(", ")}  ${this.#out.paint("dim", `(${formatDuration(tookMs)})`)}`);
  }

  #clear(): void {
    // From the line's beginning: the terminal may have written ^C there.
    if (this.#drawn > 0) process.stderr.write(`\r\x1b[${this.#drawn}A\x1b[J`);
    this.#drawn = 0;
  }

  #draw(): void {
    if (!this.#draws || this.#timer === undefined) return;
    this.#clear();
    const width = process.stderr.columns ?? 80;
    // A line that wraps would be more than one to go up.
    const lines = progressLines(this.#fleet, Date.now()).map((line) => line.slice(0, width - 1));
    for (const line of lines) process.stderr.write(`${this.#out.paint("dim", line)}\n`);
    this.#drawn = lines.length;
  }
}

/** The slowest first; who is away last. */
function progressLines(fleet: Fleet, now: number): string[] {
  const open = fleet.underWay;
  const shown = [...open.filter(({ connected }) => connected), ...open.filter(({ connected }) => !connected)];
  const width = Math.max(0, ...shown.slice(0, namedMax).map(({ agent }) => agent.length));
  const lines = shown.slice(0, namedMax).map(({ agent, connected, since }) => {
    return `  ${agent.padEnd(width)}  ${connected ? "under way" : "not connected: waited for"}, ${secondsText(now - (since ?? now))}`;
  });
  if (shown.length > namedMax) lines.push(`  and ${shown.length - namedMax} more`);
  const toCome = fleet.toCome === 0 ? "" : `, ${fleet.toCome} to come`;
  return open.length === 0 && fleet.toCome === 0
    ? []
    : [...lines, `  ${fleet.ended.length} of ${fleet.size} ended, ${open.length} under way${toCome}`];
}

/** Tenths would only flicker. */
function secondsText(ms: number): string {
  return ms < 60_000 ? `${Math.max(0, Math.floor(ms / 1_000))} s` : formatDuration(ms);
}

function endingParts(out: Output, counts: Record<Ending, number>): string[] {
  const all = (Object.keys(counts) as Ending[]).filter((ending) => ending === "ok" || counts[ending] > 0);
  return all.map((ending) => {
    const style = counts[ending] === 0 ? undefined : looks[ending];
    return out.paint(style, `${counts[ending]} ${words[ending]}`);
  });
}

/** The execution that says how it ended: the last. */
function lastOf({ ended }: Host) {
  return ended?.task.executions.at(-1);
}

function hostLines(out: Output, host: Host, isCommand: boolean): string[] {
  const { agent, ended } = host;
  if (ended === undefined) return [];
  const { ending, task } = ended;
  const last = lastOf(host);
  const did = ending === "ok" && (!isCommand || task.dry_run === true) ? `, ${changeText(task, last?.changed === true)}` : "";
  const why = ending === "failed" || ending === "cancelled" ? (last?.message ?? task.reason) : undefined;
  const told = why === undefined ? "" : `: ${why}`;
  const head = `${out.paint("bold", visible(agent))}  ${out.paint(looks[ending], words[ending])}${visible(`${did}${told}`)}  ${out.paint("dim", visible(task.id))}`;
  return [head, ...said(out, host, isCommand).map((line) => `  ${line}`)];
}

function changeText({ dry_run: isDry }: TaskView, changed: boolean): string {
  if (isDry === true) return changed ? "would change" : "would change nothing";
  return changed ? "changed" : "no change";
}

function said(out: Output, host: Host, isCommand: boolean): string[] {
  const last = lastOf(host);
  const { stdout, stderr, output_note: note, ...rest } = (last?.result ?? {}) as Record<string, unknown>;
  const printed = [...printedLines(stdout), ...printedLines(stderr).map((line) => out.paint(styleOf("high"), line)), ...printedLines(note)];
  if (isCommand) return host.ended?.ending === "ok" && host.ended.task.dry_run === true ? messageLines(last?.message) : printed;
  const message = host.ended?.ending === "ok" ? messageLines(last?.message) : [];
  const { env: _env, ...fields } = rest;
  return [...message, ...printed, ...valueLines(out, fields)];
}

function messageLines(message: string | undefined): string[] {
  return message === undefined ? [] : [visible(message)];
}

function printedLines(text: unknown): string[] {
  return typeof text !== "string" || text === "" ? [] : text.replace(/\n$/, "").split("\n").map(visibleLine);
}

function hostRecord(host: Host): Record<string, unknown> {
  const last = lastOf(host);
  const { ending, task } = host.ended!;
  const { message, changed, result, started, ended } = last ?? {};
  return {
    kind: "host",
    agent: host.agent,
    ending,
    task: task.id,
    ...{ state: task.state, outcome: last?.state, dry_run: task.dry_run, changed, message: message ?? task.reason, started, ended, result },
  };
}

/** For a host's name in a sentence. */
export function namesText(names: readonly string[]): string {
  const shown = names.slice(0, namedMax).map(visible).join(", ");
  return names.length > namedMax ? `${shown} and ${names.length - namedMax} more` : shown;
}
