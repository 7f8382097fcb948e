import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { copyFileSync, existsSync, statSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { BeaconMemory } from "./beacons/remembered.ts";
import { all, draft, openSpool, temporaryDirectory } from "./spool-fixture.ts";

const beacon = "test:counter";
const remembered = (directory: string) => {
  const spool = openSpool(directory);
  const memory = new BeaconMemory(spool, beacon).take();
  const events = all(spool).filter(({ type }) => type === "test.happened");
  spool.close();
  return { memory, numbers: events.map(({ data }) => (data as { n: number }).n) };
};

test("rows outlive the process, another beacon does not see them, and what is taken away is gone", async (t) => {
  const directory = temporaryDirectory(t);
  const spool = openSpool(directory);
  const memory = new BeaconMemory(spool, beacon);
  assert.equal(memory.take().size, 0);
  assert.ok(memory.set("a", { size: 5, name: "x" }) && memory.set("b", 1) && memory.set("c", "gone"));
  memory.set("c", undefined);
  // Not on the disk yet, and known all the same.
  assert.deepEqual([...new BeaconMemory(spool, beacon).take().keys()].toSorted(), ["a", "b"]);
  spool.close();
  const after = openSpool(directory);
  assert.deepEqual(Object.fromEntries(new BeaconMemory(after, beacon).take()), { a: { size: 5, name: "x" }, b: 1 });
  assert.equal(new BeaconMemory(after, "other:counter").take().size, 0);
  new BeaconMemory(after, "other:counter").set("z", 1);
  after.forgetOthers(new Set(["other:counter"]));
  assert.equal(new BeaconMemory(after, beacon).take().size, 0);
  after.close();
  const last = openSpool(directory);
  assert.deepEqual([new BeaconMemory(last, beacon).take().size, new BeaconMemory(last, "other:counter").take().size], [0, 1]);
  last.close();
});

test("P4: a row that is too large is not kept, and the older one does not stay in its place", (t) => {
  const spool = openSpool(temporaryDirectory(t));
  t.after(() => spool.close());
  const memory = new BeaconMemory(spool, beacon);
  assert.ok(memory.set("a", "small"));
  assert.equal(memory.set("a", "x".repeat(300_000)), false);
  assert.equal(new BeaconMemory(spool, beacon).take().size, 0);
});

test("P1: an event and the row of its turn are on the disk, both or neither, whenever the process is killed", async (t) => {
  const directory = temporaryDirectory(t);
  const script = `
    import { openSpool, draft } from ${JSON.stringify(join(import.meta.dirname, "spool-fixture.ts"))};
    import { BeaconMemory } from ${JSON.stringify(join(import.meta.dirname, "beacons", "remembered.ts"))};
    const spool = openSpool(${JSON.stringify(directory)});
    const memory = new BeaconMemory(spool, ${JSON.stringify(beacon)});
    let n = memory.take().get("n") ?? 0;
    const turn = () => { n += 1; spool.append(draft(n)); memory.set("n", n); setImmediate(turn); };
    turn();`;
  let last = 0;
  for (let round = 0; round < 5; round++) {
    const child = spawn(process.execPath, ["--input-type=module", "-e", script], { stdio: ["ignore", "ignore", "inherit"] });
    const log = join(directory, "spool.db-wal");
    const grown = () => existsSync(log) && statSync(log).size > 100_000;
    while (!grown() && child.exitCode === null) await delay(5);
    await delay(Math.random() * 30);
    child.kill("SIGKILL");
    await once(child, "exit");
    const { memory, numbers } = remembered(directory);
    const n = Number(memory.get("n"));
    assert.ok(n > last, `${n} after ${last}`);
    assert.deepEqual(
      numbers,
      Array.from({ length: n }, (_, i) => i + 1),
    );
    last = n;
  }
});

test("a draft beside a row that a full memory did not take is an event all the same", (t) => {
  const spool = openSpool(temporaryDirectory(t));
  t.after(() => spool.close());
  spool.append(draft(1));
  assert.equal(new BeaconMemory(spool, beacon).set("n", "x".repeat(300_000)), false);
  spool.flush();
  assert.equal(all(spool).length, 1);
});

test("a spool that lost its last events has lost what beacons knew of them, and begins with nothing: else they would be told twice", (t) => {
  const directory = temporaryDirectory(t);
  const file = join(directory, "spool.db");
  const tell = (n: number) => {
    const spool = openSpool(directory);
    spool.append(draft(n));
    new BeaconMemory(spool, beacon).set("n", n);
    spool.close();
  };
  tell(1);
  copyFileSync(file, `${file}-before`);
  tell(2);
  assert.deepEqual(Object.fromEntries(remembered(directory).memory), { n: 2 });
  // Its mark stays, and knows of more.
  copyFileSync(`${file}-before`, file);
  const spool = openSpool(directory);
  t.after(() => spool.close());
  assert.ok(all(spool).some(({ type }) => type === "spool.damaged"));
  assert.equal(new BeaconMemory(spool, beacon).take().size, 0);
});
