/**
 * Firings of several hosts as one: when they would do the same, and what is known of all of them together. Pure.
 */
import { createHash } from "node:crypto";
import { severities } from "../event.ts";
import { expressionsIn } from "../value.ts";
import { union } from "./candidate.ts";
import { eventsKeptMax, type Firing, type PlannedCall, type ReactorCall } from "./types.ts";

/**
 * Equal where all that is sent, asked and called for is: every rung with its verification and undo, `otherwise`, the approval, as it would be for no host
 * at all. Not who it is for: the host, its lock and its key. Undefined: its values could not be worked out, and so it is like no other.
 */
export function likenessOf({ reactor: { remedy }, plan, approvalFor }: Firing): string | undefined {
  if (!plan.ok) return undefined;
  // What the condition of a verification sees is each host's own event.
  const rungs = plan.rungs.map((rung) => ({ ...rung, seen: undefined }));
  const otherwise = plan.otherwise.map((call, index) => callOf(call, remedy.otherwise[index]));
  return createHash("sha256")
    .update(JSON.stringify([rungs, otherwise, approvalFor?.([])]))
    .digest("base64url")
    .slice(0, 22);
}

/** What speaks of the task has no values yet: in their place, all that they are worked out from. */
function callOf(planned: PlannedCall, call: ReactorCall | undefined): unknown {
  if (!("source" in planned) || call === undefined) return planned;
  const paths = expressionsIn(call.args).flatMap(({ accesses }) => accesses.map(({ path }) => path));
  return [planned.action, planned.source, paths.map((path) => [path, valueAt(planned.scope, path)])];
}

function valueAt(scope: unknown, path: readonly string[]): unknown {
  let value = scope;
  for (const name of path) value = typeof value === "object" && value !== null ? (value as Record<string, unknown>)[name] : undefined;
  return value;
}

/** At least two. The first one stands for all: what is asked and called for is the same. */
export function together(members: readonly Firing[]): Firing {
  const [first] = members as [Firing, ...Firing[]];
  const events = [...new Set(members.flatMap((member) => member.events))];
  // What was collected is known to each of them.
  const count = first.reactor.flow?.kind === "collect" ? first.count : members.reduce((sum, member) => sum + member.count, 0);
  return {
    ...first,
    events: events.slice(-eventsKeptMax),
    count,
    // P7: whatever led to one of them has led to this.
    ancestry: union(...members.map((member) => member.ancestry)),
    priority: severities.find((each) => members.some(({ priority }) => priority === each)) ?? first.priority,
    members,
  };
}
