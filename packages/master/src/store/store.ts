/**
 * The store: the master's state beside the journal: tasks, executions, keys, agents, and the journal position up to which events have
 * been judged. An interface, because a second implementation is coming (PostgreSQL).
 */
import type { ExecutionState, KeyState, Presence } from "@needfire/shared/api";
import type { IncomingEvent } from "@needfire/shared/event";
import type { RetryScope, Rollout, RolloutHost } from "@needfire/shared/rollout";
import type { Plan, Reason, StateRow } from "@needfire/shared/rules/types";
import type { Effect, Execution, HostTurn, MasterEventDraft, Offer, Task } from "@needfire/shared/task";
import type { Breaker } from "@needfire/shared/task/breaker";
import type { ExecutionReport } from "@needfire/shared/action";
import type { MadeTask, PromisedTask } from "../per-agent.ts";

export interface KeyRecord {
  publicKey: string;
  id: string;
  state: KeyState;
  labels: Record<string, string>;
  firstSeen: number;
  changed: number;
  by: string;
}

/** A join token; only its SHA-256 is kept. */
export interface TokenRecord {
  hash: string;
  usesLeft: number;
  expires: number;
  labels: Record<string, string>;
}

export interface AgentPresence {
  state: Presence;
  /** By the wall clock. */
  since: number;
}

export interface AgentRecord {
  id: string;
  facts: Record<string, unknown>;
  /** As the agent itself reports them; those of its key win. */
  labels: Record<string, string>;
  lastSeen: number;
  presence: AgentPresence;
  /** Its numbering of events when it last reported. */
  epoch?: string;
  /** Somebody works on it. */
  maintenance?: MaintenanceRecord;
  /**
   * It has no session, and a mark is in the store of every command that may have gone out to it: one without has not. Written when a session ends; gone
   * before the first command of the next one goes out.
   */
  settled?: true;
  /** Its beacons are to say once more what is wrong: the name of this wish. */
  restate?: string;
}

/** `silence`: the one that holds back what reactors would do meanwhile. */
export interface MaintenanceRecord {
  silence: string;
  since: number;
  until: number;
  why: string;
  by: string;
}

/** One step of a task's life with what follows from it. */
export interface Change {
  isNew: boolean;
  task: Task;
  effects: Effect[];
}

/** One step of a rollout. `begins`: it is new; of its hosts the numbers are their places. What it tells comes after what its tasks tell. */
export interface RolloutChange {
  rollout: Rollout;
  events: MasterEventDraft[];
  begins?: { hosts: RolloutHost[]; plans: Plan[] };
}

/** A host whose turn it is. */
export interface HostOnTurn extends HostTurn {
  number: number;
}

/** A host that further firings with this key join. */
export interface HostKey {
  number: number;
  joinKey: unknown[];
}

/** A host of a rollout. `state`: of its task, when it has begun. `event`: its own, where several firings go together. */
export interface HostRecord {
  number: number;
  agent: string;
  task: string;
  event?: string;
  state?: Task["status"]["state"];
  reason?: string;
}

/** What caused an event, for P7 and for whom it is about. */
export type Causing = Pick<Task, "agent" | "ancestry" | "root">;

/** When a command was sent, or confirmed by its host. `epoch`: in which numbering of its host's it was sent; the first one is kept. */
export interface Mark {
  execution: string;
  state: "sent" | "accepted";
  at: number;
  epoch?: string;
}

/** P5: why an event, or the time, made a reactor fire or not. `at`: by the clock by which events are received. */
export interface DecisionRecord {
  event: string;
  reactor: string;
  version: string;
  at: number;
  reason: Reason;
  detail: string;
  until?: number | undefined;
  task?: string | undefined;
}

/** What a reactor did, to be added to what it did before. `last`: its last firing. */
export interface ReactorCounts {
  reactor: string;
  firings: number;
  throttled: number;
  /** Decisions for which there was no room. */
  unrecorded: number;
  last: number | undefined;
  /** Decisions of which the time was taken, and that time. */
  sampled: number;
  sampledMs: number;
}

/** Firings of some reactors for some agents are held back. `reactor`, `agent`: globs; undefined: all. Times: ms since the epoch. */
export interface SilenceRecord {
  id: string;
  reactor: string | undefined;
  agent: string | undefined;
  since: number;
  until: number;
  why: string;
  by: string;
  /** Firings that it has held back. */
  held: number;
}

/** What is in force of a reactor file. `reactors`: their versions by name. No reactors: the file is in force no more. */
export interface VersionInForce {
  file: string;
  text: string;
  reactors: Record<string, string>;
}

/** One that came into force. `digest`: the text's SHA-256. */
export interface FileVersion extends VersionInForce {
  number: number;
  digest: string;
  since: number;
}
/** Texts of all files together are large. */
export type TextlessVersion = Omit<FileVersion, "text">;

/** Of a reactor and a key, or with "" of the reactor as a whole. `body` undefined: it is gone. */
export interface BreakerRow {
  reactor: string;
  key: string;
  body: { key: unknown[]; breaker: Breaker } | undefined;
}

