/**
 * Regular expressions over text that others write: log lines, replies. The engine is RE2's, in JavaScript: its time grows with the length of
 * the text and never beyond, whatever the expression, so no line of a log can hold the program up. Its syntax is that of RE2 and Go: groups
 * may be named `(?<name>...)`, and there is no looking ahead and no reference back. The one importer of `re2js`, loaded when it is needed.
 */
import { createRequire } from "node:module";
import type * as engine from "re2js";

/** For schemas. */
export const pattern = {
  type: "string",
  minLength: 1,
  maxLength: 2_000,
  description: "a regular expression (RE2: no looking ahead, no references back); found anywhere in the text unless it has ^ or $",
} as const;

export interface Pattern {
  test(text: string): boolean;
  /** The named groups that took part; undefined: it is not in the text. */
  find(text: string): Record<string, string> | undefined;
}

const require = createRequire(import.meta.url);
const load = () => require("re2js") as typeof engine;

/** Throws for an expression that `patternProblem` complains of. */
export function compilePattern(expression: string): Pattern {
  const compiled = load().RE2JS.compile(expression);
  const names = Object.keys(compiled.namedGroups());
  return {
    test: (text) => compiled.test(text),
    find(text) {
      if (names.length === 0) return compiled.test(text) ? {} : undefined;
      const matcher = compiled.matcher(text);
      if (!matcher.find()) return undefined;
      return Object.fromEntries(names.flatMap((name) => [[name, matcher.group(name)] as const].filter(isTaken)));
    },
  };
}

/** What is wrong with an expression, for whoever wrote it. */
export function patternProblem(expression: string): string | undefined {
  try {
    compilePattern(expression);
    return undefined;
  } catch (error) {
    return `${error instanceof Error ? error.message : String(error)}; expected a regular expression of RE2, see https://github.com/google/re2/wiki/Syntax`;
  }
}

function isTaken(pair: readonly [string, string | null]): pair is readonly [string, string] {
  return pair[1] !== null;
}
