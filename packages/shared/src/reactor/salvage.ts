/**
 * What is left of a reactor that does not fit its schema when the parts that do not are taken out: for finding what else is wrong in it.
 * Never for use.
 */
import type { Checked, SchemaProblem } from "../schema.ts";
import { type ReactorSource, rungKeys } from "./schema.ts";

/** Nothing is wrong with these. */
const placeholders = { name: "unnamed", do: [{ "event.emit": { type: "placeholder.event" } }] } as const;

/** Undefined when nothing useful is left. */
export function salvage(
  value: unknown,
  problems: readonly SchemaProblem[],
  check: (value: unknown) => Checked<ReactorSource>,
): ReactorSource | undefined {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
  const rest = structuredClone(value) as Record<string, unknown>;
  for (const { path } of problems) remove(rest, path);
  for (const [key, placeholder] of Object.entries(placeholders)) rest[key] ??= structuredClone(placeholder);
  const checked = check(rest);
  return checked.ok ? checked.value : undefined;
}

/** Takes out the value at `path`; of a list the whole, since the places of the others would move, but of actions only the one. */
function remove(rest: Record<string, unknown>, path: readonly (string | number)[]): void {
  const [key, index] = path;
  if (key === undefined) return;
  const list = rest[key];
  if ((key === "do" || key === "otherwise" || key === "on_clear") && typeof index === "number" && Array.isArray(list)) {
    // Beside rungs an action would be one thing more that is wrong.
    const isRung = path.length > 2 && rungKeys.some((each) => each === path[2]);
    list[index] = structuredClone(isRung ? { steps: placeholders.do } : placeholders.do[0]);
    return;
  }
  let holder: unknown = rest;
  let from: Record<string, unknown> = rest;
  let last = String(key);
  for (const part of path) {
    if (typeof holder !== "object" || holder === null || Array.isArray(holder)) break;
    from = holder as Record<string, unknown>;
    last = String(part);
    holder = from[last];
  }
  delete from[last];
}
