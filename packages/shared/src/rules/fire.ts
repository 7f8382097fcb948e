/**
 * Firings: what to do, with every value worked out, checked against the action's schema, or why that could not be done. Pure.
 */
import { type AnyActionName, specOf } from "../action.ts";
import { type Severity, severities } from "../event.ts";
import { masterAgent } from "../ids.ts";
import { problemsText } from "../schema.ts";
import { marksIn } from "../secret.ts";
import { render } from "../value.ts";
import type { Candidate } from "./candidate.ts";
import { type Hearing, type RuleScope, valuesOf } from "./hearing.ts";
import type {
  Approval,
  Firing,
  FleetFiring,
  FleetTarget,
  Plan,
  PlannedApprovalOrNot,
  PlannedCall,
  PlannedRung,
  PlannedStep,
  Reactor,
  ReactorCall,
  ReactorRung,
  ReactorStep,
} from "./types.ts";

export function firingOf(
  reactor: Reactor,
  candidate: Candidate,
  { hearing, branch }: { hearing: Hearing; branch: Firing["branch"] },
): Firing {
  const { trigger, events, count, key, ancestry } = candidate;
  const { route } = hearing;
  const { fleet } = reactor;
  const scope = scopeOf(reactor, candidate, hearing);
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
    ...(fleet === undefined
      ? {
          plan: approvedPlan(branch, reactor, scope),
          ...(branch === "do" && reactor.combining !== undefined ? withOthers(reactor, scope) : {}),
        }
      : { plan: commonPlan(branch, reactor, scope), fleet: fleetFiring(branch, { ...reactor, fleet }, scope) }),
  };
}

function fleetFiring(branch: Firing["branch"], reactor: Reactor & { fleet: FleetTarget }, scope: RuleScope): FleetFiring {
  const { fleet, vars, remedy } = reactor;
  return {
    ...fleet,
    fits: (agent) => fleet.fits(agent, { event: scope.event, vars }),
    planOn: (agent) => planOf(branch, reactor, { ...scope, agent }),
    approvalFor: (targets) => (branch === "do" ? approvalOf(remedy.approval, { ...scope, targets }) : { ok: true, value: undefined }),
  };
}

/** What it asks for when it goes with the firings of other hosts. */
function withOthers({ remedy }: Reactor, scope: RuleScope): Pick<FleetFiring, "approvalFor"> {
  return { approvalFor: (targets) => approvalOf(remedy.approval, { ...scope, targets }) };
}

/** On the host that the event is about. */
function approvedPlan(branch: Firing["branch"], reactor: Reactor, scope: RuleScope): Plan {
  const plan = planOf(branch, reactor, scope);
  if (!plan.ok || branch === "on_clear") return plan;
  const approval = approvalOf(reactor.remedy.approval, { ...scope, targets: [scope.agent.id] });
  return approval.ok ? { ...plan, approval: approval.value } : approval;
}

function scopeOf(reactor: Reactor, { events, count, key, matched }: Candidate, hearing: Hearing): RuleScope {
  const scope = hearing.scope({ reactor, readsRoute: true });
  const whole = events.flatMap(({ event }) => event ?? []);
  return { ...scope, matched: matched ?? {}, events: whole, count, key };
}

type Known<T> = { ok: true; value: T } | { ok: false; reason: string };

/** Nothing is done with values that are not what the action wants: hostile data cannot widen a remedy. */
function planOf(branch: Firing["branch"], { remedy, onClear, vars }: Reactor, scope: RuleScope): Plan {
  if (branch === "on_clear") {
    const steps = stepsOf(onClear, "on_clear", scope);
    return steps.ok ? { ok: true, rungs: [plainRung(steps.value)], otherwise: [], joinKey: undefined, approval: undefined } : steps;
  }
  const rungs: PlannedRung[] = [];
  for (const [index, rung] of remedy.rungs.entries()) {
    const planned = rungOf(rung, remedy.isLadder ? `do[${index}].` : undefined, scope);
    if (!planned.ok) return planned;
    const seen =
      rung.verify?.by === "action" || rung.verify?.when === undefined ? {} : { seen: { vars, matched: { trigger: scope.event } } };
    rungs.push({ ...planned.value, ...seen });
  }
  const lock = remedy.lockBy === undefined ? undefined : valuesOf(remedy.lockBy, scope);
  if (lock?.ok === false) return { ok: false, reason: `lock: ${lock.detail}` };
  const common = commonPlan(branch, { remedy }, scope);
  return common.ok ? { ...common, rungs, ...(lock === undefined ? {} : { lock: [...lock.values] }) } : common;
}

