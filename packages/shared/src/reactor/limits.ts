/** What keeps a reactor from making things worse: `limits`. */
import { parseRate } from "../rate.ts";
import type { BreakerLimits, Reactor } from "../rules/types.ts";
import type { Draft } from "./draft.ts";
import { checkedDurationMs } from "./durations.ts";
import { breakerDefaults, type BreakerSource, type ReactorSource } from "./schema.ts";

/** They are counted from the tasks that were made, as far back as that. */
const perAgentMsMax = 7 * 86_400_000;
const perAgentTasksMax = 1_000;

export function compileLimits(draft: Draft, { limits }: ReactorSource): Pick<Reactor, "breaker" | "perAgent"> {
  const breaker = (limits?.breaker ?? "manual") as BreakerSource;
  const perAgent = limits?.per_agent;
  return {
    breaker: compileBreaker(draft, breaker),
    perAgent: perAgent === undefined ? undefined : compilePerAgent(draft, perAgent),
  };
}

function compileBreaker(draft: Draft, source: BreakerSource): BreakerLimits | undefined {
  if (source === "off") return undefined;
  const { repeats, within, keys } = source === "manual" ? breakerDefaults : source;
  return { repeats, withinMs: checkedDurationMs(draft, within, ["limits", "breaker", "within"]), keys };
}

function compilePerAgent(draft: Draft, text: string): Reactor["perAgent"] {
  const { events: tasks, perMs: withinMs } = parseRate(text) ?? { events: 1, perMs: 1 };
  if (tasks > perAgentTasksMax || withinMs < 1 || withinMs > perAgentMsMax)
    draft.problem(["limits", "per_agent"], `expected at most ${perAgentTasksMax} tasks, in a time from 1ms to 7d, got "${text}"`);
  return { tasks, withinMs };
}
