/** Whose word a reactor's remedy needs: `approve`. */
import type { Approval } from "../rules/types.ts";
import type { Draft } from "./draft.ts";
import { checkedDurationMs } from "./durations.ts";
import type { ApproveSource } from "./schema.ts";

interface CompiledApproval {
  approval: Approval | undefined;
  /** The variables that its values need. */
  reads: ReadonlySet<string>[];
}

export function compileApproval(draft: Draft, source: ApproveSource | undefined, matched: readonly string[]): CompiledApproval {
  if (source === undefined) return { approval: undefined, reads: [] };
  const known = { matched, sees: "approve" } as const;
  const when = draft.condition(source.if, ["approve", "if"], known);
  const message = source.message === undefined ? undefined : draft.text(source.message, ["approve", "message"], known);
  const approval: Approval = {
    when,
    from: source.from,
    timeoutMs: checkedDurationMs(draft, source.timeout, ["approve", "timeout"]),
    onTimeout: source.on_timeout,
    message: message?.template,
  };
  const expressions = [...(when === undefined ? [] : [when]), ...(message?.expressions ?? []).map(({ expression }) => expression)];
  return { approval, reads: expressions.map(({ reads }) => reads.variables) };
}
