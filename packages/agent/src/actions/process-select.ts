/**
 * Which processes an action is for: those that fit all that was given of pid, start, name, user and pid file. Some are never touched: the
 * first process, the kernel's own, this agent, and what it was started by.
 */
import { readFileSync } from "node:fs";
import type { ActionArgs } from "@needfire/shared/action";
import { errorText } from "@needfire/shared/errors";
import { type ProcessSeen, ProcessTable } from "../beacons/process/process-table.ts";
import type { ActionContext } from "./action.ts";

export type Which = Pick<ActionArgs<"process.signal">, "pid" | "start" | "name" | "user" | "pid_file" | "at_most">;

/** One process, in what is told of it. */
export interface Found {
  pid: number;
  start: number;
  name: string;
  user: string;
}

export type Selected = { ok: true; reached: Found[]; spared: Found[] } | { ok: false; refused: boolean; message: string };

/** The kernel keeps so many bytes of a name. */
const nameBytesMax = 15;
const kernelThreads = 2;

export async function selectProcesses(which: Which, { managed }: Pick<ActionContext, "managed">): Promise<Selected> {
  const { pid, name, user, pid_file: pidFile, at_most: atMost } = which;
  const no = (message: string, refused = false) => ({ ok: false, refused, message }) as const;
  if (pid === undefined && name === undefined && user === undefined && pidFile === undefined)
    return no("which processes? give pid, pid_file, name or user", true);
  if (which.start !== undefined && pid === undefined) return no("start says which process a pid is: give pid, too", true);
  const { users } = managed.accounts;
  const uid = user === undefined ? undefined : users.id(user);
  if (user !== undefined && uid === undefined) return no(`there is no user ${user} on this host`);
  let wanted = pid;
  if (pidFile !== undefined) {
    const noted = pidIn(pidFile);
    if (typeof noted === "string") return no(noted);
    if (wanted !== undefined && wanted !== noted) return { ok: true, reached: [], spared: [] };
    wanted = noted;
  }
  const table = new ProcessTable();
  const { processes, isCut } = await table.all();
  if (isCut) return no("this host has more processes than are looked at");
  const short = name === undefined ? undefined : Buffer.from(name).subarray(0, nameBytesMax).toString();
  const fitting = processes.filter(
    (each) =>
      (wanted === undefined || each.pid === wanted) &&
      (which.start === undefined || each.start === which.start) &&
      (short === undefined || each.name === short) &&
      (uid === undefined || each.user() === uid) &&
      each.state !== "Z",
  );
  const ours = lineage(processes);
  const isSpared = ({ pid: each, parent }: ProcessSeen) =>
    each === 1 || each === kernelThreads || parent === kernelThreads || ours.has(each);
  const tell = (each: ProcessSeen): Found => ({ pid: each.pid, start: each.start, name: each.name, user: users.name(each.user()) });
  const spared = fitting.filter(isSpared).map(tell);
  const reached = fitting.filter((each) => !isSpared(each)).map(tell);
  if (reached.length > atMost) return no(`${reached.length} processes fit, and at_most is ${atMost}: none was touched`, true);
  if (reached.length === 0 && spared.length > 0) return no(`${text(spared)}: never touched`, true);
  return { ok: true, reached, spared };
}

export function text(found: readonly Found[]): string {
  return found.map(({ pid, name, user }) => `${name} (${pid}, of ${user})`).join(", ");
}

/** Whether it is still the process that was found: a number is given to another one some time. */
export function isStill({ pid, start }: Found): boolean {
  const seen = new ProcessTable().one(pid);
  return seen?.start === start && seen.state !== "Z";
}

function lineage(processes: readonly ProcessSeen[]): Set<number> {
  const parents = new Map(processes.map(({ pid, parent }) => [pid, parent]));
  const ours = new Set<number>();
  for (let pid: number | undefined = process.pid; pid !== undefined && pid > 0 && !ours.has(pid); pid = parents.get(pid)) ours.add(pid);
  return ours;
}

/** The number in a pid file, or why there is none. */
function pidIn(file: string): number | string {
  try {
    const pid = /^\s*([0-9]{1,7})\s*$/.exec(readFileSync(file, "utf8").slice(0, 100).split("\n")[0] ?? "")?.[1];
    return pid === undefined ? `${file} holds no process's number` : Number(pid);
  } catch (error) {
    return `${file}: ${errorText(error)}`;
  }
}
