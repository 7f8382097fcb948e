import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import type { EventDraft } from "@needfire/shared/event";
import { dataProblem } from "@needfire/shared/event-types";
import { Lines } from "./container-engine.ts";
import { FakeEngine } from "./container-fixture.ts";
import { definition, Fixture } from "../fixture.ts";
import { forgetfulStore, type MemoryStore } from "../remembered.ts";

async function begin(t: TestContext, memory?: MemoryStore, options: Record<string, unknown> = {}) {
  const f = new Fixture(memory === undefined ? {} : { memory });
  const engine = new FakeEngine(f.path("engine.sock"));
  await engine.start();
  t.after(async () => {
    await f.end();
    await engine.stop();
  });
  const watched = definition({ type: "container", socket: f.path("engine.sock"), interval: "10m", ...options });
  return { f, engine, watched };
}

async function next(fixture: Fixture): Promise<EventDraft> {
  const event: EventDraft = await fixture.next();
  assert.equal(dataProblem(event.type, event.data), undefined, JSON.stringify(event.data));
  return event;
}

const brief = ({ type, subject, data }: EventDraft) =>
  [type.slice("container.".length), subject, ...(data["exit_code"] === undefined ? [] : [data["exit_code"]])].join(" ");

async function several(fixture: Fixture, count: number): Promise<string[]> {
  const told: string[] = [];
  while (told.length < count) told.push(brief(await next(fixture)));
  return told;
}

test("what runs is no news; what starts, ends, is killed for memory or unhealthy is told once", async (t) => {
  const { f, engine, watched } = await begin(t);
  const web = engine.make("web");
  const old = engine.make("old", { state: "exited" });
  engine.make("sick", { unhealthy: true });
  await f.beacons.apply([watched]);
  assert.equal(brief(await next(f)), "unhealthy sick");
  engine.happen(web, "health_status: unhealthy");
  engine.happen(web, "health_status: unhealthy");
  engine.happen(web, "oom");
  engine.happen(web, "health_status: healthy");
  engine.happen(web, "health_status: healthy");
  engine.happen(web, "die", { exitCode: 137 });
  engine.happen(old, "start");
  engine.happen(old, "die", { exitCode: 0 });
  assert.deepEqual(await several(f, 6), ["unhealthy web", "oom web", "healthy web", "died web 137", "started old", "died old 0"]);
});

test("an end that was asked for is told as that", async (t) => {
  const { f, engine, watched } = await begin(t);
  const [web, shop] = [engine.make("web"), engine.make("shop")];
  await f.beacons.apply([watched]);
  engine.happen(web, "kill", { signal: "15" });
  engine.happen(web, "die", { exitCode: 143 });
  engine.happen(shop, "kill", { signal: "1" }); // to read its configuration again
  engine.happen(shop, "die", { exitCode: 1 });
  assert.deepEqual([(await next(f)).data["asked"], (await next(f)).data["asked"]], [true, false]);
});

test("names, images and labels choose", async (t) => {
  const { f, engine, watched } = await begin(t, undefined, { names: ["web-*"], images: ["**/shop:*"], labels: ["tier=front", "on"] });
  const labels = { tier: "front", on: "" };
  const image = "registry.example.com/team/shop:2";
  await f.beacons.apply([watched]);
  for (const [name, options] of [
    ["db-1", { image, labels }],
    ["web-1", { image: "registry.example.com/team/mail:2", labels }],
    ["web-2", { image, labels: { ...labels, tier: "back" } }],
    ["web-3", { image, labels: { tier: "front" } }],
    ["web-4", { image, labels }],
  ] as const)
    engine.happen(engine.make(name, { ...options, state: "created" }), "start");
  assert.equal(brief(await next(f)), "started web-4");
});

test("after a restart of the agent all that happened meanwhile is told, in order, and nothing twice", async (t) => {
  const memory = forgetfulStore();
  const { f, engine, watched } = await begin(t, memory);
  const [web, shop] = [engine.make("web"), engine.make("shop")];
  await f.beacons.apply([watched]);
  engine.happen(web, "die", { exitCode: 1 });
  engine.happen(web, "start");
  assert.deepEqual(await several(f, 2), ["died web 1", "started web"]);
  await f.beacons.stop();
  engine.happen(web, "die", { exitCode: 2 });
  engine.happen(web, "start");
  engine.happen(web, "die", { exitCode: 3 });
  engine.happen(shop, "health_status: unhealthy");
  const second = new Fixture({ memory });
  t.after(() => second.end());
  await second.beacons.apply([watched]);
  assert.deepEqual(await several(second, 4), ["died web 2", "started web", "died web 3", "unhealthy shop"]);
  second.beacons.restate();
  assert.deepEqual(await several(second, 1), ["unhealthy shop"]);
  await second.beacons.stop();
  const third = new Fixture({ memory });
  t.after(() => third.end());
  const lists = engine.lists;
  await third.beacons.apply([watched]);
  await third.until(() => engine.lists >= lists + 2, "a look at all containers");
  engine.happen(shop, "die", { exitCode: 4 });
  assert.deepEqual(await several(third, 1), ["died shop 4"]);
});

