/**
 * Turns `tests` of a reactor file, and files NAME.test.yaml, into timelines that can be run, or into every problem in them with line and
 * column. Pure: the caller reads the files.
 */
import { durationMs } from "../duration.ts";
import type { AgentView } from "../target.ts";
import { checker } from "../schema.ts";
import { checkDocument, parseYaml, type Path, type Problem, type YamlDocument } from "../yaml-file.ts";
import {
  type Expectation,
  type MomentSource,
  type ReactorTestSource,
  reactorTestFileSchema,
  reactorTestSchema,
  type TestEventSource,
} from "./schema.ts";

/** `at`: ms from the start of the test. */
export type Moment = { at: number; line: number } & (
  | { kind: "event"; event: TestEventSource }
  | { kind: "silence"; reactor: string; agent: string; forMs: number }
  | { kind: "expect"; expected: readonly Expectation[] }
);

export interface ReactorTest {
  name: string;
  /** Only firings of this one count; undefined: of all. */
  reactor: string | undefined;
  agents: Readonly<Record<string, Omit<AgentView, "id">>>;
  vars: Readonly<Record<string, unknown>>;
  /** The wall clock at 0s, in ms since the epoch. */
  start: number;
  /** In the order of time. */
  timeline: readonly Moment[];
  file: string;
  line: number;
}

export type LoadedTests = { ok: true; tests: ReactorTest[] } | { ok: false; problems: Problem[] };

const checkTest = checker(reactorTestSchema);
const checkFile = checker(reactorTestFileSchema);

/** The tests in a file NAME.test.yaml. */
export function loadTestFile(file: string, text: string): LoadedTests {
  const parsed = parseYaml(file, text);
  if (!parsed.ok) return parsed;
  const problems: Problem[] = [];
  const tests = parsed.documents.flatMap((document) => {
    const checked = checkDocument(document, checkFile);
    if (checked.ok)
      return checked.value.tests.map((source, index) => compile({ file, document, source, path: ["tests", index] }, problems));
    problems.push(...checked.problems);
    return [];
  });
  return problems.length > 0 ? { ok: false, problems } : { ok: true, tests };
}

/** The tests that stand in a file of reactors: each is of the reactor in which it stands, unless it says otherwise. */
export function loadInlineTests(file: string, text: string): LoadedTests {
  const parsed = parseYaml(file, text);
  if (!parsed.ok) return parsed;
  const problems: Problem[] = [];
  const tests: ReactorTest[] = [];
  for (const document of parsed.documents) {
    const { name, tests: sources } = document.value as { name?: unknown; tests?: unknown };
    if (!Array.isArray(sources)) continue;
    for (const [index, value] of sources.entries()) {
      const path: Path = ["tests", index];
      const checked = checkTest(value);
      if (!checked.ok)
        problems.push(
          ...checked.problems.map(({ path: below, atKey, message }) => document.problemAt([...path, ...below], message, { key: atKey })),
        );
      else {
        const source = typeof name === "string" ? { reactor: name, ...checked.value } : checked.value;
        tests.push(compile({ file, document, source, path }, problems));
      }
    }
  }
  return problems.length > 0 ? { ok: false, problems } : { ok: true, tests };
}

interface Place {
  file: string;
  document: YamlDocument;
  source: ReactorTestSource;
  path: Path;
}

function compile({ file, document, source, path }: Place, problems: Problem[]): ReactorTest {
  const timeline: Moment[] = [];
  let latest = 0;
  for (const [index, moment] of source.timeline.entries()) {
    const place = [...path, "timeline", index];
    const at = durationMs(moment.at);
    const problem =
      wrongIn(moment) ?? (at < latest ? `this is before the entry above, which is at ${source.timeline[index - 1]!.at}` : undefined);
    if (problem !== undefined) problems.push(document.problemAt(place, problem));
    latest = at;
    timeline.push(...momentsOf(moment, { at, line: document.problemAt(place, "").line }));
  }
  const { name, reactor, agents, vars } = source;
  const { line } = document.problemAt(path, "");
  const start = Date.parse(source.start);
  if (Number.isNaN(start)) problems.push(document.problemAt([...path, "start"], "expected a time such as 2026-01-05T12:00:00Z"));
  // A repeated event may come after the entry below it.
  return { name, reactor, agents, vars, start, timeline: timeline.toSorted((a, b) => a.at - b.at), file, line };
}

function wrongIn({ event, silence, expect, repeat }: MomentSource): string | undefined {
  const given = [event, silence, expect].filter((part) => part !== undefined).length;
  if (given !== 1) return "expected one of event, silence and expect beside `at`";
  if (repeat !== undefined && event === undefined) return "only an event can be repeated";
  if (typeof expect === "string" && expect !== "nothing") return "expected a list of firings, or nothing";
  return undefined;
}

function momentsOf({ event, repeat, silence, expect }: MomentSource, place: { at: number; line: number }): Moment[] {
  if (silence !== undefined) {
    const { reactor, agent } = silence;
    return [{ ...place, kind: "silence", reactor, agent, forMs: durationMs(silence.for) }];
  }
  if (event === undefined) return [{ ...place, kind: "expect", expected: Array.isArray(expect) ? expect : [] }];
  const everyMs = durationMs(repeat?.every ?? "0s");
  return Array.from({ length: repeat?.times ?? 1 }, (_, time) => ({
    ...place,
    at: place.at + time * everyMs,
    kind: "event" as const,
    event,
  }));
}
