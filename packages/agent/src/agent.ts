/**
 * The agent's wiring: the only place that constructs its parts and ties them together. Watching does not wait for the
 * master, nor joining for a beacon; everything is taken down in the reverse order.
 */
import { mkdirSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import type { Logger } from "pino";
import { type Clock, monotonicClock, systemClock } from "@needfire/shared/clock";
import type { AgentConfig } from "@needfire/shared/config";
import type { ManagedFile } from "@needfire/shared/managed-file";
import { durationMs } from "@needfire/shared/duration";
import { errorText, NeedfireError } from "@needfire/shared/errors";
import { agentIdPattern } from "@needfire/shared/ids";
import { type Policy, refusesSomeCommands } from "@needfire/shared/policy";
import { fingerprint, type KeyPair, z85Encode } from "@needfire/shared/identity";
import type { MasterBody, MasterMessage } from "@needfire/shared/wire";
import { Beacons } from "./beacons/beacons.ts";
import { BudgetedPace, processUsage } from "./beacons/pace.ts";
import { problemText } from "@needfire/shared/yaml-file";
import { BlobFetch } from "./blob-fetch.ts";
import { BlobStore } from "./blobs.ts";
import { bootClock } from "./boot-clock.ts";
import { Definitions } from "./definitions.ts";
import { Executor } from "./execute.ts";
import { gatherFacts } from "./facts.ts";
import { Garbage } from "./garbage.ts";
import { readJoinToken, removeJoinToken } from "./join-token.ts";
import { loadKeyPair } from "./key-file.ts";
import { Leases } from "./leases.ts";
import { generateKeyPair, Link, type LinkState } from "./link.ts";
import { ManagedFiles } from "./managed-files.ts";
import { DefinitionParts } from "./definition-parts.ts";
import { Pump } from "./pump.ts";
import { Remedies } from "./remedies.ts";
import { OwnActions } from "./own-actions.ts";
import { Restarts } from "./restarts.ts";
import { Spool } from "./spool.ts";

const agentVersion = "0.1.0";
/** How long to wait before a disk that took nothing is tried again. */
const retryMs = 1_000;

export interface RunningAgent {
  readonly id: string;
  /** Puts a policy in force, and reads local beacon definitions again. */
  reload(policy: Policy): Promise<void>;
  /** Takes an error that nobody caught to the beacon that it comes from, within the handler of it. False: it is not a beacon's. */
  takeUncaught(error: unknown): boolean;
  stop(): Promise<void>;
}

/** Throws `STATE_LOCKED`, `STATE_UNSAFE`, `CONFIG_INVALID`. */
export async function startAgent(config: AgentConfig, log: Logger): Promise<RunningAgent> {
  const clock = systemClock();
  const id = agentId(config);
  mkdirSync(config.state, { recursive: true, mode: 0o700 });
  const keys = agentKeys(config);
  const spool = Spool.open({
    file: join(config.state, "spool.db"),
    synchronous: config.synchronous,
    bytesMax: config.spool_bytes_max,
    ageMaxMs: durationMs(config.spool_age_max),
    clock,
    onTrouble: (error) => log.error({ error: errorText(error) }, "the spool has trouble; what waits is kept and tried again"),
  });
  log.info({ agent: id, fingerprint: fingerprint(keys.publicKey), state: config.state }, "the agent starts");
  const restarts = new Restarts(join(config.state, "restart.json"));
  const restart = restarts.note;
  const goesOn = restart !== undefined && spool.resume(restart.execution);
  const interrupted = spool.reportInterrupted();
  if (interrupted.length > 0) log.warn({ interrupted }, "commands were under way when the agent stopped");
  if (restart !== undefined && !goesOn) restarts.forget();
  return new Wiring({ config, id, keys, spool, restarts, clock, log }).start(interrupted.length > 0);
}

interface Parts {
  config: AgentConfig;
  id: string;
  keys: KeyPair;
  spool: Spool;
  restarts: Restarts;
  clock: Clock;
  log: Logger;
}

class Wiring {
  readonly #parts: Parts;
  readonly #stop = new AbortController();
  readonly #link: Link;
  readonly #pump: Pump;
  readonly #blobs: BlobFetch;
  readonly #managed: ManagedFiles;
  readonly #definitions: Definitions;
  readonly #pace: BudgetedPace;
  readonly #beacons: Beacons;
  readonly #executor: Executor;
  readonly #leases: Leases;
  readonly #fileParts = new DefinitionParts<ManagedFile>();
  readonly #beaconParts = new DefinitionParts<unknown>();
  readonly #garbage = new Garbage();
  #policy: Policy;
  #facts: Record<string, unknown> = {};
  #session = new AbortController();
  #creditEvents = 0;
  /** The master knows of this session what the spool has: it may be told more. */
  #isMet = false;
  #retry: NodeJS.Timeout | undefined;

  constructor(parts: Parts) {
    const { config, id, keys, spool, restarts, clock, log } = parts;
    this.#parts = parts;
    this.#policy = config.policy;
    const remedies = new Remedies();
    const emit = spool.append.bind(spool);
    this.#link = new Link({
      address: config.master.address,
      masterKey: z85Encode(Buffer.from(config.master.key, "base64url")),
      keys,
      agent: id,
      epoch: () => spool.epoch,
      token: readJoinToken(config.state),
      reconnectMinMs: durationMs(config.reconnect_min),
      reconnectMaxMs: durationMs(config.reconnect_max),
      log,
      onState: (state) => this.#linkState(state),
      onMessage: (message) => this.#hear(message),
    });
    const send = this.#link.send.bind(this.#link);
    this.#pump = new Pump(spool, send);
    // A session is of one numbering.
    spool.onNewEpoch(() => {
      this.#leases.keepAnew();
      this.#link.reconnect("the spool began a new numbering");
    });
    this.#blobs = new BlobFetch(send);
    this.#managed = new ManagedFiles({
      blobs: new BlobStore(join(config.state, "blobs")),
      listFile: join(config.state, "files.json"),
      log,
    });
    this.#definitions = new Definitions({
      file: join(config.state, "beacons.json"),
      localPaths: config.beacons,
      log,
      clock,
      emit,
      self: () => ({ id, labels: config.labels, facts: this.#facts }),
      policy: () => this.#policy,
    });
    this.#pace = new BudgetedPace({
      budget: { cpuPercent: config.cpu_budget_percent, memoryBytes: config.memory_budget_bytes },
      usage: processUsage,
      clock,
      monotonic: monotonicClock(),
      emit,
    });
    this.#beacons = new Beacons({ clock, log, managed: this.#managed, remedies, pace: this.#pace, memory: spool, emit });
    const ownActions = new OwnActions(config.actions);
    for (const problem of ownActions.problems()) log.error(problemText(problem));
    this.#executor = new Executor({
      spool,
      managed: this.#managed,
      remedies,
      self: { masterAddress: config.master.address, reportFacts: () => this.#reportFacts(), restarts, clock },
      ownActions,
      policy: () => this.#policy,
      fetch: (digest, offset) => this.#blobs.fetch(digest, offset),
      scratch: join(config.state, "scratch"),
      clock,
      monotonic: monotonicClock(),
      log,
      concurrencyMax: config.executions_max,
      accepted: (execution) => void send({ kind: "accepted", body: { execution } }),
      ended: (report) => this.#leases.ended(report),
    });
    this.#leases = new Leases({
      spool,
      executor: this.#executor,
      answer: (answer) => void send({ kind: "leased", body: answer }),
      clock,
      boot: bootClock(),
      log,
    });
  }

  /** `wasCutShort`: commands were under way when the agent stopped, so what they were to put right may still be wrong. */
  async start(wasCutShort: boolean): Promise<RunningAgent> {
    this.#facts = gatherFacts(agentVersion);
    await this.#managed.load();
    this.#definitions.load();
    this.#obey(this.#parts.config.policy);
    this.#pace.start();
    const { note } = this.#parts.restarts;
    if (note !== undefined) this.#executor.resume(note);
    this.#leases.start();
    // Side by side: watching does not wait for the master, nor joining for a slow beacon.
    this.#background(this.#applyBeacons().then(() => (wasCutShort ? this.#beacons.restate() : undefined)));
    const running = this.#link.run(this.#stop.signal);
    return {
      id: this.#parts.id,
      reload: async (policy) => {
        this.#obey(policy);
        this.#definitions.loadLocal();
        await this.#applyBeacons();
      },
      takeUncaught: (error) => this.#beacons.takeUncaught(error),
      stop: async () => {
        this.#session.abort();
        this.#garbage.stop();
        this.#pace.stop();
        await this.#beacons.stop();
        this.#leases.stop();
        await this.#executor.stop();
        this.#parts.spool.flush();
        this.#stop.abort();
        await running;
        clearTimeout(this.#retry);
        this.#pump.close();
        this.#parts.spool.close();
      },
    };
  }

  #obey(policy: Policy): void {
    const { log } = this.#parts;
    this.#policy = policy;
    if (refusesSomeCommands(policy))
      log.warn(
        { allowed: policy.allow.commands, denied: policy.deny.commands },
        "the policy of this host refuses commands (agent.yaml, policy)",
      );
  }

  #linkState(state: LinkState): void {
    const { log, config } = this.#parts;
    this.#isMet = false;
    if (state.state === "joined") {
      log.info("joined the master");
      removeJoinToken(config.state);
      this.#session = new AbortController();
      // A session may follow another without a break.
      clearTimeout(this.#retry);
      this.#pump.close();
      this.#creditEvents = state.creditEvents;
    } else {
      if (state.state === "pending")
        log.warn({ fingerprint: state.fingerprint }, "the master knows this key but nobody has accepted it yet");
      if (state.state === "refused") log.error(state.reason);
      this.#session.abort();
      clearTimeout(this.#retry);
      this.#pump.close();
      this.#blobs.failAll();
    }
  }

  /** What the master has of the spool's numbering: nothing is said to it, and no command taken from it, before that is known to be right. */
  #meet(marks: MasterBody<"marks">): void {
    const { log, spool } = this.#parts;
    try {
      // Put back to an earlier state, the spool begins a new numbering, and the link a new session.
      if (!spool.meet(marks)) return log.warn({ marks }, "the master knows more of this spool than it does itself");
    } catch (error) {
      log.error({ error: errorText(error) }, "the spool cannot note that it speaks with the master, and waits");
      this.#retry = setTimeout(() => this.#meet(marks), retryMs);
      return;
    }
    this.#fileParts.reset();
    this.#beaconParts.reset();
    this.#sendFacts();
    this.#pump.open(this.#creditEvents);
    this.#isMet = true;
  }

  #sendFacts(): void {
    const { config, spool } = this.#parts;
    const has = { beacons: this.#definitions.version, files: this.#managed.version, spooled: spool.count() };
    this.#link.send({ kind: "facts", body: { facts: this.#facts, labels: config.labels, ...has } });
  }

  #reportFacts(): Record<string, unknown> {
    this.#facts = gatherFacts(agentVersion);
    if (this.#isMet) this.#sendFacts();
    return this.#facts;
  }

  #hear(message: MasterMessage): void {
    switch (message.kind) {
      case "marks":
        return this.#meet(message.body);
      case "ack":
        return this.#pump.acknowledge(message.body);
      case "rewind":
        return this.#pump.rewind();
      case "execute":
        return void this.#executor.take(message.body);
      case "lease":
        return this.#leases.take(message.body);
      case "blob":
        return this.#blobs.answer(message.body);
      case "cancel":
        return this.#executor.cancel(message.body);
      case "beacons":
        return this.#takeBeacons(message.body);
      case "files":
        return this.#takeFiles(message.body);
      case "restate":
        this.#beacons.restate();
        return void this.#link.send({ kind: "restated", body: message.body });
      case "challenge":
      case "welcome":
      case "pending":
      case "refused":
      case "pong":
        return; // the link's own
    }
  }

  #takeBeacons({ version, part, parts, definitions }: MasterBody<"beacons">): void {
    const taken = this.#beaconParts.take({ version, part, parts, items: definitions });
    if (taken.kind === "partial") return;
    if (taken.kind === "whole") {
      this.#definitions.takePushed(version, taken.items);
      this.#background(this.#applyBeacons());
    }
    this.#link.send({ kind: "taken", body: { set: "beacons", version } });
  }

  #takeFiles({ version, part, parts, files }: MasterBody<"files">): void {
    const taken = this.#fileParts.take({ version, part, parts, items: files });
    if (taken.kind === "partial") return;
    if (taken.kind === "whole") {
      const fetch = (digest: string, offset: number) => this.#blobs.fetch(digest, offset);
      this.#background(this.#managed.apply(version, taken.items, fetch, this.#session.signal));
    }
    // From here on it is this end's: content that cannot be had makes the version incomplete, and the next session brings it anew.
    this.#link.send({ kind: "taken", body: { set: "files", version } });
  }

  /** Puts the definitions in force and says so: from then on what they watch is seen. */
  async #applyBeacons(): Promise<void> {
    await this.#beacons.apply(this.#definitions.all());
    this.#garbage.collectLater();
    const { spool, clock } = this.#parts;
    const beacons = this.#beacons.list().map(({ name, type, health }) => ({ name, type, ...health }));
    spool.append({ type: "beacon.applied", time: clock.now(), severity: "low", data: { version: this.#definitions.version, beacons } });
  }

  /** Work whose failure is told and does not end the agent. */
  #background(work: Promise<void>): void {
    work.catch((error: unknown) => {
      const { log, spool, clock } = this.#parts;
      log.error({ error: errorText(error) }, "definitions could not be applied");
      spool.append({ type: "beacon.refused", time: clock.now(), severity: "high", data: { message: errorText(error) } });
    });
  }
}

/** The configured id, or the host's name where that can be one. */
export function agentId(config: AgentConfig): string {
  const id = config.id ?? hostname().toLowerCase();
  if (!new RegExp(agentIdPattern).test(id) || id === "master") {
    throw new NeedfireError(
      "CONFIG_INVALID",
      `"${id}" cannot be an agent's id: set "id" in the configuration (lower-case letters, digits, . _ and -; not "master")`,
    );
  }
  return id;
}

export function agentKeys(config: AgentConfig): KeyPair {
  return loadKeyPair(join(config.state, "agent.key"), generateKeyPair);
}
