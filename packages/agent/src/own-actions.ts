/**
 * Actions of the user's own on this host: the files of one folder. A file is read when its action is asked for, so that what is on the disk is what
 * is done; one that is missing or wrong is a refusal that says so.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { errorText, systemCode } from "@needfire/shared/errors";
import { runBounded } from "@needfire/shared/host/run-bounded";
import { loadOwnAction, type OwnAction, ownActionFile, ownArgv, type OwnActionName } from "@needfire/shared/own-action";
import { problemsText } from "@needfire/shared/schema";
import { type Problem, problemText } from "@needfire/shared/yaml-file";
import { type ActionContext, type Ending, failed, would } from "./actions/action.ts";
import type { LoadedAction } from "./actions/registry.ts";

/** Of stdout and of stderr, each. */
const outputBytesMax = 32_768;

type Found = { ok: true; action: OwnAction } | { ok: false; problems: Problem[] };
export type PreparedOwn = { ok: true; action: LoadedAction } | { ok: false; reason: string };

export class OwnActions {
  readonly #directory: string;
  /** What each file was read from last: to compile its schemas takes a while. */
  readonly #read = new Map<string, { text: string; found: Found }>();

  constructor(directory: string) {
    this.#directory = directory;
  }

  /** What is wrong with the files that are there. */
  problems(): Problem[] {
    let names: string[];
    try {
      names = readdirSync(this.#directory).filter((name) => /\.ya?ml$/.test(name) && !name.startsWith("."));
    } catch (error) {
      if (systemCode(error) === "ENOENT") return [];
      return [{ file: this.#directory, line: 1, column: 1, message: errorText(error) }];
    }
    return names.toSorted().flatMap((name) => {
      const found = this.#load(name);
      return found.ok ? [] : found.problems;
    });
  }

  prepare(name: OwnActionName, given: unknown): PreparedOwn {
    const found = this.#load(ownActionFile(name));
    if (!found.ok) return { ok: false, reason: found.problems.map(problemText).join("; ") };
    const { action } = found;
    const checked = action.checkArgs(structuredClone(given));
    if (!checked.ok) return { ok: false, reason: `arguments: ${problemsText(checked.problems)}` };
    const args = checked.value as Record<string, unknown>;
    return { ok: true, action: { scope: "host", run: (context) => run(action, args, context) } };
  }

  #load(name: string): Found {
    const file = join(this.#directory, name);
    let text: string;
    try {
      text = readFileSync(file, "utf8");
    } catch (error) {
      const message = systemCode(error) === "ENOENT" ? "this host has no such action: put its file there" : errorText(error);
      return { ok: false, problems: [{ file, line: 1, column: 1, message }] };
    }
    const before = this.#read.get(file);
    if (before?.text === text) return before.found;
    const found = loadOwnAction(file, text);
    this.#read.set(file, { text, found });
    return found;
  }
}

async function run(
  action: OwnAction,
  args: Readonly<Record<string, unknown>>,
  { signal, dryRun }: ActionContext,
): Promise<Ending<Record<string, unknown>>> {
  const { argv, dry_run: tries, timeout, changed_codes: changedCodes, unchanged_codes: unchangedCodes, checkOutput } = action;
  const words = dryRun ? tries : argv;
  if (words === undefined) return would(`run ${JSON.stringify(ownArgv(argv, args))}`);
  const success_codes = [...changedCodes, ...unchangedCodes];
  const bounds = { cwd: "/", env: {}, stdin: "", timeout, output_bytes_max: outputBytesMax, success_codes };
  const { result, ...ending } = await runBounded(ownArgv(words, args), bounds, signal);
  if (result === undefined) return ending;
  if (ending.outcome !== "succeeded") return { ...ending, changed: ending.changed && !dryRun, result };
  const changed = changedCodes.includes(result.exit_code ?? -1);
  if (checkOutput === undefined) return { outcome: "succeeded", changed, result };
  const output = outputOf(result.stdout, checkOutput);
  return output.ok
    ? { outcome: "succeeded", changed, result: { ...result, output: output.value } }
    : { ...failed(output.reason), changed: changed && !dryRun, result };
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
