/**
 * The master's HTTP API, from the outside: one method a route, over the unix socket. The shapes are shared's (`api.ts`); they are not
 * checked again here, since that would load the validator into a program that must start at once: the master checks what it sends.
 */
import type { ClientRequest, IncomingMessage } from "node:http";
import type {
  AgentApiView,
  BreakerView,
  ChainView,
  CountView,
  EventsView,
  EventView,
  ExplainView,
  KeysView,
  KeyView,
  ReactorShowView,
  ReactorVersionsView,
  ReactorView,
  ReloadView,
  RollbackView,
  SilenceView,
  StatusView,
  TaskShowView,
  TaskView,
  TokenView,
} from "@needfire/shared/api";
import type { ActionsView, OrderRequest, OrderView, TargetsView } from "@needfire/shared/api-by-hand";
import type { BeaconsView } from "@needfire/shared/api-beacons";
import type { ReplayLine, ReplayRequest } from "@needfire/shared/api-replay";
import type { RolloutRetryView, RolloutView } from "@needfire/shared/api-rollouts";
import { type ErrorCode, errorCodes, NeedfireError, systemCode } from "@needfire/shared/errors";
import type { Problem } from "@needfire/shared/yaml-file";
import { connectablePath, type FoundSocket } from "./socket.ts";

// Not an import: as a module, node:http evaluates all its exports, among them a WebSocket client that takes 25 ms to load.
const { request } = process.getBuiltinModule("node:http");

const answerTimeoutMs = 30_000;
const answerBytesMax = 268_435_456;
const streamLineBytesMax = 16_777_216;

export interface EventsFilter {
  agent?: string | undefined;
  type?: string | undefined;
  since?: string | undefined;
  until?: string | undefined;
  where?: string | undefined;
  limit?: number | undefined;
}

export interface CountFilter extends Omit<EventsFilter, "where"> {
  by?: string | undefined;
}

export interface TasksFilter {
  agent?: string | undefined;
  reactor?: string | undefined;
  state?: string | undefined;
  event?: string | undefined;
  rollout?: string | undefined;
  limit?: number | undefined;
}

export interface RolloutsFilter {
  reactor?: string | undefined;
  state?: string | undefined;
  limit?: number | undefined;
}

export interface EventToSend {
  type: string;
  subject?: string | undefined;
  severity?: string | undefined;
  data?: Record<string, unknown> | undefined;
  by?: string;
}

export interface TokenWish {
  uses?: number | undefined;
  ttl_ms?: number | undefined;
  labels?: Record<string, string> | undefined;
  by?: string;
}

export interface SilenceWish {
  reactor?: string | undefined;
  agent?: string | undefined;
  for_ms: number;
  why: string;
  by: string;
}

export interface RollbackWish {
  to?: string | undefined;
  from?: string | undefined;
  by: string;
  dry_run?: boolean;
}

/** `dropped`: so many events did not fit while we were too slow to read. */
export type StreamItem = EventView | { dropped: number };

type Query = Record<string, string | number | undefined>;
type Method = "GET" | "POST";

export class Client {
  readonly #socket: FoundSocket;

  constructor(socket: FoundSocket) {
    this.#socket = socket;
  }

  /** Where it asks. */
  get socket(): FoundSocket {
    return this.#socket;
  }

