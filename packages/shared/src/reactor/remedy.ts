/**
 * What a reactor does about it: `do` as a list of actions or as a ladder of rungs, whose word that needs, what is done `otherwise`, and the key by
 * which firings join an open task.
 */
import type { By, ReactorCall, ReactorRung, Remedy, Retry } from "../rules/types.ts";
import { didYouMean, shown } from "../schema.ts";
import type { Path } from "../yaml-file.ts";
import { compileApproval } from "./approval.ts";
import type { Draft } from "./draft.ts";
import { checkedDurationMs } from "./durations.ts";
import { type AwaitedSource, type ReactorSource, rungKeys, type RungSource } from "./schema.ts";
import { compileStep, compileSteps } from "./steps.ts";
import { checkEveryMs, checksMax } from "../task/types.ts";

interface CompiledRemedy {
  remedy: Remedy;
  /** The variables that each of its values needs. */
  reads: ReadonlySet<string>[];
  listensFor: string[];
}

/** Of one task, all attempts of all rungs; the number of a command has four digits. */
const commandsMax = 9_000;

export function compileRemedy(draft: Draft, source: ReactorSource, matched: readonly string[]): CompiledRemedy {
  const items = source.do as readonly Record<string, unknown>[];
  const calls: ReactorCall[] = [];
  const steps = (path: Path, sources: readonly Record<string, unknown>[], sees: "firing" | "otherwise" = "firing") => {
    const compiled = compileSteps(draft, { sources, path, matched, sees });
    calls.push(...compiled);
    return compiled;
  };
  const isLadder = items.some((item) => rungKeys.some((key) => Object.hasOwn(item, key)));
  const rungs = isLadder
    ? items.map((item, index) => compileRung(draft, item, { path: ["do", index], steps, matched }))
    : [plain(draft, items, steps)];
  const otherwise = steps(["otherwise"], source.otherwise ?? [], "otherwise");
  const listensFor = rungs.flatMap(({ verify }) => (verify !== undefined && verify.by !== "action" ? verify.on : []));
  for (const { verify } of rungs) if (verify?.by === "action") calls.push(verify.step as ReactorCall);
  checkCommands(draft, rungs);
  const { approval, reads } = compileApproval(draft, source.approve, matched);
  const expires = source.task?.expires;
  const beginMs = expires === undefined ? undefined : checkedDurationMs(draft, expires, ["task", "expires"]);
  const remedy: Remedy = { isLadder, rungs, otherwise, joinBy: joinBy(draft, source), lockBy: lockBy(draft, source), approval, beginMs };
  return { remedy, reads: [...calls.map((call) => call.reads), ...reads], listensFor: [...new Set(listensFor)] };
}

function joinBy(draft: Draft, { task }: ReactorSource): By | undefined {
  return task?.key === undefined ? undefined : draft.keys(task.key, ["task", "key"]);
}

function lockBy(draft: Draft, { lock }: ReactorSource): By | undefined {
  // Without a value all would share it, of whatever reactor: nobody means that.
  if (lock?.length === 0) draft.problem(["lock"], `a lock needs an expression, such as [event.agent, "'apt'"]`);
  return lock === undefined ? undefined : draft.keys(lock, ["lock"]);
}

type CompileSteps = (path: Path, sources: readonly Record<string, unknown>[]) => ReactorCall[];

function plain(draft: Draft, items: readonly Record<string, unknown>[], steps: CompileSteps): ReactorRung {
  for (const [index, item] of items.entries()) {
    const [, second] = Object.keys(item);
    if (second !== undefined) draft.problem(["do", index, second], `one action an item, each with a "-" of its own`, { key: true });
  }
  return { steps: steps(["do"], items), timeoutMs: undefined, attempts: 1, retry: undefined, verify: undefined, undo: undefined };
}

interface At {
  path: Path;
  steps: CompileSteps;
  matched: readonly string[];
}

function compileRung(draft: Draft, item: Record<string, unknown>, { path, steps, matched }: At): ReactorRung {
  for (const key of Object.keys(item)) {
    if (!(rungKeys as readonly string[]).includes(key))
      draft.problem([...path, key], `a rung has no key ${shown(key)}${didYouMean(key, rungKeys) || ': its actions stand under "steps"'}`, {
        key: true,
      });
  }
  const { steps: own, timeout, retry, verify, undo } = item as RungSource;
  if (own === undefined) draft.problem(path, 'a rung needs "steps": its list of actions');
  const duration = (text: string | undefined, key: string) =>
    text === undefined ? undefined : checkedDurationMs(draft, text, [...path, key]);
  return {
    steps: steps([...path, "steps"], own ?? []),
    timeoutMs: duration(timeout, "timeout"),
    attempts: retry?.attempts ?? 1,
    retry: retry === undefined ? undefined : compileRetry(draft, retry, [...path, "retry"]),
    verify: verify === undefined ? undefined : compileVerify(draft, verify, { path: [...path, "verify"], matched }),
    undo: undo === undefined ? undefined : compileUndo(draft, undo, { path: [...path, "undo"], steps }),
  };
}

