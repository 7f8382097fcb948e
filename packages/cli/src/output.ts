/**
 * What the program says: tables that fit the terminal, times, colour where somebody looks, and `--json` where a program reads.
 * Escapes everything that it prints in a cell, so that a command cannot forget it.
 */
import { once } from "node:events";
import { formatDuration } from "@needfire/shared/duration";
import { displayWidth, fit, jsonText, pad, visible } from "./text.ts";

const styles = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33, cyan: 36 } as const;
export type Style = keyof typeof styles;

export type Cell = string | { text: string; style: Style | undefined };

/** `shrinkTo`: the column may be cut down to this width when the terminal is too narrow; an id never is, since people copy it. */
export interface Column {
  title: string;
  align?: "left" | "right";
  shrinkTo?: number;
}

export interface OutputOptions {
  json: boolean;
  colour: boolean;
  /** Columns of the terminal; undefined: nothing is cut. */
  width: number | undefined;
  /** Milliseconds since the epoch. */
  now: () => number;
}

/** How wide the columns of a table stand. Grows when {@link Table.row} is given wider cells, so that a stream stays aligned. */
export class Table {
  readonly #columns: readonly Column[];
  readonly #out: Output;
  readonly #widthMax: number;
  readonly #widths: number[];

  /** `rows`: those that are known already. `indent`: columns of the terminal that the caller puts before each line. */
  constructor(
    out: Output,
    columns: readonly Column[],
    { rows = [], indent = 0 }: { rows?: readonly (readonly Cell[])[]; indent?: number } = {},
  ) {
    this.#columns = columns;
    this.#out = out;
    this.#widthMax = (out.width ?? Number.POSITIVE_INFINITY) - indent;
    this.#widths = columns.map(({ title }) => title.length);
    for (const row of rows) this.#grow(row.map(textOf));
  }

  header(): string {
    return this.#line(this.#columns.map(({ title }) => ({ text: title, style: "dim" })));
  }

  row(cells: readonly Cell[]): string {
    this.#grow(cells.map(textOf));
    return this.#line(cells);
  }

  #grow(texts: string[]): void {
    for (const [index, text] of texts.entries()) this.#widths[index] = Math.max(this.#widths[index]!, displayWidth(text));
  }

  #line(cells: readonly Cell[]): string {
    const widths = this.#fitted();
    const shown = cells.map((cell, index) => {
      const { align, shrinkTo } = this.#columns[index]!;
      const text = shrinkTo === undefined ? textOf(cell) : fit(textOf(cell), widths[index]!);
      const padded = index === cells.length - 1 && align !== "right" ? text : pad(text, widths[index]!, align);
      return typeof cell === "string" ? padded : this.#out.paint(cell.style, padded);
    });
    return shown.join("  ").trimEnd();
  }

  /** Takes from the widest column that may shrink until the line fits. */
  #fitted(): number[] {
    const widths = [...this.#widths];
    let over = widths.reduce((sum, width) => sum + width + 2, -2) - this.#widthMax;
    for (; over > 0; over--) {
      let widest = -1;
      for (const [index, { shrinkTo }] of this.#columns.entries()) {
        if (shrinkTo !== undefined && widths[index]! > shrinkTo && widths[index]! > (widths[widest] ?? 0)) widest = index;
      }
      if (widest < 0) break;
      widths[widest]!--;
    }
    return widths;
  }
}

export class Output {
  readonly json: boolean;
  readonly width: number | undefined;
  readonly now: () => number;
  readonly #colour: boolean;

  constructor({ json, colour, width, now }: OutputOptions) {
    this.json = json;
    this.width = width;
    this.now = now;
    this.#colour = colour;
  }

  /** Prints a line that is ready: made of literals, and of what passed `visible` or a {@link Table}. */
  line(text = ""): void {
    process.stdout.write(`${text}\n`);
  }

  /** Prints a line and waits while the reader is slow: for streams, which must not pile up here. */
  async lineInTurn(text: string): Promise<void> {
    if (!process.stdout.write(`${text}\n`)) await once(process.stdout, "drain");
  }

  /** One object of `--json`, on one line. */
  record(value: unknown): void {
    this.line(jsonText(value));
  }

  /** A remark beside the result: on stderr, so that pipes do not see it. */
  notice(text: string): void {
    process.stderr.write(`${text}\n`);
  }

