/**
 * The words of a rollout: the hosts that one firing is for, one ordinary task for each, and who begins when. Types and limits only.
 */
import type { PlannedApproval, PlannedCall, Plan } from "../rules/types.ts";
import type { FiringRecord, MasterEventDraft } from "../task/types.ts";
import type { RolloutLimits } from "./waves.ts";

export type RolloutState =
  /** For somebody's word: an ordinary task asks for it. */
  | { state: "waiting" }
  | { state: "running" }
  /** Nothing more begins until it is resumed; what is under way goes on. */
  | { state: "paused"; reason: string; by: string }
  /** Each of its hosts has had its turn. */
  | { state: "done" }
  /** Nothing more begins: too many have failed, or it could not begin at all. */
  | { state: "stopped"; reason: string }
  | { state: "cancelled"; reason: string; by: string }
  /** Its hosts are there to be seen, or why they are not known; nothing is begun. */
  | { state: "planned"; reason?: string };

export const rolloutStates = [
  "waiting",
  "running",
  "paused",
  "done",
  "stopped",
  "cancelled",
  "planned",
] as const satisfies RolloutState["state"][];

/** A host on which it failed, or never began. */
export interface HostFailure {
  agent: string;
  attempt: number;
  at: number;
  reason: string;
  /** What the program printed last, where it was one. */
  output?: string;
}

/** A host that fits, and that it does not go to. */
export interface HostLeftOut {
  agent: string;
  reason: string;
}

/**
 * Hosts have numbers from 0, in the order in which they begin; those below `begun` have begun. Who they are stands beside it, and how each is
 * doing in its task: so this stays small, however many they are. Times in ms since the epoch.
 */
export interface Rollout extends FiringRecord {
  id: string;
  /** The host that the firing is about: what calls people is done there. */
  agent: string;
  /** As they are written. */
  targets: string;
  /** It is of firings that go together: each host has one of its own. */
  combined?: true;
  hosts: number;
  /** How many more fit, and the first `failuresKeptMax` of them. */
  leftOut?: { hosts: number; first: HostLeftOut[] };
  /** As they are written: a retry has them, too, of its own number of hosts. */
  limits?: RolloutLimits;
  /** Somebody's word that it needs, or needed: a retry asks again. */
  asks?: PlannedApproval;
  /** A person made it, of the hosts on which another one failed. */
  order?: { by: string; why?: string; retryOf: string };
  /** Where each wave ends: up to which number, the last up to `hosts`. Empty: there are no hosts. */
  ends: number[];
  /** The wave that it is in, from 0. */
  wave: number;
  /** So many hosts at most are under way at once. */
  concurrent: number;
  /** After so many failures nothing more begins. */
  stopAfter?: number;
  /** So long a host has to begin, from when the rollout may; and until when that is, when it may. */
  beginMs?: number;
  beginBy?: number;
  begun: number;
  /** Under way; of the others that have begun it is known how they ended. */
  open: number;
  resolved: number;
  failed: number;
  cancelled: number;
  /** Of those that are resolved. */
  verified: number;
  /** Nothing was begun there in its time. */
  expired: number;
  /** Hosts on which it failed or expired, the first `failuresKeptMax`. */
  failures: HostFailure[];
  otherwise: PlannedCall[];
  /** The task that asks for somebody's word, as long as it does. */
  asking?: string;
  /** What `otherwise` says has been begun. */
  called: boolean;
  joinKey?: unknown[];
  joined: number;
  status: RolloutState;
  created: number;
  updated: number;
}

/** `plan`: the number of what is done there, among those of its rollout. Many hosts have the same. `firing`: its own, where several go together. */
export interface RolloutHost {
  agent: string;
  task: string;
  plan: number;
  firing?: HostFiring;
}

/** `joinKey`: further firings with this key join the host's task, or wait for it with the rollout. */
export interface HostFiring {
  record: FiringRecord;
  joinKey?: unknown[];
}

/** How a host's task ended. */
export type HostEnd =
  | { how: "resolved"; agent: string; verified: boolean }
  | { how: "cancelled"; agent: string }
  | ({ how: "failed" | "expired" } & HostFailure);

export type Answer = { how: "approved" } | { how: "denied"; reason: string; by: string } | { how: "unanswered"; reason: string };

/** Where a rollout is tried again. `unresolved`: also on hosts on which it never had its turn, or that were cancelled. */
export interface RetryScope {
  unresolved: boolean;
}

export type RolloutInput =
  | ({ kind: "ended" } & HostEnd)
  /** What became of the task that asked for somebody's word. */
  | ({ kind: "answered" } & Answer)
  /** What `workOf` says is taken up. */
  | { kind: "due" }
  | { kind: "pause" | "resume" | "cancel"; reason: string; by: string }
  /** Its reactor fired again with its key. */
  | { kind: "join" }
  /** So many of its tasks under way, or the one that asks, are in the store no more: it was damaged. */
  | { kind: "lost"; tasks: number; question: boolean };

/** What is to be done for it next. `begin`: the hosts of these numbers. `cancel`: what is under way. */
export type RolloutWork = { kind: "begin"; from: number; count: number } | { kind: "wave" } | { kind: "call" } | { kind: "cancel" };

/** A rollout as it is now, what it has to say, and what must be begun together with it (P2). */
export interface RolloutStep {
  rollout: Rollout;
  events: MasterEventDraft[];
  work?: RolloutWork;
}

/** A new one, with its hosts in their order, and what is to be done on them. */
export interface StartedRollout {
  rollout: Rollout;
  events: MasterEventDraft[];
  hosts: RolloutHost[];
  plans: Plan[];
}

/** Hosts of one rollout. */
export const rolloutHostsMax = 10_000;
/** What is to be done on all of them, as JSON. */
export const rolloutPlansBytesMax = 33_554_432;
/** Hosts that begin, or are cancelled, at a time: what is urgent may come between (P8). */
export const rolloutStepHostsMax = 100;
/** Failures, and hosts that were left out, that are remembered of one rollout. */
export const failuresKeptMax = 20;
/** Hosts that an event names. */
export const hostsNamedMax = 100;
