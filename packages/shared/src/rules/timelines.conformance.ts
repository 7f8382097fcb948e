/**
 * Random rules and timelines for the tests of the engine: few types, keys and moments, so that they meet often. And the way from the same
 * values into the engine: through the compiler, as an author's YAML goes.
 */
import fc from "fast-check";
import type { Event } from "../event.ts";
import { loadReactors } from "../reactor.ts";
import { ReactorIndex } from "./reactor-index.ts";
import type { ModelEvent, ModelFiring, RuleSource, Said, Silence } from "./slow-model.conformance.ts";
import type { Hearer } from "./type-index.ts";
import type { Decision, Firing, Reactor, Seen, World } from "./types.ts";

export type Moment = { kind: "event"; event: ModelEvent } | { kind: "tick"; at: number };

/** Every other one is dense, unless it is for several agents: one agent, whose events come one upon the other. */
export function anyTimeline(length: number, { ofSeveral = false } = {}): fc.Arbitrary<Moment[]> {
  return fc.boolean().chain((isDense) => timeline(length, isDense && !ofSeveral));
}

function timeline(length: number, isDense: boolean): fc.Arbitrary<Moment[]> {
  const wideGap = fc.oneof(
    { weight: 12, arbitrary: fc.nat({ max: 4 }) },
    { weight: 2, arbitrary: fc.constantFrom(-2, 9, 25) },
    { weight: 1, arbitrary: fc.constantFrom(-20_000, 400) },
  );
  const anyStep = fc.record({
    gap: isDense ? fc.nat({ max: 2 }) : wideGap,
    ticks: fc.array(fc.nat({ max: 10 }), { maxLength: 2 }),
    type: fc.constantFrom("a.x", "a.x", "b.x", "b.x", "c.x"),
    agent: isDense ? fc.constant("h1") : fc.constantFrom("h1", "h1", "h2"),
    subject: fc.constantFrom(undefined, undefined, "s"),
    severity: fc.constantFrom("low", "high"),
    n: fc.nat({ max: 2 }),
    k: isDense ? fc.constantFrom(1, 2) : fc.constantFrom(1, 1, 2, undefined),
    ancestry: fc.oneof(
      { weight: isDense ? 30 : 6, arbitrary: fc.constant([]) },
      { weight: 1, arbitrary: fc.subarray(["r1", "r2", "zz", "yy", "zz"]) },
    ),
  });
  return fc.array(anyStep, { minLength: 1, maxLength: length, size: "max" }).map((steps) => {
    let wall = 1_000_000;
    const moments: Moment[] = [];
    for (const [index, { gap, ticks, k, n, ...rest }] of steps.entries()) {
      const before = wall;
      wall += gap;
      const times = ticks.map((tick) => before + tick).filter((at) => at <= wall);
      for (const at of times.toSorted((a, b) => a - b)) moments.push({ kind: "tick", at });
      const data = { n, ...(k === undefined ? {} : { k }) };
      moments.push({ kind: "event", event: { ...rest, id: `${rest.agent}:e:${index + 1}`, received: wall, data } });
    }
    // Whatever waits comes out.
    return [...moments, { kind: "tick", at: wall + 1_000 }];
  });
}

const within = fc.constantFrom("1ms", "3ms", "6ms", "12ms", "12ms", "25ms");
const keys = fc.constantFrom<string[]>([], [], ["event.agent"], ["event.data.k"], ["event.agent", "event.data.k"]);
const when = fc.constantFrom(
  undefined,
  undefined,
  undefined,
  undefined,
  undefined,
  "event.data.n > 0",
  "event.data.k == 1",
  "event.data.n == 2",
);
const types = fc.constantFrom("a.x", "b.x", "*.*", "*.*");

function step(index: number, extra: fc.Arbitrary<string | undefined> = when) {
  return fc.record({ on: types, when: extra, as: fc.constantFrom(undefined, `name${index}`) });
}

