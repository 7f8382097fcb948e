/**
 * A fake of the master's API for the CLI's tests: a real HTTP server on a real unix socket with fixed answers. Honest in that it
 * checks what it gives, and what it is given, against the schemas of the contract, and answers 500 where it would break it.
 */
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import {
  byRequest,
  agentsView,
  breakerResetRequest,
  breakersView,
  wordRequest,
  agentView,
  chainView,
  countView,
  errorView,
  eventsView,
  eventView,
  explainView,
  keysView,
  keyView,
  reactorShowView,
  reactorsView,
  reactorVersionsView,
  reloadView,
  rollbackRequest,
  rollbackView,
  sendRequest,
  sendView,
  silenceRequest,
  silencesView,
  silenceView,
  statusView,
  tasksView,
  taskShowView,
  taskView,
  tokenRequest,
  tokenView,
} from "@needfire/shared/api";
import * as byHand from "@needfire/shared/api-by-hand";
import { rolloutRetryView, rolloutsView, rolloutView } from "@needfire/shared/api-rollouts";
import { problemsText, untypedChecker } from "@needfire/shared/schema";

const at = "2026-01-02T03:04:05.678901Z";
const fingerprint = "3f9a-1c0b-27d4-88aa-5e01-c2d3-9b44-7f60";
const joinString = `needfire://fire.example.org:4510/${"k".repeat(43)}`;

/** What a host could send to attack a terminal: a window title, a cursor move, C1's CSI, a bidi override, a line break. */
const hostile = "/etc/\x1b]0;owned\x07\x1b[2J\u009b31m\u202egnp.sh\nsecond";

