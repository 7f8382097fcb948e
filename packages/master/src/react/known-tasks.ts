/**
 * Tasks as the engine has left them, open or ended of late; of the others the store knows. Finds them by what may make them go on: an event from
 * the host that one listens to, a point in time, a lock that is free, a firing that joins, another task's undo. Decides nothing and writes nothing.
 */
import { dueOf, hasEnded, isOpen, listens, type Task } from "@needfire/shared/task";
import { Locks } from "../locks.ts";
import type { Store } from "../store/store.ts";
import { UndoKeys } from "../undo-keys.ts";

/** Tasks that ended and may still be asked for as a cause. */
const endedMax = 10_000;

export type TaskStore = Pick<Store, "task" | "openTaskOf" | "tasksDue" | "listeningTasks" | "lockingTasks" | "leasedTasks">;

export class KnownTasks {
  readonly #store: TaskStore;
  readonly #tasks = new Map<string, Task>();
  /** Of them, those that have ended, in that order. */
  readonly #ended = new Set<string>();
  readonly #risesAfterMs: number;
  #locks: Locks;
  #undoKeys = new UndoKeys();
  /** By host, tasks whose verification listens for its events. Undefined: the store is to be asked. */
  #listening: Map<string, Set<string>> | undefined;
  /** Open tasks that firings may join, as this turn has left them: before it the store knows. */
  readonly #joins = new Map<string, string | undefined>();
  /** No task is due before; the store may know that it is later. */
  #due: number | undefined;

  /** `risesAfterMs`: of who waits for a lock. */
  constructor(store: TaskStore, open: readonly Task[], risesAfterMs: number) {
    this.#store = store;
    this.#risesAfterMs = risesAfterMs;
    this.#locks = new Locks(risesAfterMs);
    for (const task of open) this.#tasks.set(task.id, task);
  }

  /** The store is asked again for everything. */
  clear(): void {
    this.#tasks.clear();
    this.#ended.clear();
    this.#listening = undefined;
  }

  /** The store is to be asked before the next turn. */
  get isStale(): boolean {
    return this.#listening === undefined;
  }

  /** To be called before each turn. */
  async look(): Promise<void> {
    this.#joins.clear();
    if (!this.isStale) return;
    this.#listening = byHost(await this.#store.listeningTasks());
    this.#due = (await this.#store.tasksDue(0, 0)).next;
    this.#locks = new Locks(this.#risesAfterMs);
    for (const task of await this.#store.lockingTasks()) this.#locks.note(task);
    this.#undoKeys = new UndoKeys();
    for (const task of await this.#store.leasedTasks()) this.#undoKeys.note(task);
  }

  async get(id: string): Promise<Task | undefined> {
    return this.#tasks.get(id) ?? (await this.#store.task(id));
  }

  /** What this turn has done to a task the store does not know yet. */
  latest(stored: Task): Task {
    return this.#tasks.get(stored.id) ?? stored;
  }

  /** A task as it is from now on. */
  keep(task: Task): void {
    this.#tasks.set(task.id, task);
    this.#listen(task);
    this.#locks.note(task);
    this.#undoKeys.note(task);
    this.awaitDue(task);
    if (task.joinKey !== undefined) this.#joins.set(joinName(task.reactor, task.joinKey), isOpen(task) ? task.id : undefined);
    this.#ended.delete(task.id);
    if (hasEnded(task)) this.#ended.add(task.id);
    if (this.#ended.size > endedMax) this.#forgetEnded();
  }

  /** The store did not take these. */
  forget(ids: readonly string[]): void {
    for (const id of ids) {
      this.#tasks.delete(id);
      this.#ended.delete(id);
    }
    if (ids.length > 0) this.#listening = undefined;
  }

  /** Tasks that wait for events from a host. */
  listeners(host: string): string[] {
    return [...(this.#listening?.get(host) ?? [])];
  }

  /** The open task that a firing with this key joins. */
  async openWith(reactor: string, joinKey: readonly unknown[]): Promise<Task | undefined> {
    const key = joinName(reactor, joinKey);
    const id = this.#joins.has(key) ? this.#joins.get(key) : (await this.#store.openTaskOf(reactor, joinKey))?.id;
    const task = id === undefined ? undefined : await this.get(id);
    return task !== undefined && isOpen(task) ? task : undefined;
  }

  /** When time alone makes a task go on next: not before. */
  get nextDue(): number | undefined {
    return this.#due;
  }

  /** Durable timers are rows: tasks that are due by now, and when the next ones are as far as the store knows. */
  async due(now: number, limit: number): Promise<Task[]> {
    if ((this.#due ?? Number.POSITIVE_INFINITY) > now) return [];
    const { tasks, next } = await this.#store.tasksDue(now, limit);
    this.#due = next;
    return tasks.map((task) => this.latest(task));
  }

  awaitDue(task: Task): void {
    const due = dueOf(task);
    if (due !== undefined) this.#due = Math.min(this.#due ?? due, due);
  }

  /** A task whose turn with its lock it is; undefined: nobody's. What becomes of it must be kept before the next one is asked for. */
  async nextWithLock(): Promise<Task | undefined> {
    for (let id = this.#locks.next(); id !== undefined; id = this.#locks.next()) {
      const task = await this.get(id);
      if (task !== undefined) return task;
    }
    return undefined;
  }

  /** One of them may take over what another is to take back. */
  get hasShared(): boolean {
    return this.#undoKeys.hasShared;
  }

  /** Those tasks, of one key. */
  async nextShared(): Promise<Task[]> {
    const tasks = await Promise.all(this.#undoKeys.nextShared().map((id) => this.get(id)));
    return tasks.filter((task) => task !== undefined);
  }

  holderOf(lock: readonly unknown[]): string | undefined {
    return this.#locks.holderOf(lock);
  }

  #listen(task: Task): void {
    const ids = this.#listening?.get(task.agent);
    if (!listens(task)) return void ids?.delete(task.id);
    if (ids === undefined) this.#listening?.set(task.agent, new Set([task.id]));
    else ids.add(task.id);
  }

  #forgetEnded(): void {
    for (const id of this.#ended) {
      this.#ended.delete(id);
      this.#tasks.delete(id);
      if (this.#ended.size <= endedMax / 2) break;
    }
  }
}

function byHost(tasks: readonly Task[]): Map<string, Set<string>> {
  const found = new Map<string, Set<string>>();
  for (const { agent, id } of tasks) found.set(agent, (found.get(agent) ?? new Set()).add(id));
  return found;
}

function joinName(reactor: string, key: readonly unknown[]): string {
  return `${reactor} ${JSON.stringify(key)}`;
}
