/**
 * An agent without a host: a real DEALER with its own CURVE keys and an agent's manners on the bus (handshake, heartbeat, jittered
 * reconnects, events resent until they are acknowledged, inside the credit), thousands to a process. Watches nothing and runs nothing: an
 * `execute` succeeds at once, unless `run` says otherwise. Keeps its events in memory, so it is no proof of what survives a crash of the agent.
 */
import { randomBytes } from "node:crypto";
import type { ExecutionReport, Outcome } from "@needfire/shared/action";
import { type EventDraft, resultType } from "@needfire/shared/event";
import { helloProof, type KeyPair, routingIdBytes, sharedSecret } from "@needfire/shared/identity";
import { type AgentMessage, batchEventsMax, decodeFromMaster, encode, type MasterBody, type MasterMessage } from "@needfire/shared/wire";
import { type WireEvent, wireEvent } from "@needfire/shared/wire-event";
import { type Context, curveKeyPair, Dealer } from "zeromq";
import type { OpenFiles } from "./open-files.ts";

export interface SimulatedAgentOptions {
  id: string;
  address: string;
  masterKey: string;
  token: string | undefined;
  /** One for all of a process: the default one has room for 1,023 sockets. */
  context: Context;
  /** The same for all of a process, too. */
  files: OpenFiles;
  /** Something that is counted changed: joined, left, answered a command, had events committed. */
  onCount(what: keyof Counts, by: number): void;
  /** How a command ends, and when. One that comes again is run again. */
  run?(command: MasterBody<"execute">): Promise<Outcome>;
}

/**
 * `joined`: that have a session. `back`: that got a new one since they were told to count. `executed`: commands that were run.
 * `acknowledged`: events that the master has committed. `answered`: those of them that were results. `disconnected`: connections that ended.
 */
export interface Counts {
  joined: number;
  back: number;
  executed: number;
  acknowledged: number;
  answered: number;
  disconnected: number;
}

const reconnectMinMs = 100;
const reconnectMaxMs = 30_000;
const greetingMs = 10_000;
const silentHeartbeats = 3;
const resendAfterMs = 15_000;
/** That a connection opens: its own, its mailbox, two of its monitor. */
const filesPerConnection = 4;
/** How long an agent waits when its process has no files left. A host of its own has no such limit. */
const noFileMs = 250;
/** What an agent tells of itself: as many facts as a real one has. */
const facts = {
  hostname: "simulated.example.org",
  os: "linux",
  distro: "Ubuntu",
  distro_release: "24.04",
  kernel: "6.8.0-45-generic",
  arch: "x64",
  cpus: 4,
  memory_bytes: 8_589_934_592,
  addresses: ["10.0.0.1", "fe80::1"],
  needfire_version: "0.1.0",
  node_version: process.versions.node,
};

// What the wire looks like: the only functions that build frames.
const messages = {
  hello: (body: Extract<AgentMessage, { kind: "hello" }>["body"]): AgentMessage => ({ kind: "hello", body }),
  facts: (agent: string): AgentMessage => ({
    kind: "facts",
    body: { facts: { ...facts, hostname: agent }, labels: { role: "simulated" }, beacons: "", files: "" },
  }),
  /** One lane for all: nothing of a simulated agent's is more urgent than the rest. */
  events: (batch: { epoch: string; after: number; resumed: boolean; events: WireEvent[] }): AgentMessage => ({
    kind: "events",
    body: { lane: "low", ...batch },
  }),
  accepted: (execution: string): AgentMessage => ({ kind: "accepted", body: { execution } }),
};

export type SimulatedEvent = EventDraft;

export class SimulatedAgent {
  readonly #options: SimulatedAgentOptions;
  readonly #keys: KeyPair = curveKeyPair();
  readonly #secret: Buffer;
  /** Not of the clock alone, as an agent's is: thousands begin in one millisecond, and nothing hangs on it. */
  readonly #epoch = Math.floor(Date.now()).toString(36);
  /** Not acknowledged yet, in order: the first so many of them are on their way. */
  readonly #waiting: WireEvent[] = [];
  #sequence = 0;
  /** The next batch goes on from what was acknowledged. */
  #resumes = true;
  #onTheWay = 0;
  /** It will move when what emits is done. */
  #moves = false;
  /** By the welcome; in force with the marks. */
  #granted = 0;
  #credit = 0;
  #flood: (() => SimulatedEvent) | undefined;
  #inTurn: { next: () => SimulatedEvent; left: number } | undefined;
  #connection: Connection | undefined;
  #attempt = 0;
  #closed = false;
  #countsReturn = false;
  #resend: NodeJS.Timeout | undefined;

  constructor(options: SimulatedAgentOptions) {
    this.#options = options;
    this.#secret = sharedSecret(this.#keys, options.masterKey);
  }

