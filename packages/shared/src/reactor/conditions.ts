/**
 * What makes a reactor fire: the ways in for events (`on`, the steps of `correlate`, `raise` and `clear`), and how they come together.
 */
import { compileCel, type Expression } from "../cel.ts";
import { durationMs } from "../duration.ts";
import { globMatcher } from "../glob.ts";
import type { By, Correlation, Entry, Role } from "../rules/types.ts";
import type { Path } from "../yaml-file.ts";
import type { Draft } from "./draft.ts";
import { checkedDurationMs } from "./durations.ts";
import type { CorrelateSource, OneOrMore, ReactorSource } from "./schema.ts";

export interface Conditions {
  entries: Entry[];
  correlation: Correlation | undefined;
  /** The names by which values can ask for the events that went in. */
  matched: string[];
}

type CorrelateKind = "count" | "all" | "any" | "sequence" | "none";
const correlateKinds = ["count", "all", "any", "sequence", "none"] as const satisfies CorrelateKind[];
type StepsKind = "all" | "any" | "sequence";

export function compileConditions(draft: Draft, source: ReactorSource): Conditions {
  checkRaise(draft, source);
  if (source.raise !== undefined) return raiseConditions(draft, source, source.raise);
  if (source.correlate === undefined) return { entries: [mainEntry(draft, source)], correlation: undefined, matched: [] };
  return correlateConditions(draft, source, source.correlate);
}

/** `raise` is one way to fire, `correlate` another; the keys beside `raise` mean nothing without it. */
function checkRaise(draft: Draft, source: ReactorSource): void {
  if (source.raise !== undefined) {
    if (source.correlate !== undefined)
      draft.problem(["correlate"], "correlate and raise are two ways to fire: make two reactors of it", { key: true });
    return;
  }
  for (const key of ["clear", "for", "on_clear"] as const)
    if (source[key] !== undefined) draft.problem([key], `"${key}" is for a reactor with "raise"`, { key: true });
}

function raiseConditions(draft: Draft, source: ReactorSource, raise: NonNullable<ReactorSource["raise"]>): Conditions {
  const entries = [entry(draft, source, { role: { kind: "raise" }, path: ["raise"], given: raise })];
  if (source.clear !== undefined) entries.push(entry(draft, source, { role: { kind: "clear" }, path: ["clear"], given: source.clear }));
  else if (source.on_clear !== undefined)
    draft.problem(["on_clear"], '"on_clear" needs "clear": nothing would ever clear the problem', { key: true });
  else draft.warning("never-clears", ["raise"], 'without "clear" it fires once for each key, and never again', { key: true });
  const by = raise.by === undefined ? byProblem : draft.keys(raise.by, ["raise", "by"]);
  const forMs = source.for === undefined ? 0 : durationMs(source.for);
  return { entries, correlation: { kind: "raise", forMs, by }, matched: [] };
}

/** A problem is an agent's, and about one thing there. */
const byProblem: By = ["event.agent", "event.?subject.orValue(null)"].map((source): Expression => {
  const compiled = compileCel(source, "event");
  if (!compiled.ok) throw new Error(compiled.message);
  return compiled.expression;
});

function correlateConditions(draft: Draft, source: ReactorSource, correlate: CorrelateSource): Conditions {
  const given = correlateKinds.filter((kind) => correlate[kind] !== undefined);
  const [kind] = given;
  if (kind === undefined || given.length > 1) {
    const found = kind === undefined ? "there is none" : `there are ${given.join(" and ")}`;
    draft.problem(["correlate"], `one of count, all, any, sequence, none is needed, ${found}`, { key: true });
  }
  // Of several each is compiled: what is wrong in them is told at once.
  const compiled = given.map((each) => correlateKind(draft, source, correlate, each));
  return compiled[0] ?? { entries: [], correlation: undefined, matched: [] };
}

