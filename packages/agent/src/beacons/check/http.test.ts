import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type RequestListener, type Server } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { type AddressInfo, createServer as createTcpServer, type Server as TcpServer } from "node:net";
import { test, type TestContext } from "node:test";
import type { EventDraft } from "@needfire/shared/event";
import { dataProblem } from "@needfire/shared/event-types";
import { definition, Fixture } from "../fixture.ts";
import { forgetfulStore, type MemoryStore } from "../remembered.ts";
import { Authority, noOpenssl } from "./tls-fixture.ts";

const quick = { type: "http", interval: "100ms", attempts: 1 };
const openssl = noOpenssl();

function begin(t: TestContext, memory?: MemoryStore): Fixture {
  const fixture = new Fixture(memory === undefined ? {} : { memory });
  t.after(() => fixture.end());
  return fixture;
}

async function serve(t: TestContext, server: Server | TcpServer, port = 0): Promise<string> {
  await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
  t.after(() => void server.close());
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** A server whose answer the test changes, and what it was asked. */
async function site(t: TestContext, answer: RequestListener) {
  const state = { answer, asked: [] as IncomingMessage[] };
  const server = createServer((request, response) => {
    state.asked.push(request);
    state.answer(request, response);
  });
  const url = `http://${await serve(t, server)}/`;
  /** Until two more checks were answered: the first of them saw what is set now. */
  const seen = async (fixture: Fixture) => {
    const before = state.asked.length;
    await fixture.until(() => state.asked.length > before + 2, "three more requests");
  };
  return { state, url, seen };
}

const status =
  (code: number, body = "ok"): RequestListener =>
  (_request, response) =>
    void response.writeHead(code).end(body);

async function next(fixture: Fixture): Promise<EventDraft> {
  const event: EventDraft = await fixture.next();
  assert.equal(dataProblem(event.type, event.data), undefined);
  return event;
}

/** The first thing told of URLs that fail. */
async function failing(t: TestContext, options: Record<string, unknown>): Promise<EventDraft> {
  const fixture = begin(t);
  await fixture.beacons.apply([definition({ ...quick, ...options })]);
  const event = await next(fixture);
  assert.equal(event.type, "http.down");
  return event;
}

test("a site is told as down once and as up once, with status, time and reason; each check is a connection of its own", async (t) => {
  const f = begin(t);
  const { state, url, seen } = await site(t, status(200));
  await f.beacons.apply([definition({ ...quick, urls: [url], attempts: 2 })]);
  await seen(f);
  state.answer = status(503);
  const down = await next(f);
  assert.deepEqual([down.type, down.subject, down.data["status"], down.data["reason"]], ["http.down", url, 503, "status"]);
  assert.deepEqual([down.data["checks"], down.data["from"], down.data["address"]], [2, "up", "127.0.0.1"]);
  await seen(f);
  state.answer = status(204);
  const up = await next(f);
  assert.deepEqual([up.type, up.data["from"], up.data["status"]], ["http.up", "down", 204]);
  assert.ok((up.data["lasted_ms"] as number) > 0);
  assert.deepEqual(Object.keys(up.data["timings"] as object), ["connect_ms", "answer_ms", "rest_ms"]);
  await seen(f);
  assert.equal(f.events.length, 2);
  assert.equal(new Set(state.asked.map(({ socket }) => socket)).size, state.asked.length);
});

test("a server that is stopped and started again is down and up, at the port that it had", async (t) => {
  const f = begin(t);
  const first = createServer(status(200));
  const address = await serve(t, first);
  await f.beacons.apply([definition({ ...quick, urls: [`http://${address}/`] })]);
  await new Promise((resolve) => first.close(resolve));
  const down = await next(f);
  assert.deepEqual([down.type, down.data["reason"], down.data["status"]], ["http.down", "connect", undefined]);
  assert.match(String(down.data["message"]), /ECONNREFUSED/);
  await serve(t, createServer(status(200)), Number(address.split(":")[1]));
  assert.equal((await next(f)).type, "http.up");
});

test("after a restart what was told as down is not told again, and that it is up is not missed", async (t) => {
  const memory = forgetfulStore();
  const { state, url, seen } = await site(t, status(500));
  const watched = definition({ ...quick, urls: [url] });
  const first = begin(t, memory);
  await first.beacons.apply([watched]);
  const down = await next(first);
  await first.beacons.stop();
  const second = begin(t, memory);
  await second.beacons.apply([watched]);
  await seen(second);
  assert.deepEqual(second.events, []);
  second.beacons.restate();
  const again = await next(second);
  assert.deepEqual([again.type, again.data["since"], again.data["from"]], ["http.down", down.data["since"], "up"]);
  await second.beacons.stop();
  state.answer = status(200);
  const third = begin(t, memory);
  await third.beacons.apply([watched]);
  assert.equal((await next(third)).type, "http.up");
  await third.beacons.stop();
  const fourth = begin(t, memory);
  await fourth.beacons.apply([watched]);
  await seen(fourth);
  assert.deepEqual(fourth.events, []);
});

test("an answer over the limit is slow, one in time ends that", async (t) => {
  const f = begin(t);
  const held: (() => void)[] = [];
  // Held back until the test says so, so that no machine is too slow for it.
  const { state, url } = await site(t, (_request, response) => void held.push(() => response.end("ok")));
  await f.beacons.apply([definition({ ...quick, urls: [url], slow_above: "300ms", timeout: "60s" })]);
  await f.until(() => held.length > 0, "a request");
  setTimeout(() => held.shift()!(), 350);
  const slow = await next(f);
  assert.deepEqual([slow.type, slow.data["slow_above_ms"], slow.data["status"]], ["http.slow", 300, 200]);
  assert.ok((slow.data["latency_ms"] as number) > 300);
  state.answer = status(200);
  for (const end of held) end();
  const up = await next(f);
  assert.deepEqual([up.type, up.data["from"]], ["http.up", "slow"]);
});

test("one that takes the connection and says nothing has failed when the time is over, and does not hold up others", async (t) => {
  const f = begin(t);
  const mute = createTcpServer((socket) => void t.after(() => void socket.destroy()));
  const urls = [`http://${await serve(t, mute)}/`, "http://127.0.0.1:1/"];
  await f.beacons.apply([definition({ ...quick, urls, timeout: "2s" })]);
  const [refused, waited] = [await next(f), await next(f)];
  assert.deepEqual([refused.subject, refused.data["reason"]], [urls[1], "connect"]);
  assert.deepEqual([waited.subject, waited.data["reason"]], [urls[0], "timeout"]);
  assert.match(String(waited.data["message"]), /waited for an answer/);
});

test("one that sends its body without end is read up to the limit and judged by that", async (t) => {
  const endless: RequestListener = (_request, response) => {
    const more = () => void (response.destroyed || response.write("needle ".repeat(1_000), more));
    more();
  };
  const { url } = await site(t, endless);
  const event = await failing(t, { urls: [url], body_bytes_max: 10_000, exclude: "needle needle" });
  assert.deepEqual([event.data["reason"], event.data["message"]], ["body", 'the body matches "exclude"']);
});

test("text, expression and ranges of status are minded", async (t) => {
  const { url } = await site(t, status(418, '{"state":"degraded"}'));
  assert.equal((await failing(t, { urls: [url] })).data["message"], "the status is 418");
  const teapot = { urls: [url], status: [200, "410-420"] };
  assert.match(String((await failing(t, { ...teapot, contains: '"state":"ok"' })).data["message"]), /contains/);
  assert.match(String((await failing(t, { ...teapot, match: 'state":"(ok|fine)' })).data["message"]), /match/);
  const f = begin(t);
  const other = await site(t, status(500));
  await f.beacons.apply([
    definition({ ...quick, ...teapot, contains: "state", match: "degr", exclude: "^ok" }),
    definition({ ...quick, name: "other", urls: [other.url] }),
  ]);
  assert.equal((await next(f)).subject, other.url);
});

test("a header from a file is sent as it is at that moment, not to another server, and never told", async (t) => {
  const f = begin(t);
  const other = await site(t, status(200));
  const { state, url, seen } = await site(t, (_request, response) => void response.writeHead(302, { location: other.url }).end());
  const file = f.path("token");
  writeFileSync(file, "Bearer first\n");
  const headers = { authorization: { file }, "x-kind": "check" };
  await f.beacons.apply([definition({ ...quick, urls: [url], headers })]);
  await seen(f);
  writeFileSync(file, "Bearer second\n");
  await seen(f);
  assert.deepEqual(state.asked[0]!.headers["authorization"], "Bearer first");
  assert.deepEqual(state.asked.at(-1)!.headers["authorization"], "Bearer second");
  assert.deepEqual([other.state.asked[0]!.headers["authorization"], other.state.asked[0]!.headers["x-kind"]], [undefined, "check"]);
  state.answer = status(401);
  await next(f);
  assert.ok(!JSON.stringify(f.events).includes("Bearer"));
});

test("a secret that cannot be read fails the beacon and not the site", async (t) => {
  const f = begin(t);
  const { url, state } = await site(t, status(500));
  await f.beacons.apply([definition({ ...quick, urls: [url], headers: { authorization: { file: f.path("token") } } })]);
  const event: EventDraft = await f.next();
  assert.deepEqual([event.type, state.asked.length], ["beacon.failed", 0]);
  assert.match(String(event.data["message"]), /the header "authorization" cannot be read/);
});

test("redirects are followed to their limit, and never to another protocol", async (t) => {
  const { state, url } = await site(
    t,
    ({ url: path }, response) => void response.writeHead(301, { location: `/${Number(path!.slice(1)) + 1}` }).end(),
  );
  const event = await failing(t, { urls: [url], redirects: 3 });
  assert.deepEqual([event.data["reason"], event.data["redirects"], state.asked.length], ["redirects", 3, 4]);
  const away = await site(t, (_request, response) => void response.writeHead(302, { location: "file:///etc/passwd" }).end());
  assert.match(String((await failing(t, { urls: [away.url] })).data["message"]), /no http or https URL/);
  const kept = await failing(t, { urls: [url], redirects: 0 });
  assert.equal(kept.data["status"], 301);
});

test("what is no HTTP, and what hangs up, are told as that", async (t) => {
  const babble = createTcpServer((socket) => void socket.on("error", () => undefined).end("220 mail ready\r\n\r\n"));
  assert.equal((await failing(t, { urls: [`http://${await serve(t, babble)}/`] })).data["reason"], "protocol");
  const rude = createTcpServer((socket) => void socket.on("error", () => undefined).once("data", () => socket.destroy()));
  assert.equal((await failing(t, { urls: [`http://${await serve(t, rude)}/`] })).data["reason"], "closed");
  const turncoat = createTcpServer((socket) => {
    socket
      .on("error", () => undefined)
      .once("data", () => socket.write("HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n"));
    t.after(() => void socket.destroy());
  });
  assert.equal((await failing(t, { urls: [`http://${await serve(t, turncoat)}/`] })).data["reason"], "closed");
});

test("a name that does not exist is told as that", async (t) => {
  const event = await failing(t, { urls: ["http://no-such-host.invalid/"] });
  assert.deepEqual([event.data["reason"], event.data["status"]], ["dns", undefined]);
});

test("a certificate that is not trusted or not for the name is down, unless it is told to take it", { skip: openssl }, async (t) => {
  const f = begin(t);
  const authority = new Authority(f.path("ca"));
  const issued = authority.issue("localhost", { until: Date.now() + 86_400_000 });
  const server = createTlsServer(issued.pair, status(200));
  const port = (await serve(t, server)).split(":")[1];
  const url = `https://localhost:${port}/`;
  assert.deepEqual((await failing(t, { urls: [url] })).data["reason"], "tls");
  const named = await failing(t, { urls: [url], tls: { ca: authority.ca, server_name: "shop.example.com" } });
  assert.match(String(named.data["message"]), /shop\.example\.com/);
  await f.beacons.apply([
    definition({ ...quick, name: "trusted", urls: [url], tls: { ca: authority.ca }, status: [201] }),
    definition({ ...quick, name: "insecure", urls: [url], tls: { insecure: true }, status: [201] }),
  ]);
  for (const event of [await next(f), await next(f)]) {
    assert.deepEqual([event.data["reason"], event.data["status"]], ["status", 200]);
    assert.ok("tls_ms" in (event.data["timings"] as object));
  }
});

test("a server on a unix socket is asked through it", async (t) => {
  const f = begin(t);
  const server = createServer(({ headers }, response) => void response.writeHead(500).end(headers.host));
  await new Promise<void>((resolve) => server.listen(f.path("socket"), resolve));
  t.after(() => void server.close());
  const event = await failing(t, { urls: ["http://engine/_ping"], socket: f.path("socket") });
  assert.deepEqual([event.data["status"], event.data["address"]], [500, undefined]);
});
