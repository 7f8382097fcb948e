/** What differs between two looks at an account, a group, a file of sudo, the keys of an account. Pure. */
import type { AccountChangedData, AccountData, GroupChangedData, GroupData, SudoChangedData } from "@needfire/shared/beacons/user";
import { identity, type Key, type PasswdEntry, type ShadowEntry } from "./user-parse.ts";

const linesMax = 100;

/** `digest`: of the password; see `ShadowEntry`. */
export interface KnownAccount {
  account: AccountData;
  digest?: string;
}

export interface Change {
  type: string;
  data: Record<string, unknown>;
}

export function knownAccount(entry: PasswdEntry, shadow: ShadowEntry | undefined): KnownAccount {
  if (shadow === undefined) return { account: entry };
  const { locked, passwordless, digest } = shadow;
  return { account: { ...entry, locked, passwordless }, digest };
}

const accountKeys = ["uid", "gid", "home", "shell", "comment", "locked", "passwordless"] as const;

/** What /etc/shadow says and did not say before is no change: programs write one file after the other. */
export function accountChange(before: KnownAccount | undefined, after: KnownAccount | undefined): Change | undefined {
  if (after === undefined) return before && { type: "user.removed", data: { ...before.account } };
  if (before === undefined) return { type: "user.added", data: { ...after.account } };
  const differs = (key: (typeof accountKeys)[number]) =>
    before.account[key] !== undefined && after.account[key] !== undefined && before.account[key] !== after.account[key];
  const changes: AccountChangedData["changes"] = accountKeys.filter(differs);
  if (before.digest !== undefined && after.digest !== undefined && before.digest !== after.digest) changes.push("password");
  if (changes.length === 0) return undefined;
  const data: AccountChangedData = { name: after.account.name, changes, before: before.account, after: after.account };
  return { type: "user.changed", data: { ...data } };
}

export function groupChange(before: GroupData | undefined, after: GroupData | undefined): Change | undefined {
  if (after === undefined) return before && { type: "group.removed", data: { ...before } };
  if (before === undefined) return { type: "group.added", data: { ...after } };
  const joined = without(after.members, before.members);
  const left = without(before.members, after.members);
  const changes: GroupChangedData["changes"] = [
    ...(before.gid === after.gid ? [] : (["gid"] as const)),
    ...(joined.length + left.length === 0 ? [] : (["members"] as const)),
  ];
  if (changes.length === 0) return undefined;
  const data: GroupChangedData = { name: after.name, changes, gid: after.gid, gid_before: before.gid, joined, left };
  return { type: "group.changed", data: { ...data } };
}

export function sudoChange(path: string, before: string[] | undefined, after: string[] | undefined): Change | undefined {
  const added = without(after ?? [], before ?? []);
  const removed = without(before ?? [], after ?? []);
  if (added.length + removed.length === 0) return undefined;
  const leftOut = Math.max(0, added.length - linesMax) + Math.max(0, removed.length - linesMax);
  const data: SudoChangedData = { path, added: added.slice(0, linesMax), removed: removed.slice(0, linesMax), left_out: leftOut };
  return { type: "user.sudo_changed", data: { ...data } };
}

export function keyChanges({ user, path }: { user: string; path: string }, before: Key[], after: Key[]): Change[] {
  const had = new Set(before.map(identity));
  const has = new Set(after.map(identity));
  return [
    ...before.filter((key) => !has.has(identity(key))).map((key) => ({ type: "user.key_removed", data: { user, path, ...key } })),
    ...after.filter((key) => !had.has(identity(key))).map((key) => ({ type: "user.key_added", data: { user, path, ...key } })),
  ];
}

function without(all: string[], others: string[]): string[] {
  const those = new Set(others);
  return all.filter((each) => !those.has(each));
}
