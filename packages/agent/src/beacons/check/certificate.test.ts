import assert from "node:assert/strict";
import { copyFileSync, mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { test, type TestContext } from "node:test";
import { createServer as createTlsServer, TLSSocket, type Server as TlsServer } from "node:tls";
import type { EventDraft } from "@needfire/shared/event";
import { dataProblem } from "@needfire/shared/event-types";
import { definition, Fixture } from "../fixture.ts";
import { forgetfulStore, type MemoryStore } from "../remembered.ts";
import { Authority, type Issued, noOpenssl } from "./tls-fixture.ts";

const quick = { type: "certificate", interval: "100ms", days: [30, 7] };
const day = 86_400_000;
const skip = noOpenssl();
const inDays = (days: number) => Date.now() + days * day;

function begin(t: TestContext, memory?: MemoryStore): Fixture {
  const fixture = new Fixture(memory === undefined ? {} : { memory });
  t.after(() => fixture.end());
  return fixture;
}

/** The address that the server listens at, by the name that the certificates are for. */
async function serve(t: TestContext, server: Server): Promise<string> {
  const open = new Set<Socket>();
  server.on("connection", (socket: Socket) => open.add(socket.on("error", () => undefined)));
  server.on("tlsClientError", () => undefined);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    server.close();
    for (const socket of open) socket.destroy();
  });
  return `localhost:${(server.address() as AddressInfo).port}`;
}

function tlsServer({ pair }: Issued): TlsServer {
  return createTlsServer(pair, (socket) => void socket.on("error", () => undefined));
}

async function next(fixture: Fixture): Promise<EventDraft> {
  const event: EventDraft = await fixture.next();
  assert.equal(dataProblem(event.type, event.data), undefined, JSON.stringify(event.data));
  return event;
}

test("a server's certificate is told as it nears its end, when it is renewed, and when it is another", { skip }, async (t) => {
  const f = begin(t);
  const authority = new Authority(f.path("ca"));
  const issue = (days: number, names?: string) =>
    authority.issue("shop", { until: inDays(days), ...(names === undefined ? {} : { names }) });
  const server = tlsServer(issue(20));
  const address = await serve(t, server);
  await f.beacons.apply([definition({ ...quick, addresses: [address], ca: authority.ca })]);
  const expiring = await next(f);
  assert.deepEqual([expiring.type, expiring.subject, expiring.data["threshold_days"]], ["certificate.expiring", address, 30]);
  assert.deepEqual(
    [expiring.data["common_name"], expiring.data["issuer"], expiring.data["names"]],
    ["shop", "Test Authority", ["127.0.0.1", "localhost"]],
  );
  assert.equal(expiring.data["days_left"], 20);
  server.setSecureContext(issue(90).pair);
  const renewed = await next(f);
  assert.equal(renewed.type, "certificate.renewed");
  assert.equal((renewed.data["before"] as Record<string, unknown>)["fingerprint_sha256"], expiring.data["fingerprint_sha256"]);
  server.setSecureContext(issue(80, "DNS:localhost,DNS:other.example").pair);
  assert.equal((await next(f)).type, "certificate.changed");
  server.setSecureContext(issue(81, "DNS:other.example").pair);
  assert.equal((await next(f)).type, "certificate.changed");
  const wrong = await next(f);
  assert.deepEqual([wrong.type, wrong.data["reason"]], ["certificate.invalid", "wrong_name"]);
});

test("of what a server shows, the one that ends first is told, also when it stands between it and the authority", { skip }, async (t) => {
  const f = begin(t);
  const root = new Authority(f.path("root"), "Root");
  const between = new Authority(f.path("between"), "Between", { authority: root, until: inDays(5) });
  const { pair } = between.issue("shop", { until: inDays(100) });
  const server = createTlsServer({ key: pair.key, cert: Buffer.concat([pair.cert, readFileSync(between.ca)]) });
  await f.beacons.apply([definition({ ...quick, addresses: [await serve(t, server)], ca: root.ca })]);
  const { type, data } = await next(f);
  assert.deepEqual([type, data["common_name"], data["issuer"], data["chain_position"]], ["certificate.expiring", "Between", "Root", 1]);
  assert.equal(data["threshold_days"], 7);
});

test("one that expires while it is watched is told as expired, and not as not trusted", { skip, timeout: 60_000 }, async (t) => {
  const f = begin(t);
  const authority = new Authority(f.path("ca"));
  const address = await serve(t, tlsServer(authority.issue("shop", { until: Date.now() + 5_000 })));
  await f.beacons.apply([definition({ ...quick, addresses: [address], ca: authority.ca, days: [0.00001] })]);
  const types: string[] = [];
  while (!types.includes("certificate.expired")) types.push((await next(f)).type);
  assert.ok(
    types.every((type) => type.startsWith("certificate.expir")),
    types.join(),
  );
});