export const event = {
  position: 7,
  id: "web1:mi4k2x:42",
  type: "file.drifted",
  source: "/agents/web1/beacons/managed",
  agent: "web1",
  subject: "/etc/app/app.conf",
  time: at,
  received: "2026-01-02T03:04:05.679901Z",
  severity: "high",
  beacon: "managed",
  data: {
    path: "/etc/app/app.conf",
    changes: ["content"],
    before: { type: "file", digest: "ab".repeat(32), size: 12, mode: "0644", owner: "root", group: "root" },
    after: null,
    diff: "--- /etc/app/app.conf\n+++ /etc/app/app.conf\n@@ -1,2 +1,2 @@\n port: 80\n-debug: no\n+debug: yes\x1b[2J\n",
  },
};
const hostileEvent = { ...event, position: 8, id: "web1:mi4k2x:43", subject: hostile, severity: "normal", data: { [hostile]: hostile } };
const key = { id: "web1", fingerprint, state: "pending", labels: { role: "web" }, first_seen: at, changed: at, by: "hello" };
const agent = {
  id: "web1",
  fingerprint,
  connected: true,
  presence: "present",
  presence_since: at,
  last_seen: at,
  labels: {},
  facts: { os: { name: "Debian", release: 13 } },
  beacons: [{ name: "managed", type: "file" }],
  files: ["/etc/app/app.conf"],
};
const execution = {
  id: "t-3f9a1c0b27d40000.1",
  task: "t-3f9a1c0b27d40000",
  agent: "web1",
  action: "command.run",
  args: { argv: ["true"] },
  purpose: "do",
  rung: 1,
  attempt: 1,
  state: "succeeded",
  created: at,
  sent: at,
  started: at,
  ended: "2026-01-02T03:04:05.688901Z",
  changed: true,
  result: { exit_code: 0, stdout: "one\ntwo\x1b[2J\n" },
};
const task = {
  id: "t-3f9a1c0b27d40000",
  reactor: "restore",
  reactor_version: "0a1b2c3d4e5f",
  event: event.id,
  agent: "web1",
  subject: event.subject,
  priority: "high",
  state: "resolved",
  verified: true,
  branch: "do",
  labels: {},
  key: [],
  count: 1,
  steps: [
    { action: "file.restore", args: {} },
    { action: "command.run", args: { argv: ["true"] } },
  ],
  rung: 1,
  attempt: 1,
  attempts: 1,
  joined: 0,
  rungs: [
    {
      steps: [
        { action: "file.restore", args: {} },
        { action: "command.run", args: { argv: ["true"] } },
      ],
      attempts: 1,
    },
  ],
  otherwise: [],
  history: [],
  undo_due: [],
  created: at,
  updated: "2026-01-02T03:04:05.698901Z",
  executions: [execution],
};
const reactor = {
  name: "restore",
  description: "",
  version: "0a1b2c3d4e5f",
  file: "/etc/needfire/reactors/restore.yaml",
  line: 3,
  on: ["file.drifted"],
  mode: "live",
  priority: "high",
  actions: ["file.restore"],
  firings: 1,
  throttled: 12,
  unrecorded: 3,
  last_firing: at,
  decision_ms: 0.0042,
};
const version = { version: "0a1b2c3d4e5f", file: reactor.file, file_version: "ab".repeat(32), since: at, in_force: true };
const earlier = { ...version, version: "5d1e0a9c44b7", file_version: "cd".repeat(32), in_force: false };
const rollback = {
  reactor: "restore",
  file: reactor.file,
  from: version,
  to: earlier,
  text_before: "name: restore\non: file.drifted\n",
  text_after: "name: restore\non: file.changed\n",
  done: true,
};
const rollout = {
  id: "r-9b1c44d07e2a51f3",
  reactor: "patch-openssl",
  reactor_version: "5d1e0a9c44b7",
  branch: "do",
  event: "web1:mi4k2x:42",
  agent: "web1",
  subject: hostile,
  priority: "normal",
  state: "stopped",
  reason: hostile,
  targets: "web*",
  combined: false,
  count: 1,
  events: ["web1:mi4k2x:42"],
  hosts: 3,
  begun: 2,
  open: 0,
  resolved: 1,
  failed: 1,
  cancelled: 0,
  expired: 0,
  wave: 2,
  waves: [1, 3],
  concurrent: 1,
  stop_after: 1,
  left_out: 22,
  left_out_hosts: [{ agent: "web4", reason: hostile }],
  joined: 0,
  failures: [{ agent: "web2", at, reason: hostile }],
  created: at,
  updated: at,
  members: [
    { number: 1, wave: 1, agent: "web1", state: "resolved", task: "t-3f9a1c0b27d40000" },
    { number: 2, wave: 2, agent: "web2", state: "escalated", task: "t-3f9a1c0b27d40001", reason: hostile },
    { number: 3, wave: 2, agent: "web3", state: "not-begun" },
  ],
};
const silence = { id: "s-3f9a1c0b", reactor: "disk-*", since: at, until: at, why: hostile, by: "alice", held: 4 };
const decisions = [
  {
    reactor: "restore",
    decision: "throttled",
    detail: "throttled until 2026-01-02T04:04:05.000Z; fired at 2026-01-02T03:04:05.000Z by web1:mi4k2x:41",
    version: "0a1b2c3d4e5f",
    at,
    until: "2026-01-02T04:04:05.678901Z",
    source: "recorded",
  },
  {
    reactor: "full",
    decision: "when-false",
    detail: "event.data.percent >= 90 is false: 71 >= 90",
    version: "5d1e0a9c44b7",
    source: "judged-again",
    assumed: ["the host's facts of now"],
    parts: [{ source: "event.data.percent >= 90", value: "false" }],
  },
  { reactor: "tidy", decision: "fired", detail: hostile, at, task: "t-3f9a1c0b27d40000", source: "recorded" },
];
const problem = { file: "/etc/needfire/reactors/bad.yaml", line: 4, column: 7, message: 'unknown key "whne"; did you mean "when"?' };
const chain = [
  { depth: 0, kind: "event", id: event.id, time: at, title: "file.drifted /etc/app/app.conf", detail: "content", asked: true },
  {
    depth: 1,
    kind: "task",
    id: task.id,
    time: "2026-01-02T03:04:05.680901Z",
    title: "task of restore",
    detail: "resolved, verified",
    asked: false,
  },
  {
    depth: 2,
    kind: "execution",
    id: execution.id,
    time: "2026-01-02T03:04:05.681901Z",
    title: "command.run on web1",
    detail: "succeeded",
    asked: false,
  },
];
const status = {
  version: "0.1.0",
  pid: 1,
  started: at,
  address: "fire.example.org:4510",
  fingerprint,
  join_string: joinString,
  enrolment: "manual",
  agents_known: 2,
  agents_connected: 1,
  agents_lost: 1,
  agents_stopped: 0,
  commands_given: 0,
  commands_waiting: 0,
  events: 7,
  tasks: 1,
  reactors: 1,
  beacons: 1,
  files: 1,
  problems: [problem],
};

interface Route {
  schema: object;
  value: unknown;
  takes?: object;
}

