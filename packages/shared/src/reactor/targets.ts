/** For which hosts a reactor's remedy is, and how fast it goes to them. */
import { type Amount, amountOf } from "../rollout/waves.ts";
import type { FleetTarget } from "../rules/types.ts";
import { targetGlob } from "../target.ts";
import type { Draft } from "./draft.ts";
import type { ReactorSource } from "./schema.ts";

/** Undefined: for the host that the event is about. */
export function compileFleet(draft: Draft, { targets, limits }: ReactorSource): FleetTarget | undefined {
  if (targets === "agent") {
    for (const key of ["concurrent", "ramp", "stop_after_failures"] as const)
      if (limits?.[key] !== undefined)
        draft.problem(["limits", key], `"${key}" is for a reactor with "targets": this one acts on one host`, { key: true });
    return undefined;
  }
  const fits = compileTargets(draft, targets);
  if (fits === undefined) return undefined;
  const { concurrent, ramp = [], stop_after_failures: stopAfter }: Partial<NonNullable<ReactorSource["limits"]>> = limits ?? {};
  const amount = (source: number | string | undefined): Amount | undefined => (source === undefined ? undefined : amountOf(source));
  return {
    targets: typeof targets === "string" ? targets : targets.join(", "),
    fits,
    limits: { concurrent: amount(concurrent), ramp: ramp.map(amountOf), stopAfter: amount(stopAfter) },
  };
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
