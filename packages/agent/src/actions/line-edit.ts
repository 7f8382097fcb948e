/** What `file.line` makes of a text. Pure: which lines a regular expression finds is asked of the caller. Every byte of the other lines stays. */
export interface LineWish {
  line: string | undefined;
  state: "present" | "absent";
  /** The numbers (from 0) of the lines that are looked for; undefined: none was named. */
  found(lines: readonly string[]): number[] | undefined;
}

export type LineEdit = { ok: true; text: string; changed: number; doing: string } | { ok: false; reason: string };

export function editLines(text: string, { line, state, found }: LineWish): LineEdit {
  const pieces = text.split("\n");
  const endsOpen = pieces.at(-1) !== "";
  if (!endsOpen) pieces.pop();
  const closed = endsOpen ? pieces.slice(0, -1) : pieces;
  const isWindows = closed.length > 0 && closed.every((piece) => piece.endsWith("\r"));
  const lines = pieces.map(bare);
  const end = isWindows ? "\r" : "";
  const same: LineEdit = { ok: true, text, changed: 0, doing: "" };
  const exact = lines.flatMap((each, index) => (each === line ? [index] : []));
  const named = found(lines);
  const join = (all: string[], open: boolean) => all.join("\n") + (open || all.length === 0 ? "" : "\n");

  if (state === "absent") {
    const gone = new Set(named ?? exact);
    if (gone.size === 0) return same;
    const kept = pieces.filter((_, index) => !gone.has(index));
    const open = endsOpen && !gone.has(pieces.length - 1);
    return { ok: true, text: join(kept, open), changed: gone.size, doing: `remove ${linesText([...gone])} of` };
  }
  if (line === undefined) return { ok: false, reason: "there is no line that is to be present" };
  if (named !== undefined && named.length > 1) return { ok: false, reason: `${linesText(named)} are found: it must be one` };
  const [at] = named ?? exact;
  if (at !== undefined) {
    if (lines[at] === line) return same;
    const replaced = pieces.with(at, line + (pieces[at]!.endsWith("\r") ? "\r" : ""));
    return { ok: true, text: join(replaced, endsOpen), changed: 1, doing: `replace ${linesText([at])} of` };
  }
  if (exact.length > 0) return same;
  const before = endsOpen && pieces.length > 0 ? [...pieces.slice(0, -1), bare(pieces.at(-1)!) + end] : pieces;
  return { ok: true, text: join([...before, line + end], false), changed: 1, doing: "add a line to" };
}

function bare(piece: string): string {
  return piece.endsWith("\r") ? piece.slice(0, -1) : piece;
}

function linesText(numbers: readonly number[]): string {
  const shown = numbers.slice(0, 5).map((number) => number + 1);
  const more = numbers.length > shown.length ? `, ... (${numbers.length})` : "";
  return `${numbers.length === 1 ? "line" : "lines"} ${shown.join(", ")}${more}`;
}
