import assert from "node:assert/strict";
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { createSocket, type Socket } from "node:dgram";
import { Resolver } from "node:dns/promises";
import { writeFileSync } from "node:fs";
import { test, type TestContext } from "node:test";
import type { EventDraft } from "@needfire/shared/event";
import { dataProblem } from "@needfire/shared/event-types";
import { answersOf, expectedOf } from "./dns-answers.ts";
import { definition, Fixture } from "../fixture.ts";
import { forgetfulStore, type MemoryStore } from "../remembered.ts";

const quick = { type: "dns", interval: "100ms", attempts: 1 };
const skip = noDnsmasq();

/** Why there is no real name server here; false: there is. */
function noDnsmasq(): string | false {
  try {
    execFileSync("dnsmasq", ["--version"], { stdio: "ignore" });
    return false;
  } catch {
    return "needs dnsmasq (Debian: dnsmasq-base)";
  }
}

function begin(t: TestContext, memory?: MemoryStore): Fixture {
  const fixture = new Fixture(memory === undefined ? {} : { memory });
  t.after(() => fixture.end());
  return fixture;
}

async function bound(t: TestContext): Promise<{ socket: Socket; port: number }> {
  const socket = createSocket("udp4");
  await new Promise<void>((resolve) => socket.bind(0, "127.0.0.1", resolve));
  t.after(() => {
    try {
      socket.close();
    } catch {
      // closed before
    }
  });
  return { socket, port: socket.address().port };
}

/** A name server that tells what stands in a file of hosts, and what its options say. */
async function nameServer(t: TestContext, f: Fixture, options: string[] = []) {
  const { socket, port } = await bound(t);
  await new Promise<void>((resolve) => socket.close(resolve)); // dnsmasq takes no port from the system
  const file = f.path("hosts");
  writeFileSync(file, "192.0.2.10 shop.test\n2001:db8::10 shop.test\n");
  const fixed = [
    "--keep-in-foreground",
    "--no-resolv",
    "--no-hosts",
    "--conf-file=/dev/null",
    "--pid-file=",
    "--user=root",
    "--local-ttl=0",
  ];
  const where = [`--port=${port}`, "--listen-address=127.0.0.1", "--bind-interfaces", `--addn-hosts=${file}`, "--local=/test/"];
  const running: ChildProcess = spawn("dnsmasq", [...fixed, ...where, ...options], { stdio: "ignore" });
  const ended = new Promise((resolve) => running.once("exit", resolve));
  const stop = async () => {
    running.kill("SIGKILL");
    await ended;
  };
  t.after(stop);
  const server = `127.0.0.1:${port}`;
  const addresses = async () => {
    const resolver = new Resolver({ timeout: 200, tries: 1 });
    resolver.setServers([server]);
    return (await resolver.resolve4("shop.test").catch(() => [])).toSorted((a, b) => a.localeCompare(b)).join(" ");
  };
  const until = async (wanted: string) => {
    while ((await addresses()) !== wanted) await new Promise((resolve) => setTimeout(resolve, 20));
  };
  await until("192.0.2.10");
  /** Resolves when it answers so. */
  const set = async (...all: string[]) => {
    writeFileSync(file, all.map((address) => `${address} shop.test\n`).join(""));
    running.kill("SIGHUP");
    await until(all.toSorted((a, b) => a.localeCompare(b)).join(" "));
  };
  return { server, set, stop };
}

async function next(fixture: Fixture): Promise<EventDraft> {
  const event: EventDraft = await fixture.next();
  assert.equal(dataProblem(event.type, event.data), undefined);
  return event;
}

test("a server that is stopped is told as down, by name, record and server", { skip, timeout: 60_000 }, async (t) => {
  const f = begin(t);
  const { server, stop } = await nameServer(t, f);
  await f.beacons.apply([definition({ ...quick, names: ["shop.test"], servers: [server], attempts: 2, timeout: "1s" })]);
  await stop();
  const down = await next(f);
  assert.deepEqual([down.type, down.subject, down.data["checks"]], ["dns.down", `shop.test A @${server}`, 2]);
  assert.match(String(down.data["reason"]), /^(connect|timeout)$/);
});

test("names that do not exist, or have no such record, and servers that refuse are told apart", { skip, timeout: 60_000 }, async (t) => {
  const f = begin(t);
  const { server } = await nameServer(t, f);
  await f.beacons.apply([
    definition({ ...quick, name: "a", names: ["nothing.test"], servers: [server] }),
    definition({ ...quick, name: "b", names: ["shop.test"], record: "MX", servers: [server] }),
    definition({ ...quick, name: "c", names: ["example.com"], servers: [server] }),
  ]);
  const reasons = new Map<string | undefined, unknown>();
  while (reasons.size < 3) {
    const { beacon, data } = await next(f);
    reasons.set(beacon, data["reason"]);
  }
  assert.deepEqual(Object.fromEntries(reasons), { a: "not_found", b: "no_data", c: "refused" });
});