const breaker = {
  reactor: "restore",
  key: ["web1", hostile],
  since: at,
  why: `the remedy did not hold: ${hostile}`,
  tasks: ["t-3f9a1c0b27d40000"],
  held: 4,
};
const routes: Record<string, Route> = {
  "GET /v1/status": { schema: statusView, value: status },
  "GET /v1/keys": {
    schema: keysView,
    value: { fingerprint, join_string: joinString, enrolment: "manual", keys: [key, { ...key, id: "web2", state: "accepted" }] },
  },
  "POST /v1/keys/web1/accept": { schema: keyView, value: { ...key, state: "accepted", by: "cli" } },
  "POST /v1/keys/3f9a-1c0b/revoke": { schema: keyView, value: { ...key, state: "revoked", by: "cli" } },
  "POST /v1/tokens": {
    schema: tokenView,
    takes: tokenRequest,
    value: { join_string: `${joinString}?token=abc`, fingerprint, uses: 1, expires: at, labels: {} },
  },
  "GET /v1/agents": { schema: agentsView, value: { agents: [agent, { ...agent, id: "web2", connected: false, presence: "lost" }] } },
  "GET /v1/agents/web1": { schema: agentView, value: agent },
  "GET /v1/events": { schema: eventsView, value: { events: [hostileEvent, event], missing: [] } },
  "GET /v1/events/count": {
    schema: countView,
    value: {
      by: "type",
      total: 1_250,
      counts: [
        { key: "file.changed", events: 1_200 },
        { key: "cpu.high", events: 41 },
      ],
      missing: [{ partition: 12, events: 100_000, from: at, to: at }],
    },
  },
  "GET /v1/events/web1%3Ami4k2x%3A42": { schema: chainView, value: { event, chain, cut: false, decisions: [], missing: [] } },
  "GET /v1/events/web1%3Ami4k2x%3A43": {
    schema: chainView,
    value: {
      event: hostileEvent,
      chain: chain.map((link) => ({ ...link, title: hostile, detail: hostile })),
      cut: true,
      decisions: [{ reactor: "r", decision: "when-error", detail: hostile, source: "recorded" }],
      missing: [],
    },
  },
  "POST /v1/events": { schema: sendView, takes: sendRequest, value: { id: "master:mi4k2x:1" } },
  "GET /v1/events/web1%3Ami4k2x%3A42/decisions": { schema: explainView, value: { event, decisions } },
  "GET /v1/reactors/restore": { schema: reactorShowView, value: { reactor, version, text: "name: restore\n# \u202e\n" } },
  "GET /v1/reactors/restore/versions": { schema: reactorVersionsView, value: { reactor: "restore", versions: [version, earlier] } },
  "POST /v1/reactors/restore/rollback": { schema: rollbackView, takes: rollbackRequest, value: rollback },
  "GET /v1/silences": { schema: silencesView, value: { silences: [silence] } },
  "POST /v1/silences": { schema: silenceView, takes: silenceRequest, value: silence },
  "POST /v1/silences/s-3f9a1c0b/remove": { schema: silenceView, takes: byRequest, value: silence },
  "GET /v1/reactors": { schema: reactorsView, value: { reactors: [reactor], problems: [problem] } },
  "GET /v1/tasks": { schema: tasksView, value: { tasks: [task] } },
  "GET /v1/tasks/t-3f9a1c0b27d40000": {
    schema: taskShowView,
    value: { ...task, comments: [{ at, by: "alice on pts/0", text: hostile }] },
  },
  "POST /v1/tasks/t-3f9a1c0b27d40000/retry": {
    schema: taskView,
    takes: byHand.retryRequest,
    value: { ...task, id: "t-00000000000000aa", retry_of: task.id },
  },
  "POST /v1/tasks/t-3f9a1c0b27d40000/comments": {
    schema: byHand.commentView,
    takes: byHand.commentRequest,
    value: { id: "master:mi4k2x:2" },
  },
  "GET /v1/actions": {
    schema: byHand.actionsView,
    value: {
      actions: [
        {
          ...{ action: "local.say", runs_on: "agent", summary: "Say it.", file: "/etc/needfire/actions/say.yaml" },
          args: { type: "object", properties: { text: { type: "string", description: "what" } }, required: ["text"] },
          result: { type: "object" },
        },
      ],
      problems: [problem],
    },
  },
  "POST /v1/targets": { schema: byHand.targetsView, takes: byHand.targetsRequest, value: { agents: [{ id: "web1", connected: true }] } },
  "POST /v1/orders": {
    schema: byHand.orderView,
    takes: byHand.orderRequest,
    value: { order: "master:mi4k2x:3", tasks: [{ id: task.id, agent: "web1", connected: true }] },
  },
  "POST /v1/tasks/t-3f9a1c0b27d40000/cancel": {
    schema: taskView,
    takes: wordRequest,
    value: { ...task, state: "cancelled", reason: "wrong window", cancelled_by: "alice", verified: undefined },
  },
  "GET /v1/breakers": { schema: breakersView, value: { breakers: [breaker, { ...breaker, key: undefined }] } },
  "POST /v1/breakers/restore/reset": { schema: breakersView, takes: breakerResetRequest, value: { breakers: [breaker] } },
  "POST /v1/tasks/t-3f9a1c0b27d40000/approve": {
    schema: taskView,
    takes: wordRequest,
    value: { ...task, approved: { by: "alice", at, why: hostile } },
  },
  "POST /v1/tasks/t-3f9a1c0b27d40000/keep": {
    schema: taskView,
    takes: wordRequest,
    value: { ...task, kept: { by: "alice", at, why: hostile }, undo_due: [{ rung: 1 }] },
  },
  "POST /v1/tasks/t-3f9a1c0b27d40000/deny": {
    schema: taskView,
    takes: wordRequest,
    value: { ...task, state: "cancelled", reason: hostile, cancelled_by: "alice", verified: undefined },
  },
  "GET /v1/rollouts": { schema: rolloutsView, value: { rollouts: [rollout] } },
  "GET /v1/rollouts/r-9b1c44d07e2a51f3": { schema: rolloutView, value: rollout },
  ...Object.fromEntries(
    Object.entries({ pause: "paused", resume: "running", cancel: "cancelled" }).map(([verb, state]) => [
      `POST /v1/rollouts/r-9b1c44d07e2a51f3/${verb}`,
      { schema: rolloutView, takes: wordRequest, value: { ...rollout, state, by: "alice" } },
    ]),
  ),
  "GET /v1/rollouts/r-9b1c44d07e2a51f3/retry": {
    schema: rolloutRetryView,
    value: {
      rollout: rollout.id,
      hosts: [{ number: 2, wave: 1, agent: "web2", state: "escalated", task: task.id, reason: "no room" }],
      left: 1,
      asks: true,
    },
  },
  "POST /v1/rollouts/r-9b1c44d07e2a51f3/retry": {
    schema: rolloutView,
    takes: byHand.rolloutRetryRequest,
    value: { ...rollout, id: "r-00000000000000aa", retry_of: rollout.id, ordered_by: "alice" },
  },
  "POST /v1/reload": { schema: reloadView, value: { problems: [problem] } },
};