test("what was told is not told again after a restart, what changed meanwhile is", { skip }, async (t) => {
  const memory = forgetfulStore();
  const f = begin(t, memory);
  const authority = new Authority(f.path("ca"));
  const server = tlsServer(authority.issue("shop", { until: inDays(20) }));
  const watched = definition({ ...quick, addresses: [await serve(t, server)] });
  await f.beacons.apply([watched]);
  assert.deepEqual([(await next(f)).type, (await next(f)).type], ["certificate.invalid", "certificate.expiring"]);
  f.beacons.restate();
  assert.deepEqual([(await next(f)).type, (await next(f)).type], ["certificate.invalid", "certificate.expiring"]);
  await f.beacons.stop();
  server.setSecureContext(authority.issue("shop", { until: inDays(60) }).pair);
  const second = begin(t, memory);
  await second.beacons.apply([watched]);
  assert.equal((await next(second)).type, "certificate.renewed");
  await second.beacons.apply([watched, definition({ ...quick, name: "other", files: [authority.ca], days: [3_650] })]);
  const { type, beacon } = await next(second);
  assert.deepEqual([type, beacon, second.events.length], ["certificate.expiring", "other", 2]);
});

test("trust is that of the definition; nothing is told of it with verify: false", { skip }, async (t) => {
  const f = begin(t);
  const authority = new Authority(f.path("ca"));
  const address = await serve(t, tlsServer(authority.issue("shop", { until: inDays(20) })));
  await f.beacons.apply([
    definition({ ...quick, name: "other-name", addresses: [address], ca: authority.ca, server_name: "shop.example.com" }),
    definition({ ...quick, name: "unverified", addresses: [address], verify: false }),
    definition({ ...quick, name: "trusting", addresses: [address], ca: authority.ca }),
  ]);
  const told = new Set<string>();
  for (let count = 0; count < 4; count++) {
    const { beacon, type, data } = await next(f);
    told.add(`${beacon} ${type} ${String(data["reason"] ?? "")}`);
  }
  assert.deepEqual(
    told,
    new Set([
      "other-name certificate.invalid wrong_name",
      "other-name certificate.expiring ",
      "unverified certificate.expiring ",
      "trusting certificate.expiring ",
    ]),
  );
});

test(
  "a server that cannot be reached is no bad certificate: the beacon says that it cannot see it, and when it can",
  { skip },
  async (t) => {
    const f = begin(t);
    const authority = new Authority(f.path("ca"));
    const plain = createServer((socket) => void socket.resume().end("no TLS here\r\n"));
    const address = await serve(t, plain);
    await f.beacons.apply([definition({ ...quick, addresses: [address], ca: authority.ca })]);
    const degraded: EventDraft = await f.next();
    assert.equal(degraded.type, "beacon.degraded");
    assert.match(String(degraded.data["message"]), new RegExp(`of ${address} \\(`));
    await new Promise((resolve) => plain.close(resolve));
    const server = tlsServer(authority.issue("shop", { until: inDays(20) }));
    await new Promise<void>((resolve) => server.listen(Number(address.split(":")[1]), "127.0.0.1", resolve));
    t.after(() => void server.close());
    const rest = new Set<string>();
    while (!rest.has("beacon.recovered")) rest.add((await f.next()).type);
    assert.ok(rest.has("certificate.expiring"));
  },
);

/** What servers say before TLS, as the protocols have it. */
const dialogues: Record<string, [greeting: string, ...[string | Buffer, string | Buffer][]]> = {
  smtp: [
    "220-mail.example\r\n220 ready\r\n",
    ["EHLO needfire\r\n", "250-mail.example\r\n250-STARTTLS\r\n250 HELP\r\n"],
    ["STARTTLS\r\n", "220 go\r\n"],
  ],
  imap: ["* OK ready\r\n", ["a STARTTLS\r\n", "a OK begin\r\n"]],
  pop3: ["+OK ready\r\n", ["STLS\r\n", "+OK begin\r\n"]],
  ftp: ["220 ready\r\n", ["AUTH TLS\r\n", "234 go\r\n"]],
  postgres: ["", [Buffer.from("0000000804d2162f", "hex"), "S"]],
  ldap: [
    "",
    [
      Buffer.from("301d02010177188016312e332e362e312e342e312e313436362e3230303337", "hex"),
      Buffer.from("300c02010178070a010004000400", "hex"),
    ],
  ],
};

