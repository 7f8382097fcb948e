/** For which hosts a reactor's remedy is, and how fast it goes to them. */
import { type Amount, amountOf } from "../rollout/waves.ts";
import type { FleetTarget } from "../rules/types.ts";
import { compileTarget } from "../target.ts";
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
  if (limits?.per_agent !== undefined)
    draft.problem(
      ["limits", "per_agent"],
      '"per_agent" is for a reactor without "targets": a rollout is limited by "concurrent" and "ramp"',
      {
        key: true,
      },
    );
  const compiled = compileTarget(targets);
  if (!compiled.ok) {
    draft.problem(["targets"], `in the targets: ${compiled.message}`, { offset: compiled.offset });
    return undefined;
  }
  const { concurrent, ramp = [], stop_after_failures: stopAfter }: Partial<NonNullable<ReactorSource["limits"]>> = limits ?? {};
  const amount = (source: number | string | undefined): Amount | undefined => (source === undefined ? undefined : amountOf(source));
  return {
    targets: typeof targets === "string" ? targets : targets.join(", "),
    fits: compiled.test,
    limits: { concurrent: amount(concurrent), ramp: ramp.map(amountOf), stopAfter: amount(stopAfter) },
  };
}
