/**
 * Leases (leases.ts) as the spool keeps them: beside the journal of commands, so that the end of a command and what its lease is at then are one
 * transaction (P3). A row goes with the lease's last command, or the first that does not succeed. Its id is split: of a file that is damaged
 * every text that looks like a command's id counts as one that was begun (spool-salvage.ts), which these are not.
 */
import { crc32 } from "node:zlib";
import type { Outcome } from "@needfire/shared/action";
import type { Severity } from "@needfire/shared/event";
import { executionId, taskOfExecution } from "@needfire/shared/ids";
import { pack, unpack } from "@needfire/shared/pack";
import { corruptError } from "@needfire/shared/sqlite-code";
import type { MasterBody } from "@needfire/shared/wire";
import type { LeaseStatements } from "./spool-file.ts";

/**
 * `execution`: of its first step. `due`: by the wall clock. `boot`, `dueUp`: the same as a time since the host was started. `leftMs`: what it had
 * left when that was written.
 */
export interface Lease {
  execution: string;
  priority: Severity;
  steps: MasterBody<"lease">["steps"];
  due: number;
  boot: string;
  dueUp: number;
  leftMs: number;
}

/** `next`: steps that have succeeded. */
export interface KeptLease extends Lease {
  next: number;
}

/** False: its next command was begun before. */
export function keepLease({ isBegun, keep }: LeaseStatements, { execution, next, ...lease }: KeptLease): boolean {
  if (isBegun.get(stepId(execution, next)) !== undefined) return false;
  const body = pack(lease);
  const { task, number } = split(execution);
  keep.run(task, number, next, lease.steps.length, crc32(body), body);
  return true;
}

/** Throws when a row is not what was written. */
export function keptLeases({ all }: LeaseStatements): KeptLease[] {
  return all.all().map(({ task, first, next, crc, body }) => {
    const packed = body as Uint8Array;
    if (crc32(packed) !== crc) throw corruptError("a lease is not what was written");
    const lease = unpack(packed) as Omit<Lease, "execution">;
    return { ...lease, execution: executionId(`t-${String(task)}`, Number(first)), next: Number(next) };
  });
}

/** Within the transaction of a command's end: the lease that it is of goes on, or is over. */
export function endOfStep({ goOn, drop, dropDone }: LeaseStatements, execution: string, outcome: Outcome): void {
  const { task, number } = split(execution);
  if (outcome !== "succeeded") drop.run(task, number);
  else if (goOn.run(task, number).changes > 0) dropDone.run(task);
}

/** The command of a lease's step. */
export function stepId(execution: string, step: number): string {
  return executionId(taskOfExecution(execution), split(execution).number + step);
}

function split(execution: string): { task: string; number: number } {
  const at = execution.lastIndexOf(".");
  return { task: execution.slice("t-".length, at), number: Number(execution.slice(at + 1)) };
}
