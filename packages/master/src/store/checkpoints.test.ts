import assert from "node:assert/strict";
import { copyFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test, type TestContext } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { settled, temporaryDirectory } from "../fixture.ts";
import type { Thread } from "../thread.ts";
import { startCheckpointer } from "../worker-checkpoint.ts";
import { type Checkpointer, Checkpoints } from "./checkpoints.ts";
import { Database } from "./database.ts";

const pageBytes = 16_384;

/** A log of so many pages, and a thread whose passes end when the test says so. */
function world(options: { idleMs?: number } = {}) {
  const length = { pages: 0, copied: 0 };
  const locked = { is: false };
  const room = { pages: Number.POSITIVE_INFINITY };
  const passes: PromiseWithResolvers<void>[] = [];
  const done: string[] = [];
  const warned: object[] = [];
  const thread = {
    remote: {
      checkpoint: () => {
        const pass = Promise.withResolvers<void>();
        passes.push(pass);
        return pass.promise;
      },
    },
    stop: () => Promise.resolve(void done.push("stopped")),
  } as unknown as Thread<Checkpointer>;
  const checkpoints = new Checkpoints({
    database: {
      log: () => {
        if (locked.is) throw new Error("database table is locked");
        return length;
      },
      hasRoomFor: (pages) => pages <= room.pages,
      canCopy: () => room.pages > 0,
      checkpoint: () => void done.push("here"),
      syncFile: () => Promise.resolve(void done.push("synced")),
    },
    start: () => {
      done.push("started");
      return Promise.resolve(thread);
    },
    log: { warn: (facts) => void warned.push(facts) },
    retryMs: 0,
    ...options,
  });
  const look = async (pages: number, copied: number, urgent = false) => {
    Object.assign(length, { pages, copied });
    checkpoints.look(urgent);
    await settled();
  };
  return { checkpoints, passes, done, warned, look, locked, room };
}

test("a short log stays as it is; a long one is copied in the other thread, once at a time, and synced there", async () => {
  const { passes, done, look } = world();
  await look(999, 0);
  assert.deepEqual(done, []);
  await look(1_000, 0);
  await look(2_000, 0);
  assert.equal(passes.length, 1);
  assert.deepEqual(done, ["started"]);
  passes[0]!.resolve();
  await settled();
  assert.deepEqual(done, ["started", "synced"]);
  await look(2_100, 1_000);
  assert.equal(passes.length, 2);
  assert.deepEqual(done, ["started", "synced"], "the thread is there already");
});

test("P8: the writer copies the little that is left of a very long log, but not while somebody urgent waits", async () => {
  const { passes, done, look } = world();
  await look(4_100, 4_000, true);
  assert.deepEqual(done, []);
  await look(4_100, 4_000);
  assert.deepEqual(done, ["here"]);
  await look(4_100, 4_100);
  assert.deepEqual(done, ["here"], "all of it is there");
  assert.equal(passes.length, 0);
});

test("where the disk has hardly room for what is left, the writer copies it at once", async () => {
  const { passes, done, look, room } = world();
  room.pages = 40;
  await look(900, 880, true);
  assert.deepEqual(done, []);
  await look(900, 879, true);
  assert.deepEqual(done, ["here"]);
  await look(900, 900);
  assert.deepEqual([done, passes], [["here"], []], "all of it is there");
  room.pages = 0;
  await look(900, 880);
  assert.deepEqual([done, passes], [["here"], []], "the last of the room is not taken in vain");
});

test("a pass that fails is told of and tried again, in a new thread, and what a sync over there lost is noticed here", async () => {
  const { passes, done, warned, look } = world();
  await look(1_000, 0);
  passes[0]!.reject(new Error("no room"));
  while (!done.includes("stopped")) await settled();
  assert.equal(warned.length, 1);
  while (passes.length < 2) await look(1_000, 0);
  assert.deepEqual(done, ["started", "synced", "stopped", "started"]);
});

test("that the log cannot be looked at, as while another process has locked the database, stops nobody and is told of", async () => {
  const { passes, warned, look, locked } = world();
  locked.is = true;
  await look(1_000, 0);
  while (warned.length === 0) await settled();
  locked.is = false;
  while (passes.length === 0) await look(1_000, 0);
  assert.equal(warned.length, 1);
});

test("a thread that has had nothing to do for a while ends, and another is started when there is something again", async () => {
  const { passes, done, look } = world({ idleMs: 1 });
  await look(1_000, 0);
  passes[0]!.resolve();
  while (!done.includes("stopped")) await delay(1);
  await look(1_000, 0);
  assert.deepEqual(done, ["started", "synced", "stopped", "started"]);
});

test("at the end the pass that is under way is waited for, and its thread ends", async () => {
  const { checkpoints, passes, done, look } = world();
  await look(1_000, 0);
  const stopped = checkpoints.stop();
  await settled();
  assert.deepEqual(done, ["started"]);
  passes[0]!.resolve();
  await stopped;
  assert.deepEqual(done, ["started", "synced", "stopped"]);
  await look(5_000, 0);
  assert.equal(passes.length, 1);
});

/** A database whose rows take a page and some more each. */
function real(t: TestContext) {
  t.after(async () => {
    await checkpoints.stop();
    database.close();
  });
  const file = join(temporaryDirectory(t), "master.db");
  const database = new Database({ file, synchronous: "FULL" });
  database.connection.exec("CREATE TABLE row (id INTEGER PRIMARY KEY, body BLOB)");
  const checkpoints = new Checkpoints({ database, start: () => startCheckpointer(file), log: { warn: () => {} } });
  const insert = database.connection.prepare("INSERT INTO row (body) VALUES (zeroblob(?))");
  const write = (rows: number) =>
    database.transaction(() => {
      for (let row = 0; row < rows; row++) insert.run(pageBytes);
    });
  return { file, database, checkpoints, write };
}

test("when the writer is quiet the other thread brings all of it into the database, where it is without the log", async (t) => {
  const { file, database, checkpoints, write } = real(t);
  write(1_200);
  checkpoints.look(false);
  const left = () => database.log().pages - database.log().copied;
  while (left() > 0) await delay(5);
  copyFileSync(file, `${file}.copy`);
  const copy = new DatabaseSync(`${file}.copy`);
  assert.equal(copy.prepare("SELECT count(*) AS rows FROM row").get()?.["rows"], 1_200);
  copy.close();
});

test("P4: while it is written without end the log is written over again and again, and nothing of it is lost", async (t) => {
  const { database, checkpoints, write } = real(t);
  let [begunAnew, before, rows] = [0, 0, 0];
  while (begunAnew < 3) {
    write(50);
    rows += 50;
    const { pages } = database.log();
    if (pages < before) begunAnew++;
    before = pages;
    assert.ok(pages < 16_000, "and not by the last resort of whoever commits");
    checkpoints.look(false);
    // Never quiet, but no faster than a machine that others use can copy.
    await delay(pages < 6_000 ? 0 : 20);
  }
  assert.equal(Number(database.connection.prepare("SELECT count(*) AS rows FROM row").get()?.["rows"]), rows);
  assert.equal(database.connection.prepare("PRAGMA quick_check(1)").get()?.["quick_check"], "ok");
});
