/**
 * Matching: which reactors fire on an event, and why the others of its type do not (P5, P7). Pure: values in, decisions out.
 */
import { actions, argsCheckers } from "./action.ts";
import type { Scope } from "./cel.ts";
import type { Event } from "./event.ts";
import { masterAgent } from "./ids.ts";
import type { ReactorIndex } from "./rules/reactor-index.ts";
import type { Firing as RulesFiring, PlannedStep, Reactor, Seen } from "./rules/types.ts";
import { problemsText } from "./schema.ts";
import type { AgentView } from "./target.ts";
import { render } from "./value.ts";

/** What is known when an event is judged. `ancestry`: the reactors whose remedies led to it, outermost first. */
export interface Circumstances {
  event: Event;
  agent: AgentView;
  ancestry: readonly string[];
}

/** `plan`: what to do, with every value known; or why that could not be worked out, which makes a task that escalates at once. */
export interface Firing {
  reactor: Reactor;
  plan: { ok: true; steps: PlannedStep[] } | { ok: false; reason: string };
}

export type SkipReason = "when-false" | "when-missing-field" | "when-error" | "own-effect";
export type Decision = ({ kind: "fire" } & Firing) | { kind: "skip"; reactor: Reactor; reason: SkipReason; detail: string };

/** The firing of one event alone, as a task wants it. */
export function singleFiring({ reactor, plan }: Firing, trigger: Seen): RulesFiring {
  const { event, ancestry } = trigger;
  const route = { priority: event.severity, owner: undefined, labels: {} };
  const { priority } = reactor;
  return { reactor, branch: "do", trigger, events: [event.id], count: 1, key: [], ancestry, route, priority, plan };
}

/** One decision for each reactor of the event's type. */
export function match(index: ReactorIndex, circumstances: Circumstances): Decision[] {
  const { event } = circumstances;
  return index
    .forType(event.type)
    .filter(judgesEventsSingly)
    .map((reactor) => decide(reactor, circumstances));
}

/** What looks at more than one event, or at the time, is for the engine of `rules/` and must not fire here. */
function judgesEventsSingly({ mode, correlation, flow, inhibitedBy, muteDuring, onlyDuring }: Reactor): boolean {
  const bound = inhibitedBy.length > 0 || muteDuring.length > 0 || onlyDuring.length > 0;
  return mode === "live" && correlation === undefined && flow === undefined && !bound;
}

function decide(reactor: Reactor, { event, agent, ancestry }: Circumstances): Decision {
  // P7: before the condition, so that a loop costs nothing.
  if (ancestry.includes(reactor.name) && !reactor.followsSelf) {
    return { kind: "skip", reactor, reason: "own-effect", detail: `caused by this reactor's own remedy (${event.cause ?? "?"})` };
  }
  const scope = scopeOf(reactor, event, agent);
  if (reactor.when !== undefined) {
    const result = reactor.when.evaluate(scope);
    if (!result.ok) return { kind: "skip", reactor, reason: result.missing ? "when-missing-field" : "when-error", detail: result.message };
    if (result.value !== true) return { kind: "skip", reactor, reason: "when-false", detail: reactor.when.source };
  }
  return { kind: "fire", reactor, plan: plan(reactor, scope, agent) };
}

function scopeOf({ vars }: Reactor, event: Event, agent: AgentView): Scope {
  const route = { priority: event.severity, labels: {} };
  return { event, agent, vars, route, matched: {}, events: [event], count: 1, key: [] };
}

function plan(reactor: Reactor, scope: Scope, agent: AgentView): Firing["plan"] {
  const steps: PlannedStep[] = [];
  for (const [index, step] of reactor.steps.entries()) {
    if (actions[step.action].runsOn === "agent" && agent.id === masterAgent) {
      return { ok: false, reason: `do[${index}]: ${step.action} runs on a host, and this event is about none` };
    }
    const rendered = render(step.args, scope);
    if (!rendered.ok) return { ok: false, reason: `do[${index}] ${step.action}: ${rendered.message}` };
    const args = structuredClone(rendered.value);
    const checked = argsCheckers[step.action](args);
    if (!checked.ok) return { ok: false, reason: `do[${index}] ${step.action}: ${problemsText(checked.problems)}` };
    steps.push({ action: step.action, args: checked.value as Record<string, unknown> });
  }
  return { ok: true, steps };
}
