/**
 * JUnit's XML, as CI systems read it: a suite for each file, a case for each test or check, with what is wrong as its failure.
 */
import { writeFileSync } from "node:fs";
import { NeedfireError } from "@needfire/shared/errors";
import { visibleLine } from "./text.ts";

/** `failure`: the first line is what is shown first. `note`: what is worth reading although nothing failed. */
export interface JunitCase {
  name: string;
  /** Where it stands; default: the suite's file. */
  file?: string;
  line?: number;
  failure?: string;
  note?: string;
}

export interface JunitSuite {
  file: string;
  cases: readonly JunitCase[];
}

export function writeJunit(path: string, title: string, suites: readonly JunitSuite[]): void {
  try {
    writeFileSync(path, junitText(title, suites));
  } catch (error) {
    throw new NeedfireError("PATH_REFUSED", `The JUnit file cannot be written to ${path}.`, { cause: error });
  }
}

function junitText(title: string, suites: readonly JunitSuite[]): string {
  const cases = suites.flatMap((suite) => suite.cases);
  const lines = [
    '<?xml version="1.0" encoding="UTF-8"?>',
    `<testsuites name="${escaped(title)}" ${counts(cases)}>`,
    ...suites.flatMap(suiteLines),
    "</testsuites>",
  ];
  return `${lines.join("\n")}\n`;
}

function suiteLines({ file, cases }: JunitSuite): string[] {
  return [`  <testsuite name="${escaped(file)}" ${counts(cases)}>`, ...cases.flatMap((each) => caseLines(file, each)), "  </testsuite>"];
}

function caseLines(suite: string, { name, file = suite, line, failure, note }: JunitCase): string[] {
  const place = line === undefined ? "" : ` line="${line}"`;
  const open = `    <testcase classname="${escaped(suite)}" name="${escaped(name)}" file="${escaped(file)}"${place}`;
  const inside = [
    ...(failure === undefined ? [] : [`      <failure message="${escaped(failure.split("\n")[0]!)}">${escaped(failure)}</failure>`]),
    ...(note === undefined ? [] : [`      <system-out>${escaped(note)}</system-out>`]),
  ];
  return inside.length === 0 ? [`${open}/>`] : [`${open}>`, ...inside, "    </testcase>"];
}

function counts(cases: readonly JunitCase[]): string {
  return `tests="${cases.length}" failures="${cases.filter(({ failure }) => failure !== undefined).length}" errors="0"`;
}

const entities: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&apos;" };

/** XML has no way to write most control characters: they are shown as we show them in a terminal. */
function escaped(text: string): string {
  const shown = text.split("\n").map(visibleLine).join("\n");
  return shown.replace(/[&<>"']/g, (character) => entities[character]!);
}
