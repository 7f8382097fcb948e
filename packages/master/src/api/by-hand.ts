/** The API's routes about what people do by hand. */
import * as schemas from "@needfire/shared/api-by-hand";
import { rolloutRetryView, rolloutView as rolloutSchema } from "@needfire/shared/api-rollouts";
import { taskView as taskSchema } from "@needfire/shared/api";
import { NeedfireError } from "@needfire/shared/errors";
import { ownActionSide } from "@needfire/shared/own-action-name";
import type { ByHand } from "../by-hand.ts";
import type { Remote } from "../thread.ts";
import type { History } from "../worker-history.ts";
import type { UserActions } from "../user-actions.ts";
import { idParams, type Server } from "./http.ts";
import { hostView, rolloutView } from "./rollouts.ts";
import { taskView } from "./views.ts";

export interface ByHandRoutes {
  byHand: Pick<ByHand, "targets" | "order" | "retry" | "retryRollout" | "foreseeRetry" | "comment">;
  userActions: Pick<UserActions, "all" | "problems">;
  history: Pick<Remote<History>, "readTask" | "executions" | "readRollout" | "rolloutHosts">;
}

export function byHandRoutes(server: Server, { byHand, history, userActions }: ByHandRoutes): void {
  server.get("/v1/actions", { schema: { response: { 200: schemas.actionsView } } }, async () => ({
    actions: userActions.all().map(({ file, action: { name, description, args, result } }) => ({
      ...{ action: name, runs_on: ownActionSide(name), summary: description, file, args: { ...args } },
      ...(result === undefined ? {} : { result: { ...result } }),
    })),
    problems: userActions.problems(),
  }));
  const targets = { body: schemas.targetsRequest, response: { 200: schemas.targetsView } };
  server.post("/v1/targets", { schema: targets }, async ({ body }) => byHand.targets(body.targets));
  server.post("/v1/orders", { schema: { body: schemas.orderRequest, response: { 200: schemas.orderView } } }, ({ body }) =>
    byHand.order(body),
  );
  const retry = { params: idParams, body: schemas.retryRequest, response: { 200: taskSchema } };
  server.post("/v1/tasks/:id/retry", { schema: retry }, async ({ params, body: { request, by, why, dry_run: dryRun } }) => {
    const made = await byHand.retry(params.id, { request, by, why, dryRun });
    const task = await history.readTask(made);
    if (task === undefined) throw new NeedfireError("CONFLICT", `the task ${made} will be made when the master has caught up`);
    return taskView(task, await history.executions(made));
  });
  const plan = { params: idParams, querystring: schemas.rolloutRetryQuery, response: { 200: rolloutRetryView } };
  server.get("/v1/rollouts/:id/retry", { schema: plan }, async ({ params, query }) => {
    const { rollout, hosts, left, asks } = await byHand.foreseeRetry(params.id, query);
    return { rollout: rollout.id, hosts: hosts.map((host) => hostView(rollout, host)), left, asks };
  });
  const again = { params: idParams, body: schemas.rolloutRetryRequest, response: { 200: rolloutSchema } };
  server.post("/v1/rollouts/:id/retry", { schema: again }, async ({ params, body: { request, by, why, unresolved } }) => {
    const made = await byHand.retryRollout(params.id, { request, by, why, unresolved });
    const rollout = await history.readRollout(made);
    if (rollout === undefined) throw new NeedfireError("CONFLICT", `the rollout ${made} will be made when the master has caught up`);
    return rolloutView(rollout, await history.rolloutHosts(made));
  });
  const comment = { params: idParams, body: schemas.commentRequest, response: { 200: schemas.commentView } };
  server.post("/v1/tasks/:id/comments", { schema: comment }, async ({ params, body: { text, by } }) => ({
    id: await byHand.comment(params.id, { text, by }),
  }));
}