  status = () => this.#get<StatusView>("/v1/status");
  keys = () => this.#get<KeysView>("/v1/keys");
  decideKey = (key: string, verb: "accept" | "reject" | "revoke", by?: string) =>
    this.#post<KeyView>(`/v1/keys/${encodeURIComponent(key)}/${verb}`, by === undefined ? {} : { by });
  createToken = (wish: TokenWish) => this.#post<TokenView>("/v1/tokens", wish);
  agents = () => this.#get<{ agents: AgentApiView[] }>("/v1/agents");
  agent = (id: string) => this.#get<AgentApiView>(`/v1/agents/${encodeURIComponent(id)}`);
  beginMaintenance = (id: string, wish: { for_ms: number; why: string; by: string }) =>
    this.#post<AgentApiView>(`/v1/agents/${encodeURIComponent(id)}/maintenance`, wish);
  endMaintenance = (id: string, by: string) => this.#post<AgentApiView>(`/v1/agents/${encodeURIComponent(id)}/maintenance/end`, { by });
  events = (filter: EventsFilter) => this.#get<EventsView>("/v1/events", { ...filter });
  count = (filter: CountFilter) => this.#get<CountView>("/v1/events/count", { ...filter });
  chain = (id: string) => this.#get<ChainView>(`/v1/events/${encodeURIComponent(id)}`);
  explain = (id: string, reactor?: string) => this.#get<ExplainView>(`/v1/events/${encodeURIComponent(id)}/decisions`, { reactor });
  send = (event: EventToSend) => this.#post<{ id: string }>("/v1/events", event);
  beacons = (agent?: string) => this.#get<BeaconsView>("/v1/beacons", { agent });
  reactors = () => this.#get<{ reactors: ReactorView[]; problems: Problem[] }>("/v1/reactors");
  reactor = (name: string, version?: string) => this.#get<ReactorShowView>(`/v1/reactors/${encodeURIComponent(name)}`, { version });
  reactorVersions = (name: string) => this.#get<ReactorVersionsView>(`/v1/reactors/${encodeURIComponent(name)}/versions`);
  rollBack = (name: string, wish: RollbackWish) => this.#post<RollbackView>(`/v1/reactors/${encodeURIComponent(name)}/rollback`, wish);
  silences = () => this.#get<{ silences: SilenceView[] }>("/v1/silences");
  addSilence = (wish: SilenceWish) => this.#post<SilenceView>("/v1/silences", wish);
  removeSilence = (id: string, by: string) => this.#post<SilenceView>(`/v1/silences/${encodeURIComponent(id)}/remove`, { by });
  tasks = (filter: TasksFilter) => this.#get<{ tasks: TaskView[] }>("/v1/tasks", { ...filter });
  actions = () => this.#get<ActionsView>("/v1/actions");
  targets = (targets: OrderRequest["targets"]) => this.#post<TargetsView>("/v1/targets", { targets });
  order = (order: OrderRequest) => this.#post<OrderView>("/v1/orders", order);
  retryTask = (id: string, wish: { request: string; why?: string | undefined; by: string; dry_run?: boolean }) =>
    this.#post<TaskView>(`/v1/tasks/${encodeURIComponent(id)}/retry`, wish);
  comment = (id: string, wish: { text: string; by: string }) =>
    this.#post<{ id: string }>(`/v1/tasks/${encodeURIComponent(id)}/comments`, wish);
  task = (id: string) => this.#get<TaskShowView>(`/v1/tasks/${encodeURIComponent(id)}`);
  cancelTask = (id: string, wish: { why?: string | undefined; by?: string | undefined }) =>
    this.#post<TaskView>(`/v1/tasks/${encodeURIComponent(id)}/cancel`, wish);
  breakers = () => this.#get<{ breakers: BreakerView[] }>("/v1/breakers");
  resetBreaker = (reactor: string, wish: { key?: readonly string[] | undefined; why?: string | undefined; by: string }) =>
    this.#post<{ breakers: BreakerView[] }>(`/v1/breakers/${encodeURIComponent(reactor)}/reset`, wish);
  answerTask = (id: string, answer: "approve" | "deny" | "keep", wish: { why?: string | undefined; by?: string | undefined }) =>
    this.#post<TaskView>(`/v1/tasks/${encodeURIComponent(id)}/${answer}`, wish);
  rollouts = (filter: RolloutsFilter) => this.#get<{ rollouts: RolloutView[] }>("/v1/rollouts", { ...filter });
  rollout = (id: string) => this.#get<RolloutView>(`/v1/rollouts/${encodeURIComponent(id)}`);
  orderRollout = (id: string, kind: "pause" | "resume" | "cancel", wish: { why?: string | undefined; by?: string | undefined }) =>
    this.#post<RolloutView>(`/v1/rollouts/${encodeURIComponent(id)}/${kind}`, wish);
  foreseeRetry = (id: string, unresolved: boolean) =>
    this.#get<RolloutRetryView>(`/v1/rollouts/${encodeURIComponent(id)}/retry`, { unresolved: String(unresolved) });
  retryRollout = (id: string, wish: { request: string; why?: string | undefined; by: string; unresolved: boolean }) =>
    this.#post<RolloutView>(`/v1/rollouts/${encodeURIComponent(id)}/retry`, wish);
  reload = (by?: string) => this.#post<ReloadView>("/v1/reload", by === undefined ? {} : { by });

