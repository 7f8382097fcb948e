import assert from "node:assert/strict";
import { test } from "node:test";
import { NeedfireError } from "@needfire/shared/errors";
import { tellDamage } from "./tell-damage.ts";

test("P4: a damage is told once: it is forgotten in the transaction that tells of it, which a full disk only delays", async () => {
  const done: string[] = [];
  let tries = 0;
  await tellDamage({
    damage: { reason: "a page", aside: "/state/master.db.damaged", kept: {}, torn: [], cursor: 1 },
    emit: async ([event], forget) => {
      if (++tries < 3) throw new NeedfireError("DISK_FULL", "the disk takes nothing");
      done.push("begin");
      forget();
      done.push(event!.type, "commit");
    },
    forget: () => done.push("forgotten"),
    signal: new AbortController().signal,
    retryMs: 0,
  });
  assert.deepEqual([tries, done], [3, ["begin", "forgotten", "journal.damaged", "commit"]]);
});
