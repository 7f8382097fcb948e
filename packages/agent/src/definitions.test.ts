import assert from "node:assert/strict";
import { mkdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import pino from "pino";
import type { EventDraft } from "@needfire/shared/event";
import { policyOf } from "./actions/fixture.ts";
import { Definitions } from "./definitions.ts";
import { temporaryDirectory } from "./spool-fixture.ts";

const beacon = (name: string, path = "/etc/x") => ({ name, type: "file", paths: [path] });
const yaml = (name: string, more = "") => `name: ${name}\ntype: file\npaths: [/etc/local]\n${more}`;

function setting(t: TestContext) {
  const directory = temporaryDirectory(t);
  const path = (name: string) => join(directory, name);
  mkdirSync(path("local"));
  const events: EventDraft[] = [];
  const policy = { inForce: policyOf({}) };
  const start = () => {
    const definitions = new Definitions({
      file: path("beacons.json"),
      localPaths: [path("local"), path("missing")],
      log: pino({ level: "silent" }),
      clock: { now: () => 5 },
      policy: () => policy.inForce,
      self: () => ({ id: "web1", labels: { role: "web" }, facts: {} }),
      emit: (event) => events.push(event),
    });
    definitions.load();
    return definitions;
  };
  const write = (name: string, text: string) => writeFileSync(join(path("local"), name), text);
  const refusals = () =>
    events
      .splice(0)
      .map(({ type, subject, data }) => `${type} ${subject?.replace(directory, "")}: ${String(data["message"]).replace(directory, "")}`);
  return { policy, path, write, start, refusals };
}

const inForce = (definitions: Definitions) =>
  definitions.all().map((definition) => `${definition.name} ${definition.type === "file" ? definition.paths.join() : ""}`);

test("what the master pushed is in force after a restart, without the master, and is nobody else's to read", (t) => {
  const { path, start } = setting(t);
  const definitions = start();
  assert.equal(definitions.version, "");
  definitions.takePushed("v1", [beacon("a"), beacon("b")]);
  const again = start();
  assert.equal(again.version, "v1");
  assert.deepEqual(inForce(again), ["a /etc/x", "b /etc/x"]);
  assert.equal(statSync(path("beacons.json")).mode & 0o777, 0o600);
});

test("a pushed definition that is not understood is refused, its old one stays, and the others are taken", (t) => {
  const { start, refusals } = setting(t);
  const definitions = start();
  definitions.takePushed("v1", [beacon("a", "/old/a"), beacon("b", "/old/b"), beacon("gone")]);
  definitions.takePushed("v2", [{ ...beacon("a", "/new/a"), colour: "red" }, beacon("b", "/new/b"), { type: "moon" }, "nonsense"]);
  assert.deepEqual(inForce(definitions), ["a /old/a", "b /new/b"]);
  assert.deepEqual(
    refusals().map((line) => line.slice(0, 40)),
    ["beacon.refused master: colour: unknown k", "beacon.refused master: there is no beaco", "beacon.refused master: a beacon needs a "],
  );
  assert.deepEqual(inForce(start()), ["a /old/a", "b /new/b"]);
});

test("damaged pushed definitions are told of and waited for; the local ones are in force", (t) => {
  const { path, write, start, refusals } = setting(t);
  write("l.yaml", yaml("l"));
  writeFileSync(path("beacons.json"), '{"version": "v1", "defin');
  const definitions = start();
  assert.equal(definitions.version, "");
  assert.deepEqual(inForce(definitions), ["l /etc/local"]);
  assert.match(refusals()[0]!, /^beacon.refused \/beacons.json: the kept definitions are damaged/);
});

test("a local file that turns bad keeps its last good content and says where it is bad; one that is gone is gone", (t) => {
  const { path, write, start, refusals } = setting(t);
  write("l.yaml", yaml("l"));
  write("m.yaml", yaml("m"));
  const definitions = start();
  write("l.yaml", yaml("l", "colour: red\n"));
  rmSync(join(path("local"), "m.yaml"));
  definitions.loadLocal();
  assert.deepEqual(inForce(definitions), ["l /etc/local"]);
  assert.match(refusals()[0]!, /^beacon.refused \/local\/l.yaml: \/local\/l.yaml:4:1: unknown key "colour"/);
});

test("a link to nowhere among the local files is refused and ends nothing; an editor's own files are not read", (t) => {
  const { path, write, start, refusals } = setting(t);
  write("l.yaml", yaml("l"));
  symlinkSync("/nowhere/at/all", join(path("local"), "dangling.yaml"));
  symlinkSync("user@host.1234", join(path("local"), ".#l.yaml"));
  write("l.yaml~", "old");
  assert.deepEqual(inForce(start()), ["l /etc/local"]);
  assert.match(refusals().join("\n"), /^beacon.refused \/local\/dangling.yaml: .*cannot be read: ENOENT[^\n]*$/);
});

test("a program that the master wants run from time to time is a command: the policy lets it through or not; the host's own is", (t) => {
  const { policy, write, start, refusals } = setting(t);
  const exec = (name: string, ...argv: string[]) => ({ name, type: "exec", argv });
  write("l.yaml", "name: own\ntype: exec\nargv: [id]\n");
  const definitions = start();
  definitions.takePushed("v1", [exec("a", "check_disk", "-w"), exec("b", "sh", "-c", "id"), beacon("c")]);
  const names = () => definitions.all().map(({ name }) => name);
  assert.deepEqual(names(), ["c", "own"]);
  assert.match(refusals()[0]!, /^beacon.refused master: a: policy: a beacon/);
  policy.inForce = policyOf({ allow: { commands: ["check_disk **"] } });
  assert.deepEqual(names(), ["a", "c", "own"]);
  policy.inForce = policyOf({ allow: { commands: "any" }, deny: { commands: ["sh **"] } });
  assert.deepEqual(names(), ["a", "c", "own"]);
});

test("of two with one name the master's is in force, and the local one is refused; targets hold for local ones, too", (t) => {
  const { write, start, refusals } = setting(t);
  write(
    "l.yaml",
    `${yaml("same")}---\n${yaml("mine", "targets: 'agent.labels.role == \"web\"'\n")}---\n${yaml("others", "targets: 'db*'\n")}`,
  );
  const definitions = start();
  definitions.takePushed("v1", [beacon("same", "/etc/pushed")]);
  assert.deepEqual(inForce(definitions), ["same /etc/pushed", "mine /etc/local"]);
  assert.match(refusals()[0]!, /there is another beacon of the name "same"/);
  definitions.takePushed("v2", []);
  assert.deepEqual(inForce(definitions), ["same /etc/local", "mine /etc/local"]);
});

test("what is kept on disk is what was taken, whole", (t) => {
  const { path, start } = setting(t);
  start().takePushed("v1", [beacon("a")]);
  const kept = JSON.parse(readFileSync(path("beacons.json"), "utf8")) as { version: string; definitions: { name: string }[] };
  assert.equal(kept.version, "v1");
  assert.deepEqual(
    kept.definitions.map(({ name }) => name),
    ["a"],
  );
});
