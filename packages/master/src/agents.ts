/**
 * What the master knows of its agents: what they report, what the operator says, when they were last heard; and which beacons and
 * managed files each is to have, which are pushed, in parts that fit a frame, when they differ from what it has, and again until it has
 * said that they are all there.
 */
import { NeedfireError } from "@needfire/shared/errors";
import type { BeaconDefinition, LoadedBeacon } from "@needfire/shared/beacon";
import type { ManagedFile } from "@needfire/shared/managed-file";
import type { AgentView } from "@needfire/shared/target";
import { type AgentBody, type DefinitionSet, definitionSets, type MasterMessage, partsMax } from "@needfire/shared/wire";
import type { MasterEventDraft } from "@needfire/shared/task";
import { beaconParts, fileParts, partBytesMax, versionOf } from "./definition-parts.ts";
import type { SourcedFile } from "./files.ts";
import type { Keys } from "./keys.ts";
import type { Commit } from "./commit.ts";
import type { Session } from "./sessions.ts";
import type { AgentPresence, AgentRecord } from "./store/store.ts";

export interface AgentsOptions {
  keys: Keys;
  commit: Commit;
  clock: { now(): number };
  monotonic: { now(): number };
  beacons(): readonly LoadedBeacon[];
  files(): readonly SourcedFile[];
  send(session: Session, message: MasterMessage): boolean;
  /** What conditions see of these agents is different from now on. */
  onView(views: AgentView[]): void;
  /** It is durable that an agent has a session, and what it is: it may be given what there is for it. */
  onReady(agent: string): void;
  /** Whether marks say of all commands that may have gone out to an agent that they have. */
  isMarked(agent: string): boolean;
  /** Definitions of an agent do not fit a frame. */
  onUnsendable(session: Session, reason: string): void;
}

/** A set of definitions that an agent has, as it said or as it was last sent. */
interface Delivery {
  version: string;
  /** When it is sent again, by the monotonic clock; Infinity once the agent has it. */
  resend: number;
  resendAfterMs: number;
}

interface Pushed {
  sets: Record<DefinitionSet, Delivery>;
  /** Of the files that are meant for the agent. */
  digests: ReadonlySet<string>;
}

interface DefinitionsFor {
  beacons: BeaconDefinition[];
  files: ManagedFile[];
}

/** Of an agent without managed files: one for all, since an empty set takes 200 bytes. */
const noDigests: ReadonlySet<string> = new Set();

/** A set that was sent and not confirmed goes out again after so long, then after twice as long, and so on: the line may be slow. */
const resendMs = 10_000;
const resendMsMax = 300_000;
/** The same after libzmq could not take a frame for the agent. */
const resendSlowMs = 500;

export class Agents {
  readonly #options: AgentsOptions;
  readonly #records = new Map<string, AgentRecord>();
  readonly #pushed = new WeakMap<Session, Pushed>();
  /** Agents whose records are kept as `settled` from now on, whatever else is kept of them. */
  readonly #settled = new Set<string>();
  /** Sessions of which it is durable that there is one. Undefined: it is being written. */
  readonly #ready = new WeakMap<Session, boolean>();

  constructor(options: AgentsOptions, records: AgentRecord[]) {
    this.#options = options;
    for (const { settled, ...record } of records) {
      this.#records.set(record.id, record);
      if (settled === true) this.#settled.add(record.id);
    }
  }

  get(id: string): AgentRecord | undefined {
    return this.#records.get(id);
  }

