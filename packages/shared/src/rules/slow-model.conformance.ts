/**
 * A second engine for the tests: slow, small and literal. It reads the same YAML as values, keeps everything that ever happened, goes
 * through time millisecond by millisecond and asks at each what is due. Nothing in it is shared with the engine.
 */
export interface ModelEvent {
  id: string;
  type: string;
  agent: string;
  subject?: string | undefined;
  severity: string;
  received: number;
  data: Record<string, number>;
  ancestry: readonly string[];
}

export interface Silence {
  reactor: string;
  agent: string;
  from: number;
  until: number;
}

export interface ModelFiring {
  branch: string;
  trigger: string;
  events: string[];
  count: number;
  key: unknown[];
  ancestry: string[];
  priority: string;
  matched: Record<string, string>;
  /** Of a step on a host: its argument, or that it cannot be worked out. */
  does?: string;
  fails?: true;
  /** Of several hosts. */
  members?: ModelFiring[];
}

export interface Said {
  reactor: string;
  event: string;
  at: number;
  reason: string;
  until?: number | undefined;
  firing?: ModelFiring;
}

interface StepSource {
  on?: string | undefined;
  when?: string | undefined;
  as?: string | undefined;
}

export interface RuleSource {
  name: string;
  mode?: string | undefined;
  priority?: string | undefined;
  follow?: string | undefined;
  on?: string | undefined;
  when?: string | undefined;
  keys_max?: number | undefined;
  correlate?: {
    count?: number | undefined;
    all?: readonly StepSource[] | undefined;
    any?: readonly StepSource[] | undefined;
    sequence?: readonly StepSource[] | undefined;
    none?: StepSource | undefined;
    within?: string | undefined;
    by?: readonly string[] | undefined;
    distinct?: string | undefined;
    consume?: boolean | undefined;
  };
  raise?: (StepSource & { by?: readonly string[] }) | undefined;
  clear?: StepSource | undefined;
  for?: string | undefined;
  flow?:
    | {
        once?: string | undefined;
        debounce?: string | undefined;
        collect?: string | undefined;
        rate?: string | undefined;
        overflow?: string | undefined;
        by?: readonly string[];
      }
    | undefined;
  combine?: string | undefined;
  inhibited_by?: { reactor: string; equal: readonly string[]; for: string }[];
  do: unknown[];
  on_clear?: unknown[] | undefined;
  /** Not of the language: in which part of each 20 ms it is muted, or alone fires. */
  calendar?: { kind: "mute" | "only"; from: number; until: number };
}

interface Went {
  t: number;
  event: ModelEvent;
  value?: string;
  step?: number;
}

/** What may fire. */
interface Offer {
  trigger: ModelEvent;
  went: ModelEvent[];
  count: number;
  key: unknown[];
  ancestry: string[];
  matched: Record<string, string>;
  problems: Problem[];
}

interface Problem {
  cell: Cell;
  raisedBy: string;
}

/** The state of one key, of one kind. */
interface Cell {
  key: unknown[];
  went: Went[];
  partials: Went[][];
  wait?: { event: ModelEvent; since: number } | undefined;
  problem?: { event: ModelEvent; since: number; raised: boolean; fired: boolean; inhibits: boolean } | undefined;
  firedAt: number[];
  waiting: Offer[];
  gathering?: { offers: Offer[]; first: number; last: number } | undefined;
}

/** Firings that wait for those of other hosts which would do the same. */
interface Group {
  does: string;
  opened: number;
  offers: Offer[];
}

interface Rule {
  source: RuleSource;
  cells: { c: Cell[]; f: Cell[] };
  groups: Group[];
  /** When it fired, for those whom it inhibits. */
  fired: { t: number; event: ModelEvent }[];
}

const missing = Symbol("a field that is not there");

export class SlowModel {
  readonly #rules: Rule[];
  readonly #silences: Silence[];
  #now = 0;
  #skew = 0;
  #said: Said[] = [];

  constructor(sources: RuleSource[], silences: Silence[]) {
    this.#rules = sources.map((source) => ({ source, cells: { c: [], f: [] }, groups: [], fired: [] }));
    this.#silences = silences;
  }

