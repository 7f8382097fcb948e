/**
 * Runs one test of reactors: its events and the time between them go through the engine of the master, on a clock of its own, and what fires
 * is held against what was expected. What `event.emit` makes comes back as an event, with its task as the cause, so that chains can be
 * tested and P7 holds. Pure: the same test gives the same result on every machine.
 */
import { explain } from "../cel-explain.ts";
import { exampleOf } from "../event-types.ts";
import { type Event, eventSource, type Severity } from "../event.ts";
import { globMatcher } from "../glob.ts";
import { eventId, executionId, masterAgent, taskId } from "../ids.ts";
import { plainRoute, type RouteOf } from "../router.ts";
import { ReactorIndex } from "../rules/reactor-index.ts";
import { Rules } from "../rules/rules.ts";
import type { Decision, Firing, Judgement, Reactor, Reason, Seen, World } from "../rules/types.ts";
import type { AgentView } from "../target.ts";
import { type Difference, differenceOf } from "./compare.ts";
import type { Moment, ReactorTest } from "./load.ts";
import type { TestEventSource } from "./schema.ts";

/** An `expect` that was not met. `at`: ms from the start of the test. */
export interface Unmet {
  at: number;
  line: number;
  difference: Difference;
  /** Why there was no firing: what was decided since the `expect` before. */
  decisions: Decision[];
}

export interface TestResult {
  test: ReactorTest;
  unmet: Unmet[];
  /** All that was decided, and of which event. */
  decisions: Decision[];
  events: Event[];
}

export interface RunOptions {
  /** All that are in force together. Those that are off or in shadow are tested as if they were in mode plan: by what they would do. */
  reactors: readonly Reactor[];
  /** Names of those whose firings are expected or not; default: all, or the one that the test is of. */
  counted?: ReadonlySet<string>;
  /** Of tests that have none of their own; default: by severity. */
  route?: RouteOf | undefined;
}

const epoch = "test";

const whenReasons: ReadonlySet<Reason> = new Set(["when-false", "when-missing-field", "when-error"]);
/** Events that one test makes of itself, by `event.emit`. */
const emittedMax = 10_000;

export function runTest(test: ReactorTest, options: RunOptions): TestResult {
  return new Run(test, options).run();
}

class Run {
  readonly #test: ReactorTest;
  readonly #counted: ReadonlySet<string> | undefined;
  readonly #world: World;
  readonly #rules: Rules;
  readonly #seen = new Map<string, Seen>();
  readonly #silences: { reactor(name: string): boolean; agent(id: string): boolean; until: number }[] = [];
  readonly #decisions: Decision[] = [];
  readonly #events: Event[] = [];
  /** Firings, and decisions, since the last `expect`. */
  #fired: Decision[] = [];
  #since: Decision[] = [];

