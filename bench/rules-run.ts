/**
 * One measurement of `rules.ts`, in a process of its own, so that none is the warmer for another. Prints a line of JSON.
 *
 *     node bench/rules-run.ts speed REACTORS CONCERNED SECONDS few|even | keys KEYS | compile REACTORS
 */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { loadReactors } from "@needfire/shared/reactor";
import { ReactorIndex } from "@needfire/shared/rules/reactor-index";
import { Rules } from "@needfire/shared/rules/rules";
import type { Reactor, World } from "@needfire/shared/rules/types";
import { eventOfWire, wireEvent } from "@needfire/shared/wire-event";
import { ruleEvent, ruleSet, type Spread } from "./rule-set.ts";

const perFile = 100;
const differentEvents = 50_000;
const eventsPerTurn = 500;
const begin = Date.UTC(2026, 10, 22);
const nobody: readonly string[] = [];

const views = new Map<string, ReturnType<World["agentView"]>>();
const world: World = {
  agentView: (id) => {
    let view = views.get(id);
    if (view === undefined) views.set(id, (view = { id, labels: { role: "web" }, facts: {} }));
    return view;
  },
  route: ({ severity }) => ({ priority: severity, owner: undefined, labels: {} }),
  silence: () => undefined,
};

const [what, numberText = "", concernedText = "", secondsText = "", spreadText = "few"] = process.argv.slice(2);
const measure = { speed, keys, compile }[what as "speed"];
console.log(
  JSON.stringify(
    measure(Number(numberText), { concerned: Number(concernedText), seconds: Number(secondsText), spread: spreadText as Spread }),
  ),
);

/** Each event is made of its packed bytes before it is heard, as the master does. `concerned`: it is one of the first so many reactors' that it is made for. */
function speed(count: number, { concerned, seconds, spread }: { concerned: number; seconds: number; spread: Spread }): object {
  const rules = new Rules(new ReactorIndex(compiled(count)), world);
  const events = Array.from({ length: differentEvents }, (_value, number) => ruleEvent(number, { reactors: concerned, spread }));
  let heard = 0;
  let decisions = 0;
  let firings = 0;
  let received = begin;
  const run = (forMs: number) => {
    const begun = performance.now();
    const cpu = process.cpuUsage();
    const before = heard;
    while (performance.now() - begun < forMs) {
      for (let turn = 0; turn < eventsPerTurn; turn++) {
        const { agent, event } = events[heard++ % differentEvents]!;
        // Time goes on where the events begin anew.
        const made = eventOfWire({ agent, epoch: "e1", received: received++ }, event, heard);
        const judgement = rules.hear({ event: made, agent, ancestry: nobody, root: made.id });
        decisions += judgement.decisions.length;
        for (const { firing } of judgement.decisions) if (firing !== undefined) firings++;
      }
      rules.takeDirty();
    }
    // By the processor's time: what else runs on the machine is not the engine's.
    const { user, system } = process.cpuUsage(cpu);
    return ((heard - before) / (user + system)) * 1_000_000;
  };
  run(1_000);
  // What compiling has left behind is not the engine's.
  memory();
  const perSecond = run(seconds * 1_000);
  return { perSecond, decisions: decisions / heard, firings: firings / heard };
}

function keys(count: number): object {
  const yaml = `name: many\non: login.failed\nkeys_max: 1000000\ncorrelate: { count: 1000, within: 1d, by: [event.agent, event.data.address] }\ndo: [{ event.emit: { type: site.noticed } }]\n`;
  const rules = new Rules(new ReactorIndex(reactorsOf(yaml)), world);
  const hear = (number: number) => {
    const address = `10.${(number >> 16) & 255}.${(number >> 8) & 255}.${number & 255}`;
    const wire = wireEvent(number + 1, { type: "login.failed", time: number, severity: "normal", data: { address } });
    const event = eventOfWire({ agent: "host-1", epoch: "e1", received: begin + number }, wire, number);
    rules.hear({ event, agent: event.agent, ancestry: nobody, root: event.id });
    if (number % eventsPerTurn === 0) rules.takeDirty();
  };
  for (let number = 0; number < eventsPerTurn; number++) hear(number);
  rules.takeDirty();
  const before = memory();
  for (let number = eventsPerTurn; number < count + eventsPerTurn; number++) hear(number);
  rules.takeDirty();
  return { bytesPerKey: (memory() - before) / count };
}

function compile(count: number): object {
  const texts = Array.from({ length: count / perFile }, (_value, file) => ruleSet(file * perFile, perFile));
  const begun = performance.now();
  const reactors = texts.flatMap((text) => reactorsOf(text));
  const loaded = performance.now();
  const index = new ReactorIndex(reactors);
  for (const { on } of reactors) for (const type of on) index.hearsType(type);
  return { seconds: (performance.now() - begun) / 1_000, indexSeconds: (performance.now() - loaded) / 1_000 };
}

function compiled(count: number): Reactor[] {
  const all: Reactor[] = [];
  for (let from = 0; from < count; from += perFile) all.push(...reactorsOf(ruleSet(from, Math.min(perFile, count - from))));
  return all;
}

function reactorsOf(text: string): Reactor[] {
  const loaded = loadReactors("rules.yaml", text);
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems));
  return loaded.reactors;
}

function memory(): number {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  collect();
  collect();
  return process.memoryUsage().heapUsed;
}
