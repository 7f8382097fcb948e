/**
 * The master's HTTP API on a unix socket of mode 0660: the routes, each with the schemas of `shared/api`. What may be done here is decided
 * by who may open the socket.
 */
import { chmodSync, mkdirSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { dirname, relative } from "node:path";
import * as schemas from "@needfire/shared/api";
import type { KeyState } from "@needfire/shared/api";
import { missingText } from "@needfire/shared/api-missing";
import { isoTime } from "@needfire/shared/clock";
import { parseWhen } from "@needfire/shared/duration";
import { NeedfireError } from "@needfire/shared/errors";
import type { Event } from "@needfire/shared/event";
import { globMatcher } from "@needfire/shared/glob";
import { fingerprint, formatJoinString } from "@needfire/shared/identity";
import type { MasterEventDraft } from "@needfire/shared/task";
import type { Problem } from "@needfire/shared/yaml-file";
import type { Agents } from "../agents.ts";
import { conditionOf } from "../journal/condition.ts";
import type { EventQuery } from "../journal/journal.ts";
import { sealedDirectory, sealedFile } from "../journal/partition.ts";
import type { Keys } from "../keys.ts";
import type { Dispatch } from "../dispatch.ts";
import type { Maintenance } from "../maintenance.ts";
import { originOf } from "../origin.ts";
import type { Presence } from "../presence.ts";
import type { Sessions } from "../sessions.ts";
import type { KeyRecord } from "../store/store.ts";
import type { Remote } from "../thread.ts";
import type { History } from "../worker-history.ts";
import { type BeaconRoutes, beaconRoutes } from "./beacons.ts";
import { type ByHandRoutes, byHandRoutes } from "./by-hand.ts";
import { type BreakerRoutes, breakerRoutes } from "./breakers.ts";
import { causalChain } from "./chain.ts";
import type { Feed } from "./feed.ts";
import { idParams, newServer } from "./http.ts";
import { type ReactorRoutes, reactorRoutes } from "./reactors.ts";
import { replayRoute } from "./replay.ts";
import { type RolloutRoutes, rolloutRoutes } from "./rollouts.ts";
import { type SilenceRoutes, silenceRoutes } from "./silences.ts";
import { type TaskWordRoutes, taskWordRoutes } from "./task-words.ts";
import { agentApiView, commentView, eventView, keyView, missingView, taskView, withWaits } from "./views.ts";

export interface ApiOptions extends ReactorRoutes, SilenceRoutes, BreakerRoutes, BeaconRoutes, TaskWordRoutes, RolloutRoutes, ByHandRoutes {
  engine: ReactorRoutes["engine"] & SilenceRoutes["engine"] & BreakerRoutes["engine"];
  socket: string;
  version: string;
  started: number;
  address: string;
  masterKey: string;
  enrolment: string;
  keys: Keys;
  sessions: Sessions;
  agents: Agents;
  presence: Pick<Presence, "of">;
  maintenance: Pick<Maintenance, "begin" | "end">;
  dispatch: Pick<Dispatch, "waitOf" | "counts">;
  history: Remote<History>;
  /** The file of the master's database, for who reads it in a thread of its own. */
  database: string;
  /** Resolves with the id when the journal has the event. */
  emit(event: MasterEventDraft): Promise<string>;
  /** A text without the values of secrets. */
  mask(text: string): string;
  feed: Feed;
  /** The router's file, as it is in force. */
  router(): { file: string; text: string } | undefined;
  counts(): { beacons: number; files: number };
  reload(): Promise<Problem[]>;
}

/** Events of the past that a watcher gets at most, before those that come. */
const pastEventsMax = 10_000;

/** Events that are looked through for what people said of a task. */
const saidOfTaskMax = 1_000;
/** Longer socket paths do not fit the kernel's address. */
const socketPathBytesMax = 107;

/** Resolves when it listens. Throws `STATE_LOCKED` when another master does, `CONFIG_INVALID` for a path that is too long. */
export async function startApi(options: ApiOptions): Promise<{ stop(): Promise<void> }> {
  const server = buildServer(options);
  const path = shortPath(options.socket);
  mkdirSync(dirname(options.socket), { recursive: true });
  if (await answers(path))
    throw new NeedfireError(
      "STATE_LOCKED",
      `another master listens on ${options.socket}: stop it first, or give this one a socket of its own`,
    );
  rmSync(options.socket, { force: true });
  const umask = process.umask(0o117);
  try {
    await server.listen({ path });
  } finally {
    process.umask(umask);
  }
  chmodSync(options.socket, 0o660);
  return {
    stop: async () => {
      options.feed.stop();
      await server.close();
    },
  };
}

function buildServer(options: ApiOptions) {
  const { keys, sessions, agents, presence, history, dispatch, feed, clock } = options;
  const server = newServer(options.mask);

  const joinString = (token?: string) => formatJoinString({ address: options.address, masterKey: options.masterKey, token });

  const countAgents = (state: schemas.Presence) =>
    keys.list().filter((key) => key.state === "accepted" && presence.of(key.id)?.state === state).length;
  const commandCounts = () => {
    const { given, waiting } = dispatch.counts();
    return { commands_given: given, commands_waiting: waiting };
  };
  server.get("/v1/status", { schema: { response: { 200: schemas.statusView } } }, async () => ({
    version: options.version,
    pid: process.pid,
    started: isoTime(options.started),
    address: options.address,
    fingerprint: fingerprint(options.masterKey),
    join_string: joinString(),
    enrolment: options.enrolment,
    agents_known: keys.list().filter(({ state }) => state === "accepted").length,
    agents_connected: sessions.all().length,
    agents_lost: countAgents("lost"),
    agents_stopped: countAgents("stopped"),
    ...commandCounts(),
    events: await history.count(),
    tasks: await history.countTasks(),
    reactors: options.reactors().reactors.length,
    ...options.counts(),
    problems: [...options.problems(), ...(await missing({})).map((part) => partProblem(options.database, part))],
  }));

  server.get("/v1/keys", { schema: { response: { 200: schemas.keysView } } }, async () => ({
    fingerprint: fingerprint(options.masterKey),
    join_string: joinString(),
    enrolment: options.enrolment,
    keys: keys.list().map(keyView),
  }));
  const keyParams = { type: "object", properties: { key: { type: "string", maxLength: 200 } }, required: ["key"] } as const;
  const keyVerbs: Record<string, Exclude<KeyState, "pending">> = { accept: "accepted", reject: "rejected", revoke: "revoked" };
  for (const [verb, state] of Object.entries(keyVerbs)) {
    server.post(
      `/v1/keys/:key/${verb}`,
      { schema: { params: keyParams, body: schemas.byRequest, response: { 200: schemas.keyView } } },
      async ({ params, body }) => keyView(await keys.change(params.key, state, body.by)),
    );
  }
  server.post("/v1/tokens", { schema: { body: schemas.tokenRequest, response: { 200: schemas.tokenView } } }, async ({ body }) => {
    const { token, record } = await keys.createToken({ uses: body.uses, ttlMs: body.ttl_ms, labels: body.labels, by: body.by });
    return {
      join_string: joinString(token),
      fingerprint: fingerprint(options.masterKey),
      uses: record.usesLeft,
      expires: isoTime(record.expires),
      labels: record.labels,
    };
  });

  const showAgent = (key: KeyRecord) => {
    const session = sessions.of(key.id);
    return agentApiView({
      key,
      view: agents.view(key.id),
      connected: session !== undefined,
      presence: presence.of(key.id),
      lastSeen: session?.lastHeard ?? agents.get(key.id)?.lastSeen,
      maintenance: agents.get(key.id)?.maintenance,
      definitions: agents.definitionsFor(key.id),
    });
  };
  server.get("/v1/agents", { schema: { response: { 200: schemas.agentsView } } }, async () => ({
    agents: keys
      .list()
      .filter(({ state }) => state === "accepted")
      .map(showAgent),
  }));
  server.get("/v1/agents/:id", { schema: { params: idParams, response: { 200: schemas.agentView } } }, async (request) => {
    return showAgent(accepted(request.params.id));
  });
  const accepted = (id: string): KeyRecord => {
    const key = keys.acceptedFor(id);
    if (key === undefined) throw new NeedfireError("NOT_FOUND", `there is no agent "${id}" (needfire agents list)`);
    return key;
  };
  const begin = { params: idParams, body: schemas.maintenanceRequest, response: { 200: schemas.agentView } };
  server.post("/v1/agents/:id/maintenance", { schema: begin }, async ({ params, body: { for_ms: forMs, why, by } }) => {
    const key = accepted(params.id);
    await options.maintenance.begin(key.id, { forMs, why, by });
    return showAgent(key);
  });
  const end = { params: idParams, body: schemas.byRequest, response: { 200: schemas.agentView } };
  server.post("/v1/agents/:id/maintenance/end", { schema: end }, async ({ params, body }) => {
    const key = accepted(params.id);
    await options.maintenance.end(key.id, body.by);
    return showAgent(key);
  });

  // Asked after the question itself, which may have found out.
  const missing = async (period: Pick<EventQuery, "since" | "until">) => (await history.missing(period)).map(missingView);
  server.get("/v1/events", { schema: { querystring: schemas.eventsQuery, response: { 200: schemas.eventsView } } }, async ({ query }) => {
    const question = eventQuery(query, clock.now());
    const events = await history.query(question);
    return { events: events.map(eventView), missing: await missing(question) };
  });
  server.get("/v1/events/stream", { schema: { querystring: schemas.eventsQuery } }, (request, reply) => {
    if (feed.full) throw new NeedfireError("CONFLICT", "too many watchers already");
    const { since } = eventQuery(request.query, clock.now());
    // From the past first, then as they come; those that come meanwhile wait in the feed.
    const past = since === undefined ? undefined : pastEvents(history, eventQuery(request.query, clock.now()));
    const stream = feed.open(eventFilter(request.query), past);
    request.raw.once("close", () => stream.destroy());
    return reply.type("application/x-ndjson").send(stream);
  });
  server.get(
    "/v1/events/count",
    { schema: { querystring: schemas.countQuery, response: { 200: schemas.countView } } },
    async ({ query }) => {
      const { by, agent, type, limit } = query;
      const period = timesOf(query, clock.now());
      const counts = await history.tally({ by, agent, type, ...period });
      const total = counts.reduce((sum, { events }) => sum + events, 0);
      return { by, total, counts: counts.slice(0, limit), missing: await missing(period) };
    },
  );
  const eventOf = async (id: string) => {
    const event = await history.get(id);
    if (event !== undefined) return event;
    const parts = await missing({});
    if (parts.length === 0) throw new NeedfireError("NOT_FOUND", `there is no event "${id}" (needfire events list)`);
    throw new NeedfireError("NOT_FOUND", `there is no event "${id}" in what can be read of the journal: ${missingText(parts)}`);
  };
  const decisionsOn = async (event: Event, only?: string) => {
    const origin = await originOf(event, (id) => history.readCause(id));
    return history.explain({ event, origin, agent: agents.view(origin.agent), only });
  };
  server.get("/v1/events/:id", { schema: { params: idParams, response: { 200: schemas.chainView } } }, async ({ params }) => {
    const event = await eventOf(params.id);
    const chain = await causalChain(history, event);
    const decisions = await decisionsOn(event);
    return { event: eventView(event), ...chain, decisions, missing: await missing({}) };
  });
  const explainRoute = { params: idParams, querystring: schemas.explainQuery, response: { 200: schemas.explainView } };
  server.get("/v1/events/:id/decisions", { schema: explainRoute }, async ({ params, query }) => {
    const event = await eventOf(params.id);
    return { event: eventView(event), decisions: await decisionsOn(event, query.reactor) };
  });
  server.post("/v1/events", { schema: { body: schemas.sendRequest, response: { 200: schemas.sendView } } }, async ({ body }) => {
    const { type, subject, severity, by } = body;
    const data = body.data as Record<string, unknown>;
    if (Object.hasOwn(data, "by"))
      throw new NeedfireError("BAD_REQUEST", "data.by says who sent the event, and is the master's to write: call yours something else");
    return { id: await options.emit({ type, subject, severity, data: { ...data, by } }) };
  });

  reactorRoutes(server, options);
  silenceRoutes(server, options);
  breakerRoutes(server, options);
  beaconRoutes(server, options);
  rolloutRoutes(server, options);
  byHandRoutes(server, options);

  replayRoute(server, { database: options.database, clock, router: options.router, mask: options.mask });

  server.get("/v1/tasks", { schema: { querystring: schemas.tasksQuery, response: { 200: schemas.tasksView } } }, async ({ query }) => {
    const tasks = await history.tasks(query);
    const waitOf = (execution: string) => dispatch.waitOf(execution, { withPlace: false });
    return { tasks: await Promise.all(tasks.map(async (task) => withWaits(taskView(task, await history.executions(task.id)), waitOf))) };
  });
  server.get("/v1/tasks/:id", { schema: { params: idParams, response: { 200: schemas.taskShowView } } }, async (request) => {
    const task = await history.readTask(request.params.id);
    if (task === undefined) throw new NeedfireError("NOT_FOUND", `there is no task "${request.params.id}" (needfire tasks list)`);
    const said = await history.causedBy(task.id, saidOfTaskMax, task.created);
    const waitOf = (execution: string) => dispatch.waitOf(execution, { withPlace: true });
    return { ...withWaits(taskView(task, await history.executions(task.id)), waitOf), comments: said.flatMap(commentView) };
  });

  taskWordRoutes(server, options);

  server.post("/v1/reload", { schema: { body: schemas.byRequest, response: { 200: schemas.reloadView } } }, async ({ body: { by } }) => {
    const problems = await options.reload();
    await options.emit({ type: "master.reloaded", severity: "normal", data: { by, problems: problems.length } });
    return { problems };
  });

  return server;
}

function partProblem(database: string, part: schemas.MissingPart): Problem {
  return { file: sealedFile(sealedDirectory(database), part.partition), line: 1, column: 1, message: missingText([part]) };
}

function eventQuery(query: schemas.EventsQuery, now: number): EventQuery {
  return { agent: query.agent, type: query.type, ...timesOf(query, now), where: query.where, limit: query.limit };
}

/** Throws `BAD_REQUEST`. */
function timesOf(query: { since?: string; until?: string }, now: number): Pick<EventQuery, "since" | "until"> {
  const at = (name: "since" | "until") => {
    const text = query[name];
    const time = text === undefined ? undefined : parseWhen(text, now);
    if (text !== undefined && time === undefined) {
      throw new NeedfireError("BAD_REQUEST", `--${name} ${text}: expected a duration such as 15m, or a time such as 2026-11-22T10:00:00Z`);
    }
    return time;
  };
  return { since: at("since"), until: at("until") };
}

/** Oldest first, the newest of them when there are more than a page. */
async function pastEvents(history: Remote<History>, query: EventQuery): Promise<Event[]> {
  return (await history.query({ ...query, limit: pastEventsMax })).toReversed();
}

function eventFilter({ agent, type, where }: schemas.EventsQuery): (event: Event) => boolean {
  const agentMatches = agent === undefined ? () => true : globMatcher(agent);
  const typeMatches = type === undefined ? () => true : globMatcher(type);
  const holds = where === undefined ? () => true : conditionOf(where).holds;
  return (event) => agentMatches(event.agent) && typeMatches(event.type) && holds(event);
}

function shortPath(socket: string): string {
  const fromHere = relative(process.cwd(), socket);
  const path = fromHere.length < socket.length ? fromHere : socket;
  if (Buffer.byteLength(path) <= socketPathBytesMax) return path;
  throw new NeedfireError(
    "CONFIG_INVALID",
    `the socket's path has more than ${socketPathBytesMax} bytes: ${socket}. Set "socket" to a shorter one`,
  );
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect(path);
    const end = (answered: boolean) => {
      probe.destroy();
      resolve(answered);
    };
    probe.once("connect", () => end(true)).once("error", () => end(false));
  });
}