  /** `onServed`: from then on nothing that happens is missed. Events as they happen, until `signal` says so. Throws when the master goes away. */
  async *watch(filter: EventsFilter, signal: AbortSignal, onServed?: () => void): AsyncGenerator<StreamItem> {
    yield* this.#stream<StreamItem>("GET", withQuery("/v1/events/stream", { ...filter }), { signal, onServed });
    if (!signal.aborted) throw this.#ended();
  }

  /** Ends after a summary, and when `signal` says so. Throws when the replay failed, and when the master goes away. */
  async *replay(wish: ReplayRequest, signal: AbortSignal): AsyncGenerator<Exclude<ReplayLine, { kind: "failed" }>> {
    for await (const line of this.#stream<ReplayLine>("POST", "/v1/replay", { body: wish, signal })) {
      if (line.kind === "failed") throw new NeedfireError("CONFLICT", `The replay failed: ${line.message}`);
      yield line;
      if (line.kind === "summary") return;
    }
    if (!signal.aborted) throw this.#ended();
  }

  /** The lines of an answer, until it ends or `signal` says so. */
  async *#stream<T>(
    method: Method,
    path: string,
    options: { body?: object; signal: AbortSignal; onServed?: (() => void) | undefined },
  ): AsyncGenerator<T, void> {
    const { signal, onServed, ...rest } = options;
    const answer = await this.#open(method, path, { ...rest, signal });
    if (answer === undefined) return;
    onServed?.();
    try {
      for await (const line of linesOf(answer)) {
        if (signal.aborted) return;
        yield this.#parse(line) as T;
      }
    } catch (error) {
      if (signal.aborted) return;
      throw error instanceof NeedfireError ? error : this.#unreachable(error);
    } finally {
      answer.destroy();
    }
  }

  #ended(): NeedfireError {
    return new NeedfireError(
      "MASTER_UNREACHABLE",
      `The master at ${this.#socket.path} ended the stream: it was stopped, or is restarting.`,
    );
  }

  #get<T>(path: string, query: Query = {}): Promise<T> {
    return this.#ask<T>("GET", withQuery(path, query));
  }

  #post<T>(path: string, body: object = {}): Promise<T> {
    return this.#ask<T>("POST", path, body);
  }

  async #ask<T>(method: Method, path: string, body?: object): Promise<T> {
    const answer = await this.#open(method, path, { body });
    return this.#parse(await this.#textOf(answer!)) as T;
  }

  /** The answer, once its head says that all is well. Undefined: `signal` came first. */
  async #open(
    method: Method,
    path: string,
    { body, signal }: { body?: object | undefined; signal?: AbortSignal },
  ): Promise<IncomingMessage | undefined> {
    const socketPath = connectablePath(this.#socket.path, process.cwd());
    const text = body === undefined ? undefined : JSON.stringify(body);
    const headers = text === undefined ? {} : { "content-type": "application/json", "content-length": Buffer.byteLength(text) };
    let answer: IncomingMessage;
    try {
      const sent = request({
        socketPath,
        method,
        path,
        agent: false,
        headers: { host: "master", ...headers },
        ...(signal === undefined ? {} : { signal }),
      });
      sent.end(text);
      answer = await answerTo(sent);
      // A stream may be silent for as long as nothing happens.
      if (signal !== undefined) sent.setTimeout(0);
    } catch (error) {
      if (signal?.aborted === true) return undefined;
      throw this.#unreachable(error);
    }
    if ((answer.statusCode ?? 500) >= 400) throw this.#refusal(answer.statusCode ?? 500, await this.#textOf(answer));
    return answer;
  }

  async #textOf(answer: IncomingMessage): Promise<string> {
    const chunks: Buffer[] = [];
    let bytes = 0;
    try {
      for await (const chunk of answer as AsyncIterable<Buffer>) {
        bytes += chunk.length;
        if (bytes > answerBytesMax)
          throw new NeedfireError("FRAME_TOO_LARGE", `The answer has more than ${answerBytesMax} bytes: ask for less with --limit.`);
        chunks.push(chunk);
      }
    } catch (error) {
      throw error instanceof NeedfireError ? error : this.#unreachable(error);
    }
    return Buffer.concat(chunks).toString("utf8");
  }

  #parse(text: string): unknown {
    try {
      return JSON.parse(text);
    } catch (error) {
      throw new NeedfireError(
        "MASTER_UNREACHABLE",
        `What answers at ${this.#socket.path} is not a Needfire master: it did not send JSON.`,
        { cause: error },
      );
    }
  }

  /** The master's own error, with its code. */
  #refusal(status: number, text: string): NeedfireError {
    const { error } = this.#parse(text) as { error?: { code?: unknown; message?: unknown } };
    if (typeof error?.message !== "string") return new NeedfireError("BAD_REQUEST", `The master answered with HTTP status ${status}.`);
    return new NeedfireError(isErrorCode(error.code) ? error.code : "CONFLICT", error.message);
  }

  #unreachable(error: unknown): NeedfireError {
    const code = systemCode(error) ?? "";
    const why = reasons[code] ?? (error instanceof Error ? error.message : String(error));
    return new NeedfireError("MASTER_UNREACHABLE", `The master cannot be reached at ${this.#socket.path}: ${why}\n${this.#advice(code)}`, {
      cause: error,
    });
  }

  #advice(code: string): string {
    if (code === "EACCES" || code === "EPERM") return "Run this as root, or as a member of the group that owns the socket.";
    switch (this.#socket.from) {
      case "demo":
        return "This is the demo's master: start it with `npm start`, or name another with --master SOCKET or NEEDFIRE_MASTER.";
      case "installed":
        return "Start it (`systemctl start needfire-master`, `needfire master`, or `npm start` in a checkout), or name its socket with --master SOCKET or NEEDFIRE_MASTER.";
      default:
        return `The socket was named by ${this.#socket.from}: is that the \`socket\` of the master's configuration, and is the master running?`;
    }
  }
}