/** What a firing has once, however many hosts it is for. A lock is each host's own. */
function commonPlan(branch: Firing["branch"], { remedy }: Pick<Reactor, "remedy">, scope: RuleScope): Plan {
  if (branch === "on_clear") return { ok: true, rungs: [], otherwise: [], joinKey: undefined, approval: undefined };
  const otherwise = callsOf(remedy.otherwise, scope);
  if (!otherwise.ok) return otherwise;
  const key = remedy.joinBy === undefined ? undefined : valuesOf(remedy.joinBy, scope);
  if (key?.ok === false) return { ok: false, reason: `task.key: ${key.detail}` };
  return {
    ok: true,
    rungs: [],
    otherwise: otherwise.value,
    joinKey: key === undefined ? undefined : [...key.values],
    approval: undefined,
    ...(remedy.beginMs === undefined ? {} : { beginMs: remedy.beginMs }),
  };
}

/** Undefined: it is not needed. Where that cannot be told it is: a field that is not there must not let anything begin. */
function approvalOf(approval: Approval | undefined, scope: RuleScope): PlannedApprovalOrNot {
  if (approval === undefined) return { ok: true, value: undefined };
  const { when, message, ...rest } = approval;
  const isNeeded = when?.evaluate(scope);
  if (isNeeded?.ok === true && isNeeded.value === false) return { ok: true, value: undefined };
  if (message === undefined) return { ok: true, value: rest };
  const rendered = render(message, scope);
  if (!rendered.ok) return { ok: false, reason: `approve.message: ${rendered.message}` };
  const { value } = rendered;
  return { ok: true, value: { ...rest, message: typeof value === "string" ? value : JSON.stringify(value) } };
}

/** What a list of actions is: one rung, tried once. */
export function plainRung(steps: PlannedStep[]): PlannedRung {
  return { steps, timeoutMs: undefined, attempts: 1, retry: undefined, verify: undefined, undo: undefined };
}

/** `at`: where the rung stands; undefined: `do` is a list of actions. */
function rungOf({ steps, verify, undo, ...given }: ReactorRung, at: string | undefined, scope: RuleScope): Known<PlannedRung> {
  const planned = stepsOf(steps, at === undefined ? "do" : `${at}steps`, scope);
  if (!planned.ok) return planned;
  const check = verify?.by === "action" ? stepOf(verify.step, `${at}verify`, scope) : undefined;
  if (check?.ok === false) return check;
  const undone = undo === undefined ? undefined : stepsOf(undo.steps, `${at}undo.steps`, scope);
  if (undone?.ok === false) return undone;
  const rung: PlannedRung = {
    ...given,
    steps: planned.value,
    verify: verify?.by === "action" ? { ...verify, step: check!.value } : verify,
    undo: undo === undefined ? undefined : { ...undo, steps: undone!.value },
  };
  return { ok: true, value: rung };
}

function stepsOf(steps: readonly ReactorStep[], at: string, scope: RuleScope): Known<PlannedStep[]> {
  const planned: PlannedStep[] = [];
  for (const [index, step] of steps.entries()) {
    const one = stepOf(step, `${at}[${index}]`, scope);
    if (!one.ok) return one;
    planned.push(one.value);
  }
  return { ok: true, value: planned };
}

/** What speaks of the task keeps what else its values need until that is known. */
function callsOf(calls: readonly ReactorCall[], scope: RuleScope): Known<PlannedCall[]> {
  const planned: PlannedCall[] = [];
  for (const [index, call] of calls.entries()) {
    const { action, source, reads } = call;
    const at = `otherwise[${index}]`;
    if (reads.has("task")) {
      if (isHomeless(action, scope)) return homeless(action, at);
      planned.push({ action, source, scope: Object.fromEntries(Object.entries(scope).filter(([name]) => reads.has(name))) });
      continue;
    }
    const one = stepOf(call, at, scope);
    if (!one.ok) return one;
    planned.push(one.value);
  }
  return { ok: true, value: planned };
}

function stepOf({ action, args, check }: ReactorStep, at: string, scope: RuleScope): Known<PlannedStep> {
  if (isHomeless(action, scope)) return homeless(action, at);
  const rendered = render(args, scope);
  if (!rendered.ok) return { ok: false, reason: `${at} ${action}: ${rendered.message}` };
  if (hasForeignMark(rendered.value, scope.vars))
    return { ok: false, reason: `${at} ${action}: a value that was taken from an event has the form of a secret's mark` };
  // The check fills in defaults: what is rendered is made anew each time, and nothing of it is the event's.
  const checked = check(rendered.value);
  if (!checked.ok) return { ok: false, reason: `${at} ${action}: ${problemsText(checked.problems)}` };
  return { ok: true, value: { action, args: checked.value as Record<string, unknown> } };
}

function isHomeless(action: AnyActionName, scope: RuleScope): boolean {
  return specOf(action).runsOn === "agent" && scope.agent.id === masterAgent;
}

function homeless(action: AnyActionName, at: string): Known<never> {
  return { ok: false, reason: `${at}: ${action} runs on a host, and this event is about none` };
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
