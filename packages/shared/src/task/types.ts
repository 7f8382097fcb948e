/**
 * The words of a task's life: what it is, in which state it can be, what can happen to it and what follows from that. Types and limits only.
 */
import type { AnyActionName, ExecutionReport } from "../action.ts";
import type { Severity } from "../event.ts";
import type { Firing, PlannedApproval, PlannedCall, PlannedRung, PlannedStep } from "../rules/types.ts";

/**
 * `execution`: the command under way, on which the state depends. `until`: when time alone goes on, in ms since the epoch. The numbers of rung and
 * attempt stand in the task.
 */
export type TaskState =
  /** Nothing was sent yet: somebody's word is waited for. */
  | { state: "waiting"; until: number; approval: PlannedApproval }
  /** Nothing was sent yet: another task holds its lock, or is before it. `until`: then its time to begin is up. */
  | { state: "waiting"; lock: unknown[]; behind: string; until?: number }
  /** `until`: the attempt's time is up. `stopping`: it is, and why: it is waited for what becomes of the command. */
  | { state: "running"; execution: string; until?: number; stopping?: string }
  | { state: "verifying"; verifying: Verifying }
  /** The attempt failed, for this reason; the next one begins then. */
  | { state: "retrying"; until: number; reason: string }
  /** The rung failed, and what it did is taken back before the task goes on. */
  | { state: "undoing"; reason: string }
  | { state: "resolved"; verified: boolean }
  /** `execution`: of `otherwise`, while that is under way. */
  | { state: "escalated"; reason: string; execution?: string }
  /** Its time was up before anything of it was begun. `execution`: as above. */
  | { state: "expired"; reason: string; execution?: string }
  /** Nothing is sent: its steps are there to be seen, or why they could not be worked out. */
  | { state: "planned"; reason?: string }
  | { state: "cancelled"; reason: string; by: string };

/** `action`: a check. `end`: it is asked again until then. `again`: why the one before did not hold. */
export type Verifying =
  | { by: "action"; execution: string; end?: number }
  | { by: "wait"; until: number; end?: number; again?: string }
  | { by: "event" | "no_event"; until: number };

/**
 * What is taken back of a rung: when, or by which of its commands that is being done. It is done once. `kept`: it is not wanted any more, by a
 * person, or since the task `takenBy` has the same to take back later.
 */
export type Lease =
  | { rung: number; due: number; lent?: Lent }
  /**
   * The rung is still tried: it is put off at that time, and only the host lets it come due. `owed`: when what it has taken over of another task was
   * to be taken back.
   */
  | { rung: number; due: number; renew: number; lent?: Lent; owed?: number }
  | { rung: number; execution: string; step: number; lent?: Lent; kept?: true; takenBy?: string };

/**
 * The steps with which an undo begins, as its host has them beforehand, so that it does them in time by itself. `first`: the number of the
 * first one's command; the others follow it. `held`: the host has confirmed it with this time, in this numbering of its events. `refused`: why it does not take it.
 */
export interface Lent {
  first: number;
  steps: number;
  held?: { epoch: string; due: number };
  refused?: string;
}

/** A lease as its host is given it. `execution`: of its first step. `due`: ms since the epoch. */
export interface Offer {
  execution: string;
  agent: string;
  due: number;
  priority: Severity;
  steps: readonly PlannedStep[];
  held?: { epoch: string; due: number };
}

/** An attempt that failed. */
export interface FailedAttempt {
  rung: number;
  attempt: number;
  at: number;
  reason: string;
  /** What the program printed last, where it was one. */
  output?: string;
}

/** `wakes`: it is a wait, and over then. `cutMs`: not because it has waited for long enough, but because a person gave it no more than that. */
export interface Open {
  id: string;
  action: AnyActionName;
  wakes?: number;
  cutMs?: number;
}

/** What a person said of a task. `dryRun`: hosts say what they would do. `expiresMs`: how long each of its commands has, the wait for its host included. */
export interface TaskOrder {
  by: string;
  why?: string;
  dryRun?: boolean;
  expiresMs?: number;
  /** The task that is tried once more. */
  retryOf?: string;
}