  /** Connects, and again whenever the connection ends. */
  start(): void {
    const hearer: Hearer = {
      joined: ({ creditEvents }) => this.#joined(creditEvents),
      hear: (message) => this.#hear(message),
      ended: (joined, spreadMs) => this.#ended(joined, spreadMs),
    };
    if (!this.#options.files.take(filesPerConnection)) return void setTimeout(() => !this.#closed && this.start(), noFileMs);
    this.#connection = new Connection({ ...this.#options, keys: this.#keys, secret: this.#secret, epoch: this.#epoch }, hearer);
  }

  /** What is emitted in one go goes out together, as a real agent's spool has it (`Spool.append`). */
  emit(event: SimulatedEvent): void {
    this.#waiting.push(wireEvent(++this.#sequence, event));
    if (this.#moves) return;
    this.#moves = true;
    queueMicrotask(() => {
      this.#moves = false;
      this.#move();
    });
  }

  /** So many, each when the command that followed from the one before has ended and its result is with the master. */
  emitInTurn(next: () => SimulatedEvent, times: number): void {
    this.#inTurn = { next, left: times };
    this.#nextInTurn();
  }

  /** Offers events without end, so that the whole credit is on its way all the time; `undefined` stops it. What was offered still arrives. */
  flood(next: (() => SimulatedEvent) | undefined): void {
    this.#flood = next;
    this.#move();
  }

  /** The next session that it gets counts as `back`. */
  countReturn(): void {
    this.#countsReturn = true;
  }

  get offered(): number {
    return this.#sequence;
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#resend);
    this.#connection?.close();
  }

  #joined(credit: number): void {
    this.#options.onCount("joined", 1);
    if (this.#countsReturn) this.#options.onCount("back", 1);
    this.#countsReturn = false;
    this.#attempt = 0;
    this.#granted = credit;
  }

  /** The master said what it has; without a disk there is nothing that it could contradict. */
  #met(): void {
    this.#credit = this.#granted;
    this.#connection?.send(messages.facts(this.#options.id));
    this.#restart();
  }

  #ended(joined: boolean, spreadMs: number): void {
    if (joined) this.#options.onCount("joined", -1);
    this.#options.onCount("disconnected", 1);
    this.#credit = 0;
    clearTimeout(this.#resend);
    this.#resend = undefined;
    if (this.#closed) return;
    this.#attempt = joined ? 0 : this.#attempt + 1;
    const ceiling = Math.min(reconnectMaxMs, reconnectMinMs * 2 ** Math.min(this.#attempt, 20));
    // As `link.ts` of the agent does it; whoever was told how wide all are to be spread keeps to that after a loss.
    const waitMs = joined && spreadMs > 0 ? spreadMs * Math.random() : ceiling * (0.5 + Math.random() / 2);
    setTimeout(() => !this.#closed && this.start(), waitMs);
  }

  #hear(message: MasterMessage): void {
    if (message.kind === "marks") this.#met();
    if (message.kind === "ack") this.#acknowledged(message.body);
    if (message.kind === "rewind") this.#restart();
    if (message.kind === "execute") this.#execute(message.body);
  }

  #acknowledged({ epoch, sequence, creditEvents }: MasterBody<"ack">): void {
    this.#credit = creditEvents;
    const count = sequence - this.#sequence + this.#waiting.length;
    if (epoch !== this.#epoch || count <= 0) return;
    const done = this.#waiting.splice(0, count);
    this.#onTheWay = Math.max(0, this.#onTheWay - done.length);
    this.#options.onCount("acknowledged", done.length);
    const answered = done.filter(([, type]) => type === resultType).length;
    if (answered > 0) {
      this.#options.onCount("answered", answered);
      this.#nextInTurn();
    }
    clearTimeout(this.#resend);
    this.#resend = undefined;
    this.#move();
  }

  #nextInTurn(): void {
    if (this.#inTurn === undefined || this.#inTurn.left === 0) return;
    this.#inTurn.left--;
    this.emit(this.#inTurn.next());
  }

  #execute(command: MasterBody<"execute">): void {
    this.#options.onCount("executed", 1);
    this.#connection?.send(messages.accepted(command.execution));
    const { run } = this.#options;
    if (run === undefined) this.#answer(command, "succeeded");
    else void run(command).then((outcome) => this.#answer(command, outcome));
  }

  #answer({ execution, action }: MasterBody<"execute">, outcome: Outcome): void {
    const now = Date.now();
    const data: ExecutionReport = { execution, action, outcome, changed: true, started: now, ended: now };
    this.emit({ type: resultType, time: now, severity: "normal", cause: execution, data: { ...data } });
  }

  #move(): void {
    if (this.#credit === 0) return;
    while (this.#onTheWay < this.#credit) {
      const room = Math.min(batchEventsMax, this.#credit - this.#onTheWay);
      if (this.#flood !== undefined)
        while (this.#waiting.length < this.#onTheWay + room) this.#waiting.push(wireEvent(++this.#sequence, this.#flood()));
      const batch = this.#waiting.slice(this.#onTheWay, this.#onTheWay + room);
      if (batch.length === 0) break;
      const resumed = this.#resumes;
      this.#resumes = false;
      this.#connection?.send(messages.events({ epoch: this.#epoch, after: batch[0]![0] - 1, resumed, events: batch }));
      this.#onTheWay += batch.length;
    }
    if (this.#onTheWay > 0) this.#resend ??= setTimeout(() => this.#restart(), resendAfterMs);
  }

  #restart(): void {
    clearTimeout(this.#resend);
    this.#resend = undefined;
    this.#onTheWay = 0;
    this.#resumes = true;
    this.#move();
  }
}

interface ConnectionOptions extends SimulatedAgentOptions {
  keys: KeyPair;
  secret: Buffer;
  epoch: string;
}

interface Hearer {
  joined(welcome: MasterBody<"welcome">): void;
  hear(message: MasterMessage): void;
  /** Once, whatever the reason. `spreadMs`: over how long the master wants those who lose it to come back, 0 when it did not say. */
  ended(joined: boolean, spreadMs: number): void;
}

/** One connection, from the first frame to the last, with the socket options of an agent's. */
class Connection {
  readonly #options: ConnectionOptions;
  readonly #hearer: Hearer;
  readonly #routingId = freshRoutingId();
  readonly #socket: Dealer;
  readonly #outbox: Buffer[] = [];
  readonly #greeting: NodeJS.Timeout;
  #heartbeat: NodeJS.Timeout | undefined;
  #session = "";
  #counter = 0;
  #spreadMs = 0;
  #lastHeard = performance.now();
  #writing = false;
  #over = false;

  constructor(options: ConnectionOptions, hearer: Hearer) {
    this.#options = options;
    this.#hearer = hearer;
    this.#socket = new Dealer({
      context: options.context,
      routingId: this.#routingId as unknown as string,
      curveServerKey: options.masterKey,
      curvePublicKey: options.keys.publicKey,
      curveSecretKey: options.keys.secretKey,
      reconnectInterval: -1,
      linger: 0,
    });
    this.#watch();
    this.#greeting = setTimeout(() => this.close(), greetingMs);
    this.#socket.connect(`tcp://${options.address}`);
    this.send({ kind: "knock", body: {} });
    void this.#read();
  }

  #watch(): void {
    try {
      for (const event of ["handshake:error:auth", "handshake:error:protocol", "handshake:error:other", "disconnect", "close"] as const)
        this.#socket.events.on(event, () => this.close());
    } catch (error) {
      this.#socket.close();
      throw error;
    }
  }

  send(message: AgentMessage): void {
    if (this.#over) return;
    this.#outbox.push(encode(message, { session: this.#session, counter: this.#session === "" ? 0 : ++this.#counter }));
    if (!this.#writing) void this.#drain();
  }

  close(): void {
    if (this.#over) return;
    this.#over = true;
    clearTimeout(this.#greeting);
    clearInterval(this.#heartbeat);
    this.#socket.close();
    this.#hearer.ended(this.#session !== "", this.#spreadMs);
  }

  async #read(): Promise<void> {
    try {
      for await (const [frame] of this.#socket) {
        this.#lastHeard = performance.now();
        const decoded = decodeFromMaster(frame!);
        if (decoded.ok && !this.#over) this.#hear(decoded.message);
      }
    } catch {
      this.close();
    }
  }

  #hear(message: MasterMessage): void {
    if (message.kind === "challenge") return this.#hello(message.body.challenge);
    if (message.kind === "welcome") return this.#welcome(message.body);
    if (message.kind === "refused") return this.close();
    this.#hearer.hear(message);
  }

  #hello(challenge: string): void {
    this.#session = "";
    const { id: agent, keys, secret, epoch, token } = this.#options;
    const { publicKey } = keys;
    const proof = helloProof(secret, { routingId: this.#routingId, challenge: Buffer.from(challenge, "base64url"), agent, publicKey });
    const claim = { agent, publicKey, proof: proof.toString("base64url"), epoch };
    this.send(messages.hello({ ...claim, ...(token === undefined ? {} : { token }) }));
  }

  #welcome(welcome: MasterBody<"welcome"> & { reconnectSpreadMs?: number }): void {
    clearTimeout(this.#greeting);
    clearInterval(this.#heartbeat);
    this.#session = welcome.session;
    this.#counter = 0;
    this.#spreadMs = welcome.reconnectSpreadMs ?? 0;
    this.#heartbeat = setInterval(() => {
      if (performance.now() - this.#lastHeard > welcome.heartbeatMs * silentHeartbeats) this.close();
      else this.send({ kind: "ping", body: {} });
    }, welcome.heartbeatMs);
    this.#hearer.joined(welcome);
  }

  async #drain(): Promise<void> {
    this.#writing = true;
    try {
      for (let frame = this.#outbox.shift(); frame !== undefined; frame = this.#outbox.shift()) await this.#socket.send(frame);
    } catch {
      this.close();
    } finally {
      this.#writing = false;
    }
  }
}

function freshRoutingId(): Buffer {
  const id = randomBytes(routingIdBytes);
  if (id[0] === 0) id[0] = 1;
  return id;
}