  /** A list: objects for a program, a table for people, or the sentence that says why there is none. */
  list<T>(items: readonly T[], { columns, row, empty }: { columns: readonly Column[]; row: (item: T) => Cell[]; empty: string }): void {
    if (this.json) {
      for (const item of items) this.record(item);
      return;
    }
    if (items.length === 0) return this.notice(empty);
    const rows = items.map(row);
    const table = new Table(this, columns, { rows });
    this.line(table.header());
    for (const cells of rows) this.line(table.row(cells));
  }

  /** Names and values below one another; what is undefined is left out. */
  fields(values: readonly (readonly [name: string, value: string | undefined, style?: Style | undefined])[]): void {
    const present = values.filter(([, value]) => value !== undefined);
    const width = Math.max(0, ...present.map(([name]) => name.length));
    for (const [name, value, style] of present)
      this.line(`  ${this.paint("dim", pad(name, width))}  ${this.paint(style, visible(value ?? ""))}`);
  }

  title(text: string): void {
    this.line(this.paint("bold", visible(text)));
  }

  /** Colours text that is ready to print. */
  paint(style: Style | undefined, text: string): string {
    return this.#colour && style !== undefined && text !== "" ? `\x1b[${styles[style]}m${text}\x1b[0m` : text;
  }

  /** A time for a table, local: the time of day when it is today's, else with its date. */
  time(iso: string | undefined): string {
    if (iso === undefined) return "-";
    const at = new Date(iso);
    if (Number.isNaN(at.getTime())) return iso;
    const today = new Date(this.now());
    const date = dateOf(at);
    if (date === dateOf(today)) return `${clockOf(at)}.${String(at.getMilliseconds()).padStart(3, "0")}`;
    return at.getFullYear() === today.getFullYear() ? `${date.slice(5)} ${clockOf(at)}` : `${date} ${clockOf(at).slice(0, 5)}`;
  }

  /** A time in full, local with its offset, and how long ago that is. */
  timeInFull(iso: string | undefined): string | undefined {
    if (iso === undefined) return undefined;
    const at = new Date(iso);
    if (Number.isNaN(at.getTime())) return iso;
    const micros = /\.(\d{3,6})/.exec(iso)?.[1] ?? "000";
    return `${dateOf(at)} ${clockOf(at)}.${micros} ${offsetOf(at)} (${this.ago(iso)})`;
  }

  ago(iso: string | undefined): string {
    if (iso === undefined) return "-";
    const ms = this.now() - Date.parse(iso);
    return ms < 1_000 ? "just now" : `${formatDuration(ms)} ago`;
  }
}

/** Milliseconds from one RFC 3339 time to another, to the microsecond. */
export function msBetween(from: string, to: string): number {
  return Date.parse(to) - Date.parse(from) + (microsOf(to) - microsOf(from)) / 1_000;
}

/** What a severity, or a state, looks like. */
export function styleOf(word: string): Style | undefined {
  return wordStyles[word];
}

const wordStyles: Record<string, Style> = {
  critical: "red",
  high: "yellow",
  low: "dim",
  accepted: "green",
  succeeded: "green",
  resolved: "green",
  present: "green",
  pending: "yellow",
  waiting: "yellow",
  running: "yellow",
  verifying: "yellow",
  retrying: "yellow",
  undoing: "yellow",
  queued: "yellow",
  sent: "yellow",
  interrupted: "red",
  failed: "red",
  refused: "red",
  expired: "red",
  rejected: "red",
  revoked: "red",
  escalated: "red",
  away: "yellow",
  lost: "red",
  cancelled: "dim",
  planned: "dim",
  done: "green",
  paused: "yellow",
  "not-begun": "dim",
};

export function styled(word: string): Cell {
  return { text: word, style: styleOf(word) };
}

/** `a=1 b=2`, or a dash. */
export function labelsText(labels: Record<string, string>): string {
  const text = Object.entries(labels)
    .map(([key, value]) => `${key}=${value}`)
    .join(" ");
  return text === "" ? "-" : text;
}

function textOf(cell: Cell): string {
  return visible(typeof cell === "string" ? cell : cell.text);
}

/** The digits of an RFC 3339 time that a Date cannot hold. */
function microsOf(iso: string): number {
  return Number(/\.\d{3}(\d{3})/.exec(iso)?.[1] ?? 0);
}

function dateOf(at: Date): string {
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
}

function clockOf(at: Date): string {
  return `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
}

function offsetOf(at: Date): string {
  const minutes = -at.getTimezoneOffset();
  const size = Math.abs(minutes);
  return `${minutes < 0 ? "-" : "+"}${two(Math.floor(size / 60))}:${two(size % 60)}`;
}

function two(number: number): string {
  return String(number).padStart(2, "0");
}
