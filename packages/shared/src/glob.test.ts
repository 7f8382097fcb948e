import assert from "node:assert/strict";
import { test } from "node:test";
import { globBase, globMatcher } from "./glob.ts";

test("a star stands for anything within one part of a type or id", () => {
  const files = globMatcher("file.*");
  assert.ok(files("file.changed"));
  assert.ok(!files("cpu.high"));
  assert.ok(!files("profile.changed"));
  assert.ok(globMatcher("*")("web1.example.org"));
  assert.ok(globMatcher("web?")("web1"));
  assert.ok(!globMatcher("web?")("web12"));
  assert.ok(globMatcher("{web,db}*")("db3"));
});

test("any of several globs is enough", () => {
  const either = globMatcher(["web*", "db1"]);
  assert.deepEqual(["web1", "db1", "db2"].map(either), [true, true, false]);
});

test("in paths, one star stays in its directory and two go below", () => {
  assert.ok(globMatcher("/etc/*.conf")("/etc/a.conf"));
  assert.ok(!globMatcher("/etc/*.conf")("/etc/x/a.conf"));
  assert.ok(globMatcher("/etc/**/*.conf")("/etc/x/y/a.conf"));
  assert.ok(globMatcher("/etc/**")("/etc/.hidden/x"));
});

test("an exclamation mark is a character, not a negation", () => {
  assert.ok(!globMatcher("!web1")("db1"));
  assert.ok(globMatcher("!web1")("!web1"));
});

test("the base of a glob is the folder to watch", () => {
  assert.deepEqual(globBase("/etc/nginx/**/*.conf"), { base: "/etc/nginx", isGlob: true });
  assert.equal(globBase("/etc/hosts").isGlob, false);
});
