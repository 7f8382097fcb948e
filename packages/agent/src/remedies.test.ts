import assert from "node:assert/strict";
import { test } from "node:test";
import { temporaryPrefix } from "./durable-file.ts";
import { Remedies } from "./remedies.ts";

test("a path is held by a remedy for it, before one for the host; what lies beside it is not, but for the remedy's own temporary file", () => {
  const remedies = new Remedies();
  assert.equal(remedies.holding("/etc/a"), undefined);
  remedies.begin("path", { path: "/etc/a" });
  assert.equal(remedies.holding("/etc/a"), "path");
  assert.equal(remedies.holding("/etc/b"), undefined);
  assert.equal(remedies.holding(`/etc/${temporaryPrefix("/etc/a")}0123`), "path");
  assert.equal(remedies.holding(`/tmp/${temporaryPrefix("/etc/a")}0123`), undefined);
  remedies.begin("host", "host");
  assert.equal(remedies.holding("/etc/a"), "path");
  assert.equal(remedies.holding("/etc/b"), "host");
  remedies.end("path");
  assert.equal(remedies.holding("/etc/a"), "host");
});

test("the beginning is told before it holds", () => {
  const remedies = new Remedies();
  const told: unknown[] = [];
  const leave = remedies.onBegin((scope) => told.push([scope, remedies.holdingHost()]));
  remedies.begin("one", "host");
  leave();
  remedies.begin("two", "host");
  assert.deepEqual(told, [["host", undefined]]);
});

test("a remedy for what lies below a directory holds that, and nothing beside it", () => {
  const remedies = new Remedies();
  remedies.begin("clean", { path: "/var/tmp", below: true });
  const held = ["/var/tmp", "/var/tmp/a", "/var/tmp/a/b", "/var/tmpfile", "/var"].map((path) => remedies.holdingPath(path));
  assert.deepEqual(held, ["clean", "clean", "clean", undefined, undefined]);
});

test("the end is told after it holds no more, once, and not to those who left", () => {
  const remedies = new Remedies();
  const told: unknown[] = [];
  const leave = remedies.onEnd((ended) => told.push([ended, remedies.holding("/a")]));
  remedies.begin("one", { path: "/a" });
  remedies.end("one");
  remedies.end("one");
  leave();
  remedies.begin("two", "host");
  remedies.end("two");
  assert.deepEqual(told, [[{ execution: "one", scope: { path: "/a" } }, undefined]]);
});
