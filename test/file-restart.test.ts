/**
 * The agent is killed while files change: every path's last state is told, and no change twice, whatever the moment (P1). Real processes.
 */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import type { EventView } from "@needfire/shared/api";
import type { FileEventData } from "@needfire/shared/beacons/file";
import { Chance } from "./chance.ts";
import { Testbed, until } from "./testbed.ts";

const files = 40;
const kills = 8;
const changesEach = 60;

const digestOf = (content: string | Uint8Array) => createHash("sha256").update(content).digest("hex");

test("an agent that is killed at any moment while files change tells each path's last state, and no change twice", async (context) => {
  const seed = Number(process.env["NEEDFIRE_TEST_SEED"] ?? Date.now() % 1_000_000);
  context.diagnostic(`NEEDFIRE_TEST_SEED=${seed}`);
  const chance = new Chance(seed);
  const bed = await Testbed.start({}, (made) => {
    mkdirSync(made.path("host", "in"), { recursive: true });
    for (let number = 0; number < files / 2; number++) writeFileSync(made.path("host", "in", String(number)), "at first\n");
    made.beacon("in", `name: in\ntype: file\npaths: [${JSON.stringify(made.path("host", "in", "*"))}]\nsettle: 5ms\n`);
  });
  const path = (number: number) => bed.path("host", "in", String(number));
  let written = 0;
  const change = () => {
    const target = path(Math.floor(chance.fraction() * files));
    if (chance.fraction() < 0.3) rmSync(target, { force: true });
    else writeFileSync(target, `${written++}\n`);
  };
  let asked = 0;
  /** Resolves when a change is told, which is one more. */
  const beginsToTell = async () => {
    const witness = path(files);
    writeFileSync(witness, `${asked++}\n`);
    await until("a change is told", async () => {
      const [event] = (await bed.client.events({ agent: "web1", where: `event.subject == ${JSON.stringify(witness)}`, limit: 1 })).events;
      return (event?.data as FileEventData | undefined)?.after?.digest === digestOf(`${asked - 1}\n`);
    });
  };
  try {
    await bed.addAgent("web1");
    await bed.watching("web1", "in");
    for (let kill = 0; kill < kills; kill++) {
      // Every other time it watches when the changes begin.
      if (kill % 2 === 0) await beginsToTell();
      const killAt = Math.floor(chance.fraction() * changesEach);
      for (let number = 0; number < changesEach; number++) {
        change();
        if (chance.fraction() < 0.3) await delay(chance.fraction() * 15);
        if (number === killAt) await bed.agents.get("web1")!.stop("SIGKILL");
      }
      bed.launchAgent("web1");
      // Into its start, its first look, or after it.
      await delay(chance.fraction() * 800);
    }
    await bed.connected("web1");
    const digest = (number: number) =>
      existsSync(path(number))
        ? createHash("sha256")
            .update(readFileSync(path(number)))
            .digest("hex")
        : undefined;
    let journal: EventView[] = [];
    const of = (number: number) => journal.filter(({ subject }) => subject === path(number));
    const last = (number: number) => (of(number).at(-1)?.data as FileEventData | undefined)?.after;
    const first = digestOf("at first\n");
    const isTold = (number: number) => {
      const told = last(number);
      return (told === undefined ? (number < files / 2 ? first : undefined) : (told?.digest ?? undefined)) === digest(number);
    };
    await until("every path's last state is told", async () => {
      journal = (await bed.events({ type: "file.*", agent: "web1" }, 0)).filter(({ type }) => type.startsWith("file."));
      return Array.from({ length: files }, (_, number) => number).every(isTold);
    });
    // Each begins where the one before ended: none is missing, none is there twice.
    for (let number = 0; number < files; number++) {
      let known: FileEventData["before"] | undefined;
      for (const { data } of of(number)) {
        const { before, after } = data as unknown as FileEventData;
        if (known !== undefined) assert.deepEqual(before, known, path(number));
        assert.notDeepEqual(before, after);
        known = after;
      }
    }
    const away = journal.filter(({ data }) => data["since"] !== undefined);
    context.diagnostic(`${journal.length} events, ${away.length} of them of changes while it was down`);
    assert.ok(away.length > 0 && away.length < journal.length);
  } finally {
    await bed.stop();
  }
});