/** What belongs together: it becomes durable as a whole or not at all (P2). */
export interface Writes {
  now: number;
  cursor?: number;
  changes?: Change[];
  rollouts?: RolloutChange[];
  /** The state of rules that has changed. */
  rules?: StateRow[];
  /** The breakers that have changed. */
  breakers?: BreakerRow[];
  decisions?: DecisionRecord[];
  counts?: ReactorCounts[];
  /** `held`: by id, what they have held back by now. `ended`: ids. */
  silences?: { added?: SilenceRecord[]; held?: Record<string, number>; ended?: string[] };
  /** Of files of reactors. */
  versions?: VersionInForce[];
  marks?: Mark[];
  /** Events of the master itself, beside those among the effects. */
  events?: MasterEventDraft[];
  keys?: KeyRecord[];
  tokens?: TokenRecord[];
  agents?: AgentRecord[];
  /** The journal has the outbox up to this number. */
  outboxDone?: number;
  /** What changes in the journal's catalogue with it, or in what is noted of its damage: all are in one database. */
  journal?: () => void;
}

export interface Committed {
  /** For each change: false when the same reaction was there already, and nothing of the change was taken. */
  taken: boolean[];
  /** The master's own events, numbered, to be appended to the journal. They stay in the outbox until `outboxDone`. */
  events: IncomingEvent[];
  /** P4: decisions that had to go because there were too many. */
  decisionsDropped: number;
}

/** A command without a result. `cancelled`: it is not wanted any more. `epoch`: in which numbering of its host's it was first sent, if it is known to have been. */
export interface OpenExecution extends Execution {
  cancelled?: true;
  /** It is confirmed: for one of the master's own, it was begun. */
  begun?: true;
  epoch?: string;
}

export interface Snapshot {
  cursor: number;
  /** Those that still have a command under way although they were cancelled are among them. */
  openTasks: Task[];
  /** The oldest first. */
  openExecutions: OpenExecution[];
  /** What hosts are to have beforehand. */
  offers: Offer[];
  keys: KeyRecord[];
  tokens: TokenRecord[];
  agents: AgentRecord[];
  /** Events that may not have reached the journal before the master ended. */
  outbox: IncomingEvent[];
}

export interface TasksDue {
  tasks: Task[];
  next: number | undefined;
}

/** An implementation may answer at once or with a promise. */
export interface Store {
  load(): Promise<Snapshot> | Snapshot;
  /** All of them in one transaction, or none: durable with the journal's next sync. Throws `DISK_FULL`. */
  commitAll(writes: Writes[]): Promise<Committed[]> | Committed[];
  task(id: string): Promise<Task | undefined> | Task | undefined;
  /** The open task of a reactor that firings with this key join. */
  openTaskOf(reactor: string, joinKey: readonly unknown[]): Promise<Task | undefined> | Task | undefined;
  /** Tasks of which something is due by now, the longest overdue first, and when the next one after these is. */
  tasksDue(now: number, limit: number): Promise<TasksDue> | TasksDue;
  /** Open tasks whose verification listens for events. */
  listeningTasks(): Promise<Task[]> | Task[];
  /** Types, and globs of them, for which verifications of open tasks, and of hosts on which rollouts are still to begin, may wait. */
  awaitedTypes(): Promise<string[]> | string[];
  /** Those of a rollout that are open, the first of them. */
  openTasksIn(rollout: string, limit: number): Promise<Task[]> | Task[];
  /** How many of a rollout's tasks are open, where any are. */
  openTaskCounts(): Promise<Map<string, number>> | Map<string, number>;
  /** Rollouts to which something can still happen, the oldest first. */
  openRollouts(): Promise<Rollout[]> | Rollout[];
  rollout(id: string): Promise<Rollout | undefined> | Rollout | undefined;
  /** The keys of its hosts, where each has its own. */
  joinKeysIn(rollout: string): Promise<HostKey[]> | HostKey[];
  /** Hosts of a rollout, by their numbers from one on. */
  hostsOnTurn(rollout: string, from: number, count: number): Promise<HostOnTurn[]> | HostOnTurn[];
  /**
   * Hosts of a rollout on which it is tried again, in its order: where it failed, or all that it did not resolve. Not those of which the task was
   * retried by itself and is resolved, or still open.
   */
  hostsToRetry(rollout: Rollout, scope: RetryScope): Promise<HostOnTurn[]> | HostOnTurn[];
  /** Tasks of these reactors that were made since, the oldest first; not those of a problem's end, nor those that only show a plan. */
  tasksMade(reactors: readonly string[], since: number): Promise<MadeTask[]> | MadeTask[];
  /** Hosts on which rollouts of these reactors are still to begin; not those of a problem's end. */
  tasksPromised(reactors: readonly string[]): Promise<PromisedTask[]> | PromisedTask[];
  /** Tasks with a lock that are open, or have a command under way. */
  lockingTasks(): Promise<Task[]> | Task[];
  /** Tasks with a key that still have something to take back. */
  leasedTasks(): Promise<Task[]> | Task[];
  /** What rules remember. */
  ruleState(): Promise<StateRow[]> | StateRow[];
  silences(): Promise<SilenceRecord[]> | SilenceRecord[];
  /** The one that was written longest ago first. */
  breakers(): Promise<BreakerRow[]> | BreakerRow[];
}

export interface ExecutionRecord extends Execution {
  state: ExecutionState;
  sent: number | undefined;
  report: ExecutionReport | undefined;
}

export interface TaskQuery {
  agent?: string | undefined;
  reactor?: string | undefined;
  state?: Task["status"]["state"] | undefined;
  event?: string | undefined;
  rollout?: string | undefined;
  limit: number;
}

export interface RolloutQuery {
  reactor?: string | undefined;
  state?: Rollout["status"]["state"] | undefined;
  limit: number;
}
