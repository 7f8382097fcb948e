/** For tests of actions: the context of a real one, on the fixture's directory. Never part of the program. */
import { argsCheckers } from "@needfire/shared/action";
import { type Policy, policySchema } from "@needfire/shared/policy";
import { checker, problemsText } from "@needfire/shared/schema";
import type { Fixture } from "../beacons/fixture.ts";
import { Restarts } from "../restarts.ts";
import type { ActionContext, AgentActionName, Ending } from "./action.ts";

export function contextOf(f: Fixture, given: Partial<ActionContext> = {}): ActionContext {
  return {
    managed: f.managed,
    remedies: f.remedies,
    signal: new AbortController().signal,
    log: f.log,
    dryRun: false,
    refusesPath: () => undefined,
    content: () => Promise.reject(new Error("no content was given")),
    scratch: f.path("scratch"),
    execution: "t-0123456789abcdef.1",
    priority: "normal",
    self: {
      masterAddress: "192.0.2.1:4510",
      reportFacts: () => ({}),
      restarts: new Restarts(f.path("restart.json")),
      clock: { now: () => Date.now() },
    },
    ...given,
  };
}

/** A policy as it is in agent.yaml, with the schema's defaults. */
export function policyOf(written: object): Policy {
  const checked = checker(policySchema)(structuredClone(written));
  if (!checked.ok) throw new Error(problemsText(checked.problems));
  return checked.value as Policy;
}

/** Runs an action on arguments as somebody wrote them, with the schema's defaults: really, and as a dry run. */
export function runner<A, R>(name: AgentActionName, action: Runnable<A, R>, context: ActionContext) {
  const args = (given: Record<string, unknown>): A => {
    const checked = argsCheckers[name](structuredClone(given));
    if (!checked.ok) throw new Error(problemsText(checked.problems));
    return checked.value as A;
  };
  const run = (given: Record<string, unknown>) => action.run(args(given), context);
  const dry = (given: Record<string, unknown>) => action.run(args(given), { ...context, dryRun: true });
  return { run, dry };
}

interface Runnable<A, R> {
  run(args: A, context: ActionContext): Promise<Ending<R>>;
}
