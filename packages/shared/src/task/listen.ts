/** What a task listens for: its verification is an event that must come, or must not. */
import { compileCondition } from "../cel.ts";
import type { Event } from "../event.ts";
import { globMatcher } from "../glob.ts";
import type { Route } from "../rules/types.ts";
import type { AgentView } from "../target.ts";
import type { Task } from "./types.ts";

/** Whether an event of its host may concern it as it is now. */
export function listens({ status: { state }, rungs, rung }: Task): boolean {
  const verify = rungs[rung]?.verify;
  return verify !== undefined && verify.by !== "action" && (state === "running" || state === "verifying");
}

/** Whether this is the event. A field that it has not makes the condition false. */
export function isAwaited(task: Task, { event, agent, route }: { event: Event; agent: AgentView; route: Route }): boolean {
  const rung = task.rungs[task.rung];
  const verify = rung?.verify;
  if (verify === undefined || verify.by === "action" || !listens(task) || !globMatcher(verify.on)(event.type)) return false;
  if (verify.when === undefined) return true;
  // Its text was compiled when the reactor was loaded, and is remembered.
  const compiled = compileCondition(verify.when, "step");
  if (!compiled.ok) return false;
  const result = compiled.expression.evaluate({ event, agent, route, ...rung?.seen });
  return result.ok && result.value === true;
}
