/**
 * Hosts on which somebody works: they are watched and everything is recorded, but no reactor acts on it, by a silence that is theirs. When
 * the work is over, by the clock or by word, the host's beacons say once more what is not as it should be, so that what the work left
 * behind is put right: that is asked for until the host has confirmed it, over restarts of either side.
 */
import { NeedfireError } from "@needfire/shared/errors";
import type { MasterEventDraft } from "@needfire/shared/task";
import type { MasterMessage } from "@needfire/shared/wire";
import type { Session } from "./sessions.ts";
import type { SilenceWish } from "./silences.ts";
import type { AgentRecord, MaintenanceRecord, SilenceRecord } from "./store/store.ts";

export interface MaintenanceOptions {
  /** Of all agents, and of one. */
  records(): Iterable<AgentRecord>;
  record(agent: string): AgentRecord | undefined;
  /** Takes it in force, and keeps it. Throws `DISK_FULL`: it is in force, and not kept. */
  keep(record: AgentRecord, events: MasterEventDraft[]): Promise<void>;
  /** Takes it in force. */
  put(record: AgentRecord): void;
  silences: {
    add(wish: SilenceWish): Promise<SilenceRecord>;
    end(id: string, by: string): Promise<SilenceRecord>;
  };
  send(session: Session, message: MasterMessage): boolean;
  clock: { now(): number };
  monotonic: { now(): number };
}

export interface MaintenanceWish {
  forMs: number;
  why: string;
  by: string;
}

/** What was asked for and not confirmed is asked for again after so long. */
const resendMs = 10_000;

export class Maintenance {
  readonly #options: MaintenanceOptions;
  /** Agents in maintenance, and those that have yet to say what is wrong; the latter with when they are asked again. */
  readonly #busy = new Set<string>();
  readonly #owing = new Map<string, number>();

  constructor(options: MaintenanceOptions) {
    this.#options = options;
    for (const { id, maintenance, restate } of options.records()) {
      if (maintenance !== undefined) this.#busy.add(id);
      if (restate !== undefined) this.#owing.set(id, 0);
    }
  }

  /** Undefined: it is in none. Throws `NOT_FOUND`. */
  of(agent: string): MaintenanceRecord | undefined {
    return this.#recordOf(agent).maintenance;
  }

  /** Begins it, or gives it another end. Throws `NOT_FOUND`, `CONFLICT`, `DISK_FULL`. */
  async begin(agent: string, { forMs, why, by }: MaintenanceWish): Promise<MaintenanceRecord> {
    const before = this.#recordOf(agent).maintenance;
    const silence = await this.#options.silences.add({ reactor: undefined, agent, forMs, why: `maintenance: ${why}`, by });
    const { since, until } = silence;
    const maintenance: MaintenanceRecord = { silence: silence.id, since: before?.since ?? since, until, why, by };
    this.#busy.add(agent);
    const event = { type: "agent.maintenance", severity: "normal", subject: agent, data: { agent, until, why, by } } as const;
    await this.#options.keep({ ...this.#recordOf(agent), maintenance }, [event]);
    if (before !== undefined) await this.#endSilence(before.silence, by);
    return maintenance;
  }

  /** Before its time. Throws `CONFLICT` when the agent is in none. */
  async end(agent: string, by: string): Promise<void> {
    const { maintenance } = this.#recordOf(agent);
    if (maintenance === undefined) throw new NeedfireError("CONFLICT", `${agent} is not in maintenance`);
    await this.#endSilence(maintenance.silence, by);
    await this.#over(agent, by);
  }

  /** Ends what is over, and asks again who has not confirmed. */
  async tick(sessionOf: (agent: string) => Session | undefined): Promise<void> {
    const now = this.#options.clock.now();
    for (const agent of this.#busy) {
      const maintenance = this.#options.record(agent)?.maintenance;
      if (maintenance === undefined) this.#busy.delete(agent);
      else if (maintenance.until <= now && !(await this.#isOver(agent))) break;
    }
    for (const [agent, due] of this.#owing) {
      const session = sessionOf(agent);
      if (session !== undefined && this.#options.monotonic.now() >= due) this.#ask(session);
    }
  }

  /** The agent has a session and has said what it is. */
  reported(session: Session): void {
    if (this.#owing.has(session.agent)) this.#ask(session);
  }

  /** It has been asked, and says what is wrong from here on. */
  async restated(agent: string, id: string): Promise<void> {
    const record = this.#options.record(agent);
    if (record === undefined || record.restate !== id) return;
    this.#owing.delete(agent);
    const { restate: _, ...rest } = record;
    await this.#options.keep(rest, []);
  }

  /** By the clock. False: the disk takes nothing at the moment, which is told elsewhere; it is tried again. */
  async #isOver(agent: string): Promise<boolean> {
    try {
      await this.#over(agent, undefined);
      return true;
    } catch (error) {
      if (!(error instanceof NeedfireError) || error.code !== "DISK_FULL") throw error;
      return false;
    }
  }

  async #over(agent: string, by: string | undefined): Promise<void> {
    this.#busy.delete(agent);
    const { maintenance, ...rest } = this.#recordOf(agent);
    if (maintenance === undefined) return;
    this.#owing.set(agent, 0);
    const data = {
      agent,
      lasted_ms: Math.max(0, Math.round(this.#options.clock.now() - maintenance.since)),
      ...(by === undefined ? {} : { by }),
    };
    const event = { type: "agent.maintenance_ended", severity: "normal", subject: agent, data } as const;
    try {
      await this.#options.keep({ ...rest, restate: maintenance.silence }, [event]);
    } catch (error) {
      // P4: what could not be told is not over.
      this.#options.put({ ...this.#recordOf(agent), maintenance });
      this.#busy.add(agent);
      throw error;
    }
  }

  #ask(session: Session): void {
    const id = this.#options.record(session.agent)?.restate;
    if (id === undefined) return;
    this.#owing.set(session.agent, this.#options.monotonic.now() + resendMs);
    this.#options.send(session, { kind: "restate", body: { id } });
  }

  #recordOf(agent: string): AgentRecord {
    const record = this.#options.record(agent);
    if (record === undefined)
      throw new NeedfireError("NOT_FOUND", `there is no agent "${agent}" that was ever here (needfire agents list)`);
    return record;
  }

  /** It may have ended by itself, or by hand. */
  async #endSilence(id: string, by: string): Promise<void> {
    await this.#options.silences.end(id, by).catch((error: unknown) => {
      if (!(error instanceof NeedfireError) || error.code !== "NOT_FOUND") throw error;
    });
  }
}
