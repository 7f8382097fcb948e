/**
 * What people have done by hand: checks an order, finds the hosts that it is for, and hands it to the engine as an event, from which the tasks
 * follow. Keeps no state: an order that is given again under the same name is answered with what it has made.
 */
import { actions, type AnyActionName, argsCheckers, isActionName, specOf } from "@needfire/shared/action";
import { orderAgentsMax, type OrderRequest, type OrderView, type TargetsView } from "@needfire/shared/api-by-hand";
import { NeedfireError } from "@needfire/shared/errors";
import { commandLine } from "@needfire/shared/command-line";
import { masterAgent } from "@needfire/shared/ids";
import { isOwnActionName } from "@needfire/shared/own-action-name";
import { type Checked, didYouMean, problemsText } from "@needfire/shared/schema";
import { hideMarks, marksIn } from "@needfire/shared/secret";
import { compileTarget } from "@needfire/shared/target";
import type { Task } from "@needfire/shared/task";
import {
  approvalTaskId,
  isRolling,
  retriesAll,
  type RetryScope,
  type Rollout,
  rolloutHostsMax,
  rolloutRetryProblem,
} from "@needfire/shared/rollout";
import {
  byHand,
  type HandOrder,
  orderedRolloutId,
  orderedTaskId,
  orderEvent,
  retryEvent,
  retryProblem,
  retriedTaskId,
  type RetryWish,
  rolloutRetryEvent,
  type RolloutRetryWish,
} from "@needfire/shared/task/order";
import type { Agents } from "./agents.ts";
import type { Engine } from "./engine.ts";
import type { Secrets } from "./secrets.ts";
import type { HostRecord } from "./store/store.ts";
import type { Remote } from "./thread.ts";
import type { UserActions } from "./user-actions.ts";
import type { History } from "./worker-history.ts";

export interface ByHandOptions {
  /** Of those that may connect. */
  agents: { ids(): string[]; view: Agents["view"]; isConnected(id: string): boolean };
  engine: Pick<Remote<Engine>, "enact" | "emit" | "openTaskOf">;
  history: Pick<Remote<History>, "readTask" | "tasksOfEvent" | "tasks" | "readRollout" | "rollouts" | "rolloutHostsToRetry">;
  secrets: Pick<Secrets, "conceal" | "mask">;
  userActions: Pick<UserActions, "find" | "all">;
}

/** Those of a reactor, the newest, among which it is looked for one that tried another again. */
const rolloutsLookedAtMax = 1_000;
/** Of what an order is about, as its tasks are listed. */
const subjectCharactersMax = 200;

export class ByHand {
  readonly #options: ByHandOptions;

  constructor(options: ByHandOptions) {
    this.#options = options;
  }

  /** Throws `EXPRESSION_INVALID`. */
  targets(targets: OrderRequest["targets"]): TargetsView {
    const { agents } = this.#options;
    // What is done on the master once, and about no host.
    if ([targets].flat().join() === masterAgent) return { agents: [{ id: masterAgent, connected: true }] };
    const compiled = compileTarget(targets);
    if (!compiled.ok) throw new NeedfireError("EXPRESSION_INVALID", `the target is no glob, and no CEL condition: ${compiled.message}`);
    const meant = agents.ids().filter((id) => compiled.test(agents.view(id)));
    return { agents: meant.map((id) => ({ id, connected: agents.isConnected(id) })) };
  }

  /** Resolves when the tasks are durable. Throws `BAD_REQUEST`, `EXPRESSION_INVALID`, `NOT_FOUND`, `DISK_FULL`. */
  async order(wish: OrderRequest): Promise<OrderView> {
    const { engine, secrets } = this.#options;
    const { request, by, why, targets, dry_run: dryRun, priority, timeout_ms: timeoutMs } = wish;
    const meant = this.#meant(wish);
    const before = await this.#before(request, meant);
    if (before !== undefined) return before;
    const { action, args } = this.#checkedCall(wish);
    if (specOf(action).runsOn === "agent" && meant.includes(masterAgent))
      throw new NeedfireError("BAD_REQUEST", `${action} runs on hosts, and "${masterAgent}" is none: name some of them`);
    // A secret that somebody typed is kept as one of a reactor is: by its mark.
    const order: HandOrder = {
      ...{ request, by: secrets.mask(by), why: secrets.mask(why), targets, agents: meant, action },
      ...{ args: secrets.conceal(args), dryRun, priority, timeoutMs },
    };
    const id = await engine.enact(orderEvent(order, subjectOf(order)));
    const tasks = meant.map((agent) => ({
      id: orderedTaskId(request, { reactor: byHand, agent }),
      agent,
      connected: this.#isThere(agent),
    }));
    return { order: id, tasks };
  }

