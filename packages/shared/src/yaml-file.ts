/**
 * A YAML text that knows where everything stands: parse it, check it against a schema, and get problems with file, line and column.
 * Does no I/O: the caller reads the file.
 */
import { type Document, isMap, isPair, isScalar, isSeq, type Node, parseAllDocuments } from "yaml";
import type { Checked } from "./schema.ts";

/** Something wrong in a file that a person wrote. `line` and `column` count from 1. */
export interface Problem {
  file: string;
  line: number;
  column: number;
  message: string;
}

/** `reactors/web.yaml:4:7: unknown key "whne"; did you mean "when"?` */
export function problemText({ file, line, column, message }: Problem): string {
  return `${file}:${line}:${column}: ${message}`;
}

export type Path = readonly (string | number)[];

/** Larger texts are refused before they are parsed. */
const yamlBytesMax = 4 * 1024 * 1024;
/** YAML aliases may blow a small text up ("billion laughs"); this many references resolve at most. */
const aliasCountMax = 100;

/** One document of a YAML file. */
export interface YamlDocument {
  readonly value: unknown;
  /** A problem at the value that `path` leads to, or at the nearest place above it that exists. */
  problemAt(path: Path, message: string, at?: { key?: boolean; offset?: number }): Problem;
}

/** `documents` of one that is not ok: those in which nothing is wrong, to be looked through for what else is, and never for use. */
export type YamlFile = { ok: true; documents: YamlDocument[] } | { ok: false; problems: Problem[]; documents: YamlDocument[] };

/** Reads every document of `text`. Empty documents are left out. */
export function parseYaml(file: string, text: string): YamlFile {
  if (text.length > yamlBytesMax) {
    return { ok: false, problems: [{ file, line: 1, column: 1, message: `the file has more than ${yamlBytesMax} bytes` }], documents: [] };
  }
  // Not the library's own counter, which misses lines after some errors.
  const lines = lineStarts(text);
  const parsed = parseAllDocuments(text, { prettyErrors: false });
  if (!Array.isArray(parsed)) return { ok: true, documents: [] };
  const problems: Problem[] = [];
  const documents: YamlDocument[] = [];
  for (const document of parsed) {
    const before = problems.length;
    for (const error of [...document.errors, ...document.warnings]) {
      problems.push({ file, ...position(lines, error.pos[0]), message: error.message });
    }
    for (const at of oddKeys(document.contents)) {
      problems.push({
        file,
        ...position(lines, at),
        message: "expected a text as the key, got a list or a map; an expression is written ${{ ... }}, in quotes",
      });
    }
    if (problems.length > before || document.contents === null) continue;
    try {
      const value: unknown = document.toJS({ maxAliasCount: aliasCountMax });
      if (value !== null) documents.push({ value, problemAt: locator({ file, text, lines, document }) });
    } catch (error) {
      problems.push({ file, line: 1, column: 1, message: error instanceof Error ? error.message : String(error) });
    }
  }
  return problems.length > 0 ? { ok: false, problems, documents } : { ok: true, documents };
}

/** Checks a document's value, or the part of it below `path`, and turns what is wrong into problems with places. */
export function checkDocument<T>(
  document: YamlDocument,
  check: (value: unknown) => Checked<T>,
): { ok: true; value: T } | { ok: false; problems: Problem[] } {
  const checked = check(document.value);
  if (checked.ok) return checked;
  return { ok: false, problems: checked.problems.map(({ path, atKey, message }) => document.problemAt(path, message, { key: atKey })) };
}

interface Located {
  file: string;
  text: string;
  lines: readonly number[];
  document: Document;
}

/** Where keys stand that are no texts: `{{ x }}` is a map with a map for its key, and JSON has no such thing. */
function oddKeys(node: unknown): number[] {
  if (isSeq(node)) return node.items.flatMap(oddKeys);
  if (!isMap(node)) return [];
  return node.items.flatMap(({ key, value }) => (isScalar(key) ? oddKeys(value) : [startOf(key) ?? startOf(node) ?? 0]));
}

function locator({ file, text, lines, document }: Located): YamlDocument["problemAt"] {
  return (path, message, at = {}) => {
    let node: unknown = document.contents;
    let start = startOf(node) ?? 0;
    for (const [depth, part] of path.entries()) {
      const last = depth === path.length - 1;
      if (isMap(node)) {
        const pair = node.items.find((item) => isPair(item) && isScalar(item.key) && String(item.key.value) === String(part));
        if (pair === undefined) break;
        node = last && at.key === true ? pair.key : (pair.value ?? pair.key);
      } else {
        node = document.getIn(path.slice(0, depth + 1), true);
      }
      const here = startOf(node);
      if (here === undefined) break;
      start = here;
    }
    return { file, ...position(lines, at.offset === undefined ? start : placeIn(text, node, at.offset, start)), message };
  };
}

/**
 * Where in the file the character `offset` of a scalar's value stands. YAML folds, indents and escapes: the file and the value are walked
 * side by side, and only what is no white space must be met in both.
 */
function placeIn(text: string, node: unknown, offset: number, start: number): number {
  if (!isScalar(node) || typeof node.value !== "string" || !node.range) return start;
  const { value, type, range } = node;
  const block = type === "BLOCK_LITERAL" || type === "BLOCK_FOLDED";
  let at = block ? text.indexOf("\n", start) + 1 : type === "PLAIN" ? start : start + 1;
  const double = type === "QUOTE_DOUBLE";
  const blank = () => {
    for (let length = 1; length > 0 && at < range[1]; at += length) {
      if (double && /^\\[ntrvf_LP \t\n]/.test(text.slice(at, at + 2))) length = 2;
      else length = /\s/.test(text[at]!) ? 1 : 0;
    }
  };
  for (const character of value.slice(0, offset)) {
    if (/\s/.test(character)) continue;
    blank();
    if (double) at += escapeLength(text, at);
    else at += type === "QUOTE_SINGLE" && text.startsWith("''", at) ? 2 : character.length;
  }
  // White space is met only up to the end of a line; before something that can be seen all of it is passed over.
  const spaces = /[^\S\n]*$/.exec(value.slice(0, offset))![0].length;
  if (/\S/.test(value[offset] ?? " ")) blank();
  else for (let left = spaces; left > 0 && text[at] === " "; left--) at++;
  return Math.min(at, range[1]);
}

/** How many characters of the file one of a double-quoted value takes. */
function escapeLength(text: string, at: number): number {
  if (text[at] !== "\\") return text.codePointAt(at)! > 0xffff ? 2 : 1;
  return 2 + ({ x: 2, u: 4, U: 8 }[text[at + 1] ?? ""] ?? 0);
}

function startOf(node: unknown): number | undefined {
  return (node as Node | null | undefined)?.range?.[0];
}

/** Where each line of a text begins. */
function lineStarts(text: string): number[] {
  const starts = [0];
  for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1)) starts.push(at + 1);
  return starts;
}

function position(starts: readonly number[], offset: number): { line: number; column: number } {
  let low = 0;
  for (let high = starts.length - 1; low < high;) {
    const middle = Math.ceil((low + high) / 2);
    if (starts[middle]! <= offset) low = middle;
    else high = middle - 1;
  }
  return { line: low + 1, column: offset - starts[low]! + 1 };
}
