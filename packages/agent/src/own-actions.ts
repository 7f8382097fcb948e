/**
 * Actions of the user's own on this host: the files of one folder. A file is read when its action is asked for, so that what is on the disk is what
 * is done; one that is missing or wrong is a refusal that says so.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { errorText, systemCode } from "@needfire/shared/errors";
import { runOwnAction } from "@needfire/shared/host/run-own-action";
import { loadOwnAction, type OwnAction } from "@needfire/shared/own-action";
import { ownActionFile, type OwnActionName } from "@needfire/shared/own-action-name";
import { problemsText } from "@needfire/shared/schema";
import { type Problem, problemText } from "@needfire/shared/yaml-file";
import type { LoadedAction } from "./actions/registry.ts";

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
    if (action.name !== name)
      return { ok: false, reason: `this host's ${ownActionFile(name)} says what ${action.name} is, and not ${name}` };
    const checked = action.checkArgs(structuredClone(given));
    if (!checked.ok) return { ok: false, reason: `arguments: ${problemsText(checked.problems)}` };
    const args = checked.value as Record<string, unknown>;
    return { ok: true, action: { scope: "host", run: ({ signal, dryRun }) => runOwnAction(action, { args, dryRun, signal }) } };
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
