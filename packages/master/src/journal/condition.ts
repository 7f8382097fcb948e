/**
 * A CEL condition over one event, as `events list --where` and the stream take it.
 */
import { compileCondition } from "@needfire/shared/cel";
import { NeedfireError } from "@needfire/shared/errors";
import type { Event } from "@needfire/shared/event";

/** A test of `event`. A missing field makes it false. Throws `EXPRESSION_INVALID`. */
export function conditionOf(where: string): (event: Event) => boolean {
  const compiled = compileCondition(where, "event");
  if (!compiled.ok) throw new NeedfireError("EXPRESSION_INVALID", `--where, column ${compiled.offset + 1}: ${compiled.message}`);
  return (event) => {
    const result = compiled.expression.evaluate({ event, agent: {} });
    return result.ok && result.value === true;
  };
}
