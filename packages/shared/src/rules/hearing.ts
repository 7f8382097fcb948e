/**
 * One event being judged: what expressions can see of it, worked out when the first of them asks, and how conditions and keys are asked.
 */
import type { Expression } from "../cel.ts";
import type { Event } from "../event.ts";
import type { AgentView } from "../target.ts";
import type { Profile } from "./profile.ts";
import type { By, Reactor, Route, Seen, World } from "./types.ts";

/** The variables of CEL. Those of correlations are there only where there is one. */
export interface RuleScope {
  event: Event;
  agent: AgentView;
  vars: Reactor["vars"];
  route?: Route;
  matched?: Readonly<Record<string, Event>>;
  events?: readonly Event[];
  count?: number;
  key?: readonly unknown[];
  targets?: readonly string[];
}

/** Why a condition or a key says no. */
export interface Refusal {
  ok: false;
  reason: "when-false" | "when-missing-field" | "when-error";
  detail: string;
}

export class Hearing {
  readonly seen: Seen;
  readonly #world: World;
  #agent: AgentView | undefined;
  #route: Route | undefined;

  constructor(world: World, seen: Seen) {
    this.#world = world;
    this.seen = seen;
  }

  get agent(): AgentView {
    return (this.#agent ??= this.#world.agentView(this.seen.agent));
  }

  get route(): Route {
    return (this.#route ??= this.#world.route(this.seen.event, this.agent));
  }

  scope({ reactor: { vars }, readsRoute }: Pick<Profile, "reactor" | "readsRoute">): RuleScope {
    const scope: RuleScope = { event: this.seen.event, agent: this.agent, vars };
    if (readsRoute) scope.route = this.route;
    return scope;
  }
}

/** Undefined: it holds. */
export function refusal(condition: Expression | undefined, scope: RuleScope): Refusal | undefined {
  if (condition === undefined) return undefined;
  const result = condition.evaluate(scope);
  if (!result.ok) return failed(condition, result);
  return result.value === true ? undefined : { ok: false, reason: "when-false", detail: condition.source };
}

/** A field that an event has not keeps it out. */
export function valuesOf(by: By, scope: RuleScope): { ok: true; values: readonly unknown[] } | Refusal {
  if (by.length === 0) return { ok: true, values: noValues };
  const values: unknown[] = [];
  for (const expression of by) {
    const result = expression.evaluate(scope);
    if (!result.ok) return failed(expression, result);
    values.push(result.value);
  }
  return { ok: true, values };
}

const noValues: readonly unknown[] = [];

function failed({ source }: Expression, { missing, message }: { missing: boolean; message: string }): Refusal {
  return { ok: false, reason: missing ? "when-missing-field" : "when-error", detail: `${source}: ${message}` };
}
