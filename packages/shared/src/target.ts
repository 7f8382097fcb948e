/**
 * Targets: which agents something is for. A glob on the agent's id (or a list of globs), or a CEL expression over `agent.labels` and
 * `agent.facts`; what cannot be a glob is CEL.
 */
import { createRequire } from "node:module";
import type * as cel from "./cel.ts";
import { globMatcher } from "./glob.ts";

/** What a target, a condition and a page know of an agent. */
export interface AgentView {
  id: string;
  labels: Record<string, string>;
  facts: Record<string, unknown>;
}

export const targetsSchema = {
  anyOf: [
    { type: "string", minLength: 1, maxLength: 2_000 },
    { type: "array", items: { type: "string", minLength: 1, maxLength: 200 }, minItems: 1, maxItems: 1_000 },
  ],
  default: "*",
  description: "a glob on the agent's id, a list of globs, or a CEL expression over agent.labels and agent.facts",
} as const;

export type TargetTest = (agent: AgentView) => boolean;
export type CompiledTarget = { ok: true; test: TargetTest } | { ok: false; message: string; offset: number };

// An agent has no other use for CEL than a local beacon with such a target: not worth 1.5 MB to all the others.
const require = createRequire(import.meta.url);

const globOnly = /^[A-Za-z0-9._*?{},-]+$/;

/** A missing label or fact makes an expression false. */
export function compileTarget(targets: string | readonly string[]): CompiledTarget {
  const glob = targetGlob(targets);
  if (glob !== undefined) return { ok: true, test: glob };
  const { compileCondition } = require("./cel.ts") as typeof cel;
  const compiled = compileCondition(targets as string, "agent");
  if (!compiled.ok) return compiled;
  return {
    ok: true,
    test: (agent) => {
      const evaluated = compiled.expression.evaluate({ agent });
      return evaluated.ok && evaluated.value === true;
    },
  };
}

/** Undefined: it is CEL. */
export function targetGlob(targets: string | readonly string[]): TargetTest | undefined {
  if (typeof targets === "string" && !globOnly.test(targets)) return undefined;
  const test = globMatcher(targets);
  return (agent) => test(agent.id);
}
