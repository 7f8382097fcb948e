/**
 * Lines and records of lines out of the bytes of a log. Pure, and without a memory: what is not complete is left, and comes again with what
 * follows it. Bounded: of a line that is too long the beginning counts, and a record that is too long is one all the same.
 */
import type { Pattern } from "@needfire/shared/pattern";

export interface LogRecord {
  text: string;
  lines: number;
  cut: boolean;
}

export interface RecordOptions {
  encoding: "utf-8" | "latin1";
  lineBytesMax: number;
  multiline?: { begins: Pattern; linesMax: number; bytesMax: number } | undefined;
}

export interface Records {
  records: LogRecord[];
  /** So many of the bytes are done with. */
  bytes: number;
  /** The rest of the line at the end is to be passed over. */
  midway: boolean;
  /** A record may go on. */
  open: boolean;
}

interface Line {
  text: string;
  end: number;
  cut: boolean;
}

const lineFeed = 10;
const carriageReturn = 13;

/** `ended`: nothing follows, a line without an end is one. `complete`: a record that may go on counts as it is. */
export function takeRecords(
  { bytes, midway, ended, complete }: { bytes: Buffer; midway: boolean; ended: boolean; complete: boolean },
  options: RecordOptions,
): Records {
  const split = splitLines(bytes, { midway, ended }, options);
  const { multiline } = options;
  if (multiline === undefined) {
    const records = split.lines.map(({ text, cut }) => ({ text, lines: 1, cut }));
    return { records, bytes: split.bytes, midway: split.midway, open: false };
  }
  const { groups, rest } = group(split.lines, multiline);
  const taken = rest.length > 0 && (complete || ended) ? [...groups, rest] : groups;
  const open = rest.length > 0 && taken === groups;
  return {
    records: taken.map((lines) => ({
      text: lines.map(({ text }) => text).join("\n"),
      lines: lines.length,
      cut: lines.some(({ cut }) => cut),
    })),
    // An open record comes again from its beginning, which is that of a line.
    bytes: open ? (groups.at(-1)?.at(-1)?.end ?? split.begins) : split.bytes,
    midway: open ? false : split.midway,
    open,
  };
}

function splitLines(
  bytes: Buffer,
  { midway, ended }: { midway: boolean; ended: boolean },
  { encoding, lineBytesMax }: RecordOptions,
): { lines: Line[]; begins: number; bytes: number; midway: boolean } {
  const lines: Line[] = [];
  let at = 0;
  if (midway) {
    at = bytes.indexOf(lineFeed) + 1;
    if (at === 0) return { lines, begins: bytes.length, bytes: bytes.length, midway: !ended };
  }
  const begins = at;
  const line = (from: number, to: number, end: number) => {
    const last = to > from && bytes[to - 1] === carriageReturn ? to - 1 : to;
    const cut = last - from > lineBytesMax;
    lines.push({ text: bytes.toString(encoding, from, cut ? from + lineBytesMax : last), end, cut });
    at = end;
  };
  for (let next = bytes.indexOf(lineFeed, at); next >= 0; next = bytes.indexOf(lineFeed, at)) line(at, next, next + 1);
  const left = bytes.length - at;
  if (left > lineBytesMax) {
    line(at, bytes.length, bytes.length);
    return { lines, begins, bytes: at, midway: !ended };
  }
  if (ended && left > 0) line(at, bytes.length, bytes.length);
  return { lines, begins, bytes: at, midway: false };
}

/** `rest`: the last record, to which more lines may belong. */
function group(
  lines: readonly Line[],
  { begins, linesMax, bytesMax }: NonNullable<RecordOptions["multiline"]>,
): { groups: Line[][]; rest: Line[] } {
  const groups: Line[][] = [];
  let rest: Line[] = [];
  let length = 0;
  for (const line of lines) {
    if (rest.length > 0 && (rest.length >= linesMax || length + line.text.length > bytesMax || begins.test(line.text))) {
      groups.push(rest);
      rest = [];
      length = 0;
    }
    rest.push(line);
    length += line.text.length + 1;
  }
  return { groups, rest };
}
