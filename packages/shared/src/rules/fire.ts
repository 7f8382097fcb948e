/**
 * Firings: what to do, with every value worked out, checked against the action's schema, or why that could not be done. Pure.
 */
import { actions, argsCheckers } from "../action.ts";
import { type Severity, severities } from "../event.ts";
import { masterAgent } from "../ids.ts";
import { problemsText } from "../schema.ts";
import { marksIn } from "../secret.ts";
import { render } from "../value.ts";
import type { Candidate } from "./candidate.ts";
import type { Hearing, RuleScope } from "./hearing.ts";
import type { Firing, PlannedStep, Reactor, ReactorStep } from "./types.ts";

export function firingOf(
  reactor: Reactor,
  candidate: Candidate,
  { hearing, branch }: { hearing: Hearing; branch: Firing["branch"] },
): Firing {
  const { trigger, events, count, key, ancestry } = candidate;
  const { route } = hearing;
  return {
    reactor,
    branch,
    trigger,
    events: events.map(({ id }) => id),
    count,
    key,
    ancestry,
    route,
    priority: higher(reactor.priority, route.priority),
    plan: planOf(branch, branch === "do" ? reactor.steps : reactor.onClear, scopeOf(reactor, candidate, hearing)),
  };
}

function scopeOf(reactor: Reactor, { events, count, key, matched }: Candidate, hearing: Hearing): RuleScope {
  const scope = hearing.scope({ reactor, readsRoute: true });
  const whole = events.flatMap(({ event }) => event ?? []);
  return { ...scope, matched: matched ?? {}, events: whole, count, key };
}

/** Nothing is done with values that are not what the action wants: hostile data cannot widen a remedy. */
function planOf(branch: Firing["branch"], steps: readonly ReactorStep[], scope: RuleScope): Firing["plan"] {
  const planned: PlannedStep[] = [];
  for (const [index, { action, args }] of steps.entries()) {
    const at = `${branch}[${index}]`;
    if (actions[action].runsOn === "agent" && scope.agent.id === masterAgent)
      return { ok: false, reason: `${at}: ${action} runs on a host, and this event is about none` };
    const rendered = render(args, scope);
    if (!rendered.ok) return { ok: false, reason: `${at} ${action}: ${rendered.message}` };
    if (hasForeignMark(rendered.value, scope.vars))
      return { ok: false, reason: `${at} ${action}: a value that was taken from an event has the form of a secret's mark` };
    // The check fills in defaults: what is rendered is made anew each time, and nothing of it is the event's.
    const checked = argsCheckers[action](rendered.value);
    if (!checked.ok) return { ok: false, reason: `${at} ${action}: ${problemsText(checked.problems)}` };
    planned.push({ action, args: checked.value as Record<string, unknown> });
  }
  return { ok: true, steps: planned };
}

/** What comes from a host can never stand for a secret, not even for one of its name: only the reactor's own marks are let through. */
function hasForeignMark(value: unknown, vars: RuleScope["vars"]): boolean {
  const marks = marksIn(value);
  if (marks.length === 0) return false;
  const own = new Set(marksIn(vars));
  return marks.some((mark) => !own.has(mark));
}

function higher(a: Severity, b: Severity): Severity {
  return severities.indexOf(a) <= severities.indexOf(b) ? a : b;
}
