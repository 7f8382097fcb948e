/**
 * Why each reactor did or did not fire on an event (P5). What was decided then is in the record, but for conditions that were false: these are
 * asked again, of the reactors that were in force when the event came, as far as that is known; where it hangs on what came before, after those
 * events (events-before.ts). What is taken for granted with that is a part of the answer.
 */
import type { DecisionView } from "@needfire/shared/api";
import type { Expression } from "@needfire/shared/cel";
import { explain } from "@needfire/shared/cel-explain";
import { isoTime } from "@needfire/shared/clock";
import { NeedfireError } from "@needfire/shared/errors";
import type { Event } from "@needfire/shared/event";
import { Hearing, type Refusal, refusal, type RuleScope, valuesOf } from "@needfire/shared/rules/hearing";
import { ReactorIndex } from "@needfire/shared/rules/reactor-index";
import { Rules } from "@needfire/shared/rules/rules";
import { spanText } from "@needfire/shared/rules/wording";
import type { Decision, Reactor, Reason, Seen, World } from "@needfire/shared/rules/types";
import type { AgentView } from "@needfire/shared/target";
import type { Compiled } from "./compiled.ts";
import { type Before, eventsBefore, hangsOnBefore } from "./events-before.ts";
import type { SqliteJournalReader } from "./journal/sqlite-reader.ts";
import type { Origin } from "./origin.ts";
import { digestOf } from "./store/record.ts";
import type { SqliteStoreReader } from "./store/sqlite-reader.ts";
import type { DecisionRecord } from "./store/store.ts";

export interface Explaining {
  store: Pick<SqliteStoreReader, "decisionsOn" | "tasksOfEvent" | "versionsAt" | "versionText" | "taskWith" | "taskOfKey" | "readCause">;
  journal: Pick<SqliteJournalReader, "query">;
  compiled: Pick<Compiled, "index" | "files" | "route" | "earlier">;
}

/** `agent`: the host that the event is about, as it is now. `only`: of one reactor. */
export interface Question {
  event: Event;
  origin: Origin;
  agent: AgentView;
  only: string | undefined;
}

/** Reasons for which an event may be in a task that another one triggered. */
const gathered = new Set<Reason>(["waiting", "pending", "collecting", "combining", "debounced", "merged", "delayed"]);
/** Turns are judged a little before their tasks are made, by clocks that tremble. */
const clockTremblesMs = 1_000;
/** Of how many reactors the events before are judged with it; when one is asked for, it is always among them. */
const replaysMax = 10;

/** Throws `NOT_FOUND` when there is no reactor of the name. */
export function decisionsOn({ event, origin, agent, only }: Question, explaining: Explaining): DecisionView[] {
  const { store, compiled } = explaining;
  const { index, known } = reactorsThen(event.received, explaining);
  const world = { agentView: () => agent, route: compiled.route, silence: () => undefined };
  const asking: Asking = { seen: { event, ...origin }, world, explaining, isOfThen: known, replaysLeft: replaysMax };
  const records = store.decisionsOn(event.id).filter(({ reactor }) => only === undefined || reactor === only);
  const recorded = records.map((record) => recordView(record, index.reactors, asking));
  const told = new Set(records.map(({ reactor }) => reactor));
  const hearers = index.ofType(event.type).hearers.map(({ reactor }) => reactor);
  const others = hearers.filter(({ name }) => !told.has(name) && (only === undefined || name === only));
  const tasks = new Map(store.tasksOfEvent(event.id).map((task) => [task.reactor, task]));
  const again = others.map((reactor) => judgeAgain(reactor, tasks.get(reactor.name)?.id, asking));
  if (only !== undefined && recorded.length + again.length === 0) return [notAsked(only, index.reactors, asking)];
  return [...recorded, ...again];
}

interface Asking {
  seen: Seen;
  world: World;
  explaining: Explaining;
  /** The reactors are those of when the event came. */
  isOfThen: boolean;
  replaysLeft: number;
}

