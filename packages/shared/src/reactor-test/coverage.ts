/**
 * What tests have seen of reactors: each condition, and each part of it that `&&`, `||` and `?:` join, true and false; each step taken; each
 * way in which a reactor can end with an event. The engine is not asked: conditions that tell what they came to are put in for the
 * reactor's own.
 */
import { explain } from "../cel-explain.ts";
import { type CelNode, textOf } from "../cel-tree.ts";
import { compileCel, type Expression } from "../cel.ts";
import type { Decision, Entry, Reactor, Reason } from "../rules/types.ts";

/** `place`: its path in the file. `part`: it is a part of the condition above it. `false` undefined: it cannot be false. */
export interface ConditionCoverage {
  place: string;
  source: string;
  part: boolean;
  true: boolean;
  false: boolean | undefined;
}

export interface ReactorCoverage {
  reactor: string;
  file: string;
  line: number;
  conditions: ConditionCoverage[];
  outcomes: { outcome: Outcome; seen: boolean }[];
  /** How many there are to be seen, and how many were. */
  goals: number;
  seen: number;
}

/** `fires`, `on_clear`, and the reasons that the reactor has keys for. */
type Outcome = "fires" | "on_clear" | Reason;

export class Coverage {
  readonly #watches = new Map<string, Watch>();

  /** The same reactor, whose conditions are heard here. */
  watched(reactor: Reactor): Reactor {
    let watch = this.#watches.get(reactor.name);
    if (watch === undefined) this.#watches.set(reactor.name, (watch = new Watch(reactor)));
    return watch.watched;
  }

  decided(decisions: readonly Decision[]): void {
    for (const decision of decisions) this.#watches.get(decision.reactor.name)?.decided(decision);
  }

  /** Of every reactor that was watched. */
  report(): ReactorCoverage[] {
    return [...this.#watches.values()].map((watch) => watch.report());
  }
}

class Watch {
  readonly watched: Reactor;
  readonly #conditions: ConditionCoverage[] = [];
  readonly #outcomes: Map<Outcome, boolean>;

  constructor(reactor: Reactor) {
    const when = reactor.when && this.#listen(reactor.when, "when");
    const entries = reactor.entries.map((entry) => this.#entry(reactor, entry));
    this.watched = { ...reactor, when, entries };
    this.#outcomes = new Map(outcomesOf(reactor).map((outcome) => [outcome, false]));
  }

  decided({ reason, firing }: Decision): void {
    const outcome = firing === undefined ? reason : firing.branch === "do" ? "fires" : "on_clear";
    if (this.#outcomes.has(outcome)) this.#outcomes.set(outcome, true);
  }

  report(): ReactorCoverage {
    const { name: reactor, file, line } = this.watched;
    const outcomes = [...this.#outcomes].map(([outcome, seen]) => ({ outcome, seen }));
    const goals = [
      ...this.#conditions.flatMap((condition) => [condition.true, ...(condition.false === undefined ? [] : [condition.false])]),
      ...outcomes.map(({ seen }) => seen),
    ];
    return { reactor, file, line, conditions: this.#conditions, outcomes, goals: goals.length, seen: goals.filter((seen) => seen).length };
  }

  /** The engine asks the condition of a step when it is that step's turn: one without a condition is given one that always holds. */
  #entry({ correlation }: Reactor, entry: Entry): Entry {
    const place = placeOf(entry, correlation?.kind);
    if (place === undefined) return entry;
    if (entry.when !== undefined) return { ...entry, when: this.#listen(entry.when, `${place}.when`) };
    const row: ConditionCoverage = { place, source: entry.on.join(", "), part: false, true: false, false: undefined };
    this.#conditions.push(row);
    const evaluate: Expression["evaluate"] = () => {
      row.true = true;
      return { ok: true, value: true };
    };
    return { ...entry, when: { ...always, evaluate } };
  }

  #listen(expression: Expression, place: string): Expression {
    const whole: ConditionCoverage = { place, source: expression.source, part: false, true: false, false: false };
    const sources = new Set(partsOf(expression.tree()).map((part) => textOf(part, expression.source)));
    const parts = sources.size < 2 ? [] : [...sources].map((source) => ({ ...whole, source, part: true }));
    this.#conditions.push(whole, ...parts);
    const evaluate: Expression["evaluate"] = (scope) => {
      const outcome = expression.evaluate(scope);
      see(whole, outcome.ok && outcome.value === true);
      if (parts.length === 0) return outcome;
      for (const seen of explain(expression, scope).parts) {
        const row = parts.find(({ source }) => source === seen.source);
        if (row !== undefined) see(row, "value" in seen && seen.value === true);
      }
      return outcome;
    };
    return { ...expression, evaluate };
  }
}

const compiled = compileCel("true", "event");
if (!compiled.ok) throw new Error(compiled.message);
const always = compiled.expression;

/** A field that is missing makes a condition false. */
function see(row: ConditionCoverage, value: boolean): void {
  if (value) row.true = true;
  else row.false = true;
}

/** What `explain` takes apart, without constants. */
function partsOf(node: CelNode): CelNode[] {
  switch (node.kind) {
    case "and":
    case "or":
      return [...partsOf(node.left), ...partsOf(node.right)];
    case "not":
      return partsOf(node.of);
    case "choose":
      return [node.condition, node.yes, node.no].flatMap(partsOf);
    case "value":
      return [];
    default:
      return [node];
  }
}

/** Undefined: it is the reactor's own `on`. */
function placeOf({ role }: Entry, correlation: string | undefined): string | undefined {
  switch (role.kind) {
    case "step":
      return `correlate.${correlation}[${role.step}]`;
    case "absent":
      return "correlate.none";
    case "raise":
    case "clear":
      return role.kind;
    case "event":
      return undefined;
  }
}

const overflows = { drop: "throttled", delay: "delayed", merge: "merged" } as const;
const flows = { debounce: "debounced", collect: "collecting" } as const;

function outcomesOf({ correlation, flow, onClear, inhibitedBy, muteDuring, onlyDuring }: Reactor): Outcome[] {
  const outcomes: Outcome[] = ["fires"];
  if (onClear.length > 0) outcomes.push("on_clear");
  if (correlation?.kind === "count" || correlation?.kind === "all" || correlation?.kind === "sequence") outcomes.push("waiting");
  // What is raised only after a while can clear before it is.
  if (correlation?.kind === "raise" && correlation.forMs > 0) outcomes.push("cancelled");
  if (flow !== undefined) outcomes.push("overflow" in flow ? overflows[flow.overflow] : flows[flow.kind]);
  if (inhibitedBy.length > 0) outcomes.push("inhibited");
  if (muteDuring.length + onlyDuring.length > 0) outcomes.push("muted");
  return outcomes;
}
