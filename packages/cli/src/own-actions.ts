/**
 * Actions of the user's own, as the running master has them in force, or, where none is at hand, as the files of a folder say. Tells where they are from:
 * what can be ordered is what the master knows.
 */
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import type { ActionsView } from "@needfire/shared/api-by-hand";
import { errorText, NeedfireError, systemCode } from "@needfire/shared/errors";
import { loadOwnAction } from "@needfire/shared/own-action";
import { ownActionSide } from "@needfire/shared/own-action-name";
import type { Client } from "./client.ts";

export interface OwnActions extends ActionsView {
  /** For people: whose they are. */
  of: string;
  /** Nobody said that they are wanted from there. */
  isFallback: boolean;
}

/** Where an installed master has them. */
const installedFolder = "/etc/needfire/actions";

/** `folder`: as a person named it; no master is asked then. Throws `BAD_REQUEST`, and `MASTER_UNREACHABLE` where the master was named. */
export async function ownActions(master: Client, folder: string | undefined): Promise<OwnActions> {
  if (folder !== undefined) return { ...(await inFolder(folder)), of: folder, isFallback: false };
  const { path, from } = master.socket;
  try {
    return { ...(await master.actions()), of: `the master at ${path}`, isFallback: false };
  } catch (error) {
    const isNamed = from === "--master" || from === "NEEDFIRE_MASTER";
    if (isNamed || !(error instanceof NeedfireError) || error.code !== "MASTER_UNREACHABLE") throw error;
    return { ...(await inFolder(installedFolder)), of: `${installedFolder}, since no master can be reached at ${path}`, isFallback: true };
  }
}

async function inFolder(folder: string): Promise<ActionsView> {
  let names: string[];
  try {
    names = (await readdir(folder)).filter((name) => /\.ya?ml$/.test(name) && !name.startsWith("."));
  } catch (error) {
    if (systemCode(error) === "ENOENT") return { actions: [], problems: [] };
    throw new NeedfireError("BAD_REQUEST", `the folder of your own actions cannot be read: ${errorText(error)}`);
  }
  const found: ActionsView = { actions: [], problems: [] };
  for (const name of names.toSorted()) {
    const file = join(folder, name);
    const loaded = loadOwnAction(file, await readFile(file, "utf8"));
    if (!loaded.ok) {
      found.problems.push(...loaded.problems);
      continue;
    }
    const { name: action, description: summary, args, result } = loaded.action;
    found.actions.push({
      ...{ action, runs_on: ownActionSide(action), summary, file, args: { ...args } },
      ...(result === undefined ? {} : { result: { ...result } }),
    });
  }
  return found;
}