  /** The new task's id. Throws `NOT_FOUND`, `CONFLICT`, `DISK_FULL`. */
  async retry(id: string, wish: RetryWish): Promise<string> {
    const { engine, history, secrets } = this.#options;
    const task = await this.#task(id);
    const made = retriedTaskId(wish, task);
    if ((await history.readTask(made)) !== undefined) return made;
    const problem = retryProblem(task);
    if (problem !== undefined) throw new NeedfireError("CONFLICT", `the task ${id} cannot be tried again: ${problem}`);
    const open = task.joinKey === undefined ? undefined : await engine.openTaskOf(task.reactor, task.joinKey);
    if (open !== undefined)
      throw new NeedfireError(
        "CONFLICT",
        `the task ${id} cannot be tried again: ${open} is open for the same (needfire tasks show ${open})`,
      );
    await engine.enact(retryEvent(task, { ...wish, by: secrets.mask(wish.by), why: secrets.mask(wish.why) }));
    return made;
  }

  /** The new rollout's id. Throws `NOT_FOUND`, `CONFLICT`, `DISK_FULL`. */
  async retryRollout(id: string, wish: RolloutRetryWish): Promise<string> {
    const { engine, history, secrets } = this.#options;
    const rollout = await this.#rollout(id);
    const made = orderedRolloutId(wish.request, rollout);
    if ((await history.readRollout(made)) !== undefined) return made;
    await this.#checkRetry(rollout, wish);
    await engine.enact(rolloutRetryEvent(rollout, { ...wish, by: secrets.mask(wish.by), why: secrets.mask(wish.why) }));
    return made;
  }

  /** What a retry would come to; nothing is done. Throws `NOT_FOUND`, `CONFLICT`. */
  async foreseeRetry(id: string, scope: RetryScope): Promise<{ rollout: Rollout; hosts: HostRecord[]; left: number; asks: boolean }> {
    const { history } = this.#options;
    const rollout = await this.#rollout(id);
    await this.#checkRetry(rollout, scope);
    const hosts = await history.rolloutHostsToRetry(rollout, scope);
    const all = await history.rolloutHostsToRetry(rollout, { unresolved: true });
    const asks = rollout.asks ?? (await history.readTask(approvalTaskId(rollout)))?.asks;
    return { rollout, hosts, left: all.length - hosts.length, asks: asks !== undefined };
  }

