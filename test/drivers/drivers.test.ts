/** Every driver does what it says, and the beacon tells it: else a benchmark or a soak would measure the driver. */
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { test } from "node:test";
import { beaconTypes } from "@needfire/shared/beacons/types";
import { definition, Fixture } from "../../packages/agent/src/beacons/fixture.ts";
import { isClockwork, keyOf, type Seen } from "./driver.ts";
import { drivers } from "./drivers.ts";

/** Twice through every driver's steps. */
const changes = 8;

test("no driver is of a type that there is not", () => {
  assert.deepEqual(
    Object.keys(drivers).filter((type) => !Object.hasOwn(beaconTypes, type)),
    [],
  );
});

for (const [type, row] of Object.entries(drivers)) {
  test(`${type}: each change is told once`, { skip: row.missing?.() ?? false }, async (t) => {
    const fixture = new Fixture();
    mkdirSync(fixture.path("driven"));
    const driver = await row.make({ folder: fixture.path("driven"), tag: `nt${process.pid}` });
    t.after(async () => {
      await fixture.beacons.stop();
      await driver.stop?.();
      await fixture.end();
    });
    await fixture.beacons.apply([definition({ type, ...driver.options })]);
    assert.deepEqual(
      fixture.beacons.list().map(({ health }) => health),
      [{ state: "watching" }],
    );
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
