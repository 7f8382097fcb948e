import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { networkInterfaces } from "node:os";
import { test, type TestContext } from "node:test";
import { definition, Fixture } from "../fixture.ts";
import { forgetfulStore } from "../remembered.ts";

const ip = (...args: string[]) => execFileSync("ip", args, { stdio: ["ignore", "ignore", "pipe"] });

/** Why no interface can be made here. */
function reason(): string | false {
  try {
    ip("link", "add", "nf-try", "type", "veth", "peer", "name", "nf-try2");
    ip("link", "del", "nf-try");
    return false;
  } catch (error) {
    return `no interface can be made here: ${String(error).split("\n")[0]}`;
  }
}
const skip = reason();

/** Two interfaces of the test's own, joined by a cable; the other end is `NAMEb`. */
function cable(t: TestContext, name: string): void {
  ip("link", "add", name, "type", "veth", "peer", "name", `${name}b`);
  ip("link", "set", name, "up");
  ip("link", "set", `${name}b`, "up");
  t.after(() => {
    try {
      ip("link", "del", name);
    } catch {
      // the test took it away
    }
  });
}

const watch = (name: string, more: Record<string, unknown> = {}) =>
  definition({ type: "network", interfaces: [name], exclude: [], for: "0s", interval: "100ms", ...more });

test("a link that goes and comes is told, and an interface that goes and comes", { skip }, async (t) => {
  const f = new Fixture();
  t.after(() => f.end());
  const name = "nf-link";
  cable(t, name);
  await f.beacons.apply([watch(name, { addresses: false })]);
  assert.deepEqual(f.events, []);
  const told = async () => {
    const { type, subject, data } = await f.next();
    const { state, before } = data as unknown as { state: string; before: string };
    return [type, subject, state, before];
  };
  ip("link", "set", `${name}b`, "down");
  assert.deepEqual(await told(), ["network.down", name, "lowerlayerdown", "up"]);
  ip("link", "set", `${name}b`, "up");
  const [type, , state] = await told();
  assert.deepEqual([type, state], ["network.up", "up"]);
  ip("link", "del", name);
  const [gone, , absent] = await told();
  assert.deepEqual([gone, absent], ["network.down", "absent"]);
  cable(t, name);
  assert.equal((await told())[0], "network.up");
});

test("addresses that come and go are told, also those of the time in which the agent was away", { skip }, async (t) => {
  const memory = forgetfulStore();
  const f = new Fixture({ memory });
  t.after(() => f.end());
  const name = "nf-addr";
  cable(t, name);
  const wanted = watch(name, { link: false });
  // The kernel gives one of its own to a new link, a moment later.
  await f
    .until(() => networkInterfaces()[name]?.some(({ family }) => family === "IPv6") ?? false, "the link's own address")
    .catch(() => undefined);
  ip("addr", "add", "198.51.100.7/24", "dev", name);
  await f.beacons.apply([wanted]);
  assert.deepEqual(f.events, []);
  ip("addr", "add", "198.51.100.8/24", "dev", name);
  const added = await f.next();
  assert.deepEqual(
    [added.type, added.subject, { ...added.data }],
    ["network.address_added", name, { interface: name, address: "198.51.100.8/24", family: "IPv4" }],
  );
  ip("addr", "del", "198.51.100.8/24", "dev", name);
  assert.equal((await f.next()).type, "network.address_removed");
  await f.beacons.stop();
  ip("addr", "add", "203.0.113.9/24", "dev", name);
  ip("addr", "del", "198.51.100.7/24", "dev", name);
  const again = new Fixture({ memory });
  t.after(() => again.end());
  await again.beacons.apply([wanted]);
  await again.until(() => again.events.length >= 2, "what changed meanwhile");
  assert.deepEqual(
    new Map(again.events.map(({ type, data }) => [type, data["address"]])),
    new Map([
      ["network.address_added", "203.0.113.9/24"],
      ["network.address_removed", "198.51.100.7/24"],
    ]),
  );
});

test("throughput over the threshold is told for its direction, and when it is over", { skip }, async (t) => {
  const f = new Fixture();
  t.after(() => f.end());
  const name = "nf-flow";
  cable(t, name);
  ip("addr", "add", "198.51.100.33/24", "dev", name);
  ip("neigh", "add", "198.51.100.34", "lladdr", "02:00:00:00:00:01", "dev", name);
  await f.beacons.apply([watch(name, { above: 0.5, link: false, addresses: false })]);
  const socket = createSocket("udp4");
  socket.bind(0, "198.51.100.33");
  await once(socket, "listening");
  const flood = setInterval(() => socket.send(Buffer.alloc(1_400), 9, "198.51.100.34"), 1);
  t.after(() => {
    clearInterval(flood);
    socket.close();
  });
  const high = await f.next();
  const data = high.data as unknown as { direction: string; mbit_per_s: number };
  assert.deepEqual([high.type, high.subject, data.direction], ["network.high", name, "sent"]);
  assert.ok(data.mbit_per_s > 0.5);
  clearInterval(flood);
  assert.equal((await f.next()).type, "network.normal");
});