  async #rollout(id: string): Promise<Rollout> {
    const rollout = await this.#options.history.readRollout(id);
    if (rollout === undefined) throw new NeedfireError("NOT_FOUND", `there is no rollout "${id}" (needfire rollouts list)`);
    return rollout;
  }

  async #checkRetry(rollout: Rollout, scope: RetryScope): Promise<void> {
    const problem = rolloutRetryProblem(rollout, scope) ?? (await this.#heldBy(rollout, scope));
    if (problem !== undefined) throw new NeedfireError("CONFLICT", `the rollout ${rollout.id} cannot be tried again: ${problem}`);
  }

  /** What of others, or of its own hosts, keeps a rollout from being tried again. */
  async #heldBy(rollout: Rollout, scope: RetryScope): Promise<string | undefined> {
    const { history } = this.#options;
    const { id, reactor, joinKey } = rollout;
    const others = await history.rollouts({ reactor, limit: rolloutsLookedAtMax });
    const later = others.find(({ order }) => order?.retryOf === id);
    if (later !== undefined) return `it was tried again as ${later.id}: that one is to be retried (needfire rollouts show ${later.id})`;
    const key = JSON.stringify(joinKey);
    const open = others.find((each) => joinKey !== undefined && isRolling(each) && JSON.stringify(each.joinKey) === key);
    if (open !== undefined) return `${open.id} is open for the same (needfire rollouts show ${open.id})`;
    for (const state of retriesAll(rollout, scope) ? (["escalated", "cancelled"] as const) : (["escalated"] as const)) {
      const tasks = await history.tasks({ rollout: id, state, limit: rolloutHostsMax });
      const busy = tasks.find((task) => task.rungs.length > 0 && retryProblem(task) !== undefined);
      if (busy !== undefined) return `on ${busy.agent}, ${retryProblem(busy)} (needfire tasks show ${busy.id})`;
    }
    return undefined;
  }

  /** The id of the event. Throws `NOT_FOUND`, `DISK_FULL`. */
  async comment(id: string, { text, by }: { text: string; by: string }): Promise<string> {
    const { reactor, reactorVersion, agent, subject } = await this.#task(id);
    const data = this.#options.secrets.mask({ task: id, reactor, reactor_version: reactorVersion, agent, by, text });
    return this.#options.engine.emit({ type: "task.comment", severity: "low", subject, cause: id, data });
  }

  async #task(id: string): Promise<Task> {
    const task = await this.#options.history.readTask(id);
    if (task === undefined) throw new NeedfireError("NOT_FOUND", `there is no task "${id}" (needfire tasks list)`);
    return task;
  }

  #meant({ targets, agents: only }: OrderRequest): string[] {
    const meant = this.targets(targets).agents.map(({ id }) => id);
    const stranger = only?.find((id) => !meant.includes(id));
    if (stranger !== undefined)
      throw new NeedfireError("NOT_FOUND", `there is no agent "${stranger}" among those that the target means (needfire agents list)`);
    const found = only ?? meant;
    if (found.length === 0) throw new NeedfireError("NOT_FOUND", `no agent fits the target ${shown(targets)} (needfire agents list)`);
    if (found.length > orderAgentsMax)
      throw new NeedfireError(
        "BAD_REQUEST",
        `the target means ${found.length} agents, and one order is for ${orderAgentsMax} at most: name them in parts`,
      );
    return [...new Set(found)];
  }

  /** What the same request has made, when it was given before. */
  async #before(request: string, meant: readonly string[]): Promise<OrderView | undefined> {
    const { history } = this.#options;
    const [first] = meant;
    const task = first === undefined ? undefined : await history.readTask(orderedTaskId(request, { reactor: byHand, agent: first }));
    if (task === undefined) return undefined;
    const tasks = await history.tasksOfEvent(task.event);
    return { order: task.event, tasks: tasks.map(({ id, agent }) => ({ id, agent, connected: this.#isThere(agent) })) };
  }

  #isThere(id: string): boolean {
    return id === masterAgent || this.#options.agents.isConnected(id);
  }

  /** With its defaults filled in. Throws `BAD_REQUEST`, which names the argument. */
  #checkedCall({ action, args }: OrderRequest): { action: AnyActionName; args: Record<string, unknown> } {
    const known = this.#action(action);
    if (marksIn(args).length > 0) throw new NeedfireError("BAD_REQUEST", `${action}: an argument has the form of a secret's mark`);
    const checked = known.check(structuredClone(args));
    if (!checked.ok)
      throw new NeedfireError("BAD_REQUEST", `${action}: ${problemsText(checked.problems)} (needfire actions show ${action})`);
    return { action: known.action, args: checked.value as Record<string, unknown> };
  }

  #action(name: string): { action: AnyActionName; check(args: unknown): Checked<unknown> } {
    const { userActions } = this.#options;
    if (isActionName(name)) return { action: name, check: argsCheckers[name] };
    const found = isOwnActionName(name) ? userActions.find(name) : undefined;
    if (found?.ok === true) return { action: found.action.name, check: found.action.checkArgs };
    const known = [...Object.keys(actions), ...userActions.all().map(({ action }) => action.name)];
    const why = found === undefined ? "" : `: ${found.reason}`;
    throw new NeedfireError("BAD_REQUEST", `there is no action "${name}"${why}${didYouMean(name, known)} (needfire actions list)`);
  }
}

/** What people know the order by. */
function subjectOf({ action, args }: Pick<HandOrder, "action" | "args">): string {
  const { argv } = args;
  const text = action === "command.run" && Array.isArray(argv) ? commandLine(argv.map(String)) : named(action, args);
  return hideMarks(text).slice(0, subjectCharactersMax);
}

function named(action: string, args: Record<string, unknown>): string {
  const [first] = ["path", "name", "key", "source"].flatMap((name) => (typeof args[name] === "string" ? [args[name]] : []));
  return first === undefined ? action : `${action} ${commandLine([first])}`;
}

function shown(targets: OrderRequest["targets"]): string {
  return typeof targets === "string" ? `"${targets}"` : targets.join(", ");
}
