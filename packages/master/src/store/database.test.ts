import assert from "node:assert/strict";
import { copyFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test, type TestContext } from "node:test";
import { temporaryDirectory } from "../fixture.ts";
import { Database } from "./database.ts";

function opened(t: TestContext, synchronous: "FULL" | "NORMAL" = "FULL") {
  const file = join(temporaryDirectory(t), "master.db");
  const database = new Database({ file, synchronous });
  t.after(() => database.close());
  database.connection.exec("CREATE TABLE row (id INTEGER PRIMARY KEY)");
  const rows = () => Number(database.connection.prepare("SELECT count(*) AS rows FROM row").get()?.["rows"]);
  /** How often a transaction was made for nothing but the sync. */
  const syncs = () => Number(database.connection.prepare("SELECT count FROM sync").get()?.["count"]);
  const insert = (durable: boolean) => database.transaction(() => database.connection.exec("INSERT INTO row DEFAULT VALUES"), { durable });
  const mode = () => Number(database.connection.prepare("PRAGMA synchronous").get()?.["synchronous"]);
  return { file, database, rows, syncs, insert, mode };
}

test("a transaction is taken whole or not at all", (t) => {
  const { database, rows, insert } = opened(t);
  insert(true);
  const failing = () => {
    database.connection.exec("INSERT INTO row DEFAULT VALUES");
    throw new Error("midway");
  };
  assert.throws(() => database.transaction(failing, { durable: true }), /midway/);
  assert.equal(rows(), 1);
});

test("a durable transaction is made with FULL and takes along what came before it: a sync after it does nothing", (t) => {
  const { database, syncs, insert, mode } = opened(t);
  insert(false);
  assert.equal(mode(), 1, "NORMAL: not synced by itself");
  insert(true);
  assert.equal(mode(), 2, "FULL");
  database.sync();
  assert.equal(syncs(), 0);
  insert(false);
  database.sync();
  assert.equal(mode(), 2);
  database.sync();
  assert.equal(syncs(), 1);
});

test("with NORMAL nothing is synced for anybody", (t) => {
  const { database, insert, mode } = opened(t, "NORMAL");
  insert(true);
  database.sync();
  assert.equal(mode(), 1);
});

test("the log is synced without a transaction, once for all that was committed before", async (t) => {
  const { file, database, syncs, insert } = opened(t);
  await database.syncLog();
  insert(false);
  insert(false);
  await Promise.all([database.syncLog(), database.syncLog()]);
  assert.equal(syncs(), 0);
  // What a process that is killed now leaves behind can be read.
  for (const suffix of ["", "-wal"]) copyFileSync(file + suffix, `${file}.copy${suffix}`);
  const copy = new DatabaseSync(`${file}.copy`);
  assert.equal(copy.prepare("SELECT count(*) AS rows FROM row").get()?.["rows"], 2);
  copy.close();
});

test("a second process, or a second master in this one, is refused", (t) => {
  const { file } = opened(t);
  assert.throws(() => new Database({ file, synchronous: "FULL" }), { code: "STATE_LOCKED" });
});

test("each component's migrations are applied once, and in order", (t) => {
  const { database } = opened(t);
  const first = "CREATE TABLE one (id INTEGER)";
  database.migrate("a", [first]);
  database.migrate("b", ["CREATE TABLE two (id INTEGER)"]);
  database.migrate("a", [first, "ALTER TABLE one ADD COLUMN name TEXT"]);
  database.migrate("a", [first, "ALTER TABLE one ADD COLUMN name TEXT"]);
  assert.deepEqual(
    database.connection
      .prepare("SELECT component, version FROM migration ORDER BY component")
      .all()
      .map((row) => ({ ...row })),
    [
      { component: "a", version: 2 },
      { component: "b", version: 1 },
    ],
  );
});
