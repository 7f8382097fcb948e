/**
 * The causal chain of an event, both ways: up to the first cause, then down through tasks, executions and results, flat and in reading
 * order with a depth, so that whoever shows it only indents.
 */
import type { ChainLink } from "@needfire/shared/api";
import { isoTime } from "@needfire/shared/clock";
import type { Event } from "@needfire/shared/event";
import { idKind, taskOfExecution } from "@needfire/shared/ids";
import type { Rollout } from "@needfire/shared/rollout";
import type { Purpose, Task } from "@needfire/shared/task";
import { byHand } from "@needfire/shared/task/order";
import type { Remote } from "../thread.ts";
import type { ExecutionRecord } from "../store/store.ts";
import type { History } from "../worker-history.ts";

const linksMax = 500;
const causesMax = 100;
const effectsOfOneMax = 100;
const clockSetBackMsMax = 86_400_000;

/** `cut`: there are more links than are shown. */
export async function causalChain(history: Remote<History>, asked: Event): Promise<{ chain: ChainLink[]; cut: boolean }> {
  const root = await firstCause(history, asked);
  const walk = new Walk(history, asked.id);
  await walk.event(root, 0);
  return { chain: walk.links, cut: walk.cut };
}

async function firstCause(history: Remote<History>, from: Event): Promise<Event> {
  let event = from;
  for (let step = 0; step < causesMax && event.cause !== undefined; step++) {
    const kind = idKind(event.cause);
    const cause = await history.get(kind === "event" ? event.cause : ((await triggerOf(history, event.cause)) ?? ""));
    if (cause === undefined) break;
    event = cause;
  }
  return event;
}

/** The event that a task or a rollout, or the task of an execution, was made of. */
async function triggerOf(history: Remote<History>, id: string): Promise<string | undefined> {
  const kind = idKind(id);
  if (kind === "rollout") return (await history.readRollout(id))?.event;
  if (kind === "task" || kind === "execution") return (await history.readTask(kind === "task" ? id : taskOfExecution(id)))?.event;
  return undefined;
}

class Walk {
  readonly links: ChainLink[] = [];
  cut = false;
  readonly #history: Remote<History>;
  readonly #asked: string;

  constructor(history: Remote<History>, asked: string) {
    this.#history = history;
    this.#asked = asked;
  }

  async event(event: Event, depth: number): Promise<void> {
    const title = event.subject === undefined ? event.type : `${event.type} ${event.subject}`;
    if (!this.#add({ depth, kind: "event", id: event.id, time: event.time, title, detail: eventDetail(event) })) return;
    for (const task of await this.#history.tasksOfEvent(event.id)) await this.#task(task, depth + 1);
    for (const rollout of await this.#history.rolloutsOfEvent(event.id)) await this.#rollout(rollout, depth + 1);
    for (const effect of await this.#causedBy(event.id, event.received)) await this.event(effect, depth + 1);
  }

  /** With the tasks of its hosts, in the order in which they began. */
  async #rollout(rollout: Rollout, depth: number): Promise<void> {
    const { id, created, reactor, hosts } = rollout;
    const title = `rollout of ${reactor} on ${hosts} ${hosts === 1 ? "host" : "hosts"}`;
    if (!this.#add({ depth, kind: "rollout", id, time: created, title, detail: rolloutDetail(rollout) })) return;
    const parts: { time: number; show(): Promise<void> }[] = [];
    for (const event of await this.#causedBy(id, created)) parts.push({ time: event.time, show: () => this.event(event, depth + 1) });
    for (const task of await this.#history.tasks({ rollout: id, limit: linksMax }))
      parts.push({ time: task.created, show: () => this.#task(task, depth + 1) });
    for (const part of parts.toSorted((a, b) => a.time - b.time)) await part.show();
  }

  async #task(task: Task, depth: number): Promise<void> {
    if (
      !this.#add({
        depth,
        kind: "task",
        id: task.id,
        time: task.created,
        title: task.reactor === byHand ? "task by hand" : `task of ${task.reactor}`,
        detail: taskDetail(task),
      })
    )
      return;
    // What a task says of itself and its executions, in the order of time.
    const parts: { time: number; show(): Promise<void> }[] = [];
    for (const execution of await this.#history.executions(task.id)) {
      parts.push({ time: execution.sent ?? execution.created, show: () => this.#execution(execution, depth + 1) });
    }
    for (const event of await this.#causedBy(task.id, task.created))
      parts.push({ time: event.time, show: () => this.event(event, depth + 1) });
    for (const part of parts.toSorted((a, b) => a.time - b.time)) await part.show();
  }

  async #execution(execution: ExecutionRecord, depth: number): Promise<void> {
    const title = `${execution.action} on ${execution.agent}${purposeTexts[execution.purpose]}`;
    if (!this.#add({ depth, kind: "execution", id: execution.id, time: execution.created, title, detail: executionDetail(execution) }))
      return;
    for (const effect of await this.#causedBy(execution.id, execution.created)) await this.event(effect, depth + 1);
  }

  /** `since`: when the cause was there. The master's clock may have been set back meanwhile, but hardly by more than this allows for. */
  async #causedBy(cause: string, since: number): Promise<Event[]> {
    const found = await this.#history.causedBy(cause, effectsOfOneMax + 1, since - clockSetBackMsMax);
    if (found.length > effectsOfOneMax) this.cut = true;
    return found.slice(0, effectsOfOneMax);
  }

  #add({ time, ...link }: Omit<ChainLink, "time" | "asked"> & { time: number }): boolean {
    if (this.links.length >= linksMax) {
      this.cut = true;
      return false;
    }
    this.links.push({ ...link, time: isoTime(time), asked: link.id === this.#asked });
    return true;
  }
}

const purposeTexts: Record<Purpose, string> = { do: "", verify: " (verification)", undo: " (undo)", otherwise: " (otherwise)" };

function eventDetail({ data }: Event): string {
  const { by, outcome, changes, reason, message, why, text } = data as Record<string, unknown>;
  const facts = [by, outcome, Array.isArray(changes) ? changes.join(", ") : undefined, reason, message, why, text];
  return facts.filter((fact) => typeof fact === "string").join(": ");
}

function taskDetail({ status }: Task): string {
  switch (status.state) {
    case "resolved":
      return status.verified ? "resolved, verified" : "resolved";
    case "cancelled":
      return `cancelled by ${status.by}: ${status.reason}`;
    case "escalated":
    case "expired":
      return `${status.state}: ${status.reason}`;
    case "planned":
      return status.reason === undefined ? "planned, nothing was sent" : `planned, and it would have escalated: ${status.reason}`;
    default:
      return status.state;
  }
}

function rolloutDetail({ status, begun, resolved, failed, expired }: Rollout): string {
  const far = `begun on ${begun}, resolved on ${resolved}, failed on ${failed}${expired > 0 ? `, expired on ${expired}` : ""}`;
  return `${status.state}${"reason" in status && status.reason !== undefined ? `: ${status.reason}` : ""}; ${far}`;
}

function executionDetail({ state, report }: ExecutionRecord): string {
  if (report === undefined) return state;
  const changed = report.outcome === "succeeded" ? (report.changed ? ", changed" : ", nothing to change") : "";
  return `${state}${changed}${report.message === undefined ? "" : `: ${report.message}`}`;
}
