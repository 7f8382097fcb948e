/**
 * `file.line`: one line of a file, ensured, replaced or removed; mode, owner, ends of lines and all other bytes stay. The new file takes the
 * place of the old one in one step, unless that was changed meanwhile.
 */
import { isUtf8 } from "node:buffer";
import { createHash } from "node:crypto";
import { closeSync, constants, fstatSync, lstatSync, openSync, readFileSync, type Stats } from "node:fs";
import type { ActionArgs, ActionResult } from "@needfire/shared/action";
import { compilePattern, patternProblem } from "@needfire/shared/pattern";
import { DurableFile } from "../durable-file.ts";
import { type Action, type ActionContext, type Ending, failed, refused, would } from "./action.ts";
import { metadataOf } from "./file-metadata.ts";
import { inParent } from "./in-parent.ts";
import { editLines } from "./line-edit.ts";
import type { Parent } from "./parent-directory.ts";

type Args = ActionArgs<"file.line">;
type End = Ending<ActionResult<"file.line">>;

const fileBytesMax = 4_194_304;

export const action: Action<"file.line"> = { run, scope: ({ path }) => ({ path }) };

async function run(args: Args, context: ActionContext): Promise<End> {
  const fault = args.match === undefined ? undefined : patternProblem(args.match);
  if (fault !== undefined) return refused(`match: ${fault}`);
  return inParent(args.path, { create: args.create, context }, (parent) => edit(args, parent, context));
}

async function edit(args: Args, parent: Parent, { dryRun }: ActionContext): Promise<End> {
  const { path, line, state } = args;
  const before = read(parent.entry);
  if (before === undefined && !(args.create && state === "present")) {
    if (state === "present") return failed(`${path}: there is no such file`);
    return { outcome: "succeeded", changed: false, result: { path, lines_changed: 0, digest: digestOf(Buffer.alloc(0)) } };
  }
  if (typeof before === "string") return refused(`${path} ${before}`);
  const bytes = before?.bytes ?? Buffer.alloc(0);
  // Bytes that are no UTF-8 stay as they are: each of them is taken for one character.
  const encoding = isUtf8(bytes) ? "utf8" : "latin1";
  const edited = editLines(bytes.toString(encoding), { line: encoded(line, encoding), state, found: (lines) => find(args, lines) });
  if (!edited.ok) return failed(`${path}: ${edited.reason}`);
  const content = Buffer.from(edited.text, encoding);
  const result = { path, lines_changed: edited.changed, digest: digestOf(content) };
  if (edited.changed === 0) return { outcome: "succeeded", changed: false, result };
  if (dryRun) return would(`${edited.doing} ${path}`);
  const kept = await replace(parent.entry, content, before?.stat);
  return kept ? { outcome: "succeeded", changed: true, result } : failed(`${path} was changed by somebody else meanwhile`);
}

/** The file; undefined when there is none, a text when it is not to be edited. */
function read(entry: string): { bytes: Buffer; stat: Stats } | string | undefined {
  const named = lstatSync(entry, { throwIfNoEntry: false });
  if (named === undefined) return undefined;
  if (!named.isFile()) return "is no file";
  const fd = openSync(entry, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    const stat = fstatSync(fd);
    if (!stat.isFile()) return "is no file";
    if (stat.size > fileBytesMax) return `has ${stat.size} bytes, the limit is ${fileBytesMax}`;
    return { bytes: readFileSync(fd), stat };
  } finally {
    closeSync(fd);
  }
}

/** False: another file is there by now. */
async function replace(entry: string, content: Buffer, before: Stats | undefined): Promise<boolean> {
  const file = new DurableFile(entry);
  try {
    await file.write(content);
    const now = lstatSync(entry, { throwIfNoEntry: false });
    if (stampOf(now) !== stampOf(before)) return false;
    if (before === undefined) await file.commit({ mode: 0o644 });
    else await file.commit({ mode: metadataOf(before).mode, owner: before });
    return true;
  } finally {
    file.discard();
  }
}

function stampOf(stat: Stats | undefined): string {
  return stat === undefined ? "none" : [stat.dev, stat.ino, stat.size, stat.mtimeMs, stat.ctimeMs].join(" ");
}

function find({ match, replaces }: Args, lines: readonly string[]): number[] | undefined {
  if (replaces !== undefined) return lines.flatMap((each, index) => (each === replaces ? [index] : []));
  if (match === undefined) return undefined;
  const pattern = compilePattern(match);
  return lines.flatMap((each, index) => (pattern.test(each) ? [index] : []));
}

function encoded(line: string | undefined, encoding: "utf8" | "latin1"): string | undefined {
  return line === undefined || encoding === "utf8" ? line : Buffer.from(line, "utf8").toString("latin1");
}

function digestOf(bytes: Buffer): string {
  return createHash("sha256").update(bytes).digest("hex");
}