/** The reactors in force at a time; those of now when that is not known. Only files that were another are compiled again. */
function reactorsThen(time: number, { store, compiled }: Explaining): { index: ReactorIndex; known: boolean } {
  const versions = store.versionsAt(time);
  if (versions === undefined) return { index: compiled.index, known: false };
  const now = new Map(compiled.files.map(({ file, text }) => [file, digestOf(text)]));
  const then = versions.filter(({ reactors: had }) => Object.keys(had).length > 0);
  const isAsNow = ({ file, digest }: { file: string; digest: string }) => now.get(file) === digest;
  if (then.length === now.size && then.every(isAsNow)) return { index: compiled.index, known: true };
  const byFile = Map.groupBy(compiled.index.reactors, ({ file }) => file);
  const found = then.flatMap((version) => {
    const text = isAsNow(version) ? undefined : store.versionText(version.number);
    return (text === undefined ? undefined : compiled.earlier(version.file, text)) ?? byFile.get(version.file) ?? [];
  });
  return { index: new ReactorIndex(found), known: true };
}

function recordView(
  { reactor, version, at, reason, detail, until, task, event }: DecisionRecord,
  reactors: readonly Reactor[],
  asking: Asking,
): DecisionView {
  const joined = task ?? taskJoined(reason, { reactor: reactors.find(({ name }) => name === reactor), name: reactor, event }, asking);
  return {
    reactor,
    decision: reason,
    detail,
    version,
    at: isoTime(at),
    ...(until === undefined ? {} : { until: isoTime(until) }),
    ...(joined === undefined ? {} : { task: joined }),
    source: "recorded",
  };
}

/** The task in which an event ended up that did not trigger it. */
function taskJoined(
  reason: Reason,
  { reactor, name, event }: { reactor: Reactor | undefined; name: string; event: string },
  { seen, world, explaining: { store } }: Asking,
): string | undefined {
  if (gathered.has(reason)) return store.taskWith(name, event, seen.event.received - clockTremblesMs);
  // With the firing of its host that was waiting for others.
  if (reason === "joined" && reactor?.combining?.windowMs !== undefined)
    return store.taskWith(name, event, seen.event.received - clockTremblesMs);
  if (reason !== "joined" || reactor?.correlation === undefined) return undefined;
  const key = valuesOf(reactor.correlation.by, new Hearing(world, seen).scope({ reactor, readsRoute: true }));
  return key.ok ? store.taskOfKey(name, key.values, seen.event.received + clockTremblesMs) : undefined;
}

function judgeAgain(reactor: Reactor, task: string | undefined, asking: Asking): DecisionView {
  const { seen, world, explaining, isOfThen } = asking;
  const source = isOfThen ? "judged-again" : "judged-by-now";
  const base = { reactor: reactor.name, version: reactor.version, source, ...(task === undefined ? {} : { task }) } as const;
  const [alone] = judged(reactor, world, [seen]);
  if (alone === undefined) return { ...base, decision: "not-asked", detail: "nothing of it concerns this event" };
  const scope = new Hearing(world, seen).scope({ reactor, readsRoute: true });
  // Whether a step waited is in the record. What is not there was false in itself, so that nothing needed to be known of what came before.
  const refused = alone.reason === "waiting" ? refusedByAll(reactor, scope) : undefined;
  const reason = refused?.reason ?? alone.reason;
  if (reason.startsWith("when-")) {
    const { blames, parts } = whyNot(reactor, scope);
    const detail = blames.length === 0 ? alone.detail : blames.join("; ");
    return { ...base, decision: reason, detail, parts, assumed: assumedOfHost(reactor) };
  }
  const before = hangsOnBefore(reactor) && asking.replaysLeft-- > 0 ? eventsBefore(reactor, seen.event, explaining) : undefined;
  const decision = judged(reactor, world, [...(before?.events ?? []), seen]).at(-1) ?? alone;
  const detail = decision.firing?.plan.ok === false ? decision.firing.plan.reason : decision.detail;
  return { ...base, decision: decision.reason, detail, assumed: [...assumedOfHost(reactor), ...assumedBefore(reactor, before)] };
}