const reasons: Record<string, string> = {
  ENOENT: "there is no such socket.",
  ENOTDIR: "there is no such socket.",
  ECONNREFUSED: "nobody listens there.",
  ENOTSOCK: "this is not a socket.",
  EACCES: "you have no right to use it.",
  EPERM: "you have no right to use it.",
  ECONNRESET: "it hung up.",
  ETIMEDOUT: `it did not answer within ${answerTimeoutMs / 1_000} s.`,
};

function answerTo(sent: ClientRequest): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    sent.setTimeout(answerTimeoutMs, () => sent.destroy(Object.assign(new Error("timed out"), { code: "ETIMEDOUT" })));
    sent.on("error", reject);
    sent.on("response", resolve);
  });
}

async function* linesOf(answer: IncomingMessage): AsyncGenerator<string> {
  let rest = "";
  answer.setEncoding("utf8");
  for await (const chunk of answer as AsyncIterable<string>) {
    const lines = (rest + chunk).split("\n");
    rest = lines.pop() ?? "";
    if (rest.length > streamLineBytesMax)
      throw new NeedfireError("FRAME_TOO_LARGE", `The master sent a line of more than ${streamLineBytesMax} bytes.`);
    for (const line of lines) if (line.trim() !== "") yield line;
  }
}

function withQuery(path: string, query: Query): string {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) if (value !== undefined) parameters.set(name, String(value));
  return parameters.size === 0 ? path : `${path}?${parameters.toString()}`;
}

function isErrorCode(code: unknown): code is ErrorCode {
  return typeof code === "string" && Object.hasOwn(errorCodes, code);
}