/** What a task is made of: a reactor's firing, or what a person wants, who names the task, too. */
export interface Beginning extends Omit<Firing, "reactor"> {
  reactor: Pick<Firing["reactor"], "name" | "version" | "owner" | "runbook" | "mode">;
  order?: TaskOrder & { task: string };
}

/**
 * One firing of a reactor. Times in ms since the epoch. `ancestry` ends with this task's own reactor (P7). `event`: the trigger; `events`:
 * all that went in, the newest last, as far as they are known by name; `count`: how many. `owner` and `labels`: from the router, where the
 * reactor names no owner.
 */
export interface Task {
  id: string;
  reactor: string;
  reactorVersion: string;
  branch: Firing["branch"];
  owner: string | undefined;
  labels: Record<string, string>;
  runbook: string | undefined;
  key: unknown[];
  event: string;
  events: string[];
  count: number;
  agent: string;
  subject: string | undefined;
  priority: Severity;
  ancestry: string[];
  /** The event with which the causal chain began. */
  root: string;
  /** It is for one of several hosts, or calls people for all of them. */
  rollout?: string;
  /** While it is open, further firings of its reactor with this key join it. */
  joinKey?: unknown[];
  /** The same of its rollout, which firings join instead. */
  fleetKey?: unknown[];
  /** Of the tasks with the same one is at work at a time. */
  lock?: unknown[];
  /** So long it has to begin, from when it may; and until when that is, when it may. */
  beginMs?: number;
  beginBy?: number;
  /** How many joined. */
  joined: number;
  /** Somebody's word that it needs, or needed: a retry asks again. */
  asks?: PlannedApproval;
  /** Who let it begin, where that was asked for. */
  approved?: { by: string; at: number; why?: string };
  /** Who wanted that what it did for a time stays. */
  kept?: { by: string; at: number; why?: string };
  /** Of which rungs another task takes back what they did; and the tasks of which this one takes it back. */
  takenOver?: { rung: number; by: string; at: number }[];
  tookOver?: string[];
  rungs: PlannedRung[];
  otherwise: PlannedCall[];
  /** The rung that it is on, from 0; the attempt there, from 1; and how many of that attempt's steps, then of its checks, have been begun. */
  rung: number;
  attempt: number;
  begun: number;
  /** When the attempt's time is up. */
  attemptEnds?: number;
  /** The event for which this attempt's verification is to wait has come already. */
  heard: boolean;
  /** How many of `otherwise` have been begun. */
  called: number;
  /** Attempts that were begun, on all rungs. */
  attempts: number;
  /** Those that failed, the newest `historyAttemptsMax`. */
  history: FailedAttempt[];
  leases: Lease[];
  /** Commands of which it is not known what became of them. */
  open: Open[];
  /** A person made it. */
  order?: TaskOrder;
  /** How many commands have been made, for their ids. */
  started: number;
  status: TaskState;
  created: number;
  updated: number;
}

/** What is kept of a firing: all that its tasks have in common, whichever host each is for. */
export type FiringRecord = Pick<
  Task,
  | "reactor"
  | "reactorVersion"
  | "branch"
  | "owner"
  | "labels"
  | "runbook"
  | "key"
  | "event"
  | "events"
  | "count"
  | "subject"
  | "priority"
  | "ancestry"
  | "root"
>;

/** Failed attempts that are remembered in full. */
export const historyAttemptsMax = 20;
/** Of a reason, and of what a program printed, as far as it goes into the evidence. */
export const evidenceCharactersMax = 2_000;
/** How long it is waited for what became of a command whose time was up. */
export const stopGraceMs = 30_000;
/** A verification that may be asked again is asked so many times at most, and not more often than that. */
export const checksMax = 10;
export const checkEveryMs = 1_000;

/** How long it is waited for the result of an undo that its host does by itself: so long the host remembers it. */
export const heldResultMs = 7 * 86_400_000;