export interface FakeMaster {
  socket: string;
  /** Every request: `GET /v1/events?limit=3`. */
  requests: string[];
  bodies: unknown[];
  /** Ends open streams, as a master does that stops. */
  endStreams(): void;
  stop(): Promise<void>;
}

export async function startFakeMaster(socket: string): Promise<FakeMaster> {
  const requests: string[] = [];
  const bodies: unknown[] = [];
  const streams = new Set<ServerResponse>();
  const server = createServer((request, response) => {
    requests.push(`${request.method} ${request.url}`);
    void answer(request, response, { bodies, streams });
  });
  server.listen(socket);
  await once(server, "listening");
  return {
    socket,
    requests,
    bodies,
    endStreams: () => streams.forEach((stream) => stream.end()),
    stop: async () => {
      server.close();
      server.closeAllConnections();
      await once(server, "close");
    },
  };
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  { bodies, streams }: { bodies: unknown[]; streams: Set<ServerResponse> },
): Promise<void> {
  const path = (request.url ?? "").split("?")[0]!;
  if (path === "/v1/events/stream") {
    streams.add(response);
    response.writeHead(200, { "content-type": "application/x-ndjson" });
    for (const item of [checked(eventView, event), { dropped: 3 }, checked(eventView, hostileEvent)])
      response.write(`${JSON.stringify(item)}\n`);
    // It goes on: a reader behind a pipe notices only then that nobody reads any more.
    const more = setInterval(() => {
      if (!response.writableEnded) response.write(`${JSON.stringify(checked(eventView, event))}\n`);
    }, 200);
    response.once("close", () => {
      clearInterval(more);
      streams.delete(response);
    });
    return;
  }
  const route = routes[`${request.method} ${path}`];
  if (route === undefined) return send(response, 404, refusal("NOT_FOUND", `There is no ${path}.`));
  if (request.url?.includes("where=broken") === true)
    return send(response, 400, refusal("EXPRESSION_INVALID", "in the condition: no such thing"));
  if (route.takes !== undefined) {
    const body: unknown = JSON.parse(Buffer.concat(await request.toArray()).toString("utf8"));
    bodies.push(structuredClone(body));
    const taken = untypedChecker(route.takes)(body);
    if (!taken.ok) return send(response, 400, refusal("BAD_REQUEST", problemsText(taken.problems)));
  }
  send(response, 200, checked(route.schema, route.value));
}

function refusal(code: string, message: string): unknown {
  return checked(errorView, { error: { code, message } });
}

function checked(schema: object, value: unknown): unknown {
  const result = untypedChecker(schema)(structuredClone(value));
  if (!result.ok) throw new Error(`the fake breaks the contract: ${problemsText(result.problems)}`);
  return result.value;
}

function send(response: ServerResponse, status: number, value: unknown): void {
  response.writeHead(status, { "content-type": "application/json" });
  response.end(JSON.stringify(value));
}