for (const [protocol, [greeting, ...steps]] of Object.entries(dialogues)) {
  test(`TLS that ${protocol} begins in plain is looked at`, { skip }, async (t) => {
    const f = begin(t);
    const authority = new Authority(f.path("ca"));
    const { pair } = authority.issue("mail", { until: inDays(20) });
    const server = createServer((socket) => {
      let [heard, step] = [Buffer.alloc(0), 0];
      const listen = (bytes: Buffer) => {
        heard = Buffer.concat([heard, bytes]);
        const [wanted, answer] = steps[step]!;
        if (!heard.equals(Buffer.from(wanted))) return;
        [heard, step] = [Buffer.alloc(0), step + 1];
        if (step === steps.length) {
          socket.off("data", listen).pause();
          socket.write(answer, () => new TLSSocket(socket, { isServer: true, ...pair }).on("error", () => undefined));
        } else socket.write(answer);
      };
      if (greeting !== "") socket.write(greeting);
      socket.on("data", listen);
    });
    await f.beacons.apply([definition({ ...quick, addresses: [await serve(t, server)], starttls: protocol, ca: authority.ca })]);
    const { type, data } = await next(f);
    assert.deepEqual([type, data["common_name"]], ["certificate.expiring", "mail"]);
  });
}

test("a mail server that has no TLS is told as what cannot be seen, with what it said", async (t) => {
  const f = begin(t);
  const server = createServer((socket) => void socket.write("554 5.7.1 go away\r\n"));
  await f.beacons.apply([definition({ ...quick, addresses: [await serve(t, server)], starttls: "smtp" })]);
  const event: EventDraft = await f.next();
  assert.equal(event.type, "beacon.degraded");
  assert.match(String(event.data["message"]), /554 5\.7\.1 go away/);
});

test("files are found by glob, through links, in PEM and DER; what is no certificate among them is passed over", { skip }, async (t) => {
  const f = begin(t);
  const authority = new Authority(f.path("ca"));
  const short = authority.issue("short", { until: inDays(20) });
  const long = authority.issue("long", { until: inDays(200) });
  mkdirSync(f.host("live"));
  mkdirSync(f.host("live/a"));
  mkdirSync(f.host("live/b"));
  symlinkSync(short.certificate, f.host("live/a/fullchain.pem"));
  // A chain: what comes after the first may end before it.
  writeFileSync(f.host("live/b/fullchain.pem"), Buffer.concat([long.pair.cert, short.pair.cert]));
  writeFileSync(f.host("live/b/privkey.pem"), long.pair.key);
  const der = Buffer.from(short.pair.cert.toString().replace(/-----.*-----|\s/g, ""), "base64");
  writeFileSync(f.host("one.der"), der);
  await f.beacons.apply([definition({ ...quick, files: [f.host("live/*/*.pem"), f.host("one.der"), f.host("missing.pem")] })]);
  const told = new Map<string | undefined, EventDraft>();
  while (told.size < 4) {
    const event = await next(f);
    told.set(event.subject, event);
  }
  const summary = [...told].map(([path, { type, data }]) => [
    path!.slice(f.host("").length),
    type,
    data["common_name"],
    data["chain_position"],
  ]);
  assert.deepEqual(
    summary.toSorted(([a], [b]) => String(a).localeCompare(String(b))),
    [
      ["/live/a/fullchain.pem", "certificate.expiring", "short", 0],
      ["/live/b/fullchain.pem", "certificate.expiring", "short", 1],
      ["/missing.pem", "certificate.invalid", undefined, undefined],
      ["/one.der", "certificate.expiring", "short", 0],
    ],
  );
  assert.equal(told.get(f.host("missing.pem"))!.data["reason"], "unreadable");
});

test("a file that is renewed, broken, mended and taken away", { skip }, async (t) => {
  const f = begin(t);
  const authority = new Authority(f.path("ca"));
  const file = f.host("server.pem");
  const put = (issued: Issued) => {
    copyFileSync(issued.certificate, f.host("new"));
    renameSync(f.host("new"), file);
  };
  put(authority.issue("shop", { until: inDays(100) }));
  await f.beacons.apply([
    definition({ ...quick, files: [file], days: [30] }),
    definition({ ...quick, name: "sentinel", files: [authority.ca], days: [3_650] }),
  ]);
  assert.equal((await next(f)).beacon, "sentinel");
  const broken = readFileSync(file, "utf8").replace(/\n[^-]{20}/, "\nAAAAAAAAAAAAAAAAAAAA");
  writeFileSync(file, broken);
  assert.deepEqual([(await next(f)).data["reason"]], ["unreadable"]);
  put(authority.issue("shop", { until: inDays(200) }));
  assert.deepEqual([(await next(f)).type, (await next(f)).type], ["certificate.renewed", "certificate.valid"]);
  rmSync(file);
  assert.deepEqual([(await next(f)).data["reason"]], ["unreadable"]);
  put(authority.issue("shop", { until: inDays(300), from: inDays(1) }));
  assert.deepEqual([(await next(f)).type, (await next(f)).data["reason"]], ["certificate.renewed", "not_yet_valid"]);
});
