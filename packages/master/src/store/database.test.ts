import assert from "node:assert/strict";
import { copyFileSync, renameSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test, type TestContext } from "node:test";
import { temporaryDirectory } from "../fixture.ts";
import { Database } from "./database.ts";

function opened(t: TestContext, synchronous: "FULL" | "NORMAL" = "FULL") {
  t.after(() => database.close());
  const file = join(temporaryDirectory(t), "master.db");
  const database = new Database({ file, synchronous });
  database.connection.exec("CREATE TABLE row (id INTEGER PRIMARY KEY)");
  const rows = () => Number(database.connection.prepare("SELECT count(*) AS rows FROM row").get()?.["rows"]);
  const insert = () => database.transaction(() => database.connection.exec("INSERT INTO row DEFAULT VALUES"));
  return { file, database, rows, insert };
}

test("a transaction is taken whole or not at all", (t) => {
  const { database, rows, insert } = opened(t);
  insert();
  const failing = () => {
    database.connection.exec("INSERT INTO row DEFAULT VALUES");
    throw new Error("midway");
  };
  assert.throws(() => database.transaction(failing), /midway/);
  assert.equal(rows(), 1);
});

test("what was committed is in the log that a process that is killed leaves behind", async (t) => {
  const { file, database, insert } = opened(t);
  insert();
  await database.sync();
  insert();
  database.syncNow();
  insert();
  for (const suffix of ["", "-wal"]) copyFileSync(file + suffix, `${file}.copy${suffix}`);
  const copy = new DatabaseSync(`${file}.copy`);
  assert.equal(copy.prepare("SELECT count(*) AS rows FROM row").get()?.["rows"], 3);
  copy.close();
});

test("a sync waits for the one under way when nothing new was committed: that one has it", async (t) => {
  const { database, insert } = opened(t);
  insert();
  let isOver = false;
  const first = database.sync().then(() => (isOver = true));
  await database.sync();
  assert.equal(isOver, true);
  await first;
});

/** Instead of the log a device that cannot be synced. */
function breakSync(file: string): void {
  renameSync(`${file}-wal`, `${file}-kept`);
  symlinkSync("/dev/null", `${file}-wal`);
}

test("after a sync that failed every one fails: what it was to save may be lost", async (t) => {
  const file = join(temporaryDirectory(t), "master.db");
  const database = new Database({ file, synchronous: "FULL" });
  database.connection.exec("CREATE TABLE row (id INTEGER PRIMARY KEY)");
  breakSync(file);
  const insert = () => database.transaction(() => database.connection.exec("INSERT INTO row DEFAULT VALUES"));
  insert();
  await assert.rejects(database.sync(), { code: "EINVAL" });
  await assert.rejects(database.sync(), { code: "EINVAL" });
  assert.throws(() => database.syncNow(), { code: "EINVAL" });
  insert();
  assert.throws(() => database.syncNow(), { code: "EINVAL" });
  assert.throws(() => database.close(), { code: "EINVAL" });
  assert.equal(database.connection.isOpen, false);
});

test("that the database cannot be opened to be synced is no failure of the disk", async (t) => {
  const { file, database, insert } = opened(t);
  insert();
  renameSync(file, `${file}-away`);
  await assert.rejects(database.syncFile(), { code: "ENOENT" });
  renameSync(`${file}-away`, file);
  insert();
  database.syncNow();
  await database.syncFile();
});

test("with NORMAL nothing is synced for anybody", async (t) => {
  const { file, database, insert } = opened(t, "NORMAL");
  breakSync(file);
  insert();
  await database.sync();
  database.syncNow();
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
