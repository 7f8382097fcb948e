/** Against a real Podman: what a fake engine says is only what we believe of one. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { EventDraft } from "@needfire/shared/event";
import { dataProblem } from "@needfire/shared/event-types";
import { definition, Fixture } from "../fixture.ts";
import { PodmanEngine } from "./podman-engine.ts";

const brief = ({ type, subject, data }: EventDraft) =>
  [type.slice("container.".length), subject, ...(data["exit_code"] === undefined ? [] : [data["exit_code"]])].join(" ");

test("containers of a real Podman: started, ended, killed, out of memory, unhealthy", { timeout: 110_000 }, async (t) => {
  const engine = new PodmanEngine();
  const f = new Fixture();
  t.after(async () => {
    await f.end();
    await engine.end();
  });
  const reason = engine.prepare();
  if (reason !== undefined) return t.skip(reason);
  const next = async (): Promise<EventDraft> => {
    const event: EventDraft = await f.next();
    assert.equal(dataProblem(event.type, event.data), undefined, JSON.stringify(event));
    return event;
  };
  const limits = ["--memory", "16m", "--memory-swap", "16m"];
  const health = ["--health-cmd", "test -e /well", "--health-interval", "disable", "--health-retries", "1"];
  engine.create("web", ["sh", "-c", "while ! test -e /end; do sleep 0.05; done; exit 3"]);
  engine.create("old", ["sleep", "1000"]);
  engine.create("big", ["tail", "/dev/zero"], limits);
  engine.create("sick", ["sleep", "1000"], health);
  engine.run("start", "old");
  await engine.start();
  await f.beacons.apply([definition({ type: "container", socket: engine.socket, interval: "10m" })]);
  engine.run("start", "web");
  const started = await next();
  assert.deepEqual([brief(started), started.data["image"]], ["started web", "localhost/box:1"], "what ran already is no news");
  engine.run("exec", "web", "touch", "/end");
  const ended = await next();
  assert.deepEqual([brief(ended), ended.data["asked"]], ["died web 3", false]);
  engine.run("kill", "old");
  const killed = await next();
  assert.deepEqual([brief(killed), killed.data["asked"]], ["died old 137", true]);
  engine.run("start", "big");
  assert.deepEqual([brief(await next()), brief(await next())], ["started big", "died big 137"]);
  engine.run("start", "sick");
  assert.equal(brief(await next()), "started sick");
  assert.throws(() => engine.run("healthcheck", "run", "sick"));
  assert.equal(brief(await next()), "unhealthy sick");
  engine.run("exec", "sick", "touch", "/well");
  engine.run("healthcheck", "run", "sick");
  assert.equal(brief(await next()), "healthy sick");
  // What happens while its API is away it remembers.
  await engine.stop();
  assert.equal((await f.next()).type, "beacon.degraded");
  const before = f.events.length;
  engine.run("kill", "sick");
  engine.run("start", "web");
  await engine.start();
  const late = () => f.events.slice(before).filter(({ type }) => type.startsWith("container."));
  await f.until(() => late().length >= 3, "what happened meanwhile");
  assert.deepEqual(late().map(brief), ["died sick 137", "started web", "died web 3"]);
});
