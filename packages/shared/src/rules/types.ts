/**
 * The words of the rule engine: what a compiled reactor is, what is known when an event is judged, and what a judgement says. Types and limits only.
 * The engine is a fold over the journal: same events, same times, same answers, on the master, in tests and in a replay.
 */
import type { AnyActionName } from "../action.ts";
import type { Condition, Expression } from "../cel.ts";
import type { Event, Severity } from "../event.ts";
import type { RolloutLimits } from "../rollout/waves.ts";
import type { Checked } from "../schema.ts";
import type { AgentView, TargetTest } from "../target.ts";
import type { Template } from "../value.ts";

/** `live`; `plan`: tasks are made and shown, nothing is sent; `shadow`: decisions are recorded only; `off`. */
export const modes = ["live", "plan", "shadow", "off"] as const;
export type Mode = (typeof modes)[number];

/** `check`: of the arguments, when they are known; it fills in defaults. */
export interface ReactorStep {
  action: AnyActionName;
  args: Template;
  check(args: unknown): Checked<unknown>;
}

/** `backoffMs` before the second attempt, `factor` times as much before each further one, at most `maxMs`; `jitter`: more or less by this part. */
export interface Retry {
  backoffMs: number;
  factor: number;
  jitter: number;
  maxMs: number;
}

/** What confirms that a rung held. `withinMs` of an action: it is asked again until then. `when`: the text of a condition. */
type VerifyBy<S> =
  | { by: "action"; step: S; afterMs: number; withinMs: number | undefined }
  | { by: "event" | "no_event"; on: readonly string[]; when: string | undefined; afterMs: number; withinMs: number };

/** One way of `do` to do it. `S`: steps with templates, or with their values. */
interface Rung<S> {
  steps: readonly S[];
  /** For the steps of an attempt together. */
  timeoutMs: number | undefined;
  attempts: number;
  retry: Retry | undefined;
  verify: VerifyBy<S> | undefined;
  undo: { afterMs: number | undefined; onFailure: boolean; steps: readonly S[] } | undefined;
}
export type ReactorRung = Rung<ReactorStep>;

/** A step of `otherwise`. `source`: its arguments as they are written; `reads`: the variables that they need, `task` among them or not. */
export interface ReactorCall extends ReactorStep {
  source: unknown;
  reads: ReadonlySet<string>;
}

/** What becomes of a task when nobody answered in time. */
export const timeoutOutcomes = ["escalate", "cancel", "proceed"] as const;

/** Whose word a task waits for, and for how long. */
interface ApprovalTerms {
  from: readonly string[];
  timeoutMs: number;
  onTimeout: (typeof timeoutOutcomes)[number];
}
/** `when`: whether it is needed; undefined: always. */
export type Approval = ApprovalTerms & { when: Expression | undefined; message: Template | undefined };
export type PlannedApproval = ApprovalTerms & { message?: string };

/** `repeats`: so many tasks within the time that did not hold, and the next firing trips. `keys`: so many tripped keys, and the reactor trips. */
export interface BreakerLimits {
  repeats: number;
  withinMs: number;
  keys: number;
}

/** At most so many tasks of a reactor for one agent in the time. */
export interface PerAgentLimit {
  tasks: number;
  withinMs: number;
}

/** What is done, from the first attempt to calling somebody. `joinBy`: see `Task.joinKey`. `isLadder`: it is written as one. */
export interface Remedy {
  isLadder: boolean;
  rungs: readonly ReactorRung[];
  otherwise: readonly ReactorCall[];
  joinBy: By | undefined;
  lockBy: By | undefined;
  approval: Approval | undefined;
  /** So long a task has to begin. */
  beginMs: number | undefined;
}

/** What an event may be to a reactor: the one that it is about, a step of its correlation, that which must not come, a raise, a clear. */
export type Role = { kind: "event" } | { kind: "step"; step: number } | { kind: "absent" } | { kind: "raise" } | { kind: "clear" };

/** One way in for events. `when` of the reactor itself stands before it and is not part of it. */
export interface Entry {
  role: Role;
  on: readonly string[];
  matchesType(type: string): boolean;
  when: Expression | undefined;
  /** The name under which later steps, values and messages know the event that took this step. */
  as: string | undefined;
}

/** CEL expressions whose values, together, are a key. Empty: one key for all. */
export type By = readonly Expression[];

export type Correlation =
  | { kind: "count"; count: number; distinct: Expression | undefined; withinMs: number; by: By; consume: boolean }
  | { kind: "all"; steps: number; withinMs: number; by: By; consume: boolean }
  | { kind: "any"; steps: number; by: By }
  | { kind: "sequence"; steps: number; withinMs: number; by: By; consume: boolean }
  | { kind: "none"; withinMs: number; by: By }
  | { kind: "raise"; forMs: number; by: By };

