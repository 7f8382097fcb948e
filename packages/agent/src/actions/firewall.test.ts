/** Real nftables and real packets, between two network namespaces of the test's own. */
import assert from "node:assert/strict";
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { test, type TestContext } from "node:test";
import { Fixture } from "../beacons/fixture.ts";
import type { ActionContext } from "./action.ts";
import { block, blockAddress, unblock, unblockAddress } from "./firewall.ts";
import { contextOf, runner } from "./fixture.ts";

const skip = process.getuid?.() !== 0 ? "needs root" : spawnSync("nft", ["--version"]).error !== undefined ? "needs nft (nftables)" : false;
const port = 8_080;
const otherPort = 8_081;

async function setting(t: TestContext) {
  const f = new Fixture();
  t.after(() => f.end());
  const here = `nf${process.pid}h`;
  const there = `nf${process.pid}t`;
  const ip = (...argv: string[]) => execFileSync("ip", argv, { stdio: ["ignore", "pipe", "pipe"], encoding: "utf8" });
  for (const name of [here, there]) {
    ip("netns", "add", name);
    t.after(() => ip("netns", "delete", name));
    ip("-n", name, "link", "set", "lo", "up");
  }
  ip("link", "add", "host", "netns", here, "type", "veth", "peer", "name", "peer", "netns", there);
  for (const [name, device, addresses] of [
    [here, "host", ["198.51.100.1/24", "fd09::1/64"]],
    [there, "peer", ["198.51.100.2/24", "198.51.100.3/24", "fd09::2/64"]],
  ] as const) {
    for (const address of addresses) ip("-n", name, "address", "add", address, "dev", device, ...(address.includes(":") ? ["nodad"] : []));
    ip("-n", name, "link", "set", device, "up");
  }
  const listen = `for (const port of [${port}, ${otherPort}]) require("net").createServer((s) => s.end()).listen(port, "::", () => console.log(port))`;
  const server = spawn("ip", ["netns", "exec", here, process.execPath, "-e", listen], { stdio: ["ignore", "pipe", "ignore"] });
  t.after(async () => {
    const gone = once(server, "exit");
    server.kill("SIGKILL");
    await gone;
  });
  let heard = "";
  server.stdout.on("data", (chunk: Buffer) => (heard += chunk.toString()));
  await f.until(() => heard.split("\n").length > 2, "the server");
  /** Whether a connection from that address comes about. */
  const reaches = (from: string, { to = port, ms = 700 } = {}) => {
    const [target, mine] = from.includes(":") ? ["fd09::1", from] : ["198.51.100.1", from];
    const code = `require("net").connect({ host: "${target}", port: ${to}, localAddress: "${mine}" }).on("connect", () => process.exit(0)).on("error", () => process.exit(2)); setTimeout(() => process.exit(3), ${ms})`;
    return spawnSync("ip", ["netns", "exec", there, process.execPath, "-e", code]).status === 0;
  };
  const host = { root: "", enter: ["ip", "netns", "exec", here] };
  const context = contextOf(f);
  return {
    f,
    nft: (...argv: string[]) => ip("netns", "exec", here, "nft", ...argv),
    reaches,
    canReach: (from: string, to = port) => reaches(from, { to, ms: 30_000 }),
    block: runner("firewall.block", { ...block, run: (args: never, given: ActionContext) => blockAddress(args, given, host) }, context),
    unblock: runner(
      "firewall.unblock",
      { ...unblock, run: (args: never, given: ActionContext) => unblockAddress(args, given, host) },
      context,
    ),
  };
}

const brief = ({ outcome, changed }: { outcome: string; changed: boolean }) => [outcome, changed];

test(
  "packets of a blocked address are dropped, of others not; once is enough; unblocked, they come again",
  { skip, timeout: 110_000 },
  async (t) => {
    const { block: act, unblock: back, reaches, canReach, nft } = await setting(t);
    for (const [bad, good] of [
      ["198.51.100.2", "198.51.100.3"],
      ["fd09::2", "198.51.100.3"],
    ] as const) {
      assert.ok(canReach(bad));
      assert.equal((await act.dry({ address: bad })).message, `would block ${bad}`);
      assert.ok(canReach(bad));
      assert.deepEqual(brief(await act.run({ address: bad })), ["succeeded", true]);
      assert.equal(reaches(bad), false);
      assert.ok(canReach(good));
      assert.deepEqual(brief(await act.run({ address: bad })), ["succeeded", false]);
      assert.equal((await back.dry({ address: bad })).message, `would unblock ${bad}`);
      assert.deepEqual(brief(await back.run({ address: bad })), ["succeeded", true]);
      assert.ok(canReach(bad));
      assert.deepEqual(brief(await back.run({ address: bad })), ["succeeded", false]);
    }
    assert.match(nft("list", "tables"), /^table inet needfire\n$/);
  },
);

