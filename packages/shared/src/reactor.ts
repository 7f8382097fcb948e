/**
 * Reactors: the rules. Turns a file of YAML into reactors that are ready to be judged by, or into every problem in it with line and
 * column. A file is taken as a whole or not at all. Pure: what variables take from files and the environment is handed in.
 */
import { createHash } from "node:crypto";
import type { Warning } from "./lint/warning.ts";
import { compileConditions } from "./reactor/conditions.ts";
import { Draft } from "./reactor/draft.ts";
import { compileCalendars, compileFlow, compileInhibitions } from "./reactor/flow.ts";
import { salvage } from "./reactor/salvage.ts";
import { compileLimits } from "./reactor/limits.ts";
import { compileRemedy } from "./reactor/remedy.ts";
import { reactorSchema, type ReactorSource } from "./reactor/schema.ts";
import { compileSteps } from "./reactor/steps.ts";
import { compileCombining, compileFleet } from "./reactor/targets.ts";
import { compileVars, type Sources, type Variables } from "./reactor/vars.ts";
import type { Reactor } from "./rules/types.ts";
import { checker } from "./schema.ts";
import { parseYaml, type Problem, type YamlDocument } from "./yaml-file.ts";

export type { Reactor } from "./rules/types.ts";
export type { Sources } from "./reactor/vars.ts";

/** `warnings`: what is not wrong, and hardly meant; the linter (lint.ts) finds more. */
export type LoadedReactors = { ok: true; reactors: Reactor[]; warnings: Warning[] } | { ok: false; problems: Problem[] };

const checkReactor = checker(reactorSchema);

export function loadReactors(file: string, text: string, sources: Sources = {}): LoadedReactors {
  const parsed = parseYaml(file, text);
  const reactors = new Map<string, Reactor>();
  // What is no YAML in one document hides nothing of what is wrong in the others.
  const problems: Problem[] = parsed.ok ? [] : [...parsed.problems];
  const warnings: Warning[] = [];
  for (const document of parsed.documents) {
    const loaded = loadDocument(file, document, sources);
    problems.push(...loaded.problems);
    warnings.push(...loaded.warnings);
    if (loaded.reactor === undefined) continue;
    const { name } = loaded.reactor;
    if (reactors.has(name)) problems.push(document.problemAt(["name"], `a second reactor of the name "${name}" in this file`));
    reactors.set(name, loaded.reactor);
  }
  return problems.length > 0
    ? { ok: false, problems: problems.toSorted(byPlace) }
    : { ok: true, reactors: [...reactors.values()], warnings };
}

interface LoadedDocument {
  reactor: Reactor | undefined;
  problems: Problem[];
  warnings: Warning[];
}

function loadDocument(file: string, document: YamlDocument, sources: Sources): LoadedDocument {
  const draft = new Draft(document);
  const checked = checkReactor(document.value);
  if (checked.ok) {
    const reactor = compileReactor(file, draft, checked.value, sources);
    return { reactor, problems: draft.found.map(({ problem }) => problem), warnings: draft.warnings() };
  }
  const problems = checked.problems.map(({ path, atKey, message }) => document.problemAt(path, message, { key: atKey }));
  // What can still be compiled is, for its problems alone: they are told at once, not one layer after the other.
  const rest = salvage(document.value, checked.problems, checkReactor);
  if (rest !== undefined) {
    compileReactor(file, draft, rest, sources);
    // A key that is missing at the top takes nothing else with it.
    const wrong = checked.problems.map(({ path }) => path).filter((path) => path.length > 0);
    problems.push(...draft.found.filter(({ path }) => !wrong.some((each) => isWithin(each, path))).map(({ problem }) => problem));
  }
  return { reactor: undefined, problems, warnings: [] };
}

/** Whether `path` leads to something inside of what `outer` leads to, or to the same. */
function isWithin(path: readonly unknown[], outer: readonly unknown[]): boolean {
  return outer.every((part, index) => String(part) === String(path[index]));
}

function byPlace(a: Problem, b: Problem): number {
  return a.line - b.line || a.column - b.column;
}

function compileReactor(file: string, draft: Draft, source: ReactorSource, sources: Sources): Reactor {
  const variables = compileVars(draft, source, sources);
  draft.knowFiles(sources.file);
  draft.knowVars(variables);
  const when = draft.condition(source.when, ["when"]);
  const { entries, correlation, matched } = compileConditions(draft, source);
  const { remedy, reads: ofRemedy, listensFor } = compileRemedy(draft, source, matched);
  const onClear = compileSteps(draft, { sources: source.on_clear, path: ["on_clear"], matched });
  const reads = [...ofRemedy, ...onClear.map((call) => call.reads)];
  const read = [...reads, ...entries.flatMap(({ when: own }) => own?.reads.variables ?? [])];
  const keepsEvents = read.some((variables) => variables.has("events") || variables.has("matched"));
  return {
    name: source.name,
    description: source.description,
    owner: source.owner,
    runbook: source.runbook,
    version: versionOf(source, variables),
    shape: digest([shapeOf(source), keepsEvents]),
    file,
    line: draft.document.problemAt(["name"], "").line,
    mode: source.mode,
    priority: source.task?.priority ?? source.priority,
    followsSelf: source.follow === "self",
    on: [...new Set(entries.flatMap(({ on }) => on))],
    when,
    entries,
    correlation,
    flow: compileFlow(draft, source.flow),
    inhibitedBy: compileInhibitions(draft, source),
    muteDuring: compileCalendars(draft, "mute_during", source.mute_during),
    onlyDuring: compileCalendars(draft, "only_during", source.only_during),
    vars: variables.values,
    remedy,
    fleet: compileFleet(draft, source),
    combining: compileCombining(draft, source, remedy),
    ...compileLimits(draft, source),
    onClear,
    listensFor,
    keepsEvents,
    keysMax: source.keys_max,
  };
}

/** What its state means nothing without. Not the conditions: state that went in under the old one is as good as any. */
function shapeOf({ correlate, raise, flow, inhibited_by, for: lasts }: ReactorSource): unknown {
  return [correlate, raise, lasts, flow, inhibited_by].map((part) => withoutConditions(part) ?? null);
}

function withoutConditions(part: unknown): unknown {
  if (Array.isArray(part)) return part.map(withoutConditions);
  if (typeof part !== "object" || part === null) return part;
  const kept = Object.entries(part).filter(([key]) => key !== "on" && key !== "when");
  return Object.fromEntries(kept.map(([key, value]) => [key, withoutConditions(value)]));
}

/** From what it does; its tests say nothing of that, nor does what a secret is. */
function versionOf(source: ReactorSource, { values, secrets }: Variables): string {
  return digest([{ ...source, tests: undefined }, Object.entries(values).filter(([name]) => !secrets.has(name))]);
}

function digest(value: unknown): string {
  return createHash("sha256").update(JSON.stringify(value)).digest("hex").slice(0, 12);
}
