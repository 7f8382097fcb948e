/**
 * Actions of the user's own that the master knows: the files of one folder, read as its other definitions are, so that a bad one is told with its place
 * and what was in force of it stays. Those of hosts are copies, by which orders are checked before they are sent; those of the master are what it does.
 */
import { join } from "node:path";
import { loadOwnAction, type OwnAction } from "@needfire/shared/own-action";
import { ownActionFile, type OwnActionName } from "@needfire/shared/own-action-name";
import { type Problem, problemText } from "@needfire/shared/yaml-file";
import { Definitions, type Reloaded } from "./definitions.ts";

export class UserActions {
  readonly #folder: string;
  readonly #definitions: Definitions<OwnAction>;

  constructor(folder: string) {
    this.#folder = folder;
    this.#definitions = new Definitions<OwnAction>({
      paths: [folder],
      load: (file, text) => {
        const loaded = loadOwnAction(file, text);
        return loaded.ok ? { ok: true, items: [loaded.action] } : loaded;
      },
      nameOf: ({ name }) => name,
    });
  }

  reload(): Reloaded {
    return this.#definitions.reload();
  }

  problems(): Problem[] {
    return this.#definitions.problems();
  }

  all(): { file: string; action: OwnAction }[] {
    return this.#definitions.held().flatMap(({ file, items }) => items.map((action) => ({ file, action })));
  }

  /** `reason`: which file is missing, or what is wrong with it. */
  find(name: OwnActionName): { ok: true; action: OwnAction } | { ok: false; reason: string } {
    const file = join(this.#folder, ownActionFile(name));
    const action = this.all().find((each) => each.file === file)?.action;
    if (action?.name === name) return { ok: true, action };
    if (action !== undefined) return { ok: false, reason: `${file} says what ${action.name} is` };
    const wrong = this.problems().filter((problem) => problem.file === file);
    if (wrong.length > 0) return { ok: false, reason: wrong.map(problemText).join("; ") };
    return { ok: false, reason: `there is no ${file} on the master that says what ${name} is` };
  }
}