export type Overflow = "drop" | "delay" | "merge";
/** `by` undefined: the correlation's key, and without a correlation one for all. */
export type Flow =
  | { kind: "once"; windowMs: number; overflow: Overflow; by: By | undefined }
  | { kind: "rate"; count: number; windowMs: number; overflow: Overflow; by: By | undefined }
  | { kind: "debounce"; quietMs: number; by: By | undefined }
  | { kind: "collect"; windowMs: number; by: By | undefined };

/** While `reactor` has a raised problem, or for `forMs` after its last firing, with the same values of `equal`. */
export interface Inhibition {
  reactor: string;
  equal: By;
  forMs: number;
}

/** `spans`: a window begins at each due time of a cron expression and lasts. */
export interface Calendar {
  /** Whether `now` (ms since the epoch) lies in a window; until when, then. */
  covers(now: number): { until: number } | undefined;
  /** When the next window begins after `now`; undefined: there is none any more. */
  next(now: number): number | undefined;
  text: string;
}

/** `targets`: as they are written. `fits`: whether a host is one of them, on a firing. */
export interface FleetTarget {
  targets: string;
  fits(agent: AgentView, scope: { event: Event; vars: Reactor["vars"] }): boolean;
  limits: RolloutLimits;
}

/**
 * Firings of several hosts that would do the same go together, as one rollout. `windowMs`: how long a firing waits for others; undefined: only what
 * `collect` has gathered goes together.
 */
export interface Combining {
  windowMs: number | undefined;
  limits: RolloutLimits;
}

/** What finding reactors by an event asks of each. */
export interface HeardReactor {
  mode: Mode;
  vars: Readonly<Record<string, unknown>>;
  when: Condition | undefined;
  entries: readonly { on: readonly string[]; when: Condition | undefined }[];
  listensFor: readonly string[];
}

/** A reactor, compiled. `version`: from its text's meaning, so that history can say which one decided. */
export interface Reactor {
  name: string;
  description: string;
  owner: string | undefined;
  runbook: string | undefined;
  version: string;
  /** From what its state depends on: state of another shape is dropped when the reactor changes. */
  shape: string;
  file: string;
  line: number;
  mode: Mode;
  priority: Severity;
  /** Fires on the effects of its own remedy, too. */
  followsSelf: boolean;
  /** All types of its entries, for people. */
  on: readonly string[];
  /** Holds for every event, whatever its role. */
  when: Expression | undefined;
  /** At least one. */
  entries: readonly Entry[];
  correlation: Correlation | undefined;
  flow: Flow | undefined;
  inhibitedBy: readonly Inhibition[];
  muteDuring: readonly Calendar[];
  onlyDuring: readonly Calendar[];
  /** Values for `vars` in CEL; those of secrets are marks that the master replaces when a command is sent. */
  vars: Readonly<Record<string, unknown>>;
  remedy: Remedy;
  /** The hosts that it is for; undefined: the one that the event is about. */
  fleet: FleetTarget | undefined;
  /** Undefined: each firing is for itself. */
  combining: Combining | undefined;
  /** When its remedy is not tried any more; undefined: it always is. */
  breaker: BreakerLimits | undefined;
  perAgent: PerAgentLimit | undefined;
  onClear: readonly ReactorStep[];
  /** Event types for which verifications wait. */
  listensFor: readonly string[];
  /** Its expressions read `events` or `matched`: only then are whole events kept in its state. */
  keepsEvents: boolean;
  keysMax: number;
}

/** What the operator's router says of an event. */
export interface Route {
  priority: Severity;
  owner: string | undefined;
  labels: Readonly<Record<string, string>>;
}

/** An event as the engine holds it. `agent`: the host that it is about. `ancestry`: the reactors whose remedies led to it, outermost first. */
export interface Seen {
  event: Event;
  agent: string;
  ancestry: readonly string[];
  /** The event at the root of the causal chain; its own id when nothing caused it. */
  root: string;
}

/** What the engine asks of the world; everything else comes in with the event. */
export interface World {
  agentView(id: string): AgentView;
  route(event: Event, agent: AgentView): Route;
  /** The silence that covers a firing of this reactor for this agent. */
  silence(reactor: string, agent: string, now: number): { id: string; until: number; why: string } | undefined;
}

export interface PlannedStep {
  action: AnyActionName;
  args: Record<string, unknown>;
}

/** `seen`: what the condition of a verification knows beside the event. */
export type PlannedRung = Rung<PlannedStep> & { seen?: { vars: Reactor["vars"]; matched: { trigger: Event } } };

