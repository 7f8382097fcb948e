/** With real sockets, on loopback and in a network namespace. */
import assert from "node:assert/strict";
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";
import { networkInterfaces } from "node:os";
import { createInterface } from "node:readline";
import { test, type TestContext } from "node:test";
import { start } from "./connection.ts";
import { definition, Fixture } from "../fixture.ts";
import { forgetfulStore, type MemoryStore } from "../remembered.ts";

interface Told {
  direction: string;
  local_address: string;
  local_port: number;
  remote_address: string;
  remote_port: number;
  process: { pid: number; name: string };
  is_over: boolean;
  lasted_ms: number;
}

function watching(
  t: TestContext,
  { memory = forgetfulStore(), directory = "/proc/net" }: { memory?: MemoryStore; directory?: string } = {},
) {
  const f = new Fixture({
    memory,
    start: (each, context) => {
      assert.equal(each.type, "connection");
      return start(each, context, directory);
    },
  });
  t.after(() => f.end());
  return {
    f,
    apply: (...options: Record<string, unknown>[]) =>
      f.beacons.apply(options.map((each) => definition({ type: "connection", interval: "100ms", loopback: true, ...each }))),
    next: async () => {
      const { type, subject, cause, data } = await f.next();
      return { is: `${type} ${subject}`, cause, data: data as unknown as Told };
    },
  };
}

/** An address where nobody else is: a port that was free there stays so. */
const own = "127.77.0.1";

async function listening(t: TestContext, host = own, port = 0): Promise<{ server: Server; port: number; accepted: Socket[] }> {
  const accepted: Socket[] = [];
  const server = createServer((socket) => accepted.push(socket.on("error", () => undefined)));
  t.after(() => {
    server.close();
    for (const socket of accepted) socket.destroy();
  });
  await once(server.listen(port, host), "listening");
  return { server, port: (server.address() as { port: number }).port, accepted };
}

async function closed(server: Server): Promise<void> {
  await once(server.close(), "close");
}

test("a port that is listened on is told with its process, and when it is no more; what was there at first is not", async (t) => {
  const there = await listening(t);
  const free = await listening(t);
  await closed(free.server);
  const { f, apply, next } = watching(t);
  await apply({ local_ports: [there.port, free.port] });
  const again = await listening(t, own, free.port);
  const opened = await next();
  assert.equal(opened.is, `port.opened tcp ${own}:${free.port}`);
  assert.equal(opened.data.process.pid, process.pid);
  await closed(again.server);
  const gone = await next();
  assert.equal(gone.is, `port.closed tcp ${own}:${free.port}`);
  assert.ok(gone.data.lasted_ms > 0);
  await closed(there.server);
  assert.equal((await next()).is, `port.closed tcp ${own}:${there.port}`);
  assert.equal(f.events.length, 3);
});

test("UDP: a bound socket is a port, one on a port that the kernel gave is none unless it is asked for", async (t) => {
  const { apply, next } = watching(t);
  const probe = createSocket("udp4");
  probe.bind(0, own);
  await once(probe, "listening");
  const { port } = probe.address();
  await new Promise<void>((resolve) => probe.close(resolve));
  await apply({ name: "asked", local_ports: [port] }, { name: "not-asked", protocols: ["udp"], processes: ["never"] });
  const socket = createSocket("udp4");
  t.after(() => socket.close());
  socket.bind(port, own);
  assert.equal((await next()).is, `port.opened udp ${own}:${port}`);
});

test("connections: both ends on one host are one in and one out; closed when they are over", async (t) => {
  const { port, accepted } = await listening(t);
  const { f, apply, next } = watching(t);
  await apply(
    { name: "in", watch: ["inbound"], local_ports: [port] },
    { name: "out", watch: ["outbound"], remote_ports: [`${port}-${port}`], processes: ["*"] },
    { name: "other", watch: ["inbound", "outbound"], local_ports: [port], exclude_remote_addresses: ["127.0.0.0/8"] },
  );
  const socket = connect(port, own);
  t.after(() => socket.destroy());
  await once(socket, "connect");
  const { localAddress, localPort } = socket;
  const [inbound, outbound] = [await next(), await next()].toSorted((a, b) => (a.data.direction < b.data.direction ? -1 : 1));
  assert.equal(inbound!.is, `connection.opened tcp ${own}:${port} ${localAddress}:${localPort}`);
  assert.equal(outbound!.is, `connection.opened tcp ${localAddress}:${localPort} ${own}:${port}`);
  assert.deepEqual([inbound!.data.direction, outbound!.data.direction], ["inbound", "outbound"]);
  assert.equal(outbound!.data.process.pid, process.pid);
  await f.until(() => accepted.length > 0, "the connection");
  accepted[0]!.end();
  socket.end();
  const ends = [await next(), await next()].map(({ is }) => is);
  assert.deepEqual(new Set(ends), new Set([inbound, outbound].map((each) => each!.is.replace("opened", "closed"))));
  assert.equal(f.events.length, 4);
});

