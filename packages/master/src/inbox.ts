/**
 * What waits for the engine's next turn: events of agents, what somebody asks to be kept, commands that are given up, words of people, and marks.
 * Whoever waits for an answer hears it from the turn that took it.
 */
import type { MasterEventDraft, Task } from "@needfire/shared/task";
import type { Rollout } from "@needfire/shared/rollout";
import type { EventsFrame, Verdict } from "./admission.ts";
import { OwnEvents } from "./own-events.ts";
import type { Tripped } from "./breakers.ts";
import type { BreakerReset } from "./react/consequences.ts";
import type { LeaseAnswer } from "./leases.ts";
import type { Expired, Spoken } from "./react/react.ts";
import type { RolloutOrder } from "./rollouts.ts";
import type { Committed, Mark, Writes } from "./store/store.ts";
import { WaitingMarks } from "./waiting-marks.ts";

export type Asked = Pick<Writes, "marks" | "events" | "keys" | "tokens" | "agents" | "silences" | "versions" | "journal">;

export interface Waiting<T, R> {
  what: T;
  resolve(result: R): void;
  reject(error: unknown): void;
}
type Frames = Waiting<EventsFrame[], Verdict[]>;

export class Inbox {
  readonly #onWork: () => void;
  readonly #own = new OwnEvents();
  #frames: Frames[] = [];
  /** Those that overtake (P8). */
  #urgent: Frames[] = [];
  /** What was given here and is not answered yet. */
  readonly #taking = new Map<Promise<unknown>, EventsFrame[]>();
  #commits: Waiting<Asked, Committed>[] = [];
  readonly #marks = new WaitingMarks(() => this.#onWork());
  /** By execution: those that wait for the store are told of again and again. */
  readonly #expired = new Map<string, Expired>();
  #leaseAnswers: LeaseAnswer[] = [];
  #words: Waiting<Spoken, Task | undefined>[] = [];
  #rolloutOrders: Waiting<RolloutOrder, Rollout | undefined>[] = [];
  readonly #ordering = new Map<string, PromiseWithResolvers<void>>();
  #resets: Waiting<BreakerReset, Tripped[]>[] = [];
  #closed = false;

  /** `onWork`: there is something for a turn. */
  constructor(onWork: () => void) {
    this.#onWork = onWork;
  }

  /** Frames of agents; the urgent have a turn of their own, the next one. */
  take(frames: EventsFrame[], urgent: boolean): Promise<Verdict[]> {
    const taking = this.#wait(urgent ? this.#urgent : this.#frames, frames);
    this.#taking.set(taking, frames);
    const taken = () => void this.#taking.delete(taking);
    taking.then(taken, taken);
    return taking;
  }