/** Why a command was sent. */
export const purposes = ["do", "verify", "undo", "otherwise"] as const;
export type Purpose = (typeof purposes)[number];

/** One action on one target. */
export interface Execution {
  id: string;
  task: string;
  agent: string;
  /** Of one on the master: the host that its task is about. */
  host?: string;
  action: AnyActionName;
  args: Record<string, unknown>;
  purpose: Purpose;
  /** The task's: what waits for a host goes to it in this order (P8). */
  priority: Severity;
  /** Where the task was: rung from 0, attempt from 1. */
  rung: number;
  attempt: number;
  created: number;
  /** Its host says what it would do, and changes nothing. */
  dryRun?: boolean;
  /** How long it has, the wait for its host included; undefined: what the master gives to all. */
  expiresMs?: number;
  /** What did not go out by then never does: from when it was made. */
  beginMs?: number;
  /** Its host may have it beforehand, and have run it. `held`: it has confirmed that it has it, in this numbering of its events. */
  lent?: { held?: string };
}

/** An event that the master itself makes. */
export interface MasterEventDraft {
  type: string;
  subject?: string | undefined;
  severity: Severity;
  cause?: string | undefined;
  data: Record<string, unknown>;
}

export type Effect =
  | { kind: "execute"; execution: Execution }
  /** Performed on the master within the step itself: recorded as a finished execution. */
  | { kind: "performed"; execution: Execution; report: ExecutionReport }
  /** Nobody performs it: the task itself ends it when its time has come. */
  | { kind: "wait"; execution: Execution }
  | { kind: "record"; report: ExecutionReport }
  /** A command is not wanted any more: what was not sent is not, what runs is ended. Its report, or its expiry, comes all the same. */
  | { kind: "stop"; execution: string }
  /** The host is given what it will take back by itself. It is offered until a command of it begins, or is recorded. */
  | { kind: "lend"; offer: Offer }
  | { kind: "emit"; event: MasterEventDraft };

/** What a person says to a task. */
export type Word =
  | { kind: "cancel"; reason: string; by: string }
  /** An answer, where one is waited for. */
  | { kind: "approve" | "deny"; by: string; why?: string | undefined }
  /** What it did stays: nothing that is lent is taken back. */
  | { kind: "keep"; by: string; why?: string | undefined };

/** What a host says of what it was offered, by the lease's first command. */
export type LeaseWord =
  | { kind: "leased"; execution: string; epoch: string; due: number }
  | { kind: "lease_refused"; execution: string; reason: string };

/** One task's undo is given up in favour of another's. `from`, `by`: the tasks. `due`: when that undo was to come. */
export type Handing = { kind: "takes_over"; rung: number; from: string; due: number } | { kind: "taken_over"; rung: number; by: string };

export type Input =
  | Word
  | LeaseWord
  | Handing
  | { kind: "report"; report: ExecutionReport }
  /** `untried`: it certainly never reached its host. */
  | { kind: "expired"; execution: string; reason: string; untried?: boolean }
  /** Nobody holds its lock any more. */
  | { kind: "turn" }
  /** Something of it may be due by now. */
  | { kind: "due" }
  /** The event came that its verification listens for. */
  | { kind: "event"; event: string }
  /** Its reactor fired again with its key. */
  | { kind: "join"; event: string };

/**
 * `random`: from 0 to 1, for jitter. `holderOf`: the task that keeps others with this lock from beginning. `guardMs`: how long a host hears nothing of
 * a rung that is tried before it takes it back, where the undo is due sooner than that.
 */
export interface Moment {
  now: number;
  random: number;
  guardMs?: number;
  holderOf?(lock: readonly unknown[]): string | undefined;
}

/** A task as it is now, and what must be made durable together with it (P2) before it is performed. */
export interface Step {
  task: Task;
  effects: Effect[];
}

export function withEffects(effects: Effect[], step: Step): Step {
  return { task: step.task, effects: [...effects, ...step.effects] };
}
