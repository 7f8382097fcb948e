/** `agent.facts`: gathers the host's facts anew and tells the master. Nothing on the host changes. */
import type { Action } from "./action.ts";

export const action: Action<"agent.facts"> = {
  run: async (_args, { self }) => ({ outcome: "succeeded", changed: false, result: { facts: self.reportFacts() } }),
  scope: () => undefined,
};
