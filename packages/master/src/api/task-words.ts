/** What a person may say to a task: that it ends, that it may begin, that it may not, that what it did stays. */
import * as schemas from "@needfire/shared/api";
import { NeedfireError } from "@needfire/shared/errors";
import type { Word, Task } from "@needfire/shared/task";
import type { ExecutionRecord } from "../store/store.ts";
import { idParams, type Server } from "./http.ts";
import { taskView } from "./views.ts";

export interface TaskWordRoutes {
  /** Resolves with the task as it then is; undefined when there is none. */
  say(spoken: { task: string; word: Word }): Promise<Task | undefined>;
  history: { executions(task: string): Promise<ExecutionRecord[]> };
}

type Wish = { by: string; why?: string };
interface Verb {
  word(wish: Wish): Word;
  /** Whether this came of it. */
  isDone(task: Task, by: string): boolean;
}

const verbs: Record<Word["kind"], Verb> = {
  cancel: {
    word: ({ by, why }) => ({ kind: "cancel", by, reason: why ?? `cancelled by ${by}` }),
    isDone: ({ status }) => status.state === "cancelled",
  },
  approve: {
    word: (wish) => ({ kind: "approve", ...wish }),
    isDone: ({ approved }, by) => approved?.by === by,
  },
  keep: {
    word: (wish) => ({ kind: "keep", ...wish }),
    isDone: ({ kept }, by) => kept?.by === by,
  },
  deny: {
    word: (wish) => ({ kind: "deny", ...wish }),
    isDone: ({ status }, by) => status.state === "cancelled" && status.by === by,
  },
};

export function taskWordRoutes(server: Server, { say, history }: TaskWordRoutes): void {
  const schema = { params: idParams, body: schemas.wordRequest, response: { 200: schemas.taskView } };
  for (const [name, verb] of Object.entries(verbs)) {
    server.post(`/v1/tasks/:id/${name}`, { schema }, async ({ params: { id }, body: { by, why } }) => {
      const wish = { by, ...(why === undefined ? {} : { why }) };
      const task = await say({ task: id, word: verb.word(wish) });
      if (task === undefined) throw new NeedfireError("NOT_FOUND", `there is no task "${id}" (needfire tasks list)`);
      if (!verb.isDone(task, by)) throw refusal(task, name, by);
      return taskView(task, await history.executions(task.id));
    });
  }
}

function refusal({ id, status, takenOver = [] }: Task, verb: string, by: string): NeedfireError {
  if (status.state === "waiting" && "approval" in status)
    return new NeedfireError("NOT_YOURS", `the task ${id} waits for the word of ${status.approval.from.join(" or ")}, not of ${by}`);
  const heir = takenOver.at(-1)?.by;
  const instead = heir === undefined ? "" : `: ${heir} takes it back instead (needfire tasks keep ${heir})`;
  if (verb === "keep")
    return new NeedfireError("CONFLICT", `the task ${id} is ${status.state}, and has nothing that is to be taken back later${instead}`);
  return new NeedfireError("CONFLICT", `the task ${id} is ${status.state} already: there is nothing to ${verb}`);
}