test("one that came and went between two looks is told by what the kernel keeps of it for a minute", async (t) => {
  const { port, accepted } = await listening(t);
  const { f, apply, next } = watching(t);
  await apply({ watch: ["inbound"], local_ports: [port], interval: "1h" });
  const socket = connect(port, own);
  socket.resume();
  await f.until(() => accepted.length > 0, "the connection");
  // The side that ends it first has it in TIME_WAIT.
  accepted[0]!.resume().end();
  await once(socket, "close");
  // A remedy's end makes it look at once.
  f.remedies.begin("t-1.1", { topic: "port" });
  f.remedies.end("t-1.1");
  const [opened, over] = [await next(), await next()];
  assert.match(opened.is, new RegExp(`^connection.opened tcp ${own}:${port} `));
  assert.deepEqual([opened.data.is_over, over.is], [true, opened.is.replace("opened", "closed")]);
  assert.equal(opened.cause, undefined, "a remedy for a port has not made a connection");
});

const noV6 = Object.values(networkInterfaces()).some((all) => all?.some(({ address }) => address === "::1"))
  ? false
  : "needs IPv6 on loopback";

test("IPv6: a socket for both families shows IPv4 as what it is", { skip: noV6 }, async (t) => {
  const { port } = await listening(t, "::");
  const { apply, next } = watching(t);
  await apply({
    watch: ["inbound"],
    local_ports: [port],
    remote_addresses: ["127.0.0.1", "::1"],
    local_addresses: ["127.0.0.0/8", "::1/128"],
  });
  const v4 = connect(port, "127.0.0.1");
  t.after(() => v4.destroy());
  const first = await next();
  assert.deepEqual([first.data.local_address, first.data.remote_address, first.data.direction], ["127.0.0.1", "127.0.0.1", "inbound"]);
  const v6 = connect(port, "::1");
  t.after(() => v6.destroy());
  const second = await next();
  assert.equal(second.is, `connection.opened tcp [::1]:${port} [::1]:${second.data.remote_port}`);
});

test("ports are remembered across restarts of the agent, and what changed meanwhile is told; a changed definition begins anew", async (t) => {
  const memory = forgetfulStore();
  const [one, two] = [await listening(t), await listening(t)];
  await closed(two.server);
  const options = { local_ports: [one.port, two.port] };
  const before = watching(t, { memory });
  await before.apply(options);
  await before.f.beacons.stop();
  await closed(one.server);
  await listening(t, own, two.port);
  const after = watching(t, { memory });
  await after.apply(options);
  const told = [(await after.next()).is, (await after.next()).is];
  assert.deepEqual(told, [`port.opened tcp ${own}:${two.port}`, `port.closed tcp ${own}:${one.port}`]);
  await after.f.beacons.stop();
  const third = await listening(t);
  const changed = watching(t, { memory });
  await changed.apply({ local_ports: [one.port, two.port, third.port] });
  await closed(third.server);
  assert.equal((await changed.next()).is, `port.closed tcp ${own}:${third.port}`);
  assert.equal(before.f.events.length, 0);
});

test("what a remedy opens is told when it has ended, with the remedy as cause", async (t) => {
  const free = await listening(t);
  await closed(free.server);
  const other = await listening(t);
  await closed(other.server);
  const { f, apply, next } = watching(t);
  await apply({ local_ports: [free.port, other.port] });
  f.remedies.begin("t-1.1", { topic: "port", subject: `tcp ${own}:${free.port}` });
  await listening(t, own, free.port);
  await listening(t, own, other.port);
  assert.equal((await next()).is, `port.opened tcp ${own}:${other.port}`);
  f.remedies.end("t-1.1");
  const told = await next();
  assert.deepEqual([told.is, told.cause], [`port.opened tcp ${own}:${free.port}`, "t-1.1"]);
});

const program = `
  const net = require("node:net");
  const server = net.createServer((socket) => socket.on("error", () => {}));
  const sockets = [];
  require("node:readline").createInterface({ input: process.stdin }).on("line", (count) => {
    let left = Number(count);
    const more = () => {
      for (let i = 0; i < 200 && left > 0; i++, left--) sockets.push(net.connect(7777, "192.0.2.1"));
      if (left > 0) setTimeout(more, 5); else server.getConnections(() => console.log("asked"));
    };
    more();
  });
  server.listen({ port: 7777, host: "0.0.0.0", backlog: 4096 }, () => console.log("ready"));
`;

const isRoot = process.getuid?.() === 0;

test(
  "in a network namespace of its own: an address that is no loopback, and thousands of connections, each told once",
  { skip: isRoot ? false : "needs root", timeout: 110_000 },
  async (t) => {
    const child: ChildProcess = spawn("unshare", ["-n", process.execPath, "-e", program], { stdio: ["pipe", "pipe", "inherit"] });
    t.after(() => child.kill("SIGKILL"));
    const lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]();
    assert.equal((await lines.next()).value, "ready");
    execFileSync("nsenter", ["-t", String(child.pid), "-n", "sh", "-c", "ip link set lo up && ip address add 192.0.2.1/24 dev lo"]);
    const { f, apply, next } = watching(t, { directory: `/proc/${child.pid}/net` });
    await apply({ watch: ["listening", "inbound"], local_ports: [7_777, 7_778], remote_addresses: ["192.0.2.0/24"], loopback: false });
    child.stdin!.write("1\n");
    const first = await next();
    assert.match(first.is, /^connection\.opened tcp 192\.0\.2\.1:7777 192\.0\.2\.1:\d+$/);
    const many = 3_000;
    child.stdin!.write(`${many}\n`);
    await f.until(() => f.events.length > many, "all connections");
    child.kill("SIGKILL");
    await once(child, "exit");
    const opened = f.events.filter(({ type }) => type === "connection.opened").map(({ subject }) => subject);
    assert.equal(new Set(opened).size, many + 1);
    assert.equal(opened.length, many + 1);
  },
);
