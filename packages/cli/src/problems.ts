/**
 * Problems in people's files, as lines: where, what, and (when the text is at hand) the place itself with a caret under it.
 */
import { systemCode } from "@needfire/shared/errors";
import type { Problem } from "@needfire/shared/yaml-file";
import type { Output } from "./output.ts";
import { displayWidth, visible, visibleLine } from "./text.ts";

/** A frame shows a window of a longer line: so much, or what the terminal has room for. */
const frameWidthMax = 100;
const frameWidthMin = 40;
/** What stands around the number of a line. */
const gutterWidth = ">  | ".length;

export function problemLines(out: Output, problems: readonly Problem[]): string[] {
  return problems.map((problem) => problemLine(out, problem));
}

export function problemLine(out: Output, { file, line, column, message }: Problem): string {
  return `${out.paint("bold", `${visible(file)}:${line}:${column}:`)} ${visible(message)}`;
}

/** As compilers say it, with the code by which a warning is known. */
export function warningLine(out: Output, { file, line, column, message, code }: Problem & { code: string }): string {
  const place = out.paint("bold", `${visible(file)}:${line}:${column}:`);
  return `${place} ${out.paint("yellow", "warning:")} ${visible(message)} ${out.paint("dim", `[${visible(code)}]`)}`;
}

/** The line with the problem, the one before it, and a caret. */
export function codeFrame(out: Output, { line, column }: Problem, text: string): string[] {
  const lines = text.split("\n");
  const here = lines[line - 1]?.replace(/\r$/, "");
  if (here === undefined) return [];
  const digits = String(line).length;
  const room = (out.width ?? Number.POSITIVE_INFINITY) - digits - gutterWidth;
  const frameWidth = Math.max(frameWidthMin, Math.min(frameWidthMax, room));
  const start = column > frameWidth - 20 ? column - 1 - Math.floor(frameWidth / 2) : 0;
  const window = (source: string) => visibleLine(source.slice(start, start + frameWidth)).replaceAll("\t", "  ");
  const indent = displayWidth(visibleLine(here.slice(start, column - 1)).replaceAll("\t", "  "));
  const gutter = (mark: string, number: string) => out.paint("dim", `${mark} ${number.padStart(digits)} |`);
  const before = lines[line - 2];
  return [
    ...(before === undefined ? [] : [`${gutter(" ", String(line - 1))} ${window(before.replace(/\r$/, ""))}`]),
    `${gutter(">", String(line))} ${window(here)}`,
    `${gutter(" ", "")} ${" ".repeat(indent)}${out.paint("red", "^")}`,
  ];
}

/** Of a file or a directory. */
export function unreadable(file: string, error: unknown): Problem {
  const why =
    systemCode(error) === "ENOENT"
      ? "there is no such file or directory"
      : `cannot be read: ${error instanceof Error ? error.message : String(error)}`;
  return { file, line: 1, column: 1, message: why };
}
