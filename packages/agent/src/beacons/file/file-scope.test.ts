import assert from "node:assert/strict";
import { test } from "node:test";
import type { FileBeacon } from "@needfire/shared/beacons/file";
import { compileScope } from "./file-scope.ts";
import { definition } from "../fixture.ts";

function scope(options: Record<string, unknown>, managed: string[] = []) {
  return compileScope(definition({ type: "file", ...options }) as FileBeacon, {
    has: (path) => managed.includes(path),
    paths: () => managed,
  });
}

test("a plain path means itself and all below it, and is watched through its parent only", () => {
  const s = scope({ paths: ["/etc/app/", "/etc/hosts"] });
  for (const path of ["/etc/app", "/etc/app/a/b", "/etc/hosts"]) assert.ok(s.wants(path), path);
  for (const path of ["/etc", "/etc/apple", "/etc/hosts.bak"]) assert.ok(!s.wants(path), path);
  assert.deepEqual(s.roots(), ["/etc"]);
  assert.ok(s.descends("/etc/app/a"));
  assert.ok(!s.descends("/etc/ssl"));
});

test("a glob is watched from its fixed part down, and only as deep as it can match", () => {
  const s = scope({ paths: ["/srv/*/conf/*.yaml"] });
  assert.deepEqual(s.roots(), ["/srv"]);
  assert.ok(s.wants("/srv/a/conf/x.yaml"));
  assert.ok(!s.wants("/srv/a/conf/x/y.yaml"));
  assert.ok(s.descends("/srv/a/conf"));
  assert.ok(!s.descends("/srv/a/conf/x"));
  const deep = scope({ paths: ["/srv/**/*.yaml"] });
  assert.ok(deep.descends("/srv/a/b/c/d"));
  assert.ok(deep.wants("/srv/a/b/c/d/x.yaml"));
});

test("excludes win over everything below them, managed files too; a single file never makes a tree be watched", () => {
  const s = scope({ paths: ["/etc"], exclude: ["/etc/ssl", "/etc/**/*.bak"], managed: true }, ["/opt/x/y", "/etc/ssl/key"]);
  assert.ok(!s.wants("/etc/ssl") && !s.wants("/etc/ssl/a/b") && !s.wants("/etc/a.bak") && !s.wants("/etc/ssl/key"));
  assert.ok(!s.descends("/etc/ssl"));
  assert.ok(s.wants("/opt/x/y"));
  assert.ok(!s.descends("/opt/x/y"));
  assert.deepEqual(s.roots().sort(), ["/", "/opt/x"]);
});