  /** All that conditions may see. */
  views(): AgentView[] {
    return [...this.#records.keys()].map((id) => this.view(id));
  }

  /** The agent as targets and conditions see it: the labels that its key carries win over those that it claims. */
  view(id: string): AgentView {
    const record = this.#records.get(id);
    return { id, labels: { ...record?.labels, ...this.#options.keys.acceptedFor(id)?.labels }, facts: record?.facts ?? {} };
  }

  /** An agent told what it is and what it has. */
  async reported(session: Session, { facts, labels, beacons, files }: AgentBody<"facts">): Promise<void> {
    const now = this.#options.clock.now();
    const { agent: id, epoch } = session;
    const before = this.#records.get(id);
    const presence = before?.presence ?? { state: "present", since: now };
    const record: AgentRecord = { ...before, id, facts: facts as Record<string, unknown>, labels, lastSeen: now, presence, epoch };
    this.#records.set(record.id, record);
    this.#options.onView([this.view(record.id)]);
    const has = (version: string): Delivery => ({ version, resend: Infinity, resendAfterMs: resendMs });
    this.#pushed.set(session, { sets: { beacons: has(beacons), files: has(files) }, digests: noDigests });
    this.push(session);
    this.#settled.delete(id);
    await this.#makeReady(session);
  }

  /** A session ended: when the agent was last heard outlives the master. */
  async left({ agent, lastHeard }: Session): Promise<void> {
    const record = this.#records.get(agent);
    if (record === undefined) return;
    const seen = { ...record, lastSeen: lastHeard };
    this.#records.set(agent, seen);
    this.#settle(agent);
    await this.#keep([seen]);
  }

  /** Whether it is certain of every command without a mark that it has not gone out, a restart of the master notwithstanding. */
  isSettled(agent: string): boolean {
    return this.#settled.has(agent);
  }

  /** Agents came, went or are missed. */
  async keepPresence(changes: Map<string, AgentPresence>, events: MasterEventDraft[]): Promise<void> {
    const agents: AgentRecord[] = [];
    for (const [agent, presence] of changes) {
      const record = this.#records.get(agent);
      if (record === undefined) continue;
      const changed = { ...record, presence };
      this.#records.set(agent, changed);
      // Since the master was started it has not come back.
      if (presence.state === "lost") this.#settle(agent);
      agents.push(changed);
    }
    await this.#keep(agents, events);
  }

  /** Takes a record as it is now, with the events that tell of the change. */
  async keep(record: AgentRecord, events: MasterEventDraft[]): Promise<void> {
    this.put(record);
    await this.#keep([record], events);
  }

  /** Takes a record as it is now. It is kept with its next change. */
  put(record: AgentRecord): void {
    this.#records.set(record.id, record);
  }

  records(): Iterable<AgentRecord> {
    return this.#records.values();
  }

  /**
   * It said what it is in this session: before that it may turn out to be put back to an earlier state. And that it has one is durable: what goes out
   * to it from now on is not taken for unsent after a crash (P2).
   */
  isReady(session: Session): boolean {
    return this.#ready.get(session) === true;
  }

  /** Only what is meant for an agent is given to it: the content of another host's file is none of its business. */
  mayHave(session: Session, digest: string): boolean {
    return this.#pushed.get(session)?.digests.has(digest) ?? false;
  }

  definitionsFor(id: string): DefinitionsFor {
    const view = this.view(id);
    return {
      beacons: this.#options
        .beacons()
        .filter(({ test }) => test(view))
        .map(({ definition }) => definition),
      files: this.#options
        .files()
        .filter(({ test }) => test(view))
        .map(({ managed }) => managed),
    };
  }

  /** Sends what the agent does not have yet. Before its first report it is not known what that is. */
  push(session: Session): void {
    const pushed = this.#pushed.get(session);
    if (pushed === undefined) return;
    const wanted = this.definitionsFor(session.agent);
    pushed.digests = wanted.files.length === 0 ? noDigests : new Set(wanted.files.map(({ digest }) => digest));
    // Managed files first: a beacon that is to watch them finds them there.
    for (const set of definitionSets) {
      const version = versionOf(wanted[set]);
      if (version !== pushed.sets[set].version) this.#deliver(session, set, { wanted, version, resendAfterMs: resendMs });
    }
  }

  /** The agent has all parts of a set. */
  taken(session: Session, { set, version }: AgentBody<"taken">): void {
    const delivery = this.#pushed.get(session)?.sets[set];
    if (delivery?.version === version) delivery.resend = Infinity;
  }

  /** A frame for this agent got lost on the way out: which one is not known. */
  slow(session: Session): void {
    const soon = this.#options.monotonic.now() + resendSlowMs;
    for (const delivery of Object.values(this.#pushed.get(session)?.sets ?? {}))
      if (delivery.resend !== Infinity) delivery.resend = Math.min(delivery.resend, soon);
  }

  /** Sends again what was not confirmed. */
  async tick(sessions: Session[]): Promise<void> {
    const now = this.#options.monotonic.now();
    const unready: Promise<void>[] = [];
    for (const session of sessions) {
      // The disk took nothing.
      if (this.#ready.get(session) === false) unready.push(this.#makeReady(session).catch(unlessFull));
      const pushed = this.#pushed.get(session);
      for (const set of definitionSets) {
        const delivery = pushed?.sets[set];
        if (delivery === undefined || now < delivery.resend) continue;
        const wanted = this.definitionsFor(session.agent);
        const resendAfterMs = Math.min(resendMsMax, delivery.resendAfterMs * 2);
        this.#deliver(session, set, { wanted, version: versionOf(wanted[set]), resendAfterMs });
      }
    }
    await Promise.all(unready);
  }

  async #makeReady(session: Session): Promise<void> {
    const { agent } = session;
    const wasReady = this.isReady(session);
    if (!wasReady) this.#ready.delete(session);
    try {
      await this.#keep([this.#records.get(agent)!]);
    } catch (error) {
      this.#ready.set(session, wasReady);
      throw error;
    }
    this.#ready.set(session, true);
    this.#options.onReady(agent);
  }

  /** It has no session. */
  #settle(agent: string): void {
    if (this.#options.isMarked(agent)) this.#settled.add(agent);
  }

  /** Marks of before are durable with it, or before. */
  async #keep(records: AgentRecord[], events: MasterEventDraft[] = []): Promise<void> {
    const agents = records.map((record) => (this.#settled.has(record.id) ? { ...record, settled: true as const } : record));
    await this.#options.commit({ agents, ...(events.length === 0 ? {} : { events }) });
  }

  /** What does not fit a frame never will: that is told once (P4). */
  #deliver(
    session: Session,
    set: DefinitionSet,
    { wanted, version, resendAfterMs }: { wanted: DefinitionsFor; version: string; resendAfterMs: number },
  ): void {
    const pushed = this.#pushed.get(session);
    if (pushed === undefined) return;
    const delivery: Delivery = { version, resend: this.#options.monotonic.now() + resendAfterMs, resendAfterMs };
    pushed.sets[set] = delivery;
    const parts = set === "files" ? fileParts(version, wanted.files) : beaconParts(version, wanted.beacons);
    try {
      if (parts.length > partsMax)
        throw new NeedfireError("FRAME_TOO_LARGE", `${parts.length} parts of ${partBytesMax} bytes, the limit is ${partsMax}`);
      for (const part of parts) if (!this.#options.send(session, part)) return this.slow(session);
    } catch (error) {
      if (!(error instanceof NeedfireError) || error.code !== "FRAME_TOO_LARGE") throw error;
      delivery.resend = Infinity;
      this.#options.onUnsendable(session, `its ${set} cannot be sent: ${error.message}`);
    }
  }
}

/** That is told elsewhere. */
function unlessFull(error: unknown): void {
  if (!(error instanceof NeedfireError) || error.code !== "DISK_FULL") throw error;
}
