import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { severities, type Severity } from "@needfire/shared/event";
import { rankOf } from "@needfire/shared/rank";
import { CommandTurns, type Turning } from "./command-turns.ts";

interface Command extends Turning {
  number: number;
}

/** So that no two that came at different times have one rank. */
const limits = { commandsMax: 4, perAgentMax: 2, risesAfterMs: 10.3 };
const hosts = ["web1", "web2", "web3"];

let made = 0;
function command(agent: string, priority: Severity = "normal", since = made): Command {
  return { number: made++, execution: { agent, priority }, since };
}

function setting(given: Partial<typeof limits> = {}, here = hosts) {
  const turns = new CommandTurns<Command>({ ...limits, ...given });
  const add = (...commands: Command[]) => {
    for (const each of commands) {
      turns.add(each, false);
      turns.line(each);
      turns.here(each.execution.agent, here.includes(each.execution.agent));
    }
    return commands;
  };
  /** All that may go now, in their order. */
  const go = () => {
    const gone: Command[] = [];
    const send = (one: Command | undefined) => {
      if (one === undefined) return false;
      turns.went(one);
      gone.push(one);
      return true;
    };
    for (const host of hosts) while (send(turns.urgent(host)));
    while (send(turns.next()));
    return gone;
  };
  return { turns, add, go };
}

test("so many are with hosts at once, and so many with each; whoever ends lets in the first of all that wait, on whichever host", () => {
  const { turns, add, go } = setting();
  const [a, b, c] = add(command("web1"), command("web1"), command("web1"));
  const [d, e, f] = add(command("web2"), command("web2", "low"), command("web3", "high", 0));
  assert.deepEqual(go(), [f, a, b, d], "one of web1 has to wait for web1, and the one of web2 for all");
  const [ofHost, ofAll] = [turns.waitOf(c!)!, turns.waitOf(e!)!];
  assert.deepEqual([ofHost, turns.before(c!, ofHost)], [{ for: "agent", limit: "commands_per_agent_max", given: 2 }, 0]);
  assert.deepEqual([ofAll, turns.before(e!, ofAll)], [{ for: "all", limit: "commands_max", given: 4 }, 0]);
  const [late] = add(command("web3"));
  assert.equal(turns.before(e!, ofAll), 1, "what waits for another host counts, but for one that has no room itself");
  turns.ended(d!);
  assert.deepEqual(go(), [late], "it came last, and is before the low one");
  turns.ended(a!);
  assert.deepEqual(go(), [c]);
  assert.deepEqual(turns.counts(), { given: 4, waiting: 1 });
});

test("P8: the critical wait for no limit, and count", () => {
  const { turns, add, go } = setting({ commandsMax: 2 });
  const waiting = add(...Array.from({ length: 3 }, () => command("web1", "high")));
  assert.equal(go().length, 2);
  const critical = add(command("web1", "critical"), command("web2", "critical"));
  assert.deepEqual(go(), critical);
  assert.deepEqual(turns.counts(), { given: 4, waiting: 1 });
  for (const each of [waiting[0]!, waiting[1]!, critical[0]!]) {
    turns.ended(each);
    assert.equal(go().length, each === critical[0] ? 1 : 0);
  }
});

test("what was given out before goes again whatever is with others, and what is with a host that left takes up no room", () => {
  const { turns, add, go } = setting({ commandsMax: 2 });
  const [a, b] = add(command("web1"), command("web1"));
  const [c, d, e] = add(command("web2"), command("web2"), command("web2"));
  assert.deepEqual(go(), [a, b]);
  turns.here("web1", false);
  assert.deepEqual(go(), [c, d]);
  assert.deepEqual(turns.counts(), { given: 2, waiting: 1 });
  turns.reconnected("web1");
  for (const each of turns.of("web1")) turns.line(each);
  turns.here("web1", true);
  assert.deepEqual(go(), [a, b]);
  turns.ended(c!);
  turns.ended(d!);
  assert.deepEqual([go(), turns.counts()], [[], { given: 2, waiting: 1 }]);
  turns.ended(b!);
  assert.deepEqual(go(), [e]);
});

test("what ends while its host is away gives back no room that it did not take up", () => {
  const { turns, add, go } = setting({ commandsMax: 2 });
  const [a] = add(command("web1"), command("web1"));
  const [c] = add(command("web2"), command("web2"), command("web2"));
  go();
  turns.here("web1", false);
  assert.equal(go().length, 2);
  turns.ended(a!);
  assert.deepEqual([go(), turns.counts()], [[], { given: 2, waiting: 1 }]);
  turns.here("web1", true);
  assert.deepEqual(turns.counts(), { given: 3, waiting: 1 });
  turns.ended(c!);
  assert.deepEqual(go(), []);
});

