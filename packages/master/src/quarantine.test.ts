/**
 * Faults of the master's own, put in where its parts meet: a silence that cannot be looked up for one reactor, a store that does not take what
 * follows from one. Everything around is real.
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { World } from "./engine-fixture.ts";
import { incoming } from "./fixture.ts";
import { Silences } from "./silences.ts";
import { SqliteStoreReader } from "./store/sqlite-reader.ts";
import { StoreWriter } from "./store/sqlite.ts";
import type { Writes } from "./store/store.ts";

const reactor = (name: string, more = "") =>
  `name: ${name}\non: file.drifted\n${more}do:\n  - event.emit: { type: made.${name}, data: { n: '\${{ event.data.n }}' } }\n`;
const definitions = ["before", "faulty", "later"].map((name) => ({ file: `${name}.yaml`, text: reactor(name) }));

function setting(t: TestContext, reactors = definitions) {
  const world = new World(t, reactors);
  let number = 0;
  const happens = (count: number) => {
    for (let more = 0; more < count; more++)
      world.host.happens((sequence) => incoming(sequence, { type: "file.drifted", data: { n: number++ } }));
    // A turn that fails refuses what it was about; the host goes on telling of it.
    return world.send(1_000).catch(() => {});
  };
  const numbers = (type: string) => world.found(type).map(({ data }) => data["n"]);
  const decisions = (event: string) => {
    const store = new SqliteStoreReader({ file: join(world.directory, "master.db") });
    const found = store.decisionsOn(event).map(({ reactor: of, reason }) => `${of} ${reason}`);
    store.close();
    return found;
  };
  return { world, happens, numbers, decisions };
}

interface Fault {
  error: Error | undefined;
  calls: number;
  /** So many calls go well before. */
  after?: number;
}

/** Looking up silences throws for a reactor as long as there is an error. */
function breakSilences(t: TestContext, fault: Fault) {
  const holdBack = Silences.prototype.holdBack;
  t.mock.method(Silences.prototype, "holdBack", function (this: Silences, ...args: Parameters<typeof holdBack>) {
    if (args[0] !== "faulty" || fault.error === undefined || ++fault.calls <= (fault.after ?? 0)) return holdBack.apply(this, args);
    throw fault.error;
  });
}

test("P4, P5: what a reactor throws on is set aside for it alone and told, and no other reaction is lost or doubled", async (t) => {
  const fault = { error: new RangeError("a fault of ours"), calls: 0 };
  breakSilences(t, fault);
  const { world, happens, numbers, decisions } = setting(t);
  await happens(2);
  const told = await world.until("reactor.set_aside", 2);
  await world.until("made.later", 2);
  await happens(1);
  await world.until("made.later", 3);
  await world.until("reactor.set_aside", 3);
  for (const type of ["made.before", "made.later"]) assert.deepEqual(numbers(type), [0, 1, 2], type);
  assert.deepEqual(numbers("made.faulty"), []);
  assert.equal(fault.calls, 5, "three times the first, once each after it");
  const drifted = world.found("file.drifted").map(({ id }) => id);
  assert.deepEqual(
    told.map(({ subject, severity, data }) => [subject, severity, data]),
    drifted
      .slice(0, 2)
      .map((what) => ["faulty", "high", { reactor: "faulty", what, why: "judging it failed: a fault of ours", whole: false }]),
  );
  assert.deepEqual(decisions(drifted[0]!), ["before fired", "faulty set-aside", "later fired"]);
  await world.end();
});

test("a fault of the moment costs nothing: what failed is judged again, and nothing is set aside", async (t) => {
  const fault: Fault = { error: new Error("of the moment"), calls: 0 };
  breakSilences(t, fault);
  const { world, happens, numbers } = setting(t);
  await happens(1);
  while (fault.calls === 0) await new Promise(setImmediate);
  fault.error = undefined;
  await world.until("made.later", 1);
  for (const { text: _text, file } of definitions) assert.deepEqual(numbers(`made.${file.replace(".yaml", "")}`), [0], file);
  assert.deepEqual(numbers("reactor.set_aside"), []);
  await world.end();
});