/** With its values; or with what they are to be worked out from when it is known what was tried. */
export type PlannedCall = PlannedStep | { action: AnyActionName; source: unknown; scope: Readonly<Record<string, unknown>> };

/** `plan`: what to do, with every value known; or why that could not be worked out, which makes a task that escalates at once. */
export interface Firing {
  reactor: Reactor;
  branch: "do" | "on_clear";
  /** The event that completed it, the last of them for a firing by time. One firing a reactor and trigger (P2). */
  trigger: Seen;
  /** Ids of the events that went in, the newest last, at most `eventsKeptMax`; `count`: how many went in. */
  events: readonly string[];
  count: number;
  key: readonly unknown[];
  ancestry: readonly string[];
  route: Route;
  /** The higher of the reactor's and the route's. */
  priority: Severity;
  plan: Plan;
  /** It is for other hosts: then `plan` has what is done for all of them together, `otherwise` and the key, no rungs and no approval. */
  fleet?: FleetFiring;
  /** The firings of several hosts that would do the same, each with its own trigger and plan: this one is of all of them together. */
  members?: readonly Firing[];
  /** Of one that may go with others: whose word that needs, when it is for these hosts. */
  approvalFor?(agents: readonly string[]): PlannedApprovalOrNot;
}

/**
 * `planOn`: what to do on one of them; values know it as `agent`. Not worked out before it is wanted: there may be thousands. `approvalFor`: whose
 * word that needs, when it is for these hosts.
 */
export interface FleetFiring extends Omit<FleetTarget, "fits"> {
  fits: TargetTest;
  planOn(agent: AgentView): Plan;
  approvalFor(agents: readonly string[]): PlannedApprovalOrNot;
}

/** `value` undefined: it needs nobody's. */
export type PlannedApprovalOrNot = { ok: true; value: PlannedApproval | undefined } | { ok: false; reason: string };

export type Plan =
  | {
      ok: true;
      rungs: PlannedRung[];
      otherwise: PlannedCall[];
      joinKey: unknown[] | undefined;
      approval: PlannedApproval | undefined;
      lock?: unknown[];
      beginMs?: number;
    }
  | { ok: false; reason: string };

/** P5: why an event, or the time, made a reactor fire or not. */
export const reasons = [
  "fired",
  "planned", // mode plan
  "shadow", // mode shadow: would have fired
  "own-effect",
  "when-false",
  "when-missing-field",
  "when-error",
  "waiting", // the correlation is not complete
  "cancelled", // what must not come came
  "pending", // raised, and `for` is not over
  "joined", // raised already
  "cleared", // and there is no on_clear
  "not-raised", // a clear without a raise
  "throttled", // once, rate: dropped
  "delayed",
  "merged", // goes into a later firing
  "debounced",
  "collecting",
  "combining", // waits for others that would do the same
  "combined", // went with others that do the same
  "overflowed", // more wait than may
  "inhibited",
  "silenced",
  "muted",
  "loop-cut",
  "set-aside", // judging it threw
  "breaker-open", // its remedy did not hold, and is not tried any more
] as const;
export type Reason = (typeof reasons)[number];

/**
 * A judgement. `event`: the one judged, or the last that went in when time decided. `detail`: for people, with the values. `until`: ms since
 * the epoch, where the reason has an end.
 */
export interface Decision {
  reactor: Reactor;
  event: string;
  /** By the clock by which events are received, as all that people are shown. */
  at: number;
  reason: Reason;
  detail: string;
  until?: number;
  firing?: Firing; // with fired and planned
}

/** What the engine has to tell beside decisions. */
export type Notice =
  | { kind: "keys-full"; reactor: Reactor; keysMax: number; dropped: number }
  | { kind: "loop-cut"; reactor: Reactor; chain: readonly string[]; root: string; why: string }
  /** `what`: an event's id, or the key of what was due. `whole`: from now on the reactor is not asked at all. */
  | { kind: "set-aside"; reactor: Reactor; what: string; why: string; whole: boolean };

export interface Judgement {
  decisions: Decision[];
  notices: Notice[];
}

/** One row of state: a reactor's, for one key. `body` undefined: it is gone. `due`: engine time at which time alone changes something. */
export interface StateRow {
  reactor: string;
  shape: string;
  key: string;
  due: number | undefined;
  body: unknown;
}

/** Whole events that a firing's values can see, the newest. */
export const eventsKeptMax = 100;
/** Rows of firings of one reactor that wait for those of other hosts, one for each and one for each group. With one more the oldest group goes. */
export const combiningRowsMax = 10_000;
/** A causal chain of more remedies is cut. */
export const chainDepthMax = 16;
/** Firings of one reactor from one root in a minute, before the chain is cut. */
export const chainFiringsMax = 100;