test(
  "a network, and an address in it, are two blocks; networks that overlap are refused by name",
  { skip, timeout: 110_000 },
  async (t) => {
    const { block: act, unblock: back, reaches, canReach } = await setting(t);
    assert.deepEqual(brief(await act.run({ address: "198.51.100.2/31" })), ["succeeded", true]);
    assert.equal(reaches("198.51.100.2"), false);
    assert.equal(reaches("198.51.100.3"), false);
    assert.deepEqual(brief(await act.run({ address: "198.51.100.2" })), ["succeeded", true]);
    const ending = await act.run({ address: "198.51.100.2/32" });
    assert.deepEqual([ending.changed, ending.result?.address], [false, "198.51.100.2"]);
    assert.match(
      (await act.run({ address: "198.51.100.0/30", force: true })).message ?? "",
      /198\.51\.100\.2\/31 is blocked already, and overlaps/,
    );
    assert.equal((await back.run({ address: "198.51.100.2/31" })).message, "still blocked: 198.51.100.2");
    assert.equal(reaches("198.51.100.2"), false);
    assert.ok(canReach("198.51.100.3"));
  },
);

test("with ports only those are closed, for addresses and for networks", { skip, timeout: 110_000 }, async (t) => {
  const { block: act, unblock: back, reaches, canReach } = await setting(t);
  for (const address of ["198.51.100.2", "198.51.100.2/31", "fd09::2"]) {
    const from = address.replace(/\/.*/, "");
    assert.deepEqual(brief(await act.run({ address, ports: [port, 443], protocols: ["tcp"], for: "1h" })), ["succeeded", true]);
    assert.equal(reaches(from), false);
    assert.ok(canReach(from, otherPort));
    assert.deepEqual(brief(await act.run({ address, ports: [443, port], protocols: ["tcp"], for: "1h" })), ["succeeded", false]);
    assert.deepEqual(brief(await back.run({ address, ports: [port, 443] })), ["succeeded", true]);
    assert.ok(canReach(from));
  }
});

test(
  "a block with a time ends by itself, is renewed when it is nearly over, and never shortened",
  { skip, timeout: 110_000 },
  async (t) => {
    const { f, block: act, reaches, nft } = await setting(t);
    for (const address of ["198.51.100.2", "198.51.100.2/31"]) {
      assert.equal((await act.run({ address, for: "1h" })).changed, true);
      assert.equal((await act.run({ address, for: "1h" })).changed, false);
      const shorter = await act.run({ address, for: "1m" });
      assert.equal(shorter.changed, false);
      assert.ok((shorter.result?.left_ms ?? 0) > 3_000_000);
      assert.equal((await act.run({ address, for: "2h" })).changed, true);
      assert.equal((await act.run({ address })).changed, true);
      assert.deepEqual([(await act.run({ address, for: "1h" })).changed, (await act.run({ address })).result?.left_ms], [false, undefined]);
    }
    nft("flush", "ruleset");
    await act.run({ address: "198.51.100.2", for: "1s" });
    await f.until(() => reaches("198.51.100.2"), "the end of the block");
  },
);

test(
  "what has emptied the packet filter has ended the block: the next one makes everything anew",
  { skip, timeout: 110_000 },
  async (t) => {
    const { block: act, unblock: back, reaches, canReach, nft } = await setting(t);
    await act.run({ address: "198.51.100.2" });
    nft("flush", "ruleset");
    assert.ok(canReach("198.51.100.2"));
    assert.deepEqual(brief(await back.run({ address: "198.51.100.2" })), ["succeeded", false]);
    nft("add", "table", "inet", "theirs");
    assert.equal((await act.run({ address: "198.51.100.2" })).changed, true);
    nft("flush", "chain", "inet", "needfire", "input");
    assert.ok(canReach("198.51.100.2"));
    assert.equal((await act.run({ address: "198.51.100.2" })).changed, true);
    assert.equal(reaches("198.51.100.2"), false);
    assert.match(nft("list", "tables"), /inet theirs/);
  },
);

test(
  "loopback, the host itself and its master are refused unless forced, also as part of a network",
  { skip, timeout: 110_000 },
  async (t) => {
    const { block: act } = await setting(t);
    for (const address of ["127.0.0.1", "::1", "127.8.0.0/16", "0.0.0.0/0", "::/0", "::ffff:127.0.0.1", "192.0.2.1", "192.0.2.0/24"]) {
      const ending = await act.run({ address });
      assert.deepEqual(brief(ending), ["refused", false]);
      assert.match(ending.message ?? "", /loopback|own address|the master's address/);
    }
    assert.equal((await act.run({ address: "192.0.2.1", force: true })).outcome, "succeeded");
  },
);

test("what is no address never reaches nft", { skip, timeout: 110_000 }, async (t) => {
  const { block: act, nft } = await setting(t);
  const texts = ["-f", "$(id)", "1.2.3.4; flush ruleset", "1.2.3.4\nflush ruleset", "{ 1.2.3.4 }", '"', "'", "example.org", "@addresses4"];
  for (const address of texts) assert.throws(() => act.run({ address }), /address/);
  for (const address of ["1.2.3", "999.1.1.1", ":::", "10.1.2.3/8"]) assert.equal((await act.run({ address })).outcome, "refused");
  for (const ports of [[0], [65_536], ["22"], ["22; flush ruleset"], []])
    assert.throws(() => act.run({ address: "1.2.3.4", ports }), /ports/);
  assert.equal(nft("list", "ruleset"), "");
});
