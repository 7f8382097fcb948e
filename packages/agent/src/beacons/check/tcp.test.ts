import assert from "node:assert/strict";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { test, type TestContext } from "node:test";
import { createServer as createTlsServer } from "node:tls";
import type { EventDraft } from "@needfire/shared/event";
import { dataProblem } from "@needfire/shared/event-types";
import { definition, Fixture } from "../fixture.ts";
import { Authority, noOpenssl } from "./tls-fixture.ts";

const quick = { type: "tcp", interval: "100ms", attempts: 1 };

function begin(t: TestContext): Fixture {
  const fixture = new Fixture();
  t.after(() => fixture.end());
  return fixture;
}

/** A server on a port of its own; every connection is ended with the test. */
async function serve(t: TestContext, server: Server, { port = 0, host = "127.0.0.1" } = {}): Promise<number> {
  const open = new Set<Socket>();
  server.on("connection", (socket: Socket) => open.add(socket.on("error", () => undefined)));
  await new Promise<void>((resolve, reject) => server.once("error", reject).listen(port, host, resolve));
  t.after(() => {
    server.close();
    for (const socket of open) socket.destroy();
  });
  return (server.address() as AddressInfo).port;
}

async function next(fixture: Fixture): Promise<EventDraft> {
  const event: EventDraft = await fixture.next();
  assert.equal(dataProblem(event.type, event.data), undefined);
  return event;
}

/** How the first thing told of a port is: its type, or the reason why it is down. */
async function toldOf(t: TestContext, server: Server, options: Record<string, unknown>): Promise<{ reason: unknown; message: string }> {
  const fixture = begin(t);
  await fixture.beacons.apply([definition({ ...quick, addresses: [`localhost:${await serve(t, server)}`], family: "4", ...options })]);
  const { type, data } = await next(fixture);
  assert.equal(type, "tcp.down");
  return { reason: data["reason"], message: String(data["message"]) };
}

/** Resolves when the beacon has looked at all ports often enough to have told what is wrong with one: another one is told, and only that. */
async function nothingWrong(t: TestContext, options: Record<string, unknown>): Promise<void> {
  const fixture = begin(t);
  const checks: Socket[] = [];
  const closing = createServer((socket) => void checks.push(socket));
  const sentinel = definition({ ...quick, name: "sentinel", addresses: [`127.0.0.1:${await serve(t, closing)}`] });
  await fixture.beacons.apply([definition({ ...quick, ...options }), sentinel]);
  await fixture.until(() => checks.length > 5, "some checks");
  assert.deepEqual(fixture.events, []);
}

test("a port that nobody listens at is told as down, and as up when somebody does", async (t) => {
  const f = begin(t);
  const first = createServer();
  const port = await serve(t, first);
  await f.beacons.apply([definition({ ...quick, addresses: [`127.0.0.1:${port}`], attempts: 2 })]);
  await new Promise((resolve) => first.close(resolve));
  const down = await next(f);
  assert.deepEqual([down.type, down.subject, down.data["reason"], down.data["checks"]], ["tcp.down", `127.0.0.1:${port}`, "connect", 2]);
  await serve(t, createServer(), { port });
  const up = await next(f);
  assert.deepEqual([up.type, up.data["connected_to"]], ["tcp.up", "127.0.0.1"]);
});

test("a greeting that comes in pieces is found, and a question gets its answer", async (t) => {
  const pieces = createServer((socket) => {
    socket.write("220 mail.exam");
    setImmediate(() => socket.write("ple.com ESMTP\r\n"));
  });
  await nothingWrong(t, { addresses: [`127.0.0.1:${await serve(t, pieces)}`], expect: "^220 mail\\.example\\.com " });
  const redis = createServer(
    (socket) => void socket.on("data", (data) => socket.write(data.toString() === "PING\r\n" ? "+PONG\r\n" : "-ERR\r\n")),
  );
  await nothingWrong(t, { addresses: [`127.0.0.1:${await serve(t, redis)}`], send: "PING\r\n", expect: "^\\+PONG" });
});

test("another greeting, none, silence and an endless one are told apart", async (t) => {
  const other = await toldOf(
    t,
    createServer((socket) => void socket.end("554 no\r\n")),
    { expect: "^220 " },
  );
  assert.deepEqual(other, { reason: "answer", message: 'what it said does not match "expect"' });
  const none = await toldOf(
    t,
    createServer((socket) => void socket.end()),
    { expect: "^220 " },
  );
  assert.deepEqual(none, { reason: "answer", message: "it closed the connection and said nothing" });
  const silent = await toldOf(t, createServer(), { expect: "^220 ", timeout: "200ms" });
  assert.equal(silent.reason, "timeout");
  const endless = createServer((socket) => {
    const more = () => void (socket.destroyed || socket.write("x".repeat(10_000), more));
    more();
  });
  assert.match((await toldOf(t, endless, { expect: "^220 " })).message, /^the first 65536 bytes/);
});

test("TLS is checked as the definition says, and a plain port is told when TLS is expected", { skip: noOpenssl() }, async (t) => {
  const f = begin(t);
  const authority = new Authority(f.path("ca"));
  const { pair } = authority.issue("localhost", { until: Date.now() + 86_400_000 });
  const greet = () => createTlsServer(pair, (socket) => void socket.on("error", () => undefined).write("* OK ready\r\n"));
  assert.equal((await toldOf(t, greet(), { tls: {} })).reason, "tls");
  assert.equal(
    (
      await toldOf(
        t,
        createServer((socket) => void socket.write("220 plain\r\n")),
        { tls: {} },
      )
    ).reason,
    "tls",
  );
  const port = await serve(t, greet());
  await nothingWrong(t, {
    addresses: [`localhost:${port}`, `127.0.0.1:${port}`],
    family: "4",
    tls: { ca: authority.ca },
    expect: "^\\* OK",
  });
  assert.match((await toldOf(t, greet(), { tls: { ca: authority.ca, server_name: "other.example.com" } })).message, /other\.example\.com/);
});

test("a port of IPv6 is connected to in brackets", async (t) => {
  const f = begin(t);
  let port: number;
  try {
    port = await serve(
      t,
      createServer((socket) => void socket.end("no\r\n")),
      { host: "::1" },
    );
  } catch {
    return t.skip("this machine has no IPv6");
  }
  await f.beacons.apply([definition({ ...quick, addresses: [`[::1]:${port}`], expect: "yes" })]);
  const { subject, data } = await next(f);
  assert.deepEqual([subject, data["connected_to"], data["reason"]], [`[::1]:${port}`, "::1", "answer"]);
});

test("of a hundred ports that do not answer every one is told", async (t) => {
  const f = begin(t);
  const port = await serve(
    t,
    createServer((socket) => void socket.resume()),
    { host: "0.0.0.0" },
  );
  const addresses = Array.from({ length: 100 }, (_, at) => `127.0.0.${at + 1}:${port}`);
  await f.beacons.apply([definition({ ...quick, addresses, expect: "never", timeout: "100ms", interval: "10s" })]);
  const told = new Set<string | undefined>();
  while (told.size < 100) told.add((await next(f)).subject);
});
