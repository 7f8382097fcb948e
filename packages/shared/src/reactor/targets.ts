/** For which hosts a reactor's remedy is, which of its firings go together, and how fast it goes to them. */
import { specOf } from "../action.ts";
import { amountOf, type Amount, type RolloutLimits } from "../rollout/waves.ts";
import type { Combining, FleetTarget, Remedy } from "../rules/types.ts";
import { targetGlob } from "../target.ts";
import type { Draft } from "./draft.ts";
import { checkedDurationMs } from "./durations.ts";
import type { ReactorSource } from "./schema.ts";

/** Undefined: for the host that the event is about. */
export function compileFleet(draft: Draft, { targets, limits }: ReactorSource): FleetTarget | undefined {
  if (targets === "agent") return undefined;
  const fits = compileTargets(draft, targets);
  if (fits === undefined) return undefined;
  return { targets: typeof targets === "string" ? targets : targets.join(", "), fits, limits: rolloutLimits(limits) };
}

/** Undefined: each firing is for itself. */
export function compileCombining(draft: Draft, source: ReactorSource, { rungs }: Pick<Remedy, "rungs">): Combining | undefined {
  const { targets, combine, flow, limits } = source;
  const runsOnHosts = rungs.some(({ steps }) => steps.some(({ action }) => specOf(action).runsOn === "agent"));
  const wrong = (path: string[], message: string) => draft.problem(path, message, { key: true });
  if (combine !== undefined) {
    if (targets !== "agent")
      wrong(["combine"], '"combine" is for a reactor without "targets": a firing of this one is for all of its hosts already');
    else if (flow?.collect !== undefined) wrong(["combine"], '"combine" beside "collect": what was collected goes together already');
    else if (!runsOnHosts)
      wrong(["combine"], '"combine" is for steps that run on hosts; for one message about many events, use flow: { collect: 2s }');
  }
  const isForHosts = targets === "agent" && runsOnHosts && (combine !== undefined || flow?.collect !== undefined);
  if (targets === "agent" && !isForHosts) {
    for (const key of ["concurrent", "ramp", "stop_after_failures"] as const)
      if (limits?.[key] !== undefined)
        wrong(["limits", key], `"${key}" is for a reactor with "targets" or "combine": this one acts on one host`);
  }
  if (!isForHosts) return undefined;
  const windowMs = combine === undefined ? undefined : checkedDurationMs(draft, combine, ["combine"]);
  return { windowMs, limits: rolloutLimits(limits) };
}

function rolloutLimits(limits: ReactorSource["limits"]): RolloutLimits {
  const { concurrent, ramp = [], stop_after_failures: stopAfter }: Partial<NonNullable<ReactorSource["limits"]>> = limits ?? {};
  const amount = (source: number | string | undefined): Amount | undefined => (source === undefined ? undefined : amountOf(source));
  return { concurrent: amount(concurrent), ramp: ramp.map(amountOf), stopAfter: amount(stopAfter) };
}

/** CEL sees the trigger, too. What a host or the event has not makes the expression false: that host is none of them. */
function compileTargets(draft: Draft, targets: ReactorSource["targets"]): FleetTarget["fits"] | undefined {
  const glob = targetGlob(targets);
  if (glob !== undefined) return glob;
  const condition = draft.condition(targets as string, ["targets"], { sees: "targets", what: "in the targets: " });
  if (condition === undefined) return undefined;
  return (agent, scope) => {
    const evaluated = condition.evaluate({ ...scope, agent });
    return evaluated.ok && evaluated.value === true;
  };
}