function compileRetry(draft: Draft, { backoff, factor, jitter, max }: NonNullable<RungSource["retry"]>, path: Path): Retry {
  return {
    backoffMs: checkedDurationMs(draft, backoff, [...path, "backoff"]),
    factor,
    jitter: Number.parseInt(jitter, 10) / 100,
    maxMs: checkedDurationMs(draft, max, [...path, "max"]),
  };
}

function compileUndo(
  draft: Draft,
  undo: NonNullable<RungSource["undo"]>,
  { path, steps }: Pick<At, "path" | "steps">,
): ReactorRung["undo"] {
  const { after, on_failure: onFailure } = undo;
  if (after === undefined && !onFailure)
    draft.problem(path, 'this is never done: say "after: 1h" or "on_failure: true", or both', { key: true });
  const afterMs = after === undefined ? undefined : checkedDurationMs(draft, after, [...path, "after"]);
  return { afterMs, onFailure, steps: steps([...path, "steps"], undo.steps) };
}

const kinds = ["event", "no_event"] as const;

function compileVerify(
  draft: Draft,
  source: NonNullable<RungSource["verify"]>,
  { path, matched }: Pick<At, "path" | "matched">,
): ReactorRung["verify"] {
  const { event, no_event: noEvent, after, within, ...given } = source;
  const awaited = kinds.filter((kind) => source[kind] !== undefined);
  const names = [...Object.keys(given), ...awaited];
  if (names.length !== 1) {
    const found = names.length === 0 ? "there is none" : `there are ${names.join(" and ")}`;
    draft.problem(path, `one action, or event, or no_event is needed, ${found}`, { key: true });
  }
  const afterMs = after === undefined ? 0 : checkedDurationMs(draft, after, [...path, "after"]);
  const withinMs = within === undefined ? undefined : checkedDurationMs(draft, within, [...path, "within"]);
  const [kind] = awaited;
  if (kind !== undefined) return compileAwaited(draft, { kind, of: event ?? noEvent ?? "", afterMs, withinMs }, path);
  const [action] = Object.keys(given);
  const step = action === undefined ? undefined : compileStep(draft, { action, args: given[action], path: [...path, action], matched });
  return step === undefined ? undefined : { by: "action", step, afterMs, withinMs };
}

interface Awaited {
  kind: (typeof kinds)[number];
  of: AwaitedSource;
  afterMs: number;
  withinMs: number | undefined;
}

function compileAwaited(draft: Draft, { kind, of, afterMs, withinMs }: Awaited, path: Path): ReactorRung["verify"] {
  if (withinMs === undefined) draft.problem(path, `"${kind}" needs "within": for how long, such as within: 30s`, { key: true });
  if (kind === "event" && afterMs > 0)
    draft.problem([...path, "after"], '"after" is for an action and for no_event: an event counts from when the steps begin', {
      key: true,
    });
  const { on, when } = typeof of === "string" ? { on: of, when: undefined } : of;
  // A condition that does not compile, or names what is not there, is told of here; it is asked by its text.
  draft.condition(when, [...path, kind, "when"], { matched: ["trigger"] });
  return { by: kind, on: typeof on === "string" ? [on] : [...on], when, afterMs, withinMs: withinMs ?? checkEveryMs };
}

function checkCommands(draft: Draft, rungs: readonly ReactorRung[]): void {
  const ofRung = ({ steps, attempts, verify, undo }: ReactorRung) => {
    const asked = verify?.by !== "action" ? 0 : verify.withinMs === undefined ? 1 : checksMax + 2;
    // An action may have a check of its own.
    return attempts * (2 * steps.length + asked) + (undo?.steps.length ?? 0);
  };
  const commands = rungs.reduce((sum, rung) => sum + ofRung(rung), 0);
  if (commands > commandsMax)
    draft.problem(["do"], `this may come to ${commands} commands a task; ${commandsMax} is the most`, { key: true });
}
