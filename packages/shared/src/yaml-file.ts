/**
 * A YAML text that knows where everything stands: parse it, check it against a schema, and get problems with file, line and column.
 * Does no I/O: the caller reads the file.
 */
import { type Document, isMap, isPair, isScalar, LineCounter, type Node, parseAllDocuments } from "yaml";
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

export type YamlFile = { ok: true; documents: YamlDocument[] } | { ok: false; problems: Problem[] };

/** Reads every document of `text`. Empty documents are left out. */
export function parseYaml(file: string, text: string): YamlFile {
  if (text.length > yamlBytesMax) {
    return { ok: false, problems: [{ file, line: 1, column: 1, message: `the file has more than ${yamlBytesMax} bytes` }] };
  }
  const lines = new LineCounter();
  const parsed = parseAllDocuments(text, { lineCounter: lines, prettyErrors: false });
  if (!Array.isArray(parsed)) return { ok: true, documents: [] };
  const problems: Problem[] = [];
  const documents: YamlDocument[] = [];
  for (const document of parsed) {
    for (const error of [...document.errors, ...document.warnings]) {
      problems.push({ file, ...position(lines, error.pos[0]), message: error.message });
    }
    if (document.errors.length > 0 || document.contents === null) continue;
    try {
      const value: unknown = document.toJS({ maxAliasCount: aliasCountMax });
      if (value !== null) documents.push({ value, problemAt: locator(file, lines, document) });
    } catch (error) {
      problems.push({ file, line: 1, column: 1, message: error instanceof Error ? error.message : String(error) });
    }
  }
  return problems.length > 0 ? { ok: false, problems } : { ok: true, documents };
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

function locator(file: string, lines: LineCounter, document: Document): YamlDocument["problemAt"] {
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
    return { file, ...position(lines, start + offsetIn(node, at.offset)), message };
  };
}

/** Where, counted from a scalar's first byte, the character `offset` of its value stands. Exact for one-line scalars without escapes. */
function offsetIn(node: unknown, offset: number | undefined): number {
  if (offset === undefined || !isScalar(node)) return 0;
  if (node.type === "QUOTE_DOUBLE" || node.type === "QUOTE_SINGLE") return offset + 1;
  return node.type === "PLAIN" ? offset : 0;
}

function startOf(node: unknown): number | undefined {
  return (node as Node | null | undefined)?.range?.[0];
}

function position(lines: LineCounter, offset: number): { line: number; column: number } {
  const { line, col } = lines.linePos(offset);
  return { line: Math.max(1, line), column: Math.max(1, col) };
}
