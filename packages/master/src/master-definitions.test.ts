import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { loadMasterConfig } from "@needfire/shared/config";
import { silent, temporaryDirectory } from "./fixture.ts";
import { InForce } from "./in-force.ts";
import { masterDefinitions, reloadEvents } from "./master-definitions.ts";
import { Secrets } from "./secrets.ts";

test("a router that lies in the reactors' folder is the router, and no reactor file", (t) => {
  const directory = temporaryDirectory(t);
  mkdirSync(join(directory, "reactors"));
  writeFileSync(join(directory, "reactors", "r.yaml"), "name: r\non: a.b\ndo: [{ event.emit: { type: c.d } }]\n");
  writeFileSync(join(directory, "reactors", "router.yaml"), "rules: [{ priority: low }]\n");
  const text = "reactors: [reactors]\nbeacons: [beacons]\nrouter: reactors/router.yaml\n";
  const config = loadMasterConfig("master.yaml", text, (path) => join(directory, path));
  assert.ok(config.ok, JSON.stringify(config));
  const secrets = new Secrets({ nonce: "n", past: { values: () => [], sent: () => {}, settle: () => {} }, log: silent });
  const inForce = new InForce(
    { reactors: config.config.reactors, router: config.config.router, nonce: "n" },
    { lastGood: () => undefined, awaited: [] },
  );
  const definitions = masterDefinitions(config.config, silent, secrets);
  const { reloaded, problems } = definitions.reload(inForce.read());
  assert.deepEqual(problems, []);
  assert.deepEqual(
    reloadEvents(reloaded).map(({ type, subject }) => `${type} ${subject}`),
    [`reactor.loaded ${directory}/reactors/r.yaml`, `router.loaded ${directory}/reactors/router.yaml`],
  );
  assert.deepEqual(
    definitions.index().reactors.map(({ name }) => name),
    ["r"],
  );
});

test("the sieve goes on to let pass what verifications wait for, when their reactor is gone and after a restart", (t) => {
  const directory = temporaryDirectory(t);
  const file = join(directory, "r.yaml");
  const verified = "verify: { no_event: service.failed, within: 1h }";
  writeFileSync(file, `name: r\non: a.b\ndo: [{ steps: [{ event.emit: { type: c.d } }], ${verified} }]\n`);
  const config = loadMasterConfig("master.yaml", "reactors: [.]\nbeacons: [beacons]\n", (path) => join(directory, path));
  assert.ok(config.ok, JSON.stringify(config));
  const secrets = new Secrets({ nonce: "n", past: { values: () => [], sent: () => {}, settle: () => {} }, log: silent });
  const inForce = new InForce({ reactors: [file], nonce: "n" }, { lastGood: () => undefined, awaited: ["job.*"] });
  const definitions = masterDefinitions(config.config, silent, secrets);
  const awaited = () => {
    definitions.reload(inForce.read());
    return [inForce.enforce(), definitions.index()].map((index) =>
      ["service.failed", "job.done", "x.y"].map((type) => index.isAwaited(type)),
    );
  };
  const both = [true, true, false];
  assert.deepEqual(awaited(), [both, both]);
  writeFileSync(file, "name: r\non: a.b\ndo: [{ event.emit: { type: c.d } }]\n");
  assert.deepEqual(awaited(), [both, both]);
});
