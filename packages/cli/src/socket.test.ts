import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { connectablePath, findSocket, installedSocket } from "./socket.ts";

test("the socket is the one that was named, else the demo's above, else the installed one", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "needfire-cli-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const below = join(folder, "a", "b");
  mkdirSync(below, { recursive: true });
  mkdirSync(join(folder, ".needfire"));
  assert.deepEqual(findSocket(undefined, undefined, below), { path: installedSocket, from: "installed" });
  const server = createServer().listen(join(folder, ".needfire", "master.sock"));
  t.after(() => server.close());
  await once(server, "listening");
  assert.deepEqual(findSocket(undefined, undefined, below), { path: join(folder, ".needfire", "master.sock"), from: "demo" });
  assert.deepEqual(findSocket(undefined, "", below), { path: join(folder, ".needfire", "master.sock"), from: "demo" });
  assert.deepEqual(findSocket(undefined, "/run/x.sock", below), { path: "/run/x.sock", from: "NEEDFIRE_MASTER" });
  assert.deepEqual(findSocket("y.sock", "/run/x.sock", below), { path: join(below, "y.sock"), from: "--master" });
});

test("a path that is too long for the kernel is taken relative, or refused with a sentence", () => {
  const folder = `/${"long/".repeat(30)}`;
  assert.equal(connectablePath("/run/needfire/master.sock", "/"), "/run/needfire/master.sock");
  assert.equal(connectablePath(`${folder}master.sock`, folder), "master.sock");
  assert.throws(() => connectablePath(`${folder}master.sock`, "/"), { code: "MASTER_UNREACHABLE", message: /more than 107 bytes/ });
});
