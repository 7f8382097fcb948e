import assert from "node:assert/strict";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { loadReactors, type Reactor } from "@needfire/shared/reactor";
import { Definitions } from "./definitions.ts";
import { temporaryDirectory } from "./fixture.ts";
import { readingSources, takenSources } from "./rule-files.ts";

/** A folder of reactors. `wanted`: the values of a variable of that name. `read`: is called when a reactor has just taken its values. */
function reactorsIn(folder: string, read: () => void = () => {}) {
  const write = (name: string, text: string) => writeFileSync(join(folder, name), text);
  const definitions = new Definitions<Reactor>({
    paths: [folder],
    load: (file, text) => {
      const { sources, asked } = readingSources(file);
      const loaded = loadReactors(file, text, sources);
      read();
      return loaded.ok ? { ok: true, items: loaded.reactors, inputs: asked } : { ...loaded, inputs: asked };
    },
    nameOf: ({ name }) => name,
  });
  return { folder, write, definitions, wanted: () => definitions.all().map(({ vars }) => vars["wanted"]) };
}

test("a file is seen from the reactor's folder or by its whole path; one that is not there, or is no file, is none", (t) => {
  const folder = temporaryDirectory(t);
  mkdirSync(join(folder, "data"));
  writeFileSync(join(folder, "data", "owners.yaml"), "web: team-a\n");
  const { sources } = readingSources(join(folder, "r.yaml"));
  assert.equal(sources.file?.("data/owners.yaml"), "web: team-a\n");
  assert.equal(sources.file?.(join(folder, "data", "owners.yaml")), "web: team-a\n");
  assert.deepEqual([sources.file?.("data/none.yaml"), sources.file?.("data")], [undefined, undefined]);
  assert.equal(sources.env?.("PATH"), process.env["PATH"]);
  assert.equal(sources.env?.("NEEDFIRE_NOT_SET"), undefined);
});

test("what was given once is given again, whatever the disk says by then", (t) => {
  const folder = temporaryDirectory(t);
  writeFileSync(join(folder, "a.json"), "1");
  const { sources, taken } = readingSources(join(folder, "r.yaml"));
  assert.deepEqual([sources.file?.("a.json"), sources.file?.("b.json"), sources.env?.("NEEDFIRE_NOT_SET")], ["1", undefined, undefined]);
  rmSync(join(folder, "a.json"));
  const again = takenSources(structuredClone(taken));
  assert.deepEqual([again.file?.("a.json"), again.file?.("b.json"), again.file?.("constructor")], ["1", undefined, undefined]);
});

test("a reactor is read again when a file changes that it takes values from; while that is bad, its last good values are in force", (t) => {
  const { folder, write, definitions, wanted } = reactorsIn(temporaryDirectory(t));
  write(
    "r.yaml",
    "name: r\non: a.b\nvars: { wanted: { file: wanted.json } }\ndo:\n  - event.emit: { type: c.d, data: { wanted: '${{ vars.wanted }}' } }\n",
  );
  write("wanted.json", "1");
  assert.deepEqual(definitions.reload().taken, [join(folder, "r.yaml")]);
  assert.deepEqual([wanted(), definitions.inputs()], [[1], [join(folder, "wanted.json")]]);
  assert.deepEqual(definitions.reload(), { taken: [], refused: [] });
  write("wanted.json", "{");
  assert.equal(definitions.reload().refused.length, 1);
  assert.deepEqual(wanted(), [1]);
  write("wanted.json", "2");
  assert.deepEqual(definitions.reload().taken, [join(folder, "r.yaml")]);
  assert.deepEqual(wanted(), [2]);
});

test("a file that changes just after a reactor has taken its value is taken at the next look", (t) => {
  const { write, definitions, wanted } = reactorsIn(temporaryDirectory(t), () => write("wanted.json", "2"));
  write("wanted.json", "1");
  write(
    "r.yaml",
    "name: r\non: a.b\nvars: { wanted: { file: wanted.json } }\nwhen: event.data.n == vars.wanted\ndo: [{ event.emit: { type: c.d } }]\n",
  );
  definitions.reload();
  assert.deepEqual(wanted(), [1]);
  definitions.reload();
  assert.deepEqual(wanted(), [2]);
});
