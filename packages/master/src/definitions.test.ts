import assert from "node:assert/strict";
import { mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { type Reactor, loadReactors } from "@needfire/shared/reactor";
import { problemText } from "@needfire/shared/yaml-file";
import { Definitions } from "./definitions.ts";
import { temporaryDirectory } from "./fixture.ts";
import { watchDefinitions } from "./watch-definitions.ts";

const reactor = (name: string, type = "a.b") => `name: ${name}\non: ${type}\ndo:\n  - event.emit: { type: c.d }\n`;

function setting(t: TestContext) {
  const directory = temporaryDirectory(t);
  const path = (name: string) => join(directory, name);
  const write = (name: string, text: string) => writeFileSync(path(name), text);
  const definitions = new Definitions<Reactor>({
    paths: [directory],
    load: (file, text) => {
      const loaded = loadReactors(file, text);
      return loaded.ok ? { ok: true, items: loaded.reactors } : loaded;
    },
    nameOf: ({ name }) => name,
  });
  const inForce = () => definitions.all().map(({ name, on }) => `${name} ${on.join()}`);
  return { directory, path, write, definitions, inForce };
}

test("files are taken by themselves: a bad one is refused with its place, and the others are in force", (t) => {
  const { path, write, definitions, inForce } = setting(t);
  write("a.yaml", reactor("a"));
  write("b.yml", `${reactor("b")}whne: 'true'\n`);
  write("c.yaml", `${reactor("c")}---\n${reactor("d")}`);
  for (const name of ["e.test.yaml", ".f.yaml", "g.yaml~", "h.txt"]) write(name, reactor("not-read"));
  const { taken, refused } = definitions.reload();
  assert.deepEqual(taken, [path("a.yaml"), path("c.yaml")]);
  assert.match(problemText(refused[0]!), /b\.yml:5:1: unknown key "whne"; did you mean "when"\?$/);
  assert.deepEqual(inForce(), ["a a.b", "c a.b", "d a.b"]);
  assert.deepEqual(definitions.problems(), refused);
  assert.deepEqual(definitions.reload(), { taken: [], refused: [] });
});

test("a sub-folder is not looked into: examples may stand beside what is in force", (t) => {
  const { path, write, definitions, inForce } = setting(t);
  mkdirSync(path("examples"));
  mkdirSync(path("old.yaml.d"));
  for (const name of ["a.yaml", "examples/b.yaml", "old.yaml.d/c.yaml"]) write(name, reactor(name.replace(/\W/g, "-")));
  assert.deepEqual(definitions.reload(), { taken: [path("a.yaml")], refused: [] });
  assert.deepEqual(inForce(), ["a-yaml a.b"]);
});

test("a file that turns bad, or cannot be read, keeps its last good content until it is good again", (t) => {
  const { path, write, definitions, inForce } = setting(t);
  write("a.yaml", reactor("a"));
  definitions.reload();
  write("a.yaml", "name: [");
  assert.equal(definitions.reload().refused.length > 0, true);
  assert.deepEqual(inForce(), ["a a.b"]);
  assert.deepEqual(
    definitions.held().map(({ file, text }) => [file, text]),
    [[path("a.yaml"), reactor("a")]],
  );
  rmSync(path("a.yaml"));
  mkdirSync(path("a.yaml"));
  assert.match(problemText(definitions.reload().refused[0]!), /cannot be read/);
  assert.deepEqual(inForce(), ["a a.b"]);
  rmSync(path("a.yaml"), { recursive: true });
  write("a.yaml", reactor("a", "x.y"));
  assert.deepEqual(definitions.reload(), { taken: [path("a.yaml")], refused: [] });
  assert.deepEqual(inForce(), ["a x.y"]);
  assert.deepEqual(definitions.problems(), []);
});

test("a file that is bad at the start has what the last life ended with, where that is known and still good", (t) => {
  const directory = temporaryDirectory(t);
  const path = (name: string) => join(directory, name);
  const last = new Map([
    [path("a.yaml"), reactor("a")],
    [path("b.yaml"), "name: ["],
    [path("d.yaml"), reactor("d")],
    [path("gone.yaml"), reactor("gone")],
  ]);
  const definitions = new Definitions<Reactor>({
    paths: [directory],
    load: (file, text) => {
      const loaded = loadReactors(file, text);
      return loaded.ok ? { ok: true, items: loaded.reactors } : loaded;
    },
    nameOf: ({ name }) => name,
    lastGood: (file) => last.get(file),
  });
  for (const name of ["a.yaml", "b.yaml", "c.yaml"]) writeFileSync(path(name), "name: [");
  mkdirSync(path("d.yaml"));
  const { taken, refused } = definitions.reload();
  assert.deepEqual(taken, []);
  assert.deepEqual([...new Set(refused.map(({ file }) => file))], ["a.yaml", "b.yaml", "c.yaml", "d.yaml"].map(path), "each is told");
  assert.deepEqual(definitions.problems(), refused);
  const held = () => definitions.held().map(({ file, text }) => [file, text]);
  const kept = [path("a.yaml"), path("d.yaml")].map((file) => [file, last.get(file)]);
  assert.deepEqual(held(), kept);
  last.clear();
  definitions.reload();
  assert.deepEqual(held(), kept, "the last life is asked once");
});

test("a file that could not be read and is empty now holds nothing", (t) => {
  const { path, write, definitions, inForce } = setting(t);
  write("a.yaml", reactor("a"));
  definitions.reload();
  rmSync(path("a.yaml"));
  mkdirSync(path("a.yaml"));
  definitions.reload();
  rmSync(path("a.yaml"), { recursive: true });
  write("a.yaml", "");
  definitions.reload();
  assert.deepEqual(inForce(), []);
  assert.deepEqual(definitions.problems(), []);
});

test("a file that is gone takes its definitions with it, and is told of", (t) => {
  const { path, write, definitions, inForce } = setting(t);
  write("a.yaml", reactor("a"));
  definitions.reload();
  rmSync(path("a.yaml"));
  assert.deepEqual(definitions.reload(), { taken: [path("a.yaml")], refused: [] });
  assert.deepEqual(inForce(), []);
});

test("of two files with one name the first is in force as a whole, the other when the first is gone", (t) => {
  const { path, write, definitions, inForce } = setting(t);
  write("a.yaml", reactor("same"));
  write("b.yaml", `${reactor("other")}---\n${reactor("same", "x.y")}`);
  const { taken, refused } = definitions.reload();
  assert.deepEqual(taken, [path("a.yaml")]);
  assert.equal(refused[0]?.file, path("b.yaml"));
  assert.match(refused[0].message, /"same" is defined in .*a\.yaml already/);
  assert.deepEqual(inForce(), ["same a.b"]);
  rmSync(path("a.yaml"));
  definitions.reload();
  assert.deepEqual(inForce(), ["other a.b", "same x.y"]);
  assert.deepEqual(definitions.problems(), []);
});

test("a directory that is not there yet is empty; one that cannot be looked at leaves in force what came from it", (t) => {
  const { directory, write, definitions, inForce } = setting(t);
  const elsewhere = `${directory}.moved`;
  t.after(() => rmSync(elsewhere, { recursive: true, force: true }));
  write("a.yaml", reactor("a"));
  definitions.reload();
  renameSync(directory, elsewhere);
  // A link that leads to itself: it is there, and nobody can look at it.
  symlinkSync(directory, directory);
  assert.ok(definitions.reload().refused.some(({ file }) => file === directory));
  assert.deepEqual(inForce(), ["a a.b"]);
  rmSync(directory);
  definitions.reload();
  assert.deepEqual(inForce(), []);
  assert.deepEqual(definitions.problems(), []);
});

test("a change below the directory is told, once it is quiet", async (t) => {
  const { directory, write } = setting(t);
  const changed = Promise.withResolvers<void>();
  const watcher = watchDefinitions([directory], changed.resolve, changed.reject);
  await watcher.ready;
  write("a.yaml", reactor("a"));
  await changed.promise;
  await watcher.stop();
});
