import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { sourcesBeside } from "./reactor-sources.ts";

test("a file is seen from the reactor's folder or by its whole path; one that is not there, or is no file, is none", () => {
  const folder = mkdtempSync(join(tmpdir(), "needfire-sources-"));
  try {
    mkdirSync(join(folder, "data"));
    writeFileSync(join(folder, "data", "owners.yaml"), "web: team-a\n");
    const { file } = sourcesBeside(join(folder, "r.yaml"));
    assert.equal(file?.("data/owners.yaml"), "web: team-a\n");
    assert.equal(file?.(join(folder, "data", "owners.yaml")), "web: team-a\n");
    assert.deepEqual([file?.("data/none.yaml"), file?.("data")], [undefined, undefined]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("a name of the environment is asked of this process", () => {
  const { env } = sourcesBeside("r.yaml");
  assert.equal(env?.("PATH"), process.env["PATH"]);
  assert.equal(env?.("NEEDFIRE_NOT_SET"), undefined);
});
