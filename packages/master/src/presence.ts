/**
 * Who is there. An agent is present while it has a session and for a short time after; one that did not say that it stops is lost after
 * three heartbeat intervals without a session. What is known of it outlives the master (agents' records); a master that starts gives those
 * who were there time to come back before it says that they are lost.
 */
import type { MasterEventDraft } from "@needfire/shared/task";
import type { AgentPresence, AgentRecord } from "./store/store.ts";

/** A session, as far as it matters here. */
interface Presented {
  agent: string;
  lastHeard: number;
  silentMs: number;
  saidBye: boolean;
}

export interface PresenceOptions {
  clock: { now(): number };
  /** What silence is measured by: a step of the wall clock loses nobody. */
  monotonic: { now(): number };
  heartbeatMs: number;
  /** A key of this agent's is accepted. */
  isKnown(agent: string): boolean;
  /** Makes durable what changed, with the events that tell of it. */
  keep(changes: Map<string, AgentPresence>, events: MasterEventDraft[]): void;
}

interface Away {
  /** By the monotonic clock: when it is lost, and when it was last heard. */
  lostAt: number;
  heardAt: number;
  lastHeard: number;
  reason: string;
}

/** So many heartbeats without a word, and an agent is lost. */
export const silentHeartbeats = 3;
/** How long an agent may wait between two attempts to reach a master that starts: `reconnect_max` of agent.yaml as it comes. */
const reconnectBoundMs = 30_000;
/** The time over which agents spread their return: none for a few, half a millisecond each for many. */
const spreadPerAgentMs = 0.5;
const spreadFromAgents = 100;
const spreadMsMax = 15_000;

export function reconnectSpreadMs(agents: number): number {
  return agents < spreadFromAgents ? 0 : Math.min(spreadMsMax, Math.round(agents * spreadPerAgentMs));
}

export class Presence {
  readonly #options: PresenceOptions;
  readonly #known = new Map<string, AgentPresence>();
  readonly #away = new Map<string, Away>();
  /** When those that are lost were last heard, by the monotonic clock. */
  readonly #lost = new Map<string, number>();

  constructor(options: PresenceOptions, records: AgentRecord[]) {
    this.#options = options;
    const { clock, monotonic, heartbeatMs } = options;
    const graceMs = reconnectSpreadMs(records.length) + reconnectBoundMs + silentHeartbeats * heartbeatMs;
    for (const { id, presence, lastSeen } of records) {
      this.#known.set(id, presence);
      const heardAt = monotonic.now() - Math.max(0, clock.now() - lastSeen);
      if (presence.state === "lost") this.#lost.set(id, heardAt);
      if (presence.state !== "present") continue;
      const reason = "it has not come back since the master was started";
      this.#away.set(id, { lostAt: monotonic.now() + graceMs, heardAt, lastHeard: lastSeen, reason });
    }
  }

  /** Undefined: it has never been there. */
  of(agent: string): AgentPresence | undefined {
    return this.#known.get(agent);
  }

  opened({ agent }: Presented): void {
    this.#away.delete(agent);
  }

  /** A session said what it is. `spooled`: how many events wait there. */
  reported({ agent }: Presented, spooled: number): void {
    const before = this.#known.get(agent);
    if (before?.state === "present") return;
    const { clock, monotonic } = this.#options;
    const away = monotonic.now() - (this.#lost.get(agent) ?? monotonic.now());
    this.#lost.delete(agent);
    const data = { agent, away_ms: Math.round(away), spooled };
    const returned: MasterEventDraft[] =
      before?.state === "lost" ? [{ type: "agent.returned", severity: "normal", subject: agent, data }] : [];
    this.#change(new Map([[agent, { state: "present", since: clock.now() }]]), returned);
  }

  closed({ agent, lastHeard, silentMs, saidBye }: Presented, reason: string): void {
    const { clock, monotonic, heartbeatMs } = this.#options;
    const before = this.#known.get(agent);
    if (before === undefined || before.state === "lost") return;
    if (saidBye) return this.#change(new Map([[agent, { state: "stopped", since: clock.now() }]]), []);
    const heardAt = monotonic.now() - silentMs;
    this.#away.set(agent, { lostAt: heardAt + silentHeartbeats * heartbeatMs, heardAt, lastHeard, reason });
  }

  /** Tells of those that have been away for too long. */
  tick(): void {
    const now = this.#options.monotonic.now();
    const changes = new Map<string, AgentPresence>();
    const events: MasterEventDraft[] = [];
    for (const [agent, { lostAt, heardAt, lastHeard, reason }] of this.#away) {
      if (now < lostAt) continue;
      this.#away.delete(agent);
      // A host whose key was taken away is not missed.
      if (!this.#options.isKnown(agent)) continue;
      this.#lost.set(agent, heardAt);
      changes.set(agent, { state: "lost", since: this.#options.clock.now() });
      events.push({ type: "agent.lost", severity: "high", subject: agent, data: { agent, last_heard: lastHeard, reason } });
    }
    if (changes.size > 0) this.#change(changes, events);
  }

  #change(changes: Map<string, AgentPresence>, events: MasterEventDraft[]): void {
    for (const [agent, presence] of changes) this.#known.set(agent, presence);
    this.#options.keep(changes, events);
  }
}
