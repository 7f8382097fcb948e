/**
 * `user.lock` and `user.unlock`: the password of an account of this host, and with it the account's expiry, since a locked password alone
 * does not keep out who has a key for SSH. What is so already is left alone; an expiry of somebody else's is not thrown away.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { ActionArgs, ActionResult } from "@needfire/shared/action";
import { errorText } from "@needfire/shared/errors";
import { type Action, type ActionContext, type Ending, failed, refused, would } from "./action.ts";
import { endAllOf } from "./process-signal.ts";
import { type Host, askProgram, thisHost } from "./on-host.ts";

const programMsMax = 30_000;
const dayMs = 86_400_000;
/** What `user.lock` sets: the second day of 1970, as passwd(1) advises. */
const lockDay = 1;

export const lock: Action<"user.lock"> = {
  run: (args, context) => lockUser(args, context),
  scope: ({ user }) => ({ topic: "user", subject: user }),
};
export const unlock: Action<"user.unlock"> = {
  run: (args, context) => unlockUser(args, context),
  scope: ({ user }) => ({ topic: "user", subject: user }),
};

type UserEnding = Ending<ActionResult<"user.lock">>;

/** What /etc/shadow has of an account. */
interface Account {
  uid: number;
  password: string;
  /** In days since 1970. */
  expiry: number | undefined;
}

/** `host`: another than this one, for tests. */
export async function lockUser(args: ActionArgs<"user.lock">, context: ActionContext, host: Host = thisHost): Promise<UserEnding> {
  const { user, expire, end_sessions: endSessions } = args;
  const before = account(user, host.root);
  if (typeof before === "string") return failed(before);
  if (isPrecious(before) && !args.force)
    return refused(`${user} is ${before.uid === 0 ? "root" : "the account of the agent"}: give force to lock it`);
  // Whoever has an expiry in the past is kept out already.
  const expires = expire && !isExpired(before);
  const change = [...(isLocked(before) ? [] : ["--lock"]), ...(expires ? ["--expiredate", String(lockDay)] : [])];
  if (context.dryRun) {
    const doing = [change.length > 0 ? `lock ${user}` : "", endSessions ? `end all processes of ${user}` : ""].filter(
      (each) => each !== "",
    );
    return doing.length > 0 ? would(doing.join(", and ")) : end({ user, before, after: before, changed: false });
  }
  const problem = await usermod(change, user, { host, context });
  const after = account(user, host.root);
  if (problem !== undefined || typeof after === "string") return failed(problem ?? String(after));
  const ended = endSessions ? await endAllOf(user, context) : undefined;
  const had =
    expires && before.expiry !== undefined ? `it was to expire on ${dateOf(before.expiry)}: user.unlock takes that as expires` : undefined;
  const ending = end({ user, before, after, changed: change.length > 0 || (typeof ended === "number" && ended > 0), message: had });
  if (typeof ended === "string") return { ...ending, outcome: "failed", message: ended };
  return ended === undefined || ending.result === undefined ? ending : { ...ending, result: { ...ending.result, sessions_ended: ended } };
}

/** `host`: another than this one, for tests. */
export async function unlockUser(args: ActionArgs<"user.unlock">, context: ActionContext, host: Host = thisHost): Promise<UserEnding> {
  const { user, expires } = args;
  const before = account(user, host.root);
  if (typeof before === "string") return failed(before);
  if (isPrecious(before) && !args.force)
    return refused(`${user} is ${before.uid === 0 ? "root" : "the account of the agent"}: give force to unlock it`);
  const day = expires === undefined ? undefined : Date.parse(`${expires}T00:00:00Z`) / dayMs;
  if (day !== undefined && (Number.isNaN(day) || dateOf(day) !== expires)) return refused(`${expires} is no date`);
  // "!" alone is an account without a password: to take it away would let everybody in.
  const hasPassword = /^!+[^!*]/.test(before.password);
  const expiry = day === undefined ? (before.expiry === lockDay ? "" : undefined) : day === before.expiry ? undefined : expires;
  const change = [...(hasPassword ? ["--unlock"] : []), ...(expiry === undefined ? [] : ["--expiredate", expiry])];
  const note = isLocked(before) && !hasPassword ? `${user} has no password to unlock` : undefined;
  if (change.length === 0) return end({ user, before, after: before, changed: false, message: note });
  if (context.dryRun) return would(`unlock ${user}`);
  const problem = await usermod(change, user, { host, context });
  const after = account(user, host.root);
  if (problem !== undefined || typeof after === "string") return failed(problem ?? String(after));
  return end({ user, before, after, changed: true, message: note });
}

async function usermod(
  change: string[],
  user: string,
  { host, context }: { host: Host; context: ActionContext },
): Promise<string | undefined> {
  if (change.length === 0) return undefined;
  const { problem } = await askProgram(["usermod", ...change, "--", user], { host, signal: context.signal, timeoutMs: programMsMax });
  return problem;
}

interface UserEnd {
  user: string;
  before: Account;
  after: Account;
  changed: boolean;
  message?: string | undefined;
}

function end({ user, before, after, changed, message }: UserEnd): UserEnding {
  const result = { user, before: stateOf(before), after: stateOf(after) };
  return { outcome: "succeeded", changed, ...(message === undefined ? {} : { message }), result };
}

function stateOf(account: Account): ActionResult<"user.lock">["before"] {
  return { locked: isLocked(account), ...(account.expiry === undefined ? {} : { expires: dateOf(account.expiry) }) };
}

function dateOf(day: number): string {
  return new Date(day * dayMs).toISOString().slice(0, 10);
}

function isLocked({ password }: Account): boolean {
  return password.startsWith("!");
}

function isExpired({ expiry }: Account): boolean {
  return expiry !== undefined && expiry * dayMs <= Date.now();
}

function isPrecious({ uid }: Account): boolean {
  return uid === 0 || uid === process.getuid?.();
}

/** Or why there is none. Accounts of a directory service are locked there. */
function account(user: string, root: string): Account | string {
  try {
    const row = (file: string) =>
      readFileSync(join(root, file), "utf8")
        .split("\n")
        .find((line) => line.startsWith(`${user}:`))
        ?.split(":");
    const passwd = row("/etc/passwd");
    if (passwd === undefined) return `there is no account ${user} in this host's /etc/passwd`;
    const shadow = row("/etc/shadow");
    if (shadow === undefined) return `${user} has no line in /etc/shadow: it cannot be locked here`;
    const expiry = shadow[7] ?? "";
    return { uid: Number(passwd[2]), password: shadow[1] ?? "", expiry: expiry === "" ? undefined : Number(expiry) };
  } catch (error) {
    return errorText(error);
  }
}
