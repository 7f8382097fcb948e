/** What a person may say to a task: that it ends, that it may begin, that it may not. */
import * as schemas from "@needfire/shared/api";
import { NeedfireError } from "@needfire/shared/errors";
import type { Order, Task } from "@needfire/shared/task";
import type { ExecutionRecord } from "../store/store.ts";
import { idParams, type Server } from "./http.ts";
import { taskView } from "./views.ts";

export interface TaskOrderRoutes {
  /** Resolves with the task as it then is; undefined when there is none. */
  order(ordered: { task: string; order: Order }): Promise<Task | undefined>;
  history: { executions(task: string): Promise<ExecutionRecord[]> };
}

type Wish = { by: string; why?: string };
interface Verb {
  order(wish: Wish): Order;
  /** Whether this came of it. */
  isDone(task: Task, by: string): boolean;
}

const verbs: Record<Order["kind"], Verb> = {
  cancel: {
    order: ({ by, why }) => ({ kind: "cancel", by, reason: why ?? `cancelled by ${by}` }),
    isDone: ({ status }) => status.state === "cancelled",
  },
  approve: {
    order: (wish) => ({ kind: "approve", ...wish }),
    isDone: ({ approved }, by) => approved?.by === by,
  },
  deny: {
    order: (wish) => ({ kind: "deny", ...wish }),
    isDone: ({ status }, by) => status.state === "cancelled" && status.by === by,
  },
};

export function taskOrderRoutes(server: Server, { order, history }: TaskOrderRoutes): void {
  const schema = { params: idParams, body: schemas.orderRequest, response: { 200: schemas.taskView } };
  for (const [name, verb] of Object.entries(verbs)) {
    server.post(`/v1/tasks/:id/${name}`, { schema }, async ({ params: { id }, body: { by, why } }) => {
      const wish = { by, ...(why === undefined ? {} : { why }) };
      const task = await order({ task: id, order: verb.order(wish) });
      if (task === undefined) throw new NeedfireError("NOT_FOUND", `there is no task "${id}" (needfire tasks list)`);
      if (!verb.isDone(task, by)) throw refusal(task, name, by);
      return taskView(task, await history.executions(task.id));
    });
  }
}

function refusal({ id, status }: Task, verb: string, by: string): NeedfireError {
  if (status.state === "waiting")
    return new NeedfireError("NOT_YOURS", `the task ${id} waits for the word of ${status.approval.from.join(" or ")}, not of ${by}`);
  return new NeedfireError("CONFLICT", `the task ${id} is ${status.state} already: there is nothing to ${verb}`);
}