/** What one reactor decides on the last of some events, after the others. */
function judged(reactor: Reactor, world: World, events: readonly Seen[]): Decision[] {
  const rules = new Rules(new ReactorIndex([reactor]), world, { asksAll: true });
  const [last] = events.map((seen) => rules.hear(seen).decisions.filter(({ event }) => event === seen.event.id)).slice(-1);
  return last ?? [];
}

/** What of its conditions is as it is now, and not as it was then. */
function assumedOfHost({ when, entries, correlation, flow }: Reactor): string[] {
  const expressions = [when, ...entries.map((entry) => entry.when), ...(correlation?.by ?? []), ...(flow?.by ?? [])];
  const reads = (name: string) => expressions.some((each) => each?.reads.variables.has(name));
  return [...(reads("agent") || reads("route") ? ["the host's facts of now"] : []), ...(reads("route") ? ["the router of now"] : [])];
}

function assumedBefore(reactor: Reactor, before: Before | undefined): string[] {
  const held = "no silence, and nothing that inhibits";
  if (before === undefined) return [...(hangsOnBefore(reactor) ? ["nothing before it"] : []), held];
  const { events, spanMs, isCut } = before;
  const span = `the ${spanText(spanMs)} before it`;
  if (isCut) return [`the newest ${events.length} events of ${span}, which had more`, held];
  return [events.length === 0 ? `no event of ${span}` : `${events.length} ${events.length === 1 ? "event" : "events"} of ${span}`, held];
}

/** Why no entry of a reactor takes an event, whatever came before it; undefined: that hangs on what came, or one takes it. */
function refusedByAll({ entries }: Reactor, scope: RuleScope): Refusal | undefined {
  const refusals = entries
    .filter(({ matchesType }) => matchesType(scope.event.type))
    .map(({ when }) => (when?.reads.variables.has("matched") === true ? undefined : refusal(when, scope)));
  return refusals.every((refused) => refused !== undefined) ? refusals[0] : undefined;
}

/** The parts of its conditions that were not true, with the values that they saw. */
function whyNot(reactor: Reactor, scope: RuleScope): { blames: string[]; parts: NonNullable<DecisionView["parts"]> } {
  const own = refusal(reactor.when, scope) === undefined ? undefined : reactor.when;
  const entries = reactor.entries.filter(({ matchesType, when }) => matchesType(scope.event.type) && refusal(when, scope) !== undefined);
  const conditions: { name: string; condition: Expression | undefined }[] =
    own === undefined
      ? entries.map(({ when, as, role }) => ({ name: as ?? nameOf(role), condition: when }))
      : [{ name: "", condition: own }];
  const blames: string[] = [];
  const parts: NonNullable<DecisionView["parts"]> = [];
  for (const { name, condition } of conditions) {
    if (condition === undefined) continue;
    const explained = explain(condition, scope);
    blames.push(name === "" ? explained.blame : `${name}: ${explained.blame}`);
    for (const part of explained.parts)
      parts.push("error" in part ? part : { source: part.source, value: JSON.stringify(part.value) ?? "nothing" });
  }
  return { blames, parts };
}

function nameOf(role: Reactor["entries"][number]["role"]): string {
  if (role.kind === "step") return `step${role.step + 1}`;
  return role.kind === "event" ? "" : role.kind;
}

/** Why a reactor had nothing to do with an event at all. */
function notAsked(name: string, reactors: readonly Reactor[], { seen: { event }, explaining, isOfThen }: Asking): DecisionView {
  const now = explaining.compiled.index.reactors.find((reactor) => reactor.name === name);
  const reactor = reactors.find((each) => each.name === name) ?? now;
  if (reactor === undefined) throw new NeedfireError("NOT_FOUND", `there is no reactor "${name}" (needfire reactors list)`);
  const source = isOfThen ? "judged-again" : "judged-by-now";
  const base = { reactor: name, version: reactor.version, decision: "not-asked", source } as const;
  if (!reactors.includes(reactor)) return { ...base, detail: "it was not in force when the event came" };
  if (reactor.mode === "off") return { ...base, detail: "it is off" };
  return { ...base, detail: `it hears ${reactor.on.join(", ")}, and the event is a ${event.type}` };
}
