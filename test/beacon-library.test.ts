/** The ready definitions in `beacons/`: what is handed out must load. */
import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { loadBeacons } from "@needfire/shared/beacon";

const root = dirname(import.meta.dirname);

test("every ready beacon loads, and no two have one name", () => {
  const names = new Set<string>();
  for (const file of globSync("beacons/*.yaml", { cwd: root })) {
    const loaded = loadBeacons(file, readFileSync(join(root, file), "utf8"));
    assert.ok(loaded.ok, loaded.ok ? "" : JSON.stringify(loaded.problems));
    for (const { definition } of loaded.beacons) {
      assert.ok(!names.has(definition.name), `${file}: there is another beacon of the name ${definition.name}`);
      names.add(definition.name);
    }
  }
  assert.ok(names.size >= 3);
});
