/**
 * Turns `tests` of a reactor file, and files NAME.test.yaml, into timelines that can be run, or into every problem in them with line and
 * column. Pure: the caller reads the files.
 */
import { actions, isActionName } from "../action.ts";
import { isOwnActionName } from "../own-action-name.ts";
import { durationMs } from "../duration.ts";
import { dataProblem, exampleOf } from "../event-types.ts";
import { rungKeys } from "../reactor/schema.ts";
import { compileRouter, type RouteOf, type RouterSource } from "../router.ts";
import { checker, didYouMean } from "../schema.ts";
import type { AgentView } from "../target.ts";
import { checkDocument, parseYaml, type Path, type Problem, type YamlDocument } from "../yaml-file.ts";
import { type Expectation, type ReactorTestSource, reactorTestFileSchema, reactorTestSchema, type TestEventSource } from "./schema.ts";

/** `at`: ms from the start of the test. */
export type Moment = { at: number; line: number } & (
  | { kind: "event"; event: TestEventSource }
  | { kind: "silence"; reactor: string; agent: string; forMs: number }
  | { kind: "expect"; expected: readonly Expectation[] }
);

/** Where something is named that must exist: a reactor, or a variable of one. */
export interface Mention {
  kind: "reactor" | "variable";
  name: string;
  problem(message: string): Problem;
}

export interface ReactorTest {
  name: string;
  /** Only firings of this one count; undefined: of all that the file has. */
  reactor: string | undefined;
  agents: Readonly<Record<string, Omit<AgentView, "id">>>;
  vars: Readonly<Record<string, unknown>>;
  /** Its own router; undefined: that of its run. */
  route: RouteOf | undefined;
  /** The wall clock at 0s, in ms since the epoch. */
  start: number;
  /** In the order of time. */
  timeline: readonly Moment[];
  mentions: readonly Mention[];
  file: string;
  line: number;
}

export type LoadedTests = { ok: true; tests: ReactorTest[] } | { ok: false; problems: Problem[] };

/** What one test may hold, with events repeated. */
const momentsMax = 100_000;
/** How long one may last: ten years. Calendars know no time that is far beyond. */
const lastsMsMax = 3_650 * 86_400_000;

const checkTest = checker(reactorTestSchema);
const checkFile = checker(reactorTestFileSchema);

/** The tests in a file NAME.test.yaml. */
export function loadTestFile(file: string, text: string): LoadedTests {
  return load(file, text, (document) => {
    const checked = checkDocument(document, checkFile);
    if (!checked.ok) return checked.problems;
    return checked.value.tests.map((source, index) => new TestDraft(file, document, ["tests", index]).compile(source));
  });
}

/** The tests that stand in a file of reactors: each is of the reactor in which it stands, unless it says otherwise. */
export function loadInlineTests(file: string, text: string): LoadedTests {
  return load(file, text, (document) => {
    const { name, tests } = document.value as { name?: unknown; tests?: unknown };
    const own = typeof name === "string" ? { reactor: name } : {};
    return (Array.isArray(tests) ? (tests as unknown[]) : []).flatMap((value, index): (Problem | Draft)[] => {
      const path: Path = ["tests", index];
      const checked = checkTest(value);
      if (checked.ok) return [new TestDraft(file, document, path).compile({ ...own, ...checked.value })];
      return checked.problems.map((problem) => document.problemAt([...path, ...problem.path], problem.message, { key: problem.atKey }));
    });
  });
}

/** A test with what is wrong in it. */
interface Draft {
  test: ReactorTest;
  problems: Problem[];
}

function load(file: string, text: string, read: (document: YamlDocument) => (Problem | Draft)[]): LoadedTests {
  const parsed = parseYaml(file, text);
  const found = parsed.documents.flatMap(read);
  const problems = [...(parsed.ok ? [] : parsed.problems), ...found.flatMap((each) => ("test" in each ? each.problems : [each]))];
  if (problems.length > 0) return { ok: false, problems: problems.toSorted((a, b) => a.line - b.line || a.column - b.column) };
  return { ok: true, tests: found.flatMap((each) => ("test" in each ? [each.test] : [])) };
}

type MomentSource = ReactorTestSource["timeline"][number];

class TestDraft {
  readonly #file: string;
  readonly #document: YamlDocument;
  readonly #path: Path;
  readonly #problems: Problem[] = [];
  readonly #mentions: Mention[] = [];

  constructor(file: string, document: YamlDocument, path: Path) {
    this.#file = file;
    this.#document = document;
    this.#path = path;
  }