function withoutName(given: fc.Arbitrary<string | undefined>) {
  return fc.record({ on: types, when: given });
}

function steps(of: (index: number) => ReturnType<typeof step>) {
  return fc.integer({ min: 2, max: 3 }).chain((count) => fc.tuple(...Array.from({ length: count }, (_, index) => of(index))));
}

/** Names of earlier steps must be those that they have. */
const sequence = steps(step).chain((made) =>
  fc.tuple(
    ...made.map((each, index) => {
      const names = made.slice(0, index).map(({ as }, earlier) => as ?? `step${earlier + 1}`);
      const later = names.flatMap((name) => [`event.data.k == matched.${name}.data.k`, `event.data.n >= matched.${name}.data.n`]);
      return fc.constantFrom(each.when, each.when, ...later).map((condition) => ({ ...each, when: condition }));
    }),
  ),
);

const consume = fc.constantFrom(undefined, false);
const correlate: fc.Arbitrary<RuleSource["correlate"]> = fc.oneof(
  fc.record({
    count: fc.integer({ min: 1, max: 4 }),
    within,
    by: keys,
    consume,
    distinct: fc.constantFrom(undefined, undefined, "event.data.n", "event.data.k"),
  }),
  fc.record({ all: steps(step), within, by: keys, consume }),
  fc.record({ any: steps(step), by: keys }),
  fc.record({ sequence, within, by: keys, consume }),
  fc.record({
    none: withoutName(fc.constantFrom(undefined, "event.data.k == matched.first.data.k", "event.data.n > 0")),
    within,
    by: keys,
  }),
);

const problem = fc.record({
  on: types,
  raise: fc.record({ on: fc.constant("a.x"), when, by: fc.oneof(fc.constant(undefined), keys) }),
  clear: fc.record({ on: types, when }),
  for: fc.constantFrom(undefined, undefined, "3ms", "8ms"),
  on_clear: fc.constantFrom(undefined, true, true),
});

const condition = fc.oneof(
  { weight: 4, arbitrary: fc.record({ on: types, when, correlate }) },
  { weight: 1, arbitrary: fc.record({ on: types, when }) },
  { weight: 3, arbitrary: problem },
);

const overflow = fc.constantFrom(undefined, "drop", "delay", "merge");
const flowBy = fc.oneof({ weight: 2, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: keys });
const flow = fc.oneof(
  { weight: 2, arbitrary: fc.constant(undefined) },
  { weight: 2, arbitrary: fc.record({ once: within, overflow, by: flowBy }) },
  { weight: 2, arbitrary: fc.record({ rate: fc.constantFrom("1/4ms", "2/8ms", "3/12ms"), overflow, by: flowBy }) },
  { weight: 1, arbitrary: fc.record({ debounce: within, by: flowBy }) },
  { weight: 1, arbitrary: fc.record({ collect: within, by: flowBy }) },
);

const calendar = fc.oneof(
  { weight: 5, arbitrary: fc.constant(undefined) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constantFrom("mute" as const, "only" as const),
      from: fc.nat({ max: 5 }),
      until: fc.integer({ min: 8, max: 20 }),
    }),
  },
);

const mode = fc.constantFrom(...Array<undefined>(12).fill(undefined), "plan", "shadow", "off");

/** What is done on a host, by which firings of several are alike or not: some cannot be worked out, some are others as events join. */
const hostStep = fc.constantFrom("n ${{ event.data.n }}", "k ${{ event.data.k }}", "k ${{ event.data.k }}", "count ${{ count }}");
const combined = fc.record({ argument: hostStep, combine: fc.constantFrom("1ms", "6ms", "12ms", "25ms") });
const combine = fc.oneof(
  { weight: 2, arbitrary: fc.constant({}) },
  { weight: 1, arbitrary: fc.record({ argument: hostStep }) },
  { weight: 2, arbitrary: combined },
);

