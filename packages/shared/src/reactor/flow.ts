/**
 * What keeps a reactor from firing, or holds it back: flow, inhibition, calendars.
 */
import { parseRate } from "../rate.ts";
import type { Calendar, Flow, Inhibition } from "../rules/types.ts";
import type { Path } from "../yaml-file.ts";
import { type CalendarSource, compileCalendar } from "./calendar.ts";
import type { Draft } from "./draft.ts";
import { checkedDurationMs } from "./durations.ts";
import { type FlowSource, inhibitionDefaults, type InhibitorsSource, type InhibitorSource, type ReactorSource } from "./schema.ts";

const flowKinds = ["once", "debounce", "collect", "rate"] as const;
type FlowKind = (typeof flowKinds)[number];

export function compileFlow(draft: Draft, source: FlowSource | undefined): Flow | undefined {
  if (source === undefined) return undefined;
  const given = flowKinds.filter((kind) => source[kind] !== undefined);
  if (given.length !== 1) {
    const found = given.length === 0 ? "there is none" : `there are ${given.join(" and ")}`;
    draft.problem(["flow"], `one of once, debounce, collect, rate is needed, ${found}`, { key: true });
  }
  return given.map((kind) => flowKind(draft, source, kind))[0];
}

function flowKind(draft: Draft, source: FlowSource, kind: FlowKind): Flow {
  const by = source.by === undefined ? undefined : draft.keys(source.by, ["flow", "by"]);
  const text = source[kind] ?? "";
  const path = ["flow", kind];
  if (kind === "debounce" || kind === "collect") {
    if (source.overflow !== undefined)
      draft.problem(["flow", "overflow"], `"overflow" is for once and rate: ${kind} leaves nothing over`, { key: true });
    const windowMs = checkedDurationMs(draft, text, path);
    return kind === "debounce" ? { kind, quietMs: windowMs, by } : { kind, windowMs, by };
  }
  // Its default cannot stand in the schema: that would put it beside debounce and collect, too.
  const overflow = source.overflow ?? "drop";
  if (kind === "once") return { kind, windowMs: checkedDurationMs(draft, text, path), overflow, by };
  return { kind, ...compileRate(draft, text), overflow, by };
}

/** As many times are remembered for each key. */
const rateCountMax = 10_000;

function compileRate(draft: Draft, text: string): { count: number; windowMs: number } {
  const count = parseRate(text)?.events ?? 1;
  if (count > rateCountMax) draft.problem(["flow", "rate"], `expected at most ${rateCountMax} in a time, got "${text}"`);
  return { count, windowMs: checkedDurationMs(draft, text.slice(text.indexOf("/") + 1), ["flow", "rate"]) };
}

export function compileInhibitions(draft: Draft, { name, inhibited_by: source }: ReactorSource): Inhibition[] {
  return inhibitors(source).map(({ reactor, at, of, equal = inhibitionDefaults.equal, for: lasts = inhibitionDefaults.for }) => {
    if (reactor === name) draft.problem(at, "a reactor cannot inhibit itself; to fire less often, use flow");
    return { reactor, equal: draft.keys(equal, [...of, "equal"]), forMs: checkedDurationMs(draft, lasts, [...of, "for"]) };
  });
}

/** `at`: where its name stands. `of`: where what is said of it stands. */
interface Inhibitor {
  reactor: string;
  at: Path;
  of: Path;
  equal?: readonly string[] | undefined;
  for?: string | undefined;
}

function inhibitors(source: ReactorSource["inhibited_by"]): Inhibitor[] {
  const of: Path = ["inhibited_by"];
  if (source === undefined) return [];
  if (!Array.isArray(source)) {
    const { reactors, ...rest } = source as InhibitorsSource;
    return reactors.map((reactor, index) => ({ ...rest, reactor, at: [...of, "reactors", index], of }));
  }
  return (source as readonly InhibitorSource[]).map((each, index) => {
    const at = [...of, index];
    return typeof each === "string" ? { reactor: each, at, of: at } : { ...each, at: [...at, "reactor"], of: at };
  });
}

export function compileCalendars(draft: Draft, key: "mute_during" | "only_during", sources: readonly CalendarSource[] = []): Calendar[] {
  return sources.flatMap((source, index) => {
    const path = [key, index];
    checkedDurationMs(draft, source.for, [...path, "for"]);
    const compiled = compileCalendar(source);
    if (compiled.ok) return [compiled.calendar];
    draft.problem([...path, compiled.key], compiled.message);
    return [];
  });
}
