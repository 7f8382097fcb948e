/**
 * Matching: which reactors fire on an event, and why the others of its type do not (P5, P7). Pure: values in, decisions out.
 */
import { type ActionName, actions } from "./action.ts";
import type { Event } from "./event.ts";
import { masterAgent } from "./ids.ts";
import { argsCheckers } from "./action.ts";
import type { Reactor } from "./reactor.ts";
import { problemsText } from "./schema.ts";
import type { AgentView } from "./target.ts";
import { render } from "./value.ts";

/** What is known when an event is judged. `ancestry`: the reactors whose remedies led to it, outermost first. */
export interface Circumstances {
  event: Event;
  agent: AgentView;
  ancestry: readonly string[];
}

export interface PlannedStep {
  action: ActionName;
  args: Record<string, unknown>;
}

/** `plan`: what to do, with every value known; or why that could not be worked out, which makes a task that escalates at once. */
export interface Firing {
  reactor: Reactor;
  plan: { ok: true; steps: PlannedStep[] } | { ok: false; reason: string };
}

export type SkipReason = "when-false" | "when-missing-field" | "when-error" | "own-effect";
export type Decision = ({ kind: "fire" } & Firing) | { kind: "skip"; reactor: Reactor; reason: SkipReason; detail: string };

/** Distinct event types whose reactors are remembered; beyond it they are looked up anew. */
const typesRemembered = 10_000;

/** The reactors in force, found by event type. */
export class ReactorIndex {
  readonly reactors: readonly Reactor[];
  readonly #byType = new Map<string, readonly Reactor[]>();

  constructor(reactors: readonly Reactor[]) {
    this.reactors = reactors;
  }

  forType(type: string): readonly Reactor[] {
    const known = this.#byType.get(type);
    if (known !== undefined) return known;
    const found = this.reactors.filter((reactor) => reactor.matchesType(type));
    if (this.#byType.size < typesRemembered) this.#byType.set(type, found);
    return found;
  }
}

/** One decision for each reactor of the event's type. */
export function match(index: ReactorIndex, circumstances: Circumstances): Decision[] {
  return index.forType(circumstances.event.type).map((reactor) => decide(reactor, circumstances));
}

function decide(reactor: Reactor, { event, agent, ancestry }: Circumstances): Decision {
  // P7: before the condition, so that a loop costs nothing.
  if (ancestry.includes(reactor.name)) {
    return { kind: "skip", reactor, reason: "own-effect", detail: `caused by this reactor's own remedy (${event.cause ?? "?"})` };
  }
  if (reactor.when !== undefined) {
    const result = reactor.when.evaluate({ event, agent });
    if (!result.ok) return { kind: "skip", reactor, reason: result.missing ? "when-missing-field" : "when-error", detail: result.message };
    if (result.value !== true) return { kind: "skip", reactor, reason: "when-false", detail: reactor.when.source };
  }
  return { kind: "fire", reactor, plan: plan(reactor, event, agent) };
}

function plan(reactor: Reactor, event: Event, agent: AgentView): Firing["plan"] {
  const steps: PlannedStep[] = [];
  for (const [index, step] of reactor.steps.entries()) {
    if (actions[step.action].runsOn === "agent" && agent.id === masterAgent) {
      return { ok: false, reason: `do[${index}]: ${step.action} runs on a host, and this event is about none` };
    }
    const rendered = render(step.args, { event, agent });
    if (!rendered.ok) return { ok: false, reason: `do[${index}] ${step.action}: ${rendered.message}` };
    const args = structuredClone(rendered.value);
    const checked = argsCheckers[step.action](args);
    if (!checked.ok) return { ok: false, reason: `do[${index}] ${step.action}: ${problemsText(checked.problems)}` };
    steps.push({ action: step.action, args: checked.value as Record<string, unknown> });
  }
  return { ok: true, steps };
}