test("a reactor that goes on throwing is set aside as a whole, which is told once, until it is changed", async (t) => {
  const fault: Fault = { error: new Error("always"), calls: 0 };
  breakSilences(t, fault);
  const { world, happens, numbers, decisions } = setting(t);
  await happens(7);
  await world.until("made.later", 7);
  const told = await world.until("reactor.set_aside", 5);
  assert.deepEqual(
    told.map(({ data }) => data["whole"]),
    [false, false, false, false, true],
  );
  await happens(1);
  await world.until("made.later", 8);
  const last = world.found("file.drifted").at(-1)!;
  assert.deepEqual(decisions(last.id), ["before fired", "faulty set-aside", "later fired"]);
  assert.deepEqual(
    world.engine.setAside().map(({ name }) => name),
    ["faulty"],
  );
  fault.error = undefined;
  world.define([
    ...definitions.filter(({ file }) => file !== "faulty.yaml"),
    { file: "faulty.yaml", text: reactor("faulty", "when: 'true'\n") },
  ]);
  await happens(1);
  await world.until("made.faulty", 1);
  assert.deepEqual(numbers("made.faulty"), [8]);
  assert.equal(world.found("reactor.set_aside").length, 5);
  await world.end();
});

test("what is due and cannot be judged goes, with what it was about, and time goes on for the others", async (t) => {
  // An event is asked about when it comes, and again when its time has come.
  breakSilences(t, { error: new Error("at its time"), calls: 0, after: 1 });
  const collecting = (name: string, time: string) => ({ file: `${name}.yaml`, text: reactor(name, `flow: { collect: ${time} }\n`) });
  const { world, happens, numbers } = setting(t, [collecting("faulty", "1s"), collecting("later", "2s")]);
  world.host.received = () => Date.now();
  await happens(1);
  await world.until("made.later", 1);
  const [told] = await world.until("reactor.set_aside", 1);
  assert.deepEqual([told?.data["reactor"], told?.data["what"], told?.data["why"]], ["faulty", "f[]", "judging it failed: at its time"]);
  assert.deepEqual([numbers("made.faulty"), numbers("made.later")], [[], [0]]);
  await world.end();
});

/** The store throws while it should, for what follows from the faulty reactor, or whatever it is given. */
function breakStore(t: TestContext, isBad: (writes: Writes) => boolean) {
  const commitAll = StoreWriter.prototype.commitAll;
  t.mock.method(StoreWriter.prototype, "commitAll", function (this: StoreWriter, writes: Writes[]) {
    if (writes.some(isBad)) throw new TypeError("cannot be written");
    return commitAll.call(this, writes);
  });
}

test("what follows from a reactor and cannot be kept is found among hundreds of events, and set aside alone", async (t) => {
  breakStore(t, ({ changes = [] }) =>
    changes.some(({ task }) => task.reactor === "faulty" && JSON.stringify(task.rungs).includes('"n":137')),
  );
  const { world, happens, numbers, decisions } = setting(t);
  const total = 300;
  await happens(total);
  await world.until("made.later", total);
  const [told, ...more] = await world.until("reactor.set_aside", 1);
  assert.deepEqual(more, []);
  assert.equal(told?.data["reactor"], "faulty");
  assert.match(String(told?.data["why"]), /cannot be kept: cannot be written/);
  const all = Array.from({ length: total }, (_value, index) => index);
  for (const type of ["made.before", "made.later"]) assert.deepEqual(numbers(type), all, type);
  assert.deepEqual(
    numbers("made.faulty"),
    all.filter((n) => n !== 137),
  );
  assert.deepEqual(decisions(String(told?.data["what"])), ["before fired", "faulty set-aside", "later fired"]);
  await world.end();
});

test("a store that takes nothing for a while is no event's fault: nothing is set aside, and nothing lost", async (t) => {
  const store = { isBroken: true, refused: 0 };
  breakStore(t, ({ changes = [], cursor = 0 }) => store.isBroken && cursor + changes.length > 0 && ++store.refused > 0);
  const { world, happens, numbers } = setting(t, definitions.slice(0, 1));
  const sent = happens(2);
  while (store.refused < 18) await new Promise((resolve) => void setTimeout(resolve, 20));
  store.isBroken = false;
  await sent;
  await world.quiet();
  await world.until("made.before", 2);
  assert.deepEqual(numbers("made.before"), [0, 1]);
  assert.deepEqual(numbers("reactor.set_aside"), []);
  await world.end();
});
