/**
 * What two states of a file say: which event, what changed, and the diff. Pure: states in, verdicts out.
 */
import { createTwoFilesPatch, FILE_HEADERS_ONLY } from "diff";
import type { FileEventData, FileState } from "@needfire/shared/beacons/file";
import type { ManagedFile } from "@needfire/shared/managed-file";

export type Change = FileEventData["changes"][number];

/** A longer diff is left out, so that an event always fits the wire. */
const diffLengthMax = 262_144;
/** A diff of two texts that have little in common takes time that grows with the square. */
const diffMs = 100;

export type PlainVerdict = { kind: "same" } | { kind: "event"; type: "file.created" | "file.changed" | "file.removed"; changes: Change[] };

/** A file that nobody manages, against how it was last seen. */
export function judgePlain(before: FileState | null, after: FileState | null): PlainVerdict {
  if (before === null && after === null) return { kind: "same" };
  if (before === null) return { kind: "event", type: "file.created", changes: ["created"] };
  if (after === null) return { kind: "event", type: "file.removed", changes: ["removed"] };
  const changes = changesBetween(before, after);
  return changes.length === 0 ? { kind: "same" } : { kind: "event", type: "file.changed", changes };
}

/** How a managed file must be, as a state. */
export function desiredState(file: ManagedFile): FileState {
  return { type: "file", digest: file.digest, size: file.size, mode: octalMode(file.mode), owner: file.owner, group: file.group };
}

export function octalMode(mode: number): string {
  return (mode & 0o7777).toString(8).padStart(4, "0");
}

/** What differs from how a managed file must be; nothing when it is as it should be. */
export function drift(desired: FileState, actual: FileState | null): Change[] {
  return actual === null ? ["removed"] : changesBetween(desired, actual);
}

function changesBetween(before: FileState, after: FileState): Change[] {
  // Of another type, everything else differs too and says nothing.
  if (before.type !== after.type) return ["type"];
  const changes: Change[] = [];
  if (contentDiffers(before, after)) changes.push("content");
  // A symbolic link's own mode means nothing.
  if (before.type !== "symlink" && before.mode !== after.mode) changes.push("mode");
  if (before.owner !== after.owner || before.group !== after.group) changes.push("owner");
  return changes;
}

function contentDiffers(before: FileState, after: FileState): boolean {
  if (before.type === "symlink") return before.target !== after.target;
  if (before.type !== "file") return false;
  if (before.digest !== null && after.digest !== null) return before.digest !== after.digest;
  // Without a digest (unreadable, or too large to hash) the size is all there is.
  return before.size !== after.size;
}

/** Two reads that mean the same have the same key. */
export function stateKey(state: FileState | null): string {
  if (state === null) return "absent";
  return [state.type, state.digest ?? `${state.size} bytes`, state.mode, state.owner, state.group, state.target ?? ""].join("\0");
}

/** One side of a diff: its state, its text when there is one, or why there is none. */
export interface Side {
  state: FileState | null;
  text?: string;
  noText?: string;
}

/** The diff of two sides, or a note why it is missing; neither when the content did not change. */
export function diffBetween(
  path: string,
  { before, after, secret }: { before: Side; after: Side; secret: boolean },
): { diff?: string; diff_note?: string } {
  const isFile = (side: Side) => side.state?.type === "file";
  if (!isFile(before) && !isFile(after)) return {};
  if (before.state !== null && after.state !== null && before.state.type === after.state.type && !contentDiffers(before.state, after.state))
    return {};
  if (secret) return { diff_note: "secret: the content is not shown" };
  const texts = [before, after].map((side) => (isFile(side) ? side.text : ""));
  const [from, to] = texts;
  if (from === undefined || to === undefined)
    return { diff_note: `no diff: ${reason(from === undefined ? before : after, from === undefined ? "before" : "after")}` };
  const patch = createTwoFilesPatch(name(before, path), name(after, path), from, to, undefined, undefined, {
    timeout: diffMs,
    headerOptions: FILE_HEADERS_ONLY,
  });
  if (patch === undefined) return { diff_note: "no diff: the two have too little in common" };
  if (patch.length > diffLengthMax) return { diff_note: `no diff: it is longer than ${diffLengthMax} characters` };
  return { diff: patch };
}

function name(side: Side, path: string): string {
  return side.state === null ? "/dev/null" : path;
}

function reason(side: Side, which: string): string {
  return `the content ${which} is ${side.noText ?? "not known"}`;
}
