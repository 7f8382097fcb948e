/**
 * A CEL condition over one event, as `events list --where` and the stream take it.
 */
import { compileCondition } from "@needfire/shared/cel";
import { NeedfireError } from "@needfire/shared/errors";
import type { Event } from "@needfire/shared/event";

export interface Condition {
  /** A missing field makes it false. */
  holds(event: Event): boolean;
  /** Fields of `event` that must be exactly these texts. */
  requires: ReadonlyMap<string, string>;
}

/** Throws `EXPRESSION_INVALID`. */
export function conditionOf(where: string): Condition {
  const compiled = compileCondition(where, "plain");
  if (!compiled.ok) throw new NeedfireError("EXPRESSION_INVALID", `--where, column ${compiled.offset + 1}: ${compiled.message}`);
  const { expression } = compiled;
  return {
    holds: (event) => {
      const result = expression.evaluate({ event, agent: {} });
      return result.ok && result.value === true;
    },
    requires: expression.requires,
  };
}