  constructor(test: ReactorTest, { reactors, counted, route }: RunOptions) {
    this.#test = test;
    this.#counted = counted ?? (test.reactor === undefined ? undefined : new Set([test.reactor]));
    this.#world = {
      agentView: (id): AgentView => ({ id, labels: {}, facts: {}, ...test.agents[id] }),
      route: test.route ?? route ?? plainRoute,
      silence: (reactor, agent, now) => this.#silenceOf(reactor, agent, now),
    };
    const index = new ReactorIndex(reactors.map((reactor) => inTest(reactor, test.vars)));
    // Authors want to know of each reactor why it did not fire.
    this.#rules = new Rules(index, this.#world, { asksAll: true });
    this.#rules.tick(test.start);
  }

  run(): TestResult {
    const unmet: Unmet[] = [];
    for (const moment of this.#test.timeline) {
      this.#pass(this.#test.start + moment.at);
      const found = this.#come(moment);
      if (found !== undefined) unmet.push(found);
    }
    return { test: this.#test, unmet, decisions: this.#decisions, events: this.#events };
  }

  /** Time goes on: each timer at its own time, so that what it makes comes then. */
  #pass(until: number): void {
    for (let due = this.#rules.nextDue(); due !== undefined && due <= until; due = this.#rules.nextDue()) {
      const at = Math.max(due, this.#rules.time);
      this.#take(this.#rules.tick(at), at);
      // Nothing that is due stays due.
      if (this.#rules.nextDue() === due) break;
    }
    this.#take(this.#rules.tick(until), until);
  }

  #come(moment: Moment): Unmet | undefined {
    const now = this.#test.start + moment.at;
    switch (moment.kind) {
      case "event": {
        const event = this.#eventOf(moment.event, now);
        this.#hear({ event, agent: moment.event.about ?? event.agent, ancestry: [], root: event.id });
        return undefined;
      }
      case "silence":
        this.#silences.push({ reactor: globMatcher(moment.reactor), agent: globMatcher(moment.agent), until: now + moment.forMs });
        return undefined;
      case "expect": {
        const got = this.#fired;
        const decisions = this.#since;
        this.#fired = [];
        this.#since = [];
        const difference = differenceOf(moment.expected, got, this.#agents());
        if (difference === undefined) return undefined;
        return { at: moment.at, line: moment.line, difference, decisions: decisions.map((decision) => this.#explained(decision)) };
      }
    }
  }

  /** With the part of the condition that decided, and its values. Conditions that name earlier events are left as they are. */
  #explained(decision: Decision): Decision {
    const { reactor, detail } = decision;
    const seen = this.#seen.get(decision.event);
    if (!whenReasons.has(decision.reason) || seen === undefined) return decision;
    const asked = [reactor.when, ...reactor.entries.map(({ when }) => when)];
    const condition = asked.find((each) => each !== undefined && detail.startsWith(each.source));
    if (condition === undefined || condition.reads.variables.has("matched")) return decision;
    const agent = this.#world.agentView(seen.agent);
    const scope = { event: seen.event, agent, vars: reactor.vars, route: this.#world.route(seen.event, agent) };
    return { ...decision, detail: explain(condition, scope).blame };
  }

  #hear(seen: Seen): void {
    this.#seen.set(seen.event.id, seen);
    this.#events.push(seen.event);
    this.#take(this.#rules.hear(seen), seen.event.received);
  }

  #take({ decisions }: Judgement, now: number): void {
    for (const decision of decisions) {
      this.#decisions.push(decision);
      const { reactor, firing } = decision;
      if (this.#counted?.has(reactor.name) ?? true) {
        this.#since.push(decision);
        if (firing !== undefined) this.#fired.push(decision);
      }
      if (firing !== undefined && decision.reason === "fired") this.#emit(firing, now);
    }
  }

  /** On each of its hosts, in the order of their names. */
  #emit(firing: Firing, now: number): void {
    const { plan, trigger, fleet, members } = firing;
    for (const member of members ?? []) this.#emit(member, now);
    if (members !== undefined) return;
    if (fleet === undefined) return this.#emitOn(firing, { agent: trigger.agent, plan }, now);
    for (const view of this.#agents().filter(fleet.fits))
      this.#emitOn(firing, { agent: view.id, plan: fleet.planOn(view), host: view.id }, now);
  }

  /** All that the test tells of. */
  #agents(): AgentView[] {
    return Object.keys(this.#test.agents)
      .toSorted()
      .map((id) => this.#world.agentView(id));
  }

  /** What the firing's `event.emit` steps make, as far as those before them need no host to succeed. `host`: one of several. */
  #emitOn(
    { reactor, trigger, ancestry }: Firing,
    { agent, plan, host }: { agent: string; plan: Firing["plan"]; host?: string },
    now: number,
  ): void {
    if (!plan.ok) return;
    for (const [index, { action, args }] of (plan.rungs[0]?.steps ?? []).entries()) {
      if (action !== "event.emit" || this.#events.length >= emittedMax) continue;
      const { type, subject, severity, data } = args as Pick<Event, "type" | "subject" | "data"> & { severity: Severity };
      const cause = executionId(taskId(reactor.name, trigger.event.id, host), index + 1);
      const event = this.#number({ type, agent: masterAgent, severity, data, cause, ...(subject === undefined ? {} : { subject }) }, now);
      this.#hear({ event, agent, ancestry: [...ancestry, reactor.name], root: trigger.root });
    }
  }

  #eventOf(source: TestEventSource, now: number): Event {
    const { type, data = {}, whole, about: _, ...given } = source;
    const example = whole ? undefined : exampleOf(type);
    const { agent = "web1", severity = "normal", ...rest } = { ...example, ...given };
    return this.#number({ ...rest, type, agent, severity, data: { ...example?.data, ...data } }, now);
  }

  #number(event: Omit<Event, "position" | "id" | "source" | "time" | "received">, now: number): Event {
    const position = this.#events.length + 1;
    const source = eventSource(event.agent, event.beacon);
    return { ...event, position, id: eventId(event.agent, epoch, position), source, time: now, received: now };
  }

  #silenceOf(reactor: string, agent: string, now: number) {
    const found = this.#silences.findIndex((each) => now < each.until && each.reactor(reactor) && each.agent(agent));
    return found < 0 ? undefined : { id: `silence ${found + 1} of the test`, until: this.#silences[found]!.until, why: "the test says so" };
  }
}

function inTest(reactor: Reactor, vars: ReactorTest["vars"]): Reactor {
  const mode = reactor.mode === "live" ? "live" : "plan";
  return { ...reactor, mode, vars: { ...reactor.vars, ...vars } };
}