function correlateKind(draft: Draft, source: ReactorSource, correlate: CorrelateSource, kind: CorrelateKind): Conditions {
  const withinMs = compileWithin(draft, correlate.within, kind);
  const distinct = compileDistinct(draft, correlate.distinct, kind);
  const common = { withinMs, by: draft.keys(correlate.by, ["correlate", "by"]), consume: correlate.consume };
  if (kind === "count") {
    const correlation: Correlation = { kind, count: correlate.count ?? 1, distinct, ...common };
    return { entries: [mainEntry(draft, source)], correlation, matched: [] };
  }
  if (kind === "none") return noneConditions(draft, source, correlate, common);
  const { entries, matched } = stepEntries(draft, source, kind, correlate[kind] ?? []);
  const steps = entries.length;
  return { entries, correlation: kind === "any" ? { kind, steps, by: common.by } : { kind, steps, ...common }, matched };
}

function noneConditions(
  draft: Draft,
  source: ReactorSource,
  { none }: CorrelateSource,
  { withinMs, by }: { withinMs: number; by: By },
): Conditions {
  const matched = ["first"];
  const absent = entry(draft, source, { role: { kind: "absent" }, path: ["correlate", "none"], given: none ?? {}, matched });
  return { entries: [{ ...mainEntry(draft, source), as: "first" }, absent], correlation: { kind: "none", withinMs, by }, matched };
}

function stepEntries(
  draft: Draft,
  source: ReactorSource,
  kind: StepsKind,
  steps: NonNullable<CorrelateSource[StepsKind]>,
): { entries: Entry[]; matched: string[] } {
  const matched: string[] = [];
  const entries = steps.map((given, step) => {
    const path: Path = ["correlate", kind, step];
    const before = kind === "sequence" ? { matched: [...matched] } : {};
    const made = entry(draft, source, { role: { kind: "step", step }, path, given, ...before });
    const name = given.as ?? `step${step + 1}`;
    if (matched.includes(name)) draft.problem([...path, "as"], `a second step of the name "${name}"`);
    matched.push(name);
    return { ...made, as: name };
  });
  return { entries, matched };
}

function compileWithin(draft: Draft, within: string | undefined, kind: CorrelateKind): number {
  if (kind === "any") {
    if (within !== undefined) draft.problem(["correlate", "within"], "any fires on each event by itself: it takes no time", { key: true });
    return 0;
  }
  if (within !== undefined) return checkedDurationMs(draft, within, ["correlate", "within"]);
  draft.problem(["correlate"], `"${kind}" needs "within": the time in which the events belong together, such as within: 1m`, { key: true });
  return 0;
}

function compileDistinct(draft: Draft, distinct: string | undefined, kind: CorrelateKind): Expression | undefined {
  if (distinct === undefined) return undefined;
  if (kind !== "count") draft.problem(["correlate", "distinct"], '"distinct" is for "count"', { key: true });
  return draft.keys(distinct, ["correlate", "distinct"])[0];
}

function mainEntry(draft: Draft, source: ReactorSource): Entry {
  return entry(draft, source, { role: { kind: "event" }, path: [], given: {} });
}

interface EntrySource {
  role: Role;
  path: Path;
  given: { on?: OneOrMore | undefined; when?: string | undefined };
  /** The events that its condition can name; undefined: it comes first. */
  matched?: readonly string[];
}

function entry(draft: Draft, source: ReactorSource, { role, path, given, matched }: EntrySource): Entry {
  const on = globs(given.on ?? source.on);
  if (on.length === 0) {
    const what = path.length === 0 ? "" : " here, or at the reactor";
    draft.problem(path, `the key "on" is missing${what}`);
  }
  return { role, on, matchesType: globMatcher(on), when: draft.condition(given.when, [...path, "when"], { matched }), as: undefined };
}

function globs(on: OneOrMore | undefined): string[] {
  if (on === undefined) return [];
  return typeof on === "string" ? [on] : [...on];
}
