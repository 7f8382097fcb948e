/** A remedy that does not hold is given up, told once, and stays so until a person says otherwise: with real processes and a killed master. */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import type { TaskView } from "@needfire/shared/api";
import { run } from "../packages/cli/src/testing/run.ts";
import { Testbed, until } from "./testbed.ts";

const over = ({ state, executions }: TaskView) =>
  (state === "resolved" || state === "escalated") && executions.every(({ ended }) => ended !== undefined);

describe("a breaker", () => {
  let bed: Testbed;
  let changes = 0;
  const needfire = (...words: string[]) => run(words, { env: { NEEDFIRE_MASTER: bed.path("master.sock"), SUDO_USER: "ann" } });
  const notes = () => (existsSync(bed.path("notes.txt")) ? readFileSync(bed.path("notes.txt"), "utf8").trimEnd().split("\n") : []);
  const said = (line: RegExp) => notes().filter((each) => line.test(each)).length;
  const path = (name: string) => bed.path("host", "drop", name);
  /** In one step: a file that is written in two may be told of twice. */
  const change = (name: string) => bed.write(`host/drop/${name}`, `${++changes}`);
  const tasks = (reactor: string, count: number) => bed.tasks((all) => all.length === count && all.every(over), reactor);
  /** A change that makes a task, until that is over; the how many-th it is of its reactor. */
  const fires = async (name: string, reactor: string, count: number) => {
    change(name);
    return (await tasks(reactor, count))[0]!;
  };
  /** A change that makes none. */
  const isHeld = async (name: string, reactor: string) => {
    const before = (await bed.client.breakers()).breakers.reduce((sum, { held }) => sum + held, 0);
    const count = (await bed.client.tasks({ reactor, limit: 1_000 })).tasks.length;
    change(name);
    await until("it is held", async () => (await bed.client.breakers()).breakers.reduce((sum, { held }) => sum + held, 0) > before);
    assert.equal((await bed.client.tasks({ reactor, limit: 1_000 })).tasks.length, count);
  };

  before(async () => {
    bed = await Testbed.start({}, (made) => {
      const note = (...words: string[]) =>
        `{ command.run: { shell: true, argv: ${JSON.stringify(['file="$1"; shift; echo "$*" >> "$file"', made.path("notes.txt"), ...words])} } }`;
      const reactor = (name: string, rung: string, limits: string) =>
        made.reactor(
          name,
          `name: ${name}
on: file.changed
when: event.subject.endsWith(".${name}")
limits: { breaker: ${limits} }
do: [{ ${rung} }]
otherwise: [${note(`${name} called`, "${{ task.reason }}")}]
`,
        );
      const mend = `steps: [${note("mended")}]`;
      reactor("returning", `${mend}, verify: { command.run: { argv: ["true"] } }`, "manual");
      reactor("failing", "steps: [{ command.run: { argv: ['false'] } }]", "{ repeats: 2, keys: 2 }");
      reactor("unverified", mend, "{ repeats: 1 }");
      reactor("free", `${mend}, verify: { command.run: { argv: ["true"] } }`, "off");
      mkdirSync(made.path("host", "drop"));
      for (const name of ["a.returning", "b.returning", "a.failing", "b.failing", "c.failing", "a.unverified", "a.free"])
        writeFileSync(made.path("host", "drop", name), "");
      made.beacon("drop", `name: drop\ntype: file\npaths: [${JSON.stringify(made.path("host", "drop"))}]\nsettle: 1ms\n`);
    });
    await bed.addAgent("web1");
    await bed.watching("web1", "drop");
  });
  after(() => bed.stop());

  test("trips when a remedy that was verified has to be repeated: it escalates once, with the evidence, and nothing more is tried", async () => {
    const repeated: TaskView[] = [];
    for (const count of [1, 2, 3]) repeated.push(await fires("a.returning", "returning", count));
    assert.ok(repeated.every(({ state, verified }) => state === "resolved" && verified));
    const escalated = await fires("a.returning", "returning", 4);
    assert.deepEqual([escalated.state, escalated.attempts, said(/^mended$/)], ["escalated", 0, 3]);
    assert.match(escalated.reason!, /^the remedy did not hold: 3 tasks for this key within 1h; the last one was verified/);
    for (const { id } of repeated) assert.ok(escalated.reason!.includes(id));
    assert.equal(said(/^returning called the remedy did not hold/), 1);
    await isHeld("a.returning", "returning");
    const [told, ...more] = await bed.events({ type: "breaker.tripped", where: 'event.data.reactor == "returning"' }, 1);
    assert.deepEqual(
      [told!.severity, told!.data["key"], told!.data["tasks"], more],
      ["high", ["web1", path("a.returning")], repeated.map(({ id }) => id), []],
    );
    const [last] = (await bed.client.events({ type: "file.changed", where: 'event.subject.endsWith("a.returning")', limit: 1 })).events;
    assert.match(
      (await needfire("reactors", "explain", last!.id)).stdout,
      /its remedy is not tried any more:[^]*needfire breakers reset returning/,
    );
    const other = await fires("b.returning", "returning", 5);
    assert.equal(other.state, "resolved", "the other key goes on");
  });

  test("trips for the reactor when several of its keys have", async () => {
    let count = 0;
    for (const name of ["a.failing", "b.failing"]) for (let round = 0; round < 3; round++) await fires(name, "failing", ++count);
    await isHeld("c.failing", "failing");
    assert.equal((await bed.events({ type: "breaker.tripped", where: 'event.data.reactor == "failing"' }, 3)).length, 3);
    assert.equal(said(/^failing called the remedy/), 2);
    assert.match((await needfire("breakers", "list")).stdout, /REACTOR +KEY[^]*failing +all keys[^]*2 keys of this reactor have tripped/);
  });

  test("holds nothing against a remedy that verifies nothing, nor where it is off", async () => {
    for (const reactor of ["unverified", "free"]) {
      for (const count of [1, 2, 3, 4, 5]) assert.equal((await fires(`a.${reactor}`, reactor, count)).state, "resolved");
    }
  });

  test("stays tripped over a master that is killed and rules that are read again, until a person resets it, which is recorded", async () => {
    await bed.master.stop("SIGKILL");
    await bed.startMaster();
    await bed.connected("web1");
    await isHeld("a.returning", "returning");
    await bed.client.reload();
    await isHeld("a.returning", "returning");
    const reset = await needfire("breakers", "reset", "returning", "--key", "web1", path("a.returning"), "--why", "mended by hand");
    assert.match(reset.stdout, /^returning may try again for web1 .*; it held back 3 firings\.$/m);
    const count = (await bed.client.tasks({ reactor: "returning", limit: 100 })).tasks.length;
    assert.equal((await fires("a.returning", "returning", count + 1)).state, "resolved");
    const [told] = await bed.events({ type: "breaker.reset" }, 1);
    assert.deepEqual([told!.data["by"], told!.data["why"], told!.data["held"]], ["ann", "mended by hand", 3]);
    const again = await needfire("breakers", "reset", "returning");
    assert.deepEqual([again.code, again.stdout], [1, ""]);
    assert.match(again.stderr, /no breaker of returning has tripped/);
  });
});
