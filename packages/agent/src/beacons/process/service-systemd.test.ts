/** Against a real systemd, in a host of its own (systemd-host.ts). */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { ServiceEventData } from "@needfire/shared/beacons/service";
import { Fixture, definition } from "../fixture.ts";
import { forgetfulStore } from "../remembered.ts";
import { start } from "./service.ts";
import { noSystemdHost, SystemdHost } from "./systemd-host.ts";

const skip = noSystemdHost();
const sleeper = (more = "") => `[Unit]\nStartLimitIntervalSec=0\n[Service]\nExecStart=/bin/sleep infinity\n${more}`;

test("services of a real systemd", { skip, timeout: 110_000 }, async (t) => {
  const host = new SystemdHost();
  t.after(() => host.end());
  await host.boot();
  const systemctl = (...argv: string[]) => host.run("systemctl", ...argv);
  const watching = async (memory = forgetfulStore()) => {
    const f = new Fixture({
      memory,
      start: (each, context) => {
        assert.equal(each.type, "service");
        return start(each, context, host.root);
      },
    });
    const next = async () => {
      const { type, subject, cause, time, data } = await f.next();
      return { type, subject, cause, time, data: data as unknown as ServiceEventData };
    };
    return { f, next, apply: (options: Record<string, unknown>) => f.beacons.apply([definition({ type: "service", ...options })]) };
  };
  host.unit("steady.service", sleeper());
  host.unit("sentinel.service", sleeper());
  host.unit("broken.service", "[Service]\nType=oneshot\nExecStart=/bin/sh -c 'exit 7'\n");
  host.unit("crashing.service", sleeper("Restart=always\nRestartSec=50ms\n"));
  systemctl("start", "steady", "crashing", "sentinel");

  await t.test("a killed service is told as down with its signal, and as up when it runs again", async () => {
    const { f, next, apply } = await watching();
    await apply({ units: ["steady"], for: "100ms" });
    const before = Date.now();
    systemctl("kill", "-s", "KILL", "steady");
    const down = await next();
    assert.equal(down.type, "service.down");
    assert.equal(down.subject, "steady.service");
    assert.deepEqual([down.data.state, down.data.result, down.data.signal], ["failed", "signal", 9]);
    assert.ok(Math.abs(down.time - before) < 30_000, `${down.time} is not when it happened`);
    systemctl("start", "steady");
    const up = await next();
    assert.deepEqual([up.type, up.data.state, up.data.sub_state], ["service.up", "active", "running"]);
    await f.end();
  });

  await t.test(
    "what is down at the first look is told, a restart of the agent tells nothing twice, and what came up meanwhile is told",
    async () => {
      systemctl("stop", "steady");
      systemctl("start", "broken");
      const memory = forgetfulStore();
      const first = await watching(memory);
      await first.apply({ units: ["steady", "broken", "not-there"], for: "10ms" });
      const downs = [await first.next(), await first.next(), await first.next()].toSorted((a, b) => (a.subject! < b.subject! ? -1 : 1));
      assert.deepEqual(
        downs.map(({ type, subject, data }) => [type, subject, data.state, data.exit_code]),
        [
          ["service.down", "broken.service", "failed", 7],
          ["service.down", "not-there.service", "not-found", undefined],
          ["service.down", "steady.service", "inactive", undefined],
        ],
      );
      await first.f.end();
      systemctl("start", "steady");
      const second = await watching(memory);
      await second.apply({ units: ["steady", "broken", "not-there"], for: "10ms" });
      const { type, subject } = await second.next();
      assert.deepEqual([type, subject], ["service.up", "steady.service"]);
      assert.equal(second.f.events.length, 1);
      second.f.beacons.restate();
      const again = new Set([(await second.next()).subject, (await second.next()).subject]);
      assert.deepEqual(again, new Set(["broken.service", "not-there.service"]));
      await second.f.end();
    },
  );

  await t.test(
    "`failed` over a glob: only what has failed, also what came into being later, and reset-failed is the end of it",
    async () => {
      systemctl("reset-failed");
      const { f, next, apply } = await watching();
      await apply({ units: ["*"], down_when: "failed" });
      systemctl("stop", "sentinel");
      host.unit("later.service", "[Service]\nExecStart=/bin/false\n");
      systemctl("start", "later");
      const down = await next();
      assert.deepEqual([down.type, down.subject, down.data.exit_code], ["service.down", "later.service", 1]);
      systemctl("reset-failed", "later");
      const up = await next();
      assert.deepEqual([up.type, up.subject, up.data.state], ["service.up", "later.service", "inactive"]);
      systemctl("start", "sentinel");
      await f.end();
    },
  );

  await t.test("`stopped` over a glob: what ran and stops is told, what never ran is not", async () => {
    const { f, next, apply } = await watching();
    await apply({ units: ["s*.service"], exclude: ["systemd-*"], for: "50ms" });
    systemctl("stop", "sentinel");
    const down = await next();
    assert.deepEqual([down.subject, down.data.state, down.data.result], ["sentinel.service", "inactive", undefined]);
    systemctl("start", "sentinel");
    assert.equal((await next()).type, "service.up");
    assert.equal(f.events.length, 2);
    await f.end();
  });

  await t.test("a restart by hand is no event, and a reload of systemd loses nothing", async () => {
    const { f, next, apply } = await watching();
    await apply({ units: ["steady", "sentinel"], for: "2s" });
    systemctl("restart", "steady");
    systemctl("daemon-reload");
    systemctl("daemon-reexec");
    systemctl("kill", "-s", "KILL", "sentinel");
    assert.equal((await next()).subject, "sentinel.service");
    systemctl("start", "sentinel");
    assert.equal((await next()).type, "service.up");
    await f.end();
  });

  await t.test("one that crashes again and again is told as flapping, once, and as up when it has been steady", async () => {
    const { f, next, apply } = await watching();
    await apply({ units: ["crashing"], for: "10s", flapping_restarts: 3, flapping_window: "3s" });
    const crash = async () => {
      const before = systemctl("show", "-P", "MainPID", "crashing").trim();
      systemctl("kill", "-s", "SEGV", "crashing");
      await f.until(() => !["0", before].includes(systemctl("show", "-P", "MainPID", "crashing").trim()), "a restart");
    };
    // Slow machines may need more than the window for three.
    for (let i = 0; i < 30 && f.events.length === 0; i++) await crash();
    const flapping = await next();
    assert.deepEqual([flapping.type, flapping.data.restarts, flapping.data.window_ms], ["service.flapping", 3, 3_000]);
    const up = await next();
    assert.equal(up.type, "service.up");
    assert.ok(up.data.lasted_ms! > 0 && up.data.restarts <= 1);
    await f.end();
  });

  await t.test("what a remedy does to a service is judged when it has ended, with the remedy as cause", async () => {
    const { f, next, apply } = await watching();
    await apply({ units: ["steady", "sentinel"], for: "10ms" });
    f.remedies.begin("t-1.1", { topic: "service", subject: "steady.service" });
    systemctl("stop", "steady");
    systemctl("kill", "-s", "KILL", "sentinel");
    assert.equal((await next()).subject, "sentinel.service", "the other one is not held back");
    assert.equal(f.events.length, 1);
    f.remedies.end("t-1.1");
    const down = await next();
    assert.deepEqual([down.type, down.subject, down.cause], ["service.down", "steady.service", "t-1.1"]);
    f.remedies.begin("t-2.1", { topic: "service", subject: "steady.service" });
    systemctl("start", "steady");
    f.remedies.end("t-2.1");
    const up = await next();
    assert.deepEqual([up.type, up.cause], ["service.up", "t-2.1"]);
    systemctl("start", "sentinel");
    assert.equal((await next()).cause, undefined);
    await f.end();
  });

  await t.test("a message bus that goes away is the beacon's failure, and it watches again when that is back", async () => {
    const { f, next, apply } = await watching();
    await apply({ units: ["steady"], for: "10ms" });
    systemctl("restart", "dbus");
    assert.equal((await next()).type, "beacon.failed");
    await f.until(() => f.beacons.list()[0]?.health.state === "watching", "the beacon to watch again");
    systemctl("kill", "-s", "KILL", "steady");
    assert.equal((await next()).type, "service.down");
    await f.end();
  });
});