test("an engine that goes away is told, and what it has forgotten when it comes back is found by looking", async (t) => {
  const { f, engine, watched } = await begin(t);
  const [web, gone] = [engine.make("web"), engine.make("gone")];
  await f.beacons.apply([watched]);
  await engine.stop();
  const degraded: EventDraft = await f.next();
  assert.equal(degraded.type, "beacon.degraded");
  assert.match(String(degraded.data["message"]), /engine\.sock cannot be listened to/);
  engine.happen(web, "die", { exitCode: 9, quietly: true });
  engine.happen(gone, "destroy", { quietly: true });
  engine.happen(engine.make("new", { state: "created" }), "start", { quietly: true });
  engine.forgetEvents();
  await engine.start();
  const told = new Set<string>();
  while (!told.has("beacon.recovered")) {
    const event: EventDraft = await f.next();
    told.add(event.type === "beacon.recovered" || event.type === "beacon.degraded" ? event.type : brief(event));
  }
  told.delete("beacon.degraded"); // a try may meet the socket before it is there
  assert.deepEqual(told, new Set(["died web 9", "died gone", "started new", "beacon.recovered"]));
});

test("a stream that ends in the middle of a line, and lines that are too long or of something else, lose nothing that comes after", async (t) => {
  const { f, engine, watched } = await begin(t);
  const web = engine.make("web");
  await f.beacons.apply([watched]);
  engine.sendRaw(
    `{"Type":"network","Action":"connect","Actor":{"ID":"x"}}\n\n{"Type":"container","Action":"die","Actor":{"ID":"../../x"}}\n`,
  );
  engine.sendRaw(`{"Type":"container","pad":"${"x".repeat(1_200_000)}"}\n`);
  engine.happen(web, "die", { exitCode: 5 });
  assert.equal(brief(await next(f)), "died web 5");
  engine.sendRaw('{"Type":"container","Act');
  await engine.stop();
  await engine.start();
  await f.until(() => engine.isListenedTo, "a new connection");
  engine.happen(web, "start");
  const told = new Set<string>();
  while (!told.has("started web")) told.add(brief(await f.next()));
});

test("a line that is no JSON ends the connection, which is made anew", async (t) => {
  const { f, engine, watched } = await begin(t);
  const web = engine.make("web");
  await f.beacons.apply([watched]);
  engine.sendRaw("<html>\n");
  assert.equal((await f.next()).type, "beacon.degraded");
  engine.happen(web, "die", { exitCode: 6 });
  const types: string[] = [];
  while (!types.includes("container.died")) types.push((await f.next()).type);
});

test("without an engine the beacon says so, and watches when there is one", async (t) => {
  const { f, engine, watched } = await begin(t);
  await engine.stop();
  await f.beacons.apply([watched]);
  assert.deepEqual(f.beacons.list()[0]?.health.state, "degraded");
  await f.next();
  await engine.start();
  assert.equal((await f.next()).type, "beacon.recovered");
});

test("what a remedy does is judged when it has ended, with the remedy as the cause", async (t) => {
  const { f, engine, watched } = await begin(t);
  const [web, shop, other] = [engine.make("web"), engine.make("shop"), engine.make("other")];
  await f.beacons.apply([watched]);
  f.remedies.begin("restart-web", { topic: "container", subject: "web" });
  f.remedies.begin("stop-shop", { topic: "container", subject: "shop" });
  engine.happen(web, "die", { exitCode: 143 });
  engine.happen(web, "start");
  engine.happen(shop, "die", { exitCode: 143 });
  engine.happen(other, "die", { exitCode: 1 });
  const first = await next(f);
  assert.deepEqual([brief(first), first.cause], ["died other 1", undefined]);
  f.remedies.end("restart-web");
  f.remedies.end("stop-shop");
  const second = await next(f);
  assert.deepEqual([brief(second), second.cause], ["died shop 143", "stop-shop"]);
});

test("lines come out of any pieces, and one without end does not fill the memory", () => {
  const lines: string[] = [];
  const splitter = new Lines((line) => void lines.push(line));
  for (const piece of ["a", "b\nc\n\n", "d", "\n"]) splitter.push(piece);
  for (let i = 0; i < 3_000; i++) splitter.push("x".repeat(1_000));
  splitter.push("\ne\n");
  assert.deepEqual(lines, ["ab", "c", "d", "e"]);
});
