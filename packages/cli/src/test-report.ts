/**
 * What tests of reactors came to, as lines: a mark for each test, and below one that failed what was expected (-), what came instead (+),
 * and the reason of each decision between, so that the author sees why.
 */
import { actions, isActionName } from "@needfire/shared/action";
import { formatDuration } from "@needfire/shared/duration";
import type { Difference, Different, Got } from "@needfire/shared/reactor-test/compare";
import type { ReactorCoverage } from "@needfire/shared/reactor-test/coverage";
import type { TestResult, Unmet } from "@needfire/shared/reactor-test/run";
import type { SuiteResult } from "@needfire/shared/reactor-test/suite";
import type { Decision } from "@needfire/shared/rules/types";
import { type Cell, type Column, type Output, Table } from "./output.ts";
import { counted, visible } from "./text.ts";

/** Of more decisions before an expectation the last are shown. */
const decisionsShownMax = 20;

export function fileLines(out: Output, { file, results }: SuiteResult["files"][number]): string[] {
  if (results.length === 0) return [];
  return [out.paint("bold", visible(file)), ...results.flatMap((result) => testLines(out, result)), ""];
}

function testLines(out: Output, result: TestResult): string[] {
  const { test, unmet } = result;
  const mark = unmet.length === 0 ? out.paint("green", "✓") : out.paint("red", "✗");
  const of = test.reactor === undefined ? "" : out.paint("dim", `${visible(test.reactor)}: `);
  return [`  ${mark} ${of}${visible(test.name)}`, ...unmet.flatMap((each) => unmetLines(out, result, each).map((line) => `      ${line}`))];
}

export function unmetLines(out: Output, { test, events }: TestResult, { at, line, difference, decisions }: Unmet): string[] {
  const why = decisions.filter(({ firing }) => firing === undefined).slice(-decisionsShownMax);
  const types = new Map(events.map(({ id, type }) => [id, type]));
  return [
    out.paint("bold", `at ${timeText(at)} (${visible(test.file)}:${line})`),
    ...differenceLines(out, difference),
    ...(why.length === 0 ? [] : [out.paint("dim", "what did not fire since the expectation before, and why:")]),
    ...why.map((decision) => out.paint("dim", `  ${decisionText(decision, { start: test.start, types })}`)),
  ];
}

function differenceLines(out: Output, { missing, different, unexpected }: Difference): string[] {
  return [
    ...missing.flatMap((expected) => ["expected, and did not fire:", out.paint("red", `- ${compact(expected)}`)]),
    ...different.flatMap((each) => differentLines(out, each)),
    ...unexpected.flatMap((got) => ["fired, and was not expected:", out.paint("green", `+ ${compact(shownGot(got))}`)]),
  ];
}

function differentLines(out: Output, { got, paths }: Different): string[] {
  return [
    `${visible(got.reactor)} fired for ${visible(got.agent)}, and not as expected:`,
    ...paths.flatMap(({ path, expected, got: found }) => [
      `  ${visible(path)}`,
      out.paint("red", `  - ${compact(expected)}`),
      out.paint("green", `  + ${found === undefined ? "nothing" : compact(found)}`),
    ]),
  ];
}

/** Without what goes without saying. */
function shownGot({ branch, planned, key, count, priority, do: steps, ...rest }: Got): Record<string, unknown> {
  return {
    ...rest,
    ...(priority === "normal" ? {} : { priority }),
    ...(count === 1 ? {} : { count }),
    ...(key.length > 0 ? { key } : {}),
    ...(planned ? { planned } : {}),
    ...(branch === "do" ? {} : { branch }),
    do: steps.map((step) => Object.fromEntries(Object.entries(step).map(([action, args]) => [action, withoutDefaults(action, args)]))),
  };
}

function withoutDefaults(action: string, args: unknown): unknown {
  if (!isActionName(action) || typeof args !== "object" || args === null) return args;
  const known: Readonly<Record<string, { description?: string; default?: unknown }>> = actions[action].args.properties;
  const isDefault = ([name, value]: [string, unknown]) => JSON.stringify(known[name]?.default) === JSON.stringify(value);
  return Object.fromEntries(Object.entries(args).filter((entry) => !isDefault(entry)));
}

function decisionText(
  { reactor, event, at, reason, detail }: Decision,
  { start, types }: { start: number; types: ReadonlyMap<string, string> },
): string {
  return visible(`${timeText(at - start)}  ${types.get(event) ?? event}  ${reactor.name}: ${reason}${detail === "" ? "" : `: ${detail}`}`);
}

function timeText(ms: number): string {
  return ms === 0 ? "0 s" : formatDuration(ms);
}

/** A value on one line, as people write YAML: quotes only where they are needed. */
function compact(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(compact).join(", ")}]`;
  if (typeof value === "object" && value !== null) {
    const entries = Object.entries(value).map(([name, item]) => `${visible(name)}: ${compact(item)}`);
    return entries.length === 0 ? "{}" : `{ ${entries.join(", ")} }`;
  }
  const isPlain = typeof value === "string" && /^[A-Za-z/][\w./ -]*$/.test(value) && !/^(true|false|null|yes|no|on|off)$/i.test(value);
  return visible(isPlain ? value : JSON.stringify(value));
}

const columns: Column[] = [
  { title: "REACTOR" },
  { title: "WHERE", shrinkTo: 12 },
  { title: "CONDITION", shrinkTo: 20 },
  { title: "TRUE" },
  { title: "FALSE" },
];

/** Every condition and outcome, whether tests have seen it, and the total. */
export function coverageLines(out: Output, coverage: readonly ReactorCoverage[]): string[] {
  const mark = (seen: boolean | undefined): Cell => (seen === undefined ? "" : { text: seen ? "✓" : "✗", style: seen ? "green" : "red" });
  const rows = coverage.flatMap(({ reactor, conditions, outcomes }): Cell[][] => [
    ...conditions.map((row) => [reactor, row.place, row.part ? `  ${row.source}` : row.source, mark(row.true), mark(row.false)]),
    ...outcomes.map(({ outcome, seen }) => [reactor, outcome, "", mark(seen), ""]),
  ]);
  const table = new Table(out, columns, { rows });
  const { goals, seen } = totalOf(coverage);
  return [
    table.header(),
    ...rows.map((cells) => table.row(cells)),
    "",
    `coverage: ${percentOf(coverage).toFixed(0)} % (${seen} of ${goals} in ${counted(coverage.length, "reactor")})`,
  ];
}

/** Of what is to be seen, how much was. Nothing to be seen is all of it. */
export function percentOf(coverage: readonly ReactorCoverage[]): number {
  const { goals, seen } = totalOf(coverage);
  return goals === 0 ? 100 : Math.floor((seen / goals) * 100);
}

function totalOf(coverage: readonly ReactorCoverage[]): { goals: number; seen: number } {
  const sum = (of: (each: ReactorCoverage) => number) => coverage.reduce((total, each) => total + of(each), 0);
  return { goals: sum(({ goals }) => goals), seen: sum(({ seen }) => seen) };
}
