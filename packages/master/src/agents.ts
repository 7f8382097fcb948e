/**
 * What the master knows of its agents: what they report, what the operator says, when they were last heard; and which beacons and
 * managed files each is to have, which are pushed when they differ from what it has.
 */
import { createHash } from "node:crypto";
import { NeedfireError } from "@needfire/shared/errors";
import type { BeaconDefinition, LoadedBeacon } from "@needfire/shared/beacon";
import type { ManagedFile } from "@needfire/shared/managed-file";
import type { AgentView } from "@needfire/shared/target";
import type { AgentBody, MasterMessage } from "@needfire/shared/wire";
import type { SourcedFile } from "./files.ts";
import type { Keys } from "./keys.ts";
import type { Commit } from "./commit.ts";
import type { Session } from "./sessions.ts";
import type { AgentRecord } from "./store/store.ts";

export interface AgentsOptions {
  keys: Keys;
  commit: Commit;
  clock: { now(): number };
  beacons(): readonly LoadedBeacon[];
  files(): readonly SourcedFile[];
  send(session: Session, message: MasterMessage): boolean;
  /** What conditions see of these agents is different from now on. */
  onView(views: AgentView[]): void;
  /** Definitions of an agent do not fit a frame. */
  onUnsendable(session: Session, reason: string): void;
}

/** What an agent has, as it said or as it was last sent. */
interface Pushed {
  beacons: string;
  files: string;
}

export class Agents {
  readonly #options: AgentsOptions;
  readonly #records = new Map<string, AgentRecord>();
  readonly #pushed = new WeakMap<Session, Pushed>();

  constructor(options: AgentsOptions, records: AgentRecord[]) {
    this.#options = options;
    for (const record of records) this.#records.set(record.id, record);
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
    const record: AgentRecord = { id: session.agent, facts: facts as Record<string, unknown>, labels, lastSeen: this.#options.clock.now() };
    this.#records.set(record.id, record);
    this.#options.onView([this.view(record.id)]);
    this.#pushed.set(session, { beacons, files });
    this.push(session);
    await this.#options.commit({ agents: [record] });
  }

  /** A session ended: when the agent was last heard outlives the master. */
  async left({ agent, lastHeard }: Session): Promise<void> {
    const record = this.#records.get(agent);
    if (record === undefined) return;
    const seen = { ...record, lastSeen: lastHeard };
    this.#records.set(agent, seen);
    await this.#options.commit({ agents: [seen] });
  }

  definitionsFor(id: string): { beacons: BeaconDefinition[]; files: ManagedFile[] } {
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
    const { beacons, files } = this.definitionsFor(session.agent);
    const version = { beacons: versionOf(beacons), files: versionOf(files) };
    // Managed files first: a beacon that is to watch them finds them there.
    if (version.files !== pushed.files && this.#offer(session, { kind: "files", body: { version: version.files, files } }))
      pushed.files = version.files;
    if (
      version.beacons !== pushed.beacons &&
      this.#offer(session, { kind: "beacons", body: { version: version.beacons, definitions: beacons } })
    ) {
      pushed.beacons = version.beacons;
    }
  }

  /** False when it should be tried again. What does not fit a frame never will: that is told once (P4). */
  #offer(session: Session, message: Extract<MasterMessage, { kind: "files" | "beacons" }>): boolean {
    try {
      return this.#options.send(session, message);
    } catch (error) {
      if (!(error instanceof NeedfireError) || error.code !== "FRAME_TOO_LARGE") throw error;
      this.#options.onUnsendable(session, `its ${message.kind} cannot be sent: ${error.message}`);
      return true;
    }
  }
}

function versionOf(value: unknown): string {
  return createHash("sha256").update(JSON.stringify(value)).digest("hex").slice(0, 16);
}