  /** What the sieve heard in waiting frames does not count any more. */
  unsieve(): void {
    for (const waiting of [...this.#urgent, ...this.#frames]) waiting.what = waiting.what.map((frame) => ({ ...frame, heard: undefined }));
  }

  /** What was taken of an agent and is not answered yet. */
  underWay(agent: string): Promise<unknown>[] {
    return [...this.#taking].filter(([, frames]) => frames.some((frame) => frame.agent === agent)).map(([taking]) => taking);
  }

  commit(writes: Asked): Promise<Committed> {
    return this.#wait(this.#commits, writes);
  }

  say(spoken: Spoken): Promise<Task | undefined> {
    return this.#wait(this.#words, spoken);
  }

  resetBreaker(reset: BreakerReset): Promise<Tripped[]> {
    return this.#wait(this.#resets, reset);
  }

  orderRollout(order: RolloutOrder): Promise<Rollout | undefined> {
    return this.#wait(this.#rolloutOrders, order);
  }

  /** Resolves when the tasks of an order are durable. To be asked before its event is given here, and forgotten in the end. */
  tasksOf(request: string): { made: Promise<void>; forget(): void } {
    const waiting = this.#ordering.get(request) ?? Promise.withResolvers<void>();
    this.#ordering.set(request, waiting);
    return { made: waiting.promise, forget: () => void this.#ordering.delete(request) };
  }

  tasksMade(requests: readonly unknown[]): void {
    for (const request of requests) this.#ordering.get(String(request))?.resolve();
  }

  expire(expired: readonly Expired[]): void {
    for (const each of expired) this.#expired.set(each.execution.id, each);
    this.#onWork();
  }

  /** What hosts say of leases. */
  answerLeases(answers: readonly LeaseAnswer[]): void {
    for (const answer of answers) this.#leaseAnswers.push(answer);
    this.#onWork();
  }

  /** Events of the master's own that nobody waits for. */
  tell(events: readonly MasterEventDraft[]): void {
    this.#own.add(events);
    this.#onWork();
  }

  /** See `WaitingMarks`. */
  mark(marks: readonly Mark[]): void {
    this.#marks.add(marks);
  }

  /** What nobody asks for a second time is kept for a later turn. */
  keep({
    told,
    marks,
    leaseAnswers,
  }: {
    told: readonly MasterEventDraft[];
    marks: readonly Mark[];
    leaseAnswers: readonly LeaseAnswer[];
  }): void {
    this.#own.add(told);
    this.#leaseAnswers.unshift(...leaseAnswers);
    if (!this.#closed) this.#marks.add(marks);
  }

  /** Also before anything is judged. `holdsBack`: frames that are not urgent have to wait. */
  hasWork(holdsBack: boolean): boolean {
    const frames = this.#urgent.length + (holdsBack ? 0 : this.#frames.length);
    return frames > 0 || this.#commits.length > 0 || !this.#own.isEmpty || this.#marks.areDue;
  }

  get hasFrames(): boolean {
    return this.#urgent.length + this.#frames.length > 0;
  }

  get hasUrgent(): boolean {
    return this.#urgent.length > 0;
  }

  /** Of what hosts say, or do not say in time, of commands and leases. */
  get hasFates(): boolean {
    return this.#expired.size + this.#leaseAnswers.length > 0;
  }

  /** What people want of tasks, rollouts and breakers. */
  get hasOrders(): boolean {
    return this.#words.length + this.#rolloutOrders.length + this.#resets.length > 0;
  }

  /** For one turn: all that are urgent, or else one. P8: what overtakes is never held back. */
  nextFrames(holdsBack: boolean): { frames: Frames[]; areUrgent: boolean } {
    const areUrgent = this.#urgent.length > 0;
    return { frames: areUrgent ? this.#urgent.splice(0) : this.#frames.splice(0, holdsBack ? 0 : 1), areUrgent };
  }

  takeCommits(): Waiting<Asked, Committed>[] {
    return this.#commits.splice(0);
  }

  takeExpired(): Expired[] {
    const expired = [...this.#expired.values()];
    this.#expired.clear();
    return expired;
  }

  takeLeaseAnswers(): LeaseAnswer[] {
    return this.#leaseAnswers.splice(0);
  }

  takeWords(): Waiting<Spoken, Task | undefined>[] {
    return this.#words.splice(0);
  }

  takeResets(): Waiting<BreakerReset, Tripped[]>[] {
    return this.#resets.splice(0);
  }

  takeRolloutOrders(): Waiting<RolloutOrder, Rollout | undefined>[] {
    return this.#rolloutOrders.splice(0);
  }

  takeTold(): MasterEventDraft[] {
    return this.#own.take();
  }

  /** See `WaitingMarks`. */
  takeMarks(wanted: Parameters<WaitingMarks["take"]>[0]): Mark[] {
    return this.#marks.take(wanted);
  }

  /** Nothing comes by itself any more. */
  close(): void {
    this.#closed = true;
    this.#marks.hurry();
  }

  #wait<T, R>(queue: Waiting<T, R>[], what: T): Promise<R> {
    const { promise, resolve, reject } = Promise.withResolvers<R>();
    queue.push({ what, resolve, reject });
    this.#onWork();
    return promise;
  }
}