/** One rule, and none beside it. */
export function anyRule(name = "r1", parts: { condition: fc.Arbitrary<object>; combine: fc.Arbitrary<object> } = { condition, combine }) {
  return fc
    .tuple(
      parts.condition,
      flow,
      calendar,
      parts.combine,
      fc.record({
        mode,
        keys_max: fc.constantFrom(undefined, undefined, undefined, 1, 2),
        follow: fc.constantFrom(undefined, "self"),
        priority: fc.constantFrom(undefined, "critical"),
        keeps: fc.boolean(),
      }),
    )
    .map(([made, flowed, calendared, done, { keeps, ...rest }]) => {
      const seen = keeps ? { ids: "${{ events.map(each, each.id) }}", matched: "${{ matched }}" } : {};
      const data = { count: "${{ count }}", key: "${{ key }}", trigger: "${{ event.id }}", ...seen };
      const action = [{ "event.emit": { type: "x.y", data } }];
      const onClear = "on_clear" in made && made.on_clear ? { on_clear: action } : { on_clear: undefined };
      const on = "when" in made && made.when !== undefined ? made.when : undefined;
      const { argument, combine: waits }: { argument?: string; combine?: string } = done;
      const isCollected = flowed !== undefined && "collect" in flowed;
      // Beside `collect` it is refused.
      const together = waits === undefined || isCollected ? {} : { combine: waits };
      // In which order groups of one moment go is not said, and of too many problems the one that was fired first would go.
      const keys = "raise" in made && "combine" in together ? { keys_max: undefined } : {};
      return withoutUndefined({
        name,
        ...rest,
        ...made,
        when: on,
        ...onClear,
        flow: flowed,
        calendar: calendared,
        ...together,
        ...keys,
        do: argument === undefined ? action : [{ "command.run": { argv: ["fix", argument] } }],
      }) as RuleSource;
    });
}

/** One that combines, on what happens often. */
export const anyCombining = anyRule("r1", {
  condition: fc.oneof({ weight: 2, arbitrary: fc.record({ on: types }) }, { weight: 1, arbitrary: problem }),
  combine: combined,
});

/** Three rules that inhibit each other. Those that inhibit keep all their keys. */
export const anyRules: fc.Arbitrary<RuleSource[]> = fc
  .tuple(
    fc.tuple(anyRule("r3"), anyRule("r1"), anyRule("r2")),
    fc.array(fc.record({ by: fc.constantFrom("r1", "r3"), equal: keys, for: within }), { maxLength: 2 }),
    fc.array(fc.record({ equal: keys, for: within }), { maxLength: 1 }),
  )
  .map(([[first, second, third], forThird, forFirst]) => [
    { ...first, keys_max: 100, inhibited_by: forFirst.map((each) => ({ reactor: "r1", ...each })) },
    { ...second, keys_max: 100 },
    { ...third, inhibited_by: forThird.map(({ by, ...each }) => ({ reactor: by, ...each })) },
  ]);

export const anySilences: fc.Arbitrary<Silence[]> = fc.array(
  fc
    .record({
      reactor: fc.constantFrom("r1", "r2"),
      agent: fc.constantFrom("h1", "h2"),
      after: fc.nat({ max: 30 }),
      lasts: fc.integer({ min: 1, max: 20 }),
    })
    .map(({ after, lasts, ...rest }) => ({ ...rest, from: 1_000_000 + after, until: 1_000_000 + after + lasts })),
  { maxLength: 2 },
);

function compile(sources: RuleSource[]): Reactor[] {
  const text = sources.map((source) => JSON.stringify({ ...source, calendar: undefined })).join("\n---\n");
  const loaded = loadReactors("rules.yaml", text);
  if (!loaded.ok) throw new Error(`${JSON.stringify(loaded.problems)}\n${text}`);
  // A cron expression knows no milliseconds.
  return loaded.reactors.map((reactor, index) => {
    const window = sources[index]!.calendar;
    if (window === undefined) return reactor;
    const covers = (now: number) => {
      const at = now % 20;
      return at >= window.from && at < window.until ? { until: now - at + window.until } : undefined;
    };
    const next = (now: number) => now - (now % 20) + window.from + (now % 20 >= window.from ? 20 : 0);
    return { ...reactor, [window.kind === "mute" ? "muteDuring" : "onlyDuring"]: [{ covers, next, text: "each 20 ms" }] };
  });
}