  /** What is decided; not why a condition said no, nor how far a correlation of several events is. */
  hear(event: ModelEvent): Said[] {
    this.#goTo(event.received);
    for (const rule of this.#rules) if (rule.source.mode !== "off") this.#judge(rule, event);
    return this.#said.splice(0);
  }

  tick(wall: number): Said[] {
    this.#goTo(wall);
    return this.#said.splice(0);
  }

  #goTo(wall: number): void {
    if (this.#now - (wall + this.#skew) > 5_000) this.#skew = this.#now - wall;
    const end = Math.max(this.#now, wall + this.#skew);
    for (;;) {
      const [next] = this.#due();
      if (next !== undefined) next.run();
      else if (this.#now >= end) return;
      else if (this.#waitsForTime()) this.#now++;
      else this.#now = end;
    }
  }

  /** Whether the next milliseconds must be looked at one by one. */
  #waitsForTime(): boolean {
    return this.#rules.some(
      ({ cells: { c, f }, groups }) =>
        groups.length > 0 ||
        [...c, ...f].some(
          ({ wait, problem, waiting, gathering }) => wait || (problem && !problem.raised) || waiting.length > 0 || gathering !== undefined,
        ),
    );
  }

  /** What is due now, in order. In which order groups of one rule go is nobody's business. */
  #due(): { run(): void }[] {
    const found: { order: string; run(): void }[] = [];
    for (const rule of this.#rules) {
      const { source, cells, groups } = rule;
      const order = (letter: string, cell: Cell) => `${source.name} ${letter}${JSON.stringify(cell.key)}`;
      for (const cell of cells.c) {
        const { wait, problem } = cell;
        if (wait !== undefined && this.#now >= wait.since + ms(source.correlate!.within))
          found.push({ order: order("c", cell), run: () => this.#absent(rule, cell) });
        if (problem !== undefined && !problem.raised && this.#now >= problem.since + ms(source.for))
          found.push({ order: order("c", cell), run: () => this.#raise(rule, cell, problem.event) });
      }
      for (const cell of cells.f) {
        const { waiting, gathering } = cell;
        if (waiting.length > 0 && this.#blockedUntil(rule, cell) === undefined)
          found.push({ order: order("f", cell), run: () => this.#letOut(rule, cell) });
        if (gathering !== undefined && this.#now >= this.#gatherEnd(rule, cell))
          found.push({ order: order("f", cell), run: () => this.#letGathered(rule, cell) });
      }
      for (const group of groups)
        if (this.#now >= group.opened + ms(source.combine))
          found.push({ order: `${source.name} g${group.does}`, run: () => this.#letGo(rule, group) });
    }
    return found.toSorted((a, b) => (a.order < b.order ? -1 : 1));
  }

  #say(rule: Rule, event: ModelEvent, reason: string, until?: number): void {
    this.#said.push({
      reactor: rule.source.name,
      event: event.id,
      at: this.#now - this.#skew,
      reason,
      ...(until === undefined ? {} : { until: until - this.#skew }),
    });
  }

  #judge(rule: Rule, event: ModelEvent): void {
    const { source } = rule;
    let roles = rolesOf(source).filter(({ on }) => matchesGlob(on, event.type));
    if (roles.length === 0) return;
    if (event.ancestry.includes(source.name) && source.follow !== "self") {
      // It begins nothing, but it may end what is there.
      roles = roles.filter(({ role }) => role === "clear" || role === "absent");
      if (roles.length === 0) return this.#say(rule, event, "own-effect");
    }
    const holds = (when: string | undefined, matched: Record<string, ModelEvent> = {}) =>
      when === undefined || value(when, event, matched) === true;
    if (!holds(source.when)) return;
    const { correlate, raise } = source;
    if (correlate === undefined && raise === undefined) {
      if (roles.some(({ when }) => holds(when))) this.#offer(rule, offerOf([event], { key: [] }));
      return;
    }
    const by = raise === undefined ? (correlate!.by ?? []) : (raise.by ?? ["event.agent", "event.?subject.orValue(null)"]);
    const key = by.map((text) => value(text, event));
    if (key.includes(missing)) return;
    const good = roles.filter(({ when, role }) => role !== "absent" && role !== "later" && holds(when));
    if (raise !== undefined) return this.#judgeProblem(rule, event, { key, kind: good.map(({ role }) => role) });
    if (correlate!.none !== undefined) {
      const b = roles.find(({ role }) => role === "absent");
      return this.#judgeAbsence(rule, event, {
        key,
        begins: good.length > 0,
        ends: (first) => b !== undefined && holds(b.when, { first }),
      });
    }
    if (correlate!.any !== undefined) {
      const [step] = good;
      if (step !== undefined) this.#offer(rule, { ...offerOf([event], { key }), matched: { [step.name]: event.id } });
      return;
    }
    if (correlate!.sequence !== undefined) {
      const canBe = (step: number, bound: Went[]) =>
        roles.some((role) => {
          const before = Object.fromEntries(bound.map((went, index) => [stepName(correlate!.sequence!, index), went.event]));
          return role.step === step && holds(role.when, before);
        });
      return this.#judgeSequence(rule, event, { key, canBe });
    }
    if (good.length === 0) return;
    if (correlate!.count !== undefined) return this.#judgeCount(rule, event, key);
    this.#judgeAll(rule, event, { key, steps: good.map(({ step }) => step!) });
  }

  #judgeCount(rule: Rule, event: ModelEvent, key: unknown[]): void {
    const { count, within, distinct, consume = true } = rule.source.correlate!;
    const went: Went = { t: this.#now, event };
    if (distinct !== undefined) {
      const found = value(distinct, event);
      if (found === missing) return;
      went.value = JSON.stringify(found);
    }
    const cell = this.#touch(rule, "c", key);
    cell.went = [...cell.went, went].filter((each) => this.#now - each.t <= ms(within));
    // Of each value the last counts.
    if (distinct !== undefined)
      cell.went = cell.went.filter((each, index) => !cell.went.slice(index + 1).some((later) => later.value === each.value));
    if (cell.went.length >= count!) {
      const events = cell.went.map((each) => each.event);
      cell.went = consume ? [] : cell.went.slice(-count!);
      return this.#offer(rule, offerOf(events, { key }));
    }
  }

  #judgeAll(rule: Rule, event: ModelEvent, { key, steps }: { key: unknown[]; steps: number[] }): void {
    const { all, within, consume = true } = rule.source.correlate!;
    const cell = this.#touch(rule, "c", key);
    cell.went = cell.went.filter((each) => this.#now - each.t <= ms(within));
    const put = (step: number) => {
      cell.went = [...cell.went.filter((each) => each.step !== step), { t: this.#now, event, step }];
    };
    const isFilled = (step: number) => cell.went.some((each) => each.step === step);
    const empty = steps.filter((step) => !isFilled(step));
    if (!consume) steps.forEach(put);
    else if (empty.length > 0) put(empty[0]!);
    else put(cell.went.find((each) => steps.includes(each.step!))!.step!);
    if (cell.went.length < all!.length) return;
    const matched = Object.fromEntries(cell.went.map((each) => [stepName(all!, each.step!), each.event.id]));
    const events = [...new Set(cell.went.map((each) => each.event))];
    if (consume) cell.went = [];
    this.#offer(rule, { ...offerOf(events, { key }), matched });
  }

  #judgeSequence(rule: Rule, event: ModelEvent, { key, canBe }: { key: unknown[]; canBe(step: number, bound: Went[]): boolean }): void {
    const { sequence, within, consume = true } = rule.source.correlate!;
    const there = this.#cell(rule, "c", key)?.partials ?? [];
    const live = there.filter((partial) => this.#now - partial[0]!.t <= ms(within));
    const went: Went = { t: this.#now, event };
    const takers = live.filter((partial) => canBe(partial.length, partial));
    const begins = canBe(0, []);
    if (takers.length === 0 && !begins) return;
    let partials: Went[][];
    if (consume) {
      const [taker] = takers;
      partials = taker === undefined ? [...live, [went]] : live.map((partial) => (partial === taker ? [...partial, went] : partial));
    } else {
      partials = live.flatMap((partial) => (takers.includes(partial) ? [partial, [...partial, went]] : [partial]));
      if (begins) partials.push([went]);
    }
    const isDone = (partial: Went[]) => partial.length === sequence!.length;
    const done = partials.find(isDone);
    this.#touch(rule, "c", key).partials = partials.filter((partial) => !isDone(partial)).slice(-100);
    if (done === undefined) return;
    const matched = Object.fromEntries(done.map((each, step) => [stepName(sequence!, step), each.event.id]));
    this.#offer(rule, {
      ...offerOf(
        done.map((each) => each.event),
        { key },
      ),
      matched,
    });
  }

  #judgeAbsence(
    rule: Rule,
    event: ModelEvent,
    { key, begins, ends }: { key: unknown[]; begins: boolean; ends(first: ModelEvent): boolean },
  ): void {
    const wait = this.#cell(rule, "c", key)?.wait;
    const isOver = wait !== undefined && ends(wait.event);
    if (isOver) {
      this.#touch(rule, "c", key).wait = undefined;
      this.#say(rule, event, "cancelled");
    }
    if (begins) {
      const cell = this.#touch(rule, "c", key);
      cell.wait ??= { event, since: this.#now };
      this.#say(rule, event, "waiting", cell.wait.since + ms(rule.source.correlate!.within));
    }
  }

  #absent(rule: Rule, cell: Cell): void {
    const { event } = cell.wait!;
    cell.wait = undefined;
    this.#offer(rule, { ...offerOf([event], { key: cell.key }), matched: { first: event.id } });
  }

  #judgeProblem(rule: Rule, event: ModelEvent, { key, kind }: { key: unknown[]; kind: string[] }): void {
    const { source } = rule;
    if (kind.includes("raise")) {
      const cell = this.#touch(rule, "c", key);
      if (cell.problem?.raised) return this.#say(rule, event, "joined");
      if (cell.problem === undefined && ms(source.for) === 0) return this.#raise(rule, cell, event);
      cell.problem ??= { event, since: this.#now, raised: false, fired: false, inhibits: false };
      return this.#say(rule, event, "pending", cell.problem.since + ms(source.for));
    }
    if (!kind.includes("clear")) return;
    const cell = this.#cell(rule, "c", key);
    const problem = cell?.problem;
    if (cell === undefined || problem === undefined) return this.#say(rule, event, "not-raised");
    cell.problem = undefined;
    if (!problem.raised) return this.#say(rule, event, "cancelled");
    if (!problem.fired || source.on_clear === undefined) return this.#say(rule, event, "cleared");
    this.#fire(rule, offerOf([event], { key }), "on_clear");
  }

  #raise(rule: Rule, cell: Cell, event: ModelEvent): void {
    this.#touch(rule, "c", cell.key).problem = { event, since: this.#now, raised: true, fired: false, inhibits: false };
    this.#offer(rule, { ...offerOf([event], { key: cell.key }), problems: [{ cell, raisedBy: event.id }] });
  }

  #offer(rule: Rule, offer: Offer): void {
    if (this.#isSuppressed(rule, offer.trigger)) return;
    const { flow, correlate, raise } = rule.source;
    if (flow === undefined) return this.#launch(rule, offer);
    const key = flow.by === undefined ? offer.key : flow.by.map((text) => value(text, offer.trigger));
    if (key.includes(missing)) return;
    const keyed = correlate === undefined && raise === undefined ? { ...offer, key } : offer;
    const cell = this.#touch(rule, "f", key);
    if (flow.debounce !== undefined || flow.collect !== undefined) {
      cell.gathering ??= { offers: [], first: this.#now, last: this.#now };
      cell.gathering.offers.push(keyed);
      cell.gathering.last = this.#now;
      return this.#say(rule, offer.trigger, flow.debounce === undefined ? "collecting" : "debounced", this.#gatherEnd(rule, cell));
    }
    const until = this.#blockedUntil(rule, cell) ?? (cell.waiting.length > 0 ? this.#now : undefined);
    if (until === undefined) {
      cell.firedAt.push(this.#now);
      return this.#launch(rule, keyed);
    }
    const { overflow = "drop" } = flow;
    if (overflow !== "drop") cell.waiting.push(keyed);
    this.#say(rule, offer.trigger, { drop: "throttled", delay: "delayed", merge: "merged" }[overflow]!, until);
  }

  /** Until when the flow lets nothing out; undefined: it does now. Found by trying every millisecond. */
  #blockedUntil({ source: { flow } }: Rule, { firedAt }: Cell): number | undefined {
    const [n, windowText] = flow!.once === undefined ? flow!.rate!.split("/") : ["1", flow!.once];
    const inWindow = (t: number) => firedAt.filter((at) => at > t - ms(windowText) && at <= t).length;
    let t = this.#now;
    while (inWindow(t) >= Number(n)) t++;
    return t === this.#now ? undefined : t;
  }

  #gatherEnd({ source: { flow } }: Rule, { gathering }: Cell): number {
    return flow!.debounce === undefined ? gathering!.first + ms(flow!.collect) : gathering!.last + ms(flow!.debounce);
  }

  #letOut(rule: Rule, cell: Cell): void {
    const { flow } = rule.source;
    this.#touch(rule, "f", cell.key);
    const offer = flow!.overflow === "merge" ? mergeAll(cell.waiting.splice(0)) : cell.waiting.shift()!;
    if (this.#isSuppressed(rule, offer.trigger)) return;
    cell.firedAt.push(this.#now);
    this.#launch(rule, offer);
  }

  #letGathered(rule: Rule, cell: Cell): void {
    const { offers } = cell.gathering!;
    cell.gathering = undefined;
    const offer = mergeAll(offers);
    if (rule.source.flow!.collect !== undefined && isOnHosts(rule.source)) return this.#goTogether(rule, eachHost(offers, offer));
    if (!this.#isSuppressed(rule, offer.trigger)) this.#launch(rule, offer);
  }

  /** It fires, or waits for what would do the same on other hosts; of one host as one. */
  #launch(rule: Rule, offer: Offer): void {
    const { source, groups } = rule;
    const does = source.combine === undefined ? missing : doneBy(source, offer);
    if (does === missing) return this.#fire(rule, offer, "do");
    const group = groups.find((each) => each.does === does) ?? { does, opened: this.#now, offers: [] };
    if (!groups.includes(group)) groups.push(group);
    const at = group.offers.findIndex(({ trigger }) => trigger.agent === offer.trigger.agent);
    const before = group.offers[at];
    if (before !== undefined) {
      const { went, count, ancestry, problems } = mergeAll([before, offer]);
      group.offers[at] = { ...before, went, count, ancestry, problems };
      return this.#say(rule, offer.trigger, "joined");
    }
    group.offers.push(offer);
    this.#say(rule, offer.trigger, "combining", group.opened + ms(source.combine));
  }

  #letGo(rule: Rule, group: Group): void {
    rule.groups = rule.groups.filter((each) => each !== group);
    this.#goTogether(rule, group.offers);
  }

  /** In the order of the events. What would do the same by now is one firing. */
  #goTogether(rule: Rule, offers: Offer[]): void {
    const inOrder = offers.toSorted((a, b) => numberOf(a.trigger) - numberOf(b.trigger));
    const alike = new Map<unknown, Offer[]>();
    for (const offer of inOrder.filter(({ trigger }) => !this.#isSuppressed(rule, trigger))) {
      const does = doneBy(rule.source, offer);
      const which = does === missing ? offer : does;
      alike.set(which, [...(alike.get(which) ?? []), offer]);
    }
    for (const [first, ...others] of alike.values()) {
      if (others.length === 0) this.#fire(rule, first!, "do");
      else this.#fireTogether(rule, [first!, ...others]);
    }
  }

  #fireTogether(rule: Rule, offers: Offer[]): void {
    const members = offers.map((offer) => firingOf(rule.source, offer, "do"));
    const [first] = members as [ModelFiring];
    const isCollected = rule.source.flow?.collect !== undefined;
    const firing: ModelFiring = {
      ...first,
      events: [...new Set(members.flatMap(({ events }) => events))].slice(-100),
      count: isCollected ? first.count : members.reduce((sum, { count }) => sum + count, 0),
      ancestry: together(members.map(({ ancestry }) => ancestry)),
      priority: priorities.find((each) => members.some(({ priority }) => priority === each))!,
      members,
    };
    if (rule.source.mode === "shadow") for (const { trigger } of offers) this.#say(rule, trigger, "shadow");
    else this.#sayFired(rule, firing);
    for (const offer of offers) this.#hasFired(rule, offer);
  }

  #isSuppressed(rule: Rule, event: ModelEvent): boolean {
    const { source } = rule;
    for (const { reactor, equal, for: lasts } of source.inhibited_by ?? []) {
      const by = this.#rules.find((other) => other.source.name === reactor)!;
      const here = equal.map((text) => value(text, event));
      const isSame = (other: ModelEvent) => {
        const there = equal.map((text) => value(text, other));
        return !here.includes(missing) && !there.includes(missing) && JSON.stringify(here) === JSON.stringify(there);
      };
      if (by.cells.c.some(({ problem }) => problem?.inhibits === true && isSame(problem.event))) {
        this.#say(rule, event, "inhibited");
        return true;
      }
      const ends = by.fired.filter((each) => isSame(each.event)).map(({ t }) => t + ms(lasts));
      const end = Math.max(...ends);
      if (by.source.raise === undefined && this.#now < end) {
        this.#say(rule, event, "inhibited", end);
        return true;
      }
    }
    const wall = this.#now - this.#skew;
    const silence = this.#silences.find(
      ({ reactor, agent, from, until }) => reactor === source.name && agent === event.agent && from <= wall && wall < until,
    );
    if (silence !== undefined) {
      this.#say(rule, event, "silenced", silence.until + this.#skew);
      return true;
    }
    const { calendar } = source;
    if (calendar === undefined) return false;
    const isIn = wall % 20 >= calendar.from && wall % 20 < calendar.until;
    if (isIn !== (calendar.kind === "mute")) return false;
    const changes = calendar.kind === "mute" ? calendar.until : calendar.from + (wall % 20 < calendar.from ? 0 : 20);
    this.#say(rule, event, "muted", wall - (wall % 20) + changes + this.#skew);
    return true;
  }

  #fire(rule: Rule, offer: Offer, branch: string): void {
    if (rule.source.mode === "shadow") this.#say(rule, offer.trigger, "shadow");
    else this.#sayFired(rule, firingOf(rule.source, offer, branch));
    this.#hasFired(rule, offer);
  }

  #sayFired({ source }: Rule, firing: ModelFiring): void {
    const reason = source.mode === "plan" ? "planned" : "fired";
    this.#said.push({ reactor: source.name, event: firing.trigger, at: this.#now - this.#skew, reason, firing });
  }

  #hasFired(rule: Rule, { trigger, problems }: Offer): void {
    const isShadow = rule.source.mode === "shadow";
    for (const { cell, raisedBy } of problems) {
      if (!rule.cells.c.includes(cell) || !cell.problem?.raised || cell.problem.event.id !== raisedBy) continue;
      cell.problem.fired = true;
      cell.problem.inhibits = !isShadow;
      this.#touch(rule, "c", cell.key);
    }
    if (!isShadow) rule.fired.push({ t: this.#now, event: trigger });
  }

  #cell(rule: Rule, letter: "c" | "f", key: unknown[]): Cell | undefined {
    return rule.cells[letter].find((cell) => JSON.stringify(cell.key) === JSON.stringify(key));
  }

  /** The key's state, which is the most recently touched from now on. Of too many keys that are alive the first goes. */
  #touch(rule: Rule, letter: "c" | "f", key: unknown[]): Cell {
    const found = this.#cell(rule, letter, key) ?? { key, went: [], partials: [], firedAt: [], waiting: [] };
    const others = rule.cells[letter].filter((cell) => cell !== found && this.#isAlive(rule, cell));
    const { keys_max: keysMax = 10_000 } = rule.source;
    rule.cells[letter] = [...others.slice(Math.max(0, others.length + 1 - keysMax)), found];
    return found;
  }

  #isAlive(rule: Rule, cell: Cell): boolean {
    const { correlate, flow } = rule.source;
    const { went, partials, wait, problem, firedAt, waiting, gathering } = cell;
    const within = ms(correlate?.within);
    if (went.some(({ t }) => this.#now - t <= within) || partials.some(([first]) => this.#now - first!.t <= within)) return true;
    if (wait !== undefined || problem !== undefined || waiting.length > 0 || gathering !== undefined) return true;
    const windowText = flow?.once ?? flow?.rate?.split("/")[1];
    return firedAt.some((at) => this.#now < at + ms(windowText));
  }
}

interface RoleSource {
  role: string;
  on: string;
  when: string | undefined;
  step?: number;
  name: string;
}

function rolesOf({ on, correlate, raise, clear }: RuleSource): RoleSource[] {
  const role = (kind: string, { on: own, when }: StepSource, step?: number, name = ""): RoleSource => ({
    role: kind,
    on: own ?? on!,
    when,
    name,
    ...(step === undefined ? {} : { step }),
  });
  if (raise !== undefined) return [role("raise", raise), ...(clear === undefined ? [] : [role("clear", clear)])];
  const steps = correlate?.all ?? correlate?.any ?? correlate?.sequence;
  if (steps !== undefined) {
    const kind = correlate?.sequence === undefined ? "step" : "later";
    return steps.map((step, index) => role(kind, step, index, stepName(steps, index)));
  }
  return [role("event", {}), ...(correlate?.none === undefined ? [] : [role("absent", correlate.none)])];
}

function stepName(steps: readonly StepSource[], index: number): string {
  return steps[index]!.as ?? `step${index + 1}`;
}

function matchesGlob(glob: string, type: string): boolean {
  return glob === type || glob === "*.*";
}

function offerOf(went: ModelEvent[], { key }: { key: unknown[] }): Offer {
  const ancestry = together(went.map((event) => event.ancestry));
  return { trigger: went.at(-1)!, went, count: went.length, key, ancestry, matched: {}, problems: [] };
}

/** One after the other, without what the lists before it have given already. */
function together(lists: (readonly string[])[]): string[] {
  return lists.reduce<string[]>((all, list) => {
    const rest = [...all];
    const isNew = (name: string) => !rest.includes(name) || rest.splice(rest.indexOf(name), 1).length === 0;
    return [...all, ...list.filter(isNew)];
  }, []);
}

const priorities = ["critical", "high", "normal", "low"];

function firingOf(source: RuleSource, { trigger, went, count, key, ancestry, matched }: Offer, branch: string): ModelFiring {
  const { priority = "normal" } = source;
  const does = branch === "do" && isOnHosts(source) ? doneBy(source, { trigger, count }) : undefined;
  return {
    ...{ branch, trigger: trigger.id, events: went.slice(-100).map(({ id }) => id), count, key, ancestry, matched },
    priority: priorities[Math.min(priorities.indexOf(priority), priorities.indexOf(trigger.severity))]!,
    ...(does === missing ? { fails: true } : does === undefined ? {} : { does }),
  };
}

interface HostStep {
  "command.run"?: { argv: string[] };
}

function isOnHosts({ do: [step] }: RuleSource): boolean {
  return (step as HostStep)["command.run"] !== undefined;
}

/** The argument of its step with the value in place. */
function doneBy({ do: [step] }: RuleSource, { trigger, count }: Pick<Offer, "trigger" | "count">): string | typeof missing {
  const [, argument] = (step as HostStep)["command.run"]!.argv;
  const [, label, expression] = /^(\w+) \$\{\{ (.+) \}\}$/.exec(argument!)!;
  const found = expression === "count" ? count : value(expression!, trigger);
  return found === missing ? missing : `${label} ${String(found)}`;
}

/** What was collected, as it is done on each host: by the newest of its own, with what came of all. */
function eachHost(offers: Offer[], { went, count, ancestry, matched }: Offer): Offer[] {
  return [...new Set(offers.map(({ trigger }) => trigger.agent))].map((agent) => {
    const own = offers.filter(({ trigger }) => trigger.agent === agent);
    return { ...own.at(-1)!, went, count, ancestry, matched, problems: own.flatMap(({ problems }) => problems) };
  });
}

/** Its place among all events. */
function numberOf({ id }: ModelEvent): number {
  return Number(id.split(":")[2]);
}

function mergeAll(offers: Offer[]): Offer {
  return {
    ...offers.at(-1)!,
    went: [...new Set(offers.flatMap(({ went }) => went))],
    count: offers.reduce((sum, { count }) => sum + count, 0),
    ancestry: together(offers.map(({ ancestry }) => ancestry)),
    problems: offers.flatMap(({ problems }) => problems),
  };
}

/** The little of CEL that the tests write. */
function value(text: string, event: ModelEvent, matched: Record<string, ModelEvent> = {}): unknown {
  const compared = /^(\S+) (==|>=|>) (\S+)$/.exec(text);
  if (compared === null) return operand(text, event, matched);
  const [left, right] = [operand(compared[1]!, event, matched), operand(compared[3]!, event, matched)];
  if (left === missing || right === missing) return missing;
  if (compared[2] === "==") return left === right;
  return compared[2] === ">" ? (left as number) > (right as number) : (left as number) >= (right as number);
}

function operand(text: string, event: ModelEvent, matched: Record<string, ModelEvent>): unknown {
  if (/^\d+$/.test(text)) return Number(text);
  if (text === "event.?subject.orValue(null)") return event.subject ?? null;
  const [variable, ...path] = text.split(".");
  let at: unknown = variable === "event" ? event : matched;
  for (const name of path) {
    const found = (at as Record<string, unknown> | undefined)?.[name];
    if (found === undefined) return missing;
    at = found;
  }
  return at;
}

function ms(text: string | undefined): number {
  return text === undefined ? 0 : Number(text.replace("ms", ""));
}
