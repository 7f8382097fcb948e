/** JSON objects, one a line, as a program prints them. Pure. What is none is passed over and said. */
import type { Output } from "@needfire/shared/host/program";

const linesMax = 10_000;
/** What an event may carry of a line; with its envelope it must fit a frame. */
const lineBytesMax = 131_072;
const shownCharactersMax = 60;

export function jsonLines({ text, bytes, keptBytes }: Output): { objects: Record<string, unknown>[]; problem: string | undefined } {
  const lines = text.split("\n");
  // The last one may have been cut within.
  if (bytes > keptBytes) lines.pop();
  const written = lines.map((line, at) => ({ line: line.trim(), number: at + 1 })).filter(({ line }) => line !== "");
  const read = written.slice(0, linesMax).map(({ line, number }) => ({ number, line, value: parse(line) }));
  const bad = read.find(({ value }) => value === undefined);
  const shown = bad === undefined ? "" : JSON.stringify(bad.line.slice(0, shownCharactersMax));
  const problem =
    bytes > keptBytes
      ? `printed ${bytes} bytes, of which the first ${keptBytes} are read: see output_bytes_max`
      : written.length > linesMax
        ? `printed ${written.length} lines, of which the first ${linesMax} are read`
        : bad && `line ${bad.number} is no JSON object of at most ${lineBytesMax} bytes: ${shown}`;
  return { objects: read.flatMap(({ value }) => (value === undefined ? [] : [value])), problem };
}

function parse(line: string): Record<string, unknown> | undefined {
  if (Buffer.byteLength(line) > lineBytesMax) return undefined;
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}