/** Lets every reactor of the type judge an event, as the slow model does: also those of which the index knows that they cannot match. */
export function indexOf(sources: RuleSource[]): ReactorIndex {
  return new PlainIndex(compile(sources));
}

class PlainIndex extends ReactorIndex {
  override candidates({ type }: Event): readonly Hearer[] {
    return this.ofType(type).hearers;
  }
}

/** As the master has it. */
export function realIndexOf(sources: RuleSource[]): ReactorIndex {
  return new ReactorIndex(compile(sources));
}

export function worldOf(silences: readonly Silence[] = []): World {
  return {
    agentView: (id) => ({ id, labels: {}, facts: {} }),
    route: ({ severity }) => ({ priority: severity, owner: undefined, labels: {} }),
    silence: (reactor, agent, now) => {
      const found = silences.find((each) => each.reactor === reactor && each.agent === agent && each.from <= now && now < each.until);
      return found && { id: "s1", until: found.until, why: "a test" };
    },
  };
}

export function seenOf({ subject, ancestry, severity, ...event }: ModelEvent): Seen {
  const position = Number(event.id.split(":")[2]);
  const whole: Event = { position, source: "/agents/h1", time: event.received, severity: severity as Event["severity"], ...event };
  if (subject !== undefined) whole.subject = subject;
  return { event: whole, agent: event.agent, ancestry, root: ancestry.length > 0 ? "h1:e:0" : event.id };
}

/** Reasons of which the model says nothing; of a wait it says until when. */
const unsaid = new Set(["when-false", "when-missing-field", "when-error"]);

export function saidOf(decisions: readonly Decision[]): Said[] {
  return decisions
    .filter(({ reason, until }) => !unsaid.has(reason) && (reason !== "waiting" || until !== undefined))
    .map(({ reactor, event, at, reason, until, firing }) => ({
      reactor: reactor.name,
      event,
      at,
      reason,
      ...(until === undefined ? {} : { until }),
      ...(firing === undefined ? {} : { firing: firingOf(firing) }),
    }));
}

/** As the model says it, and as the values of the plan saw it. */
function firingOf({ branch, trigger, events, count, key, ancestry, priority, plan, members, reactor }: Firing): ModelFiring {
  const shown = { branch, trigger: trigger.event.id, events: [...events], count, key: [...key], ancestry: [...ancestry], priority };
  const of = members === undefined ? {} : { members: members.map(firingOf) };
  if (!plan.ok) {
    if (reactor.remedy.rungs[0]!.steps[0]!.action !== "command.run") throw new Error(plan.reason);
    return { ...shown, matched: {}, fails: true, ...of };
  }
  const { action, args } = plan.rungs[0]!.steps[0]!;
  if (action === "command.run") return { ...shown, matched: {}, does: (args["argv"] as string[])[1]!, ...of };
  const data = args["data"] as Record<string, unknown>;
  const ids = (data["ids"] ?? events) as string[];
  const matched = Object.entries((data["matched"] ?? {}) as Record<string, Event>).map(([name, { id }]) => [name, id] as const);
  const same = data["count"] === count && JSON.stringify(data["key"]) === JSON.stringify(key) && data["trigger"] === trigger.event.id;
  if (!same || JSON.stringify(ids) !== JSON.stringify(events)) throw new Error(`values saw another firing: ${JSON.stringify(data)}`);
  return { ...shown, matched: Object.fromEntries(matched) };
}

function withoutUndefined(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value));
}