test("answers that are not the expected ones are down, with what is missing and what is too much", { skip, timeout: 60_000 }, async (t) => {
  const f = begin(t);
  const { server, set } = await nameServer(t, f);
  const base = { ...quick, names: ["shop.test"], servers: [server] };
  await f.beacons.apply([
    definition({ ...base, name: "equals", equals: ["192.0.2.11", "192.0.2.10"] }),
    definition({ ...base, name: "contains", contains: ["192.0.2.10"] }),
    definition({ ...base, name: "six", record: "AAAA", equals: ["2001:DB8:0::10"] }),
  ]);
  const first = await next(f);
  assert.deepEqual([first.beacon, first.data["reason"], first.data["answers"]], ["equals", "answers", ["192.0.2.10"]]);
  assert.deepEqual([first.data["missing"], first.data["unexpected"]], [["192.0.2.11"], []]);
  await set("192.0.2.10", "192.0.2.11");
  const second = await next(f);
  // The name has lost its other address with this.
  const both = [second, await next(f)].map(({ type, beacon }) => `${type} ${beacon}`);
  assert.deepEqual(new Set(both), new Set(["dns.up equals", "dns.down six"]));
});

test("with watch other answers are told once, also those of while the agent was stopped", { skip, timeout: 60_000 }, async (t) => {
  const memory = forgetfulStore();
  const f = begin(t, memory);
  const { server, set } = await nameServer(t, f);
  const watched = definition({ ...quick, names: ["shop.test"], servers: [server], watch: true });
  await f.beacons.apply([watched]);
  await f.until(() => [...memory.recall("dns:test")].length > 0, "the first answers");
  await set("192.0.2.11", "192.0.2.12");
  const changed = await next(f);
  assert.equal(changed.type, "dns.changed");
  assert.deepEqual(changed.data["added"], ["192.0.2.11", "192.0.2.12"]);
  assert.deepEqual(changed.data["removed"], ["192.0.2.10"]);
  await f.beacons.stop();
  await set("192.0.2.12");
  const second = begin(t, memory);
  await second.beacons.apply([watched]);
  const meanwhile = await next(second);
  assert.deepEqual([meanwhile.data["before"], meanwhile.data["after"]], [["192.0.2.11", "192.0.2.12"], ["192.0.2.12"]]);
  await set("192.0.2.13");
  assert.deepEqual((await next(second)).data["removed"], ["192.0.2.12"]);
  assert.deepEqual([f.events.length, second.events.length], [1, 2]);
});

test("records of every other kind are read from a real server", { skip, timeout: 60_000 }, async (t) => {
  const f = begin(t);
  const { server } = await nameServer(t, f, [
    ...["--mx-host=shop.test,mail.test,10", "--txt-record=shop.test,v=spf1 -all", "--srv-host=_imap._tcp.test,mail.test,993,5,7"],
    ...["--ptr-record=10.2.0.192.in-addr.arpa,shop.test", "--cname=www.test,shop.test", "--caa-record=shop.test,0,issue,ca.test"],
  ]);
  const wrong = (name: string, record: string) =>
    definition({ ...quick, name: record.toLowerCase(), names: [name], record, servers: [server], equals: ["x"] });
  await f.beacons.apply([
    wrong("shop.test", "MX"),
    wrong("shop.test", "TXT"),
    wrong("_imap._tcp.test", "SRV"),
    wrong("10.2.0.192.in-addr.arpa", "PTR"),
    wrong("www.test", "CNAME"),
    wrong("shop.test", "CAA"),
  ]);
  const found = new Map<unknown, unknown>();
  while (found.size < 6) {
    const { data } = await next(f);
    found.set(data["record"], data["answers"]);
  }
  assert.deepEqual(Object.fromEntries(found), {
    MX: ["10 mail.test"],
    TXT: ["v=spf1 -all"],
    SRV: ["5 7 993 mail.test"],
    PTR: ["shop.test"],
    CNAME: ["shop.test"],
    CAA: ["0 issue ca.test"],
  });
});

test("a server that says nothing has failed when the time is over", async (t) => {
  const f = begin(t);
  const { port } = await bound(t);
  await f.beacons.apply([definition({ ...quick, names: ["shop.test"], servers: [`127.0.0.1:${port}`], timeout: "300ms" })]);
  const { type, data } = await next(f);
  assert.deepEqual([type, data["reason"], data["server"]], ["dns.down", "timeout", `127.0.0.1:${port}`]);
});

test("an answer that is no DNS is a failure, and nothing breaks", async (t) => {
  const f = begin(t);
  const { socket, port } = await bound(t);
  socket.on("message", (message, from) => socket.send(Buffer.concat([message.subarray(0, 2), Buffer.alloc(500, 0xff)]), from.port));
  await f.beacons.apply([definition({ ...quick, names: ["shop.test"], servers: [`127.0.0.1:${port}`], timeout: "500ms" })]);
  assert.equal((await next(f)).type, "dns.down");
});

test("what is written is compared with what came in one form", () => {
  const soa = { nsname: "NS.example.com", hostmaster: "admin.example.com", serial: 7, refresh: 1, retry: 2, expire: 3, minttl: 4 };
  assert.deepEqual(answersOf("SOA", soa), ["ns.example.com admin.example.com 7 1 2 3 4"]);
  assert.deepEqual(expectedOf("MX", ["20 B.example.com.", "10 a.example.com", "10 a.example.com"]), [
    "10 a.example.com",
    "20 b.example.com",
  ]);
  assert.deepEqual(expectedOf("TXT", ["Case Matters."]), ["Case Matters."]);
});