  compile({ name, reactor, agents, vars, router, start: startText, timeline: sources }: ReactorTestSource): Draft {
    if (reactor !== undefined) this.#mention("reactor", reactor, ["reactor"]);
    for (const variable of Object.keys(vars)) this.#mention("variable", variable, ["vars", variable], { key: true });
    const start = Date.parse(startText);
    if (Number.isNaN(start)) this.#problem(["start"], "expected a time such as 2026-01-05T12:00:00Z");
    const moments: Moment[] = [];
    for (const [index, source] of sources.entries()) {
      const before = sources[index - 1];
      if (before !== undefined && durationMs(source.at) < durationMs(before.at))
        this.#problem(["timeline", index, "at"], `this is before the entry above, which is at ${before.at}`);
      if (endOf(source) > lastsMsMax) {
        this.#problem(["timeline", index], "this is more than ten years after the start of the test");
        break;
      }
      const made = moments.length + (source.repeat?.times ?? 1);
      if (made > momentsMax) {
        this.#problem(["timeline", index], `with this there are ${made} events, at most ${momentsMax} may be in a test`);
        break;
      }
      for (const moment of this.#moments(source, ["timeline", index])) moments.push(moment);
    }
    if (!sources.some(({ expect }) => expect !== undefined))
      this.#problem(["timeline"], "nothing is expected here, so this test cannot fail: add an entry with `expect`");
    // An event that is repeated may come after the entry below it.
    const timeline = moments.toSorted((a, b) => a.at - b.at);
    const { line } = this.#place([]);
    const route = router === undefined ? undefined : this.#route(router);
    const test = { name, reactor, agents, vars, route, start, timeline, mentions: this.#mentions, file: this.#file, line };
    return { test, problems: this.#problems };
  }

  #route(source: RouterSource): RouteOf | undefined {
    const compiled = compileRouter(this.#document, [...this.#path, "router"], source);
    if (compiled.ok) return compiled.route;
    this.#problems.push(...compiled.problems);
    return undefined;
  }

  #moments(source: MomentSource, path: Path): Moment[] {
    const { event, repeat, silence, expect } = source;
    const place = { at: durationMs(source.at), line: this.#place(path).line };
    const given = [event, silence, expect].filter((part) => part !== undefined).length;
    if (given !== 1) this.#problem(path, "expected one of event, silence and expect beside `at`");
    if (repeat !== undefined && event === undefined) this.#problem([...path, "repeat"], "only an event can be repeated", { key: true });
    if (silence !== undefined) {
      const { reactor, agent } = silence;
      return [{ ...place, kind: "silence", reactor, agent, forMs: durationMs(silence.for) }];
    }
    if (event === undefined) return [{ ...place, kind: "expect", expected: this.#expected(expect, [...path, "expect"]) }];
    this.#checkEvent(event, [...path, "event"]);
    const everyMs = durationMs(repeat?.every ?? "0s");
    return Array.from({ length: repeat?.times ?? 1 }, (_, time) => ({ ...place, at: place.at + time * everyMs, kind: "event", event }));
  }

  /** Of a type that is known the data must be what such events have: else a test could promise what never comes. */
  #checkEvent({ type, data = {}, whole }: TestEventSource, path: Path): void {
    const example = exampleOf(type);
    const wrong = example === undefined || whole ? undefined : dataProblem(type, { ...example.data, ...data });
    if (wrong !== undefined) this.#problem([...path, "data"], `no event ${type} has such data: ${wrong}`);
  }

  #expected(expect: MomentSource["expect"], path: Path): readonly Expectation[] {
    if (typeof expect === "string") {
      if (expect !== "nothing") this.#problem(path, "expected a list of firings, or nothing");
      return [];
    }
    for (const [index, { reactor, do: steps = [] }] of (expect ?? []).entries()) {
      if (reactor !== undefined) this.#mention("reactor", reactor, [...path, index, "reactor"]);
      for (const [number, item] of steps.entries()) this.#checkItem(item, [...path, index, "do", number]);
    }
    return expect ?? [];
  }

  /** An action, or a rung with actions of its own. */
  #checkItem(item: Record<string, unknown>, path: Path): void {
    const { steps } = item;
    if (!rungKeys.some((key) => Object.hasOwn(item, key))) return this.#checkAction(Object.keys(item)[0] ?? "", path);
    for (const [number, step] of (Array.isArray(steps) ? steps : []).entries())
      this.#checkAction(Object.keys(step as object)[0] ?? "", [...path, "steps", number]);
  }

  #checkAction(action: string, path: Path): void {
    const known = Object.keys(actions);
    if (isActionName(action) || isOwnActionName(action)) return;
    const hint = didYouMean(action, known) || ` (known: ${known.join(", ")})`;
    this.#problem([...path, action], `there is no action "${action}"${hint}`, { key: true });
  }

  #mention(kind: Mention["kind"], name: string, path: Path, at?: { key: boolean }): void {
    this.#mentions.push({ kind, name, problem: (message) => this.#document.problemAt([...this.#path, ...path], message, at) });
  }

  #problem(path: Path, message: string, at?: { key: boolean }): void {
    this.#problems.push(this.#document.problemAt([...this.#path, ...path], message, at));
  }

  #place(path: Path): { line: number } {
    return this.#document.problemAt([...this.#path, ...path], "");
  }
}

/** When the last of its events comes. */
function endOf({ at, repeat }: MomentSource): number {
  return durationMs(at) + (repeat === undefined ? 0 : (repeat.times - 1) * durationMs(repeat.every));
}