test("a restart: what was given out counts, the rest takes its turn, the oldest of a priority first", () => {
  const { turns, go } = setting();
  const old = [command("web1"), command("web1"), command("web2"), command("web2"), command("web3"), command("web3", "low")];
  for (const [index, each] of old.entries()) turns.add(each, index % 2 === 0);
  for (const each of old) turns.line(each);
  for (const host of hosts) turns.here(host, true);
  assert.deepEqual(
    go().map((each) => old.indexOf(each)),
    [0, 2, 4, 1],
  );
  assert.deepEqual(turns.counts(), { given: 4, waiting: 2 });
});

test("a host that takes nothing for now keeps nobody else waiting", () => {
  const { turns, add } = setting();
  const [a] = add(command("web1", "high"));
  const [b] = add(command("web2", "low"));
  assert.equal(turns.next(), a);
  turns.pause("web1");
  assert.equal(turns.next(), b);
  assert.deepEqual(turns.waitOf(a!), { for: "link" });
  turns.here("web1", true);
  assert.equal(turns.next(), a);
});

test("what was withdrawn goes no more, and nothing is known of what has ended", () => {
  const { turns, add, go } = setting({}, ["web1"]);
  const [a, b, c] = add(command("web1"), command("web1"), command("web2"));
  turns.withdraw(a!);
  assert.deepEqual(go(), [b]);
  assert.deepEqual([turns.waitOf(a!), turns.waitOf(b!), turns.waitOf(c!)], [undefined, undefined, { for: "host" }]);
  for (const each of [a!, b!, c!]) turns.ended(each);
  assert.deepEqual([[...turns.agents()], turns.counts(), turns.confirmed(b!)], [[], { given: 0, waiting: 0 }, false]);
});

/** What a list that is sorted at each step says. */
class Model {
  readonly all = new Set<Command>();
  readonly given = new Set<Command>();
  readonly here = new Set<string>();

  #with(host: string): Command[] {
    return [...this.given].filter(({ execution }) => execution.agent === host);
  }

  next(): Command | undefined {
    const count = [...this.here].reduce((sum, host) => sum + this.#with(host).length, 0);
    const rank = ({ execution: { priority }, since }: Command) => rankOf({ priority, since }, limits.risesAfterMs);
    const waiting = [...this.all].filter((each) => !this.given.has(each) && this.here.has(each.execution.agent));
    const fit = waiting.filter(
      ({ execution: { priority, agent } }) =>
        priority === "critical" || (count < limits.commandsMax && this.#with(agent).length < limits.perAgentMax),
    );
    return fit.toSorted((a, b) => rank(a) - rank(b))[0];
  }
}

test("whatever happens: each turn goes to whom a list that is sorted anew each time would give it, and nobody is forgotten", () => {
  const step = fc.record({
    host: fc.constantFrom(...hosts),
    what: fc.constantFrom("comes", "comes", "comes", "ends", "goes away", "is back"),
    priority: fc.constantFrom(...severities),
    pick: fc.nat({ max: 5 }),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
      const turns = new CommandTurns<Command>(limits);
      const model = new Model();
      for (const [since, { host, what, priority, pick }] of steps.entries()) {
        const isHere = () => turns.here(host, model.here.has(host));
        if (what === "comes") {
          const one = command(host, priority, since);
          model.all.add(one);
          turns.add(one, false);
          turns.line(one);
        }
        if (what === "ends") {
          const one = [...model.given][pick];
          if (one !== undefined) turns.ended(one);
          if (one !== undefined) model.all.delete(one);
          if (one !== undefined) model.given.delete(one);
        }
        if (what === "goes away") model.here.delete(host);
        if (what === "is back") model.here.add(host);
        isHere();
        for (let next = model.next(); next !== undefined; next = model.next()) {
          const { agent } = next.execution;
          const found = next.execution.priority === "critical" ? turns.urgent(agent) : turns.next();
          assert.equal(found, next);
          turns.went(next);
          turns.confirmed(next);
          model.given.add(next);
        }
        assert.equal(turns.next(), undefined);
        assert.equal(turns.urgent(host), undefined);
      }
      const waiting = [...model.all].filter((each) => !model.given.has(each));
      for (const each of waiting) assert.notEqual(turns.waitOf(each), undefined);
    }),
    { numRuns: 500 },
  );
});
