/** The API's routes about rollouts. */
import { wordRequest } from "@needfire/shared/api";
import * as schemas from "@needfire/shared/api-rollouts";
import type { RolloutView } from "@needfire/shared/api-rollouts";
import { isoTime } from "@needfire/shared/clock";
import { NeedfireError } from "@needfire/shared/errors";
import type { Rollout } from "@needfire/shared/rollout";
import type { RolloutOrder } from "../rollouts.ts";
import type { HostRecord } from "../store/store.ts";
import type { Remote } from "../thread.ts";
import type { History } from "../worker-history.ts";
import { idParams, type Server } from "./http.ts";

export interface RolloutRoutes {
  history: Remote<History>;
  /** Resolves with the rollout as it then is; undefined when there is none. */
  orderRollout(order: RolloutOrder): Promise<Rollout | undefined>;
}

/** What a rollout must be after a person's word, and what that is called when it is something else. */
const orders = {
  pause: { becomes: "paused", done: "paused" },
  resume: { becomes: "running", done: "resumed" },
  cancel: { becomes: "cancelled", done: "cancelled" },
} as const satisfies Record<RolloutOrder["kind"], { becomes: Rollout["status"]["state"]; done: string }>;

export function rolloutRoutes(server: Server, { history, orderRollout }: RolloutRoutes): void {
  server.get(
    "/v1/rollouts",
    { schema: { querystring: schemas.rolloutsQuery, response: { 200: schemas.rolloutsView } } },
    async ({ query }) => ({
      rollouts: (await history.rollouts(query)).map((rollout) => rolloutView(rollout)),
    }),
  );
  server.get("/v1/rollouts/:id", { schema: { params: idParams, response: { 200: schemas.rolloutView } } }, async ({ params }) => {
    const rollout = known(await history.readRollout(params.id), params.id);
    return rolloutView(rollout, await history.rolloutHosts(rollout.id));
  });
  for (const kind of ["pause", "resume", "cancel"] as const) {
    const { becomes, done } = orders[kind];
    const schema = { params: idParams, body: wordRequest, response: { 200: schemas.rolloutView } };
    server.post(`/v1/rollouts/:id/${kind}`, { schema }, async ({ params, body: { by, why } }) => {
      const rollout = known(await orderRollout({ rollout: params.id, kind, by, reason: why ?? `${done} by ${by}` }), params.id);
      if (rollout.status.state !== becomes)
        throw new NeedfireError("CONFLICT", `the rollout ${rollout.id} is ${rollout.status.state}: it cannot be ${done}`);
      return rolloutView(rollout);
    });
  }
}

function known(rollout: Rollout | undefined, id: string): Rollout {
  if (rollout === undefined) throw new NeedfireError("NOT_FOUND", `there is no rollout "${id}" (needfire rollouts list)`);
  return rollout;
}

export function rolloutView(rollout: Rollout, hosts?: readonly HostRecord[]): RolloutView {
  const { id, reactor, reactorVersion, branch, event, agent, subject, priority, status, targets, stopAfter, order } = rollout;
  return {
    id,
    reactor,
    reactor_version: reactorVersion,
    branch,
    event,
    agent,
    ...(subject === undefined ? {} : { subject }),
    priority,
    state: status.state,
    ...("reason" in status && status.reason !== undefined ? { reason: status.reason } : {}),
    ...("by" in status ? { by: status.by } : {}),
    ...(order === undefined ? {} : { ordered_by: order.by, retry_of: order.retryOf }),
    ...(order?.why === undefined ? {} : { why: order.why }),
    targets,
    combined: rollout.combined === true,
    count: rollout.count,
    events: rollout.events,
    hosts: rollout.hosts,
    begun: rollout.begun,
    open: rollout.open,
    resolved: rollout.resolved,
    failed: rollout.failed,
    cancelled: rollout.cancelled,
    expired: rollout.expired,
    wave: rollout.wave + 1,
    waves: rollout.ends,
    concurrent: rollout.concurrent,
    ...(stopAfter === undefined ? {} : { stop_after: stopAfter }),
    ...(rollout.leftOut === undefined ? {} : { left_out: rollout.leftOut.hosts, left_out_hosts: rollout.leftOut.first }),
    ...(rollout.asking === undefined ? {} : { asking: rollout.asking }),
    joined: rollout.joined,
    failures: rollout.failures.map(({ agent: host, at, reason, output }) => ({
      agent: host,
      at: isoTime(at),
      reason,
      ...(output === undefined ? {} : { output }),
    })),
    created: isoTime(rollout.created),
    updated: isoTime(rollout.updated),
    ...(hosts === undefined ? {} : { members: hosts.map((host) => hostView(rollout, host)) }),
  };
}

export function hostView(
  rollout: Rollout,
  { number, agent, task, event, state, reason }: HostRecord,
): NonNullable<RolloutView["members"]>[number] {
  const wave = rollout.ends.findIndex((end) => number < end) + 1;
  const place = { number: number + 1, wave, agent, ...(event === undefined ? {} : { event }) };
  if (state === undefined) return { ...place, state: "not-begun" };
  return { ...place, state, task, ...(reason === undefined ? {} : { reason }) };
}
