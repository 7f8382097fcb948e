/** Every driver does what it says, and the beacon tells it: else a benchmark or a soak would measure the driver. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { beaconTypes } from "@needfire/shared/beacons/types";
import { definition, Fixture } from "../../packages/agent/src/beacons/fixture.ts";
import type { DefinitionOf } from "../../packages/agent/src/beacons/beacon.ts";
import { start as startService } from "../../packages/agent/src/beacons/process/service.ts";
import { type DriverRow, isClockwork, keyOf, type Seen } from "./driver.ts";
import { drivers, machineDrivers } from "./drivers.ts";

/** Twice through every driver's steps. */
const changes = 8;

test("no driver is of a type that there is not", () => {
  assert.deepEqual(
    [...Object.keys(drivers), ...Object.keys(machineDrivers)].filter((type) => !Object.hasOwn(beaconTypes, type)),
    [],
  );
});

for (const [type, row] of Object.entries(drivers)) {
  test(`${type}: each change is told once`, { skip: row.missing?.() ?? false }, async (t) => {
    const { fixture, driver } = await watched(t, type, row);
    if (isClockwork(driver)) return;
    await driver.begin?.();
    const wanted: string[] = [];
    const told = () => fixture.events.flatMap((event) => keyOf(driver, event as Seen) ?? []);
    for (let number = 0; number < changes; number++) {
      wanted.push(...(await driver.change(number)));
      await fixture.until(() => told().length >= wanted.length, `the events of change ${number}: ${wanted.slice(-5).join(", ")}`);
    }
    assert.deepEqual(told().toSorted(), wanted.toSorted());
  });
}

// The machine has one swap space, and swap.test.ts adds its own to it at the same time.
const { swap: _, ...asideFromSwap } = machineDrivers;

for (const [type, row] of Object.entries(asideFromSwap)) {
  test(`${type}: a change is told, whatever else this machine does`, { skip: row.missing?.() ?? false, timeout: 110_000 }, async (t) => {
    const { fixture, driver } = await watched(t, type, row);
    if (isClockwork(driver)) return assert.fail("somebody changes it");
    const [wanted] = await driver.change(0);
    // That it is over, too, others may put off for long.
    await fixture.until(() => fixture.events.some((event) => keyOf(driver, event as Seen) === wanted), String(wanted));
  });
}

async function watched(t: TestContext, type: string, row: DriverRow) {
  const folder = mkdtempSync(join(tmpdir(), "needfire-driven-"));
  const driver = await row.make({ folder, tag: `nt${process.pid}`, shared: [] });
  const root = driver.host?.root;
  const fixture = new Fixture(
    root === undefined ? {} : { start: (each, context) => startService(each as ServiceDefinition, context, root) },
  );
  t.after(async () => {
    await fixture.end();
    await driver.stop?.();
    rmSync(folder, { recursive: true });
  });
  await fixture.beacons.apply([definition({ type, ...driver.options })]);
  assert.deepEqual(
    fixture.beacons.list().map(({ health }) => health),
    [{ state: "watching" }],
  );
  return { fixture, driver };
}

type ServiceDefinition = DefinitionOf<"service">;
