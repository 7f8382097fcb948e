/**
 * Where CEL stands in a reactor's document, and what is known there of what it sees: of which types `event` may be, which earlier events
 * have a name. The document has passed the schema.
 */
import type { ScopeName } from "../cel.ts";
import { targetGlob } from "../target.ts";
import type { Path } from "../yaml-file.ts";

/** An event that an expression sees, by the `on` that lets it in. */
export type On = readonly string[];

export interface CelPlace {
  path: Path;
  /** Where in the text at `path` its source begins. */
  offset: number;
  source: string;
  kind: "condition" | "key" | "value";
  sees: ScopeName;
  /** `event`. */
  on: On;
  /** `matched`: earlier steps, or for values all of them. */
  matched: Readonly<Record<string, On>>;
}

/** One way in for events. `path`: where its `when` stands; `onPath`: its `on`, which may be the reactor's. */
export interface EntryPlace {
  role: "event" | "step" | "absent" | "raise" | "clear";
  path: Path;
  onPath: Path;
  on: On;
  when: string | undefined;
  as: string | undefined;
  /** The events that its condition can name. */
  before: Readonly<Record<string, On>>;
}

/** A reactor's document, as far as it is read here. */
export interface ReactorDocument {
  name: string;
  on?: string | string[];
  when?: string;
  correlate?: {
    by?: string | string[];
    distinct?: string;
    all?: StepDocument[];
    any?: StepDocument[];
    sequence?: StepDocument[];
    none?: StepDocument;
  };
  raise?: StepDocument & { by?: string | string[] };
  clear?: StepDocument;
  flow?: { by?: string | string[] };
  combine?: string;
  inhibited_by?: unknown;
  vars?: Record<string, unknown>;
  do?: Record<string, unknown>[];
  otherwise?: Record<string, unknown>[];
  on_clear?: Record<string, unknown>[];
  task?: { key?: string | string[] };
  targets?: string | string[];
  approve?: { if?: string; message?: string };
  tests?: unknown[];
}

interface StepDocument {
  on?: string | string[];
  when?: string;
  as?: string;
}

export function entriesOf(reactor: ReactorDocument): EntryPlace[] {
  const own = listOf(reactor.on);
  const { correlate, raise, clear } = reactor;
  const entry = (role: EntryPlace["role"], path: Path, given: StepDocument): EntryPlace => ({
    role,
    path,
    onPath: given.on === undefined ? ["on"] : [...path, "on"],
    on: given.on === undefined ? own : listOf(given.on),
    when: given.when,
    as: given.as,
    before: {},
  });
  if (raise !== undefined) return [entry("raise", ["raise"], raise), ...(clear === undefined ? [] : [entry("clear", ["clear"], clear)])];
  const main = entry("event", [], {});
  if (correlate?.none !== undefined) return [main, { ...entry("absent", ["correlate", "none"], correlate.none), before: { first: own } }];
  const kind = (["all", "any", "sequence"] as const).find((each) => correlate?.[each] !== undefined);
  if (kind === undefined) return [main];
  const steps = correlate![kind]!.map((step, index) => ({
    ...entry("step", ["correlate", kind, index], step),
    as: step.as ?? `step${index + 1}`,
  }));
  return kind === "sequence" ? steps.map((step, index) => ({ ...step, before: namesOf(steps.slice(0, index)) })) : steps;
}

export function celPlacesOf(reactor: ReactorDocument): CelPlace[] {
  const entries = entriesOf(reactor);
  const heard = [...new Set(entries.flatMap(({ on }) => on))];
  const { correlate, raise, flow } = reactor;
  const key = (path: Path, source: string): CelPlace => ({ path, offset: 0, source, kind: "key", sees: "event", on: heard, matched: {} });
  return [
    ...(reactor.when === undefined ? [] : [{ ...key(["when"], reactor.when), kind: "condition" as const }]),
    ...entries.flatMap(entryPlace),
    ...texts(correlate?.by, ["correlate", "by"]).map(([path, source]) => key(path, source)),
    ...texts(correlate?.distinct, ["correlate", "distinct"]).map(([path, source]) => key(path, source)),
    ...texts(raise?.by, ["raise", "by"]).map(([path, source]) => key(path, source)),
    ...texts(reactor.task?.key, ["task", "key"]).map(([path, source]) => key(path, source)),
    ...texts(flow?.by, ["flow", "by"]).map(([path, source]) => key(path, source)),
    ...equals(reactor.inhibited_by).map(([path, source]) => key(path, source)),
    ...ofHosts(reactor),
  ];
}

/** For which hosts, and whose word that needs: asked of a firing, as values are. No condition on the event: what holds of its agent says nothing of them. */
function ofHosts(reactor: ReactorDocument): CelPlace[] {
  const { targets, approve } = reactor;
  const place = (path: Path, source: string, sees: ScopeName): CelPlace => {
    const { on, matched } = valueScope(reactor, "do");
    return { path, offset: 0, source, kind: "key", sees, on, matched };
  };
  return [
    ...(typeof targets === "string" && targetGlob(targets) === undefined ? [place(["targets"], targets, "targets")] : []),
    ...(approve?.if === undefined ? [] : [place(["approve", "if"], approve.if, "approve")]),
  ];
}

/** What values see: in `do` any event that can complete the reactor, in `on_clear` the one that cleared it. */
export function valueScope(reactor: ReactorDocument, branch: "do" | "otherwise" | "on_clear"): Pick<CelPlace, "on" | "matched"> {
  const entries = entriesOf(reactor);
  const isTrigger = ({ role }: EntryPlace) => (branch === "on_clear" ? role === "clear" : role !== "clear" && role !== "absent");
  const on = [...new Set(entries.filter(isTrigger).flatMap((entry) => entry.on))];
  const first = reactor.correlate?.none === undefined ? {} : { first: listOf(reactor.on) };
  return { on, matched: { ...namesOf(entries), ...first } };
}

function entryPlace({ path, on, when, before }: EntryPlace): CelPlace[] {
  if (when === undefined) return [];
  const sees = Object.keys(before).length > 0 ? "step" : "event";
  return [{ path: [...path, "when"], offset: 0, source: when, kind: "condition", sees, on, matched: before }];
}

function namesOf(entries: readonly EntryPlace[]): Record<string, On> {
  return Object.fromEntries(entries.flatMap(({ as, on }) => (as === undefined ? [] : [[as, on]])));
}

function texts(given: string | readonly string[] | undefined, path: Path): [Path, string][] {
  if (given === undefined) return [];
  return typeof given === "string" ? [[path, given]] : given.map((source, index) => [[...path, index], source]);
}

/** The `equal` of either form of `inhibited_by`. */
function equals(given: unknown): [Path, string][] {
  const path: Path = ["inhibited_by"];
  const of = (value: unknown, at: Path) =>
    typeof value === "object" && value !== null && "equal" in value ? texts(value.equal as string[], [...at, "equal"]) : [];
  return Array.isArray(given) ? given.flatMap((each, index) => of(each, [...path, index])) : of(given, path);
}

function listOf(on: string | readonly string[] | undefined): On {
  return on === undefined ? [] : typeof on === "string" ? [on] : on;
}
