/**
 * An action of the user's own, done: its program is run with the values of its arguments in place, and its exit code and what it printed say how it
 * ended, as its file says. Agent and master both do this.
 */
import type { OwnAction } from "../own-action.ts";
import { ownArgv } from "../own-action.ts";
import { problemsText } from "../schema.ts";
import { errorText } from "../errors.ts";
import { type ProgramEnding, runBounded } from "./run-bounded.ts";

/** Of stdout and of stderr, each. */
const outputBytesMax = 32_768;

export interface OwnEnding extends Omit<ProgramEnding, "result"> {
  result?: Record<string, unknown>;
}

/** `args`: checked. `refuses`: why a command line may not be run here; undefined: it may. */
export interface OwnRun {
  args: Readonly<Record<string, unknown>>;
  dryRun: boolean;
  signal: AbortSignal;
  refuses?(argv: readonly string[]): string | undefined;
}

export async function runOwnAction(
  action: OwnAction,
  { args, dryRun, signal, refuses }: OwnRun,
): Promise<OwnEnding | { outcome: "refused"; changed: false; message: string }> {
  const { argv, dry_run: tries, timeout, changed_codes: changedCodes, unchanged_codes: unchangedCodes, checkOutput } = action;
  const does = ownArgv(argv, args);
  const words = dryRun ? tries && ownArgv(tries, args) : does;
  // A dry run that is allowed says nothing of what it is the dry run of.
  const message = refuses?.(does) ?? (words && refuses?.(words));
  if (message !== undefined) return { outcome: "refused", changed: false, message };
  if (words === undefined) return { outcome: "succeeded", changed: true, message: `would run ${JSON.stringify(does)}` };
  const success_codes = [...changedCodes, ...unchangedCodes];
  const bounds = { cwd: "/", env: {}, stdin: "", timeout, output_bytes_max: outputBytesMax, success_codes };
  const { result, ...ending } = await runBounded(words, bounds, signal);
  if (result === undefined) return ending;
  if (ending.outcome !== "succeeded") return { ...ending, changed: ending.changed && !dryRun, result };
  const changed = changedCodes.includes(result.exit_code ?? -1);
  if (checkOutput === undefined) return { outcome: "succeeded", changed, result };
  const output = outputOf(result.stdout, checkOutput);
  return output.ok
    ? { outcome: "succeeded", changed, result: { ...result, output: output.value } }
    : { outcome: "failed", changed: changed && !dryRun, message: output.reason, result };
}

function outputOf(
  stdout: string,
  check: NonNullable<OwnAction["checkOutput"]>,
): { ok: true; value: unknown } | { ok: false; reason: string } {
  let value: unknown;
  try {
    value = JSON.parse(stdout);
  } catch (error) {
    return { ok: false, reason: `what it printed is no JSON: ${errorText(error)}` };
  }
  if (typeof value !== "object" || value === null || Array.isArray(value))
    return { ok: false, reason: "what it printed is no JSON object" };
  const checked = check(value);
  return checked.ok ? checked : { ok: false, reason: `what it printed is not as \`result\` says: ${problemsText(checked.problems)}` };
}
