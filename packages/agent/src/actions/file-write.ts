/**
 * `file.write`: a file with a content, written as file.restore does it: beside the target, synced, renamed over it. What is not said of mode
 * and owner stays as it is. What already is as it must be is not touched.
 */
import { createHash } from "node:crypto";
import { lstatSync } from "node:fs";
import type { ActionArgs, ActionResult } from "@needfire/shared/action";
import { readState } from "../beacons/file/file-state.ts";
import { writeDurably } from "../durable-file.ts";
import { type Action, type ActionContext, type Ending, failed, refused, would } from "./action.ts";
import { metadataOf, resolveMetadata, sameMetadata, setMetadata } from "./file-metadata.ts";
import { inParent, pathTrouble } from "./in-parent.ts";
import type { Parent } from "./parent-directory.ts";

type Args = ActionArgs<"file.write">;
type End = Ending<ActionResult<"file.write">>;

export const action: Action<"file.write"> = { run, scope: ({ path }) => ({ path }) };

async function run(args: Args, context: ActionContext): Promise<End> {
  let bytes: Buffer;
  try {
    const wanted = await wantedContent(args, context);
    if (wanted === undefined) return refused("the master did not say what is in its source");
    bytes = wanted;
  } catch (error) {
    return pathTrouble(args.path, error);
  }
  return inParent(args.path, { create: true, context }, (parent) => write(args, { bytes, parent, context }));
}

async function wantedContent({ content, digest, size }: Args, context: ActionContext): Promise<Buffer | undefined> {
  if (content !== undefined) return Buffer.from(content);
  return digest === undefined || size === undefined ? undefined : context.content({ digest, size });
}

interface Writing {
  bytes: Buffer;
  parent: Parent;
  context: ActionContext;
}

async function write(args: Args, { bytes, parent, context: { managed, dryRun } }: Writing): Promise<End> {
  const { path } = args;
  const digest = createHash("sha256").update(bytes).digest("hex");
  const done = (changed: boolean): End => ({ outcome: "succeeded", changed, result: { path, digest, bytes: bytes.length } });
  const stat = lstatSync(parent.entry, { throwIfNoEntry: false });
  if (stat !== undefined && !stat.isFile() && !stat.isSymbolicLink()) return refused(`${path} is no file: it is not replaced`);
  const before = stat?.isFile() === true ? metadataOf(stat) : undefined;
  const resolved = resolveMetadata(args, before ?? fresh(), managed.accounts);
  if (!resolved.ok) return failed(`${path}: ${resolved.message}`);
  const { metadata } = resolved;
  const snapshot = await readState(parent.entry, { accounts: managed.accounts, textBytesMax: 0 });
  const sameContent = before !== undefined && snapshot !== "unchanged" && snapshot.state?.digest === digest;
  if (sameContent && sameMetadata(before, metadata)) return done(false);
  if (dryRun) return would(`${sameContent ? "change mode or owner of" : "write"} ${path}`);
  if (!(sameContent && setMetadata(parent.entry, metadata)))
    await writeDurably(parent.entry, bytes, { mode: metadata.mode, owner: metadata });
  return done(true);
}

/** How a new file is. */
function fresh() {
  return { mode: 0o644, uid: process.geteuid?.() ?? 0, gid: process.getegid?.() ?? 0 };
}
