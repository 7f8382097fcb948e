/**
 * What was expected beside what fired: as many expectations as can be take a firing each that fits them, whatever the order, and what is left
 * over on either side is the difference. Pure.
 */
import type { Decision, Firing, Plan, PlannedCall, PlannedRung, PlannedStep } from "../rules/types.ts";
import type { AgentView } from "../target.ts";
import type { Expectation } from "./schema.ts";

/** A firing in the words of `expect`. */
export interface Got {
  reactor: string;
  agent: string;
  subject?: string;
  priority: string;
  owner?: string;
  labels?: Readonly<Record<string, string>>;
  count: number;
  key: readonly unknown[];
  branch: string;
  planned: boolean;
  hosts?: readonly string[];
  fails?: string;
  /** Actions, or rungs. */
  do: Record<string, unknown>[];
  otherwise?: Record<string, unknown>[];
  task?: { key: readonly unknown[] };
}

/** `paths`: where an expectation and the firing that is likest to it differ. */
export interface Different {
  expected: Expectation;
  got: Got;
  paths: { path: string; expected: unknown; got: unknown }[];
}

export interface Difference {
  missing: Expectation[];
  different: Different[];
  unexpected: Got[];
}

/** Undefined: there is none. `agents`: all hosts, by name. */
export function differenceOf(
  expected: readonly Expectation[],
  decisions: readonly Decision[],
  agents: readonly AgentView[] = [],
): Difference | undefined {
  const got = decisions.flatMap(({ firing, reason }) => (firing === undefined ? [] : [gotOf(firing, reason === "planned", agents)]));
  const taken = paired(expected, got);
  const unmet = expected.filter((_, index) => !taken.includes(index));
  const left = got.filter((_, index) => taken[index] === undefined);
  if (unmet.length === 0 && left.length === 0) return undefined;
  const different: Different[] = [];
  const missing: Expectation[] = [];
  for (const expectation of unmet) {
    // The likest of the same reactor: the author wants to see what is wrong with it.
    const likest = left
      .filter(({ reactor }) => expectation.reactor === undefined || expectation.reactor === reactor)
      .map((got) => ({ expected: expectation, got, paths: pathsOf(expectation, got) }))
      .toSorted((a, b) => a.paths.length - b.paths.length)[0];
    if (likest === undefined) missing.push(expectation);
    else {
      different.push(likest);
      left.splice(left.indexOf(likest.got), 1);
    }
  }
  return { missing, different, unexpected: left };
}

/**
 * By firing, the expectation that has it. An expectation that finds its firing taken asks who has it to take another, so that a vague one never
 * leaves a strict one without.
 */
function paired(expected: readonly Expectation[], got: readonly Got[]): (number | undefined)[] {
  const taken: (number | undefined)[] = got.map(() => undefined);
  const find = (index: number, asked: Set<number>): boolean =>
    got.some((firing, at) => {
      if (asked.has(at) || pathsOf(expected[index]!, firing).length > 0) return false;
      asked.add(at);
      const owner = taken[at];
      if (owner !== undefined && !find(owner, asked)) return false;
      taken[at] = index;
      return true;
    });
  for (const index of expected.keys()) find(index, new Set());
  return taken;
}

function gotOf(firing: Firing, planned: boolean, agents: readonly AgentView[]): Got {
  const { reactor, trigger, route, priority, count, key, branch, fleet, members } = firing;
  const fitting = fleet && agents.filter(fleet.fits);
  const first = fitting?.[0];
  const hosts = fitting?.map(({ id }) => id) ?? members?.map((member) => member.trigger.agent).toSorted();
  // What is done is shown as the first host does it.
  const plan = fleet !== undefined && first !== undefined && firing.plan.ok ? fleet.planOn(first) : firing.plan;
  const { subject } = trigger.event;
  const { owner = route.owner } = reactor;
  const { labels } = route;
  return {
    reactor: reactor.name,
    agent: trigger.agent,
    ...(subject === undefined ? {} : { subject }),
    priority,
    ...(owner === undefined ? {} : { owner }),
    ...(Object.keys(labels).length === 0 ? {} : { labels }),
    count,
    key,
    branch,
    planned,
    ...(hosts === undefined ? {} : { hosts }),
    ...(plan.ok ? {} : { fails: plan.reason }),
    do: plan.ok ? doneBy(plan, reactor.remedy.isLadder && branch === "do") : [],
    ...(plan.ok && plan.otherwise.length > 0 ? { otherwise: plan.otherwise.map(callText) } : {}),
    ...(plan.ok && plan.joinKey !== undefined ? { task: { key: plan.joinKey } } : {}),
  };
}

function doneBy({ rungs }: Extract<Plan, { ok: true }>, isLadder: boolean): Record<string, unknown>[] {
  return isLadder ? rungs.map(rungText) : rungs.flatMap(({ steps }) => steps.map(stepText));
}

/** A rung in the words of its YAML, as far as it has values; times are those of the file. */
function rungText({ steps, attempts, verify, undo }: PlannedRung): Record<string, unknown> {
  return {
    steps: steps.map(stepText),
    ...(attempts === 1 ? {} : { retry: { attempts } }),
    ...(verify === undefined ? {} : { verify: verify.by === "action" ? stepText(verify.step) : { [verify.by]: { on: verify.on } } }),
    ...(undo === undefined ? {} : { undo: { steps: undo.steps.map(stepText) } }),
  };
}

function stepText({ action, args }: PlannedStep): Record<string, unknown> {
  return { [action]: args };
}

/** What speaks of the task is there as it is written. */
function callText(call: PlannedCall): Record<string, unknown> {
  return { [call.action]: "args" in call ? call.args : call.source };
}

function pathsOf(expectation: Expectation, got: Got): Different["paths"] {
  const paths: Different["paths"] = [];
  for (const [name, wanted] of Object.entries(expectation)) {
    const found = got[name as keyof Got];
    if (name === "fails" && typeof found === "string" && found.includes(String(wanted))) continue;
    compare(name, { expected: wanted, got: found }, paths);
  }
  return paths;
}

/** Of objects the expected fields must be equal; lists and all else wholly. */
function compare(path: string, { expected, got }: { expected: unknown; got: unknown }, paths: Different["paths"]): void {
  if (Array.isArray(expected) && Array.isArray(got) && expected.length === got.length) {
    for (const [index, item] of expected.entries()) compare(`${path}[${index}]`, { expected: item, got: got[index] as unknown }, paths);
  } else if (isObject(expected) && isObject(got)) {
    for (const [name, item] of Object.entries(expected)) compare(`${path}.${name}`, { expected: item, got: got[name] }, paths);
  } else if (!(expected === null && isObject(got)) && JSON.stringify(expected) !== JSON.stringify(got)) paths.push({ path, expected, got });
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
