/** The master's disk is full: nothing is lost or acknowledged, operators are told, and all goes on by itself when there is room (P1, P4). */
import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { Disk } from "./chaos/disk.ts";
import { Testbed, until } from "./testbed.ts";

const diskBytes = 16 * 1024 * 1024;
const filesMade = 40;

test(
  "while the master's disk is full agents keep their events; status says so; then all arrive, with journal.full",
  { skip: Disk.unavailable() ?? false },
  async () => {
    let disk: Disk | undefined;
    const bed = await Testbed.start({}, (made) => {
      disk = new Disk(made.path("master"));
      disk.mount(diskBytes);
      mkdirSync(made.path("host", "in"));
      made.beacon("in", `name: in\ntype: file\npaths: [${JSON.stringify(made.path("host", "in"))}]\nsettle: 1ms\n`);
      made.reactor("noted", "name: noted\non: file.created\ndo:\n  - event.emit: { type: was.noted, subject: '${{ event.subject }}' }\n");
    });
    try {
      await bed.addAgent("web1");
      await bed.watching("web1", "in");
      const drop = (number: number) => writeFileSync(bed.path("host", "in", String(number)), "");
      drop(0);
      await bed.events({ type: "was.noted" }, 1);
      disk!.fill();
      for (let number = 1; number <= filesMade; number++) drop(number);
      const problems = async () => (await bed.client.status()).problems.map(({ message }) => message).join();
      await until("status says that the disk takes nothing", async () => /the disk takes nothing/.test(await problems()));
      await assert.rejects(bed.client.createToken({}), { code: "DISK_FULL" });
      assert.equal((await bed.client.events({ type: "was.noted" })).events.length, 1);

      disk!.free();
      const noted = await bed.events({ type: "was.noted" }, 1 + filesMade);
      assert.equal(new Set(noted.map(({ subject }) => subject)).size, 1 + filesMade);
      assert.equal(noted.length, 1 + filesMade);
      const [full] = await bed.events({ type: "journal.full" }, 1);
      assert.equal(full!.severity, "critical");
      assert.ok(Number(full!.data["from"]) < Number(full!.data["to"]));
      assert.equal(await problems(), "");
      await bed.client.createToken({});
    } finally {
      disk?.free();
      await bed.stop().catch(() => {});
      disk?.unmount();
      await bed.stop();
    }
  },
);
