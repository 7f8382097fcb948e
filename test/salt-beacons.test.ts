/** `docs/guide/salt-beacons.md`: every beacon of Salt stands in it, and what it names of ours is there and loads. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { loadBeacons } from "@needfire/shared/beacon";
import { beaconTypes } from "@needfire/shared/beacons/types";
import { problemText } from "@needfire/shared/yaml-file";

const page = readFileSync(join(import.meta.dirname, "..", "docs", "guide", "salt-beacons.md"), "utf8");

const salts = [
  ...["adb", "aix_account", "avahi_announce", "bonjour_announce", "btmp", "cert_info", "diskusage", "glxinfo", "haproxy", "http_status"],
  ...["inotify", "journald", "junos_rre_keys", "load", "log", "memusage", "napalm", "network_info", "network_settings", "pkg"],
  ...["proxy_example", "ps", "salt_monitor", "salt_proxy", "sensehat", "service", "sh", "smartos_imgadm", "smartos_vmadm", "status"],
  ...["swapusage", "telegram_bot_msg", "twilio_txt_msg", "watchdog", "wtmp"],
];

/** The rows of the table below a heading, by the text of each cell. */
function rowsOf(heading: string): string[][] {
  const section = page.slice(page.indexOf(`## ${heading}\n`)).split("\n## ")[0]!;
  const lines = section.split("\n").filter((line) => line.startsWith("|"));
  return lines.slice(2).map((line) =>
    line
      .split("|")
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );
}

const codes = (cell = "") => [...cell.matchAll(/`([^`]+)`/g)].map(([, code = ""]) => code);

test("every beacon of Salt stands in the table, once", () => {
  const named = rowsOf("One by one").map(([name]) => codes(name)[0]);
  assert.deepEqual(named, salts);
});

test("what has no counterpart says why", () => {
  for (const [name, here, example, why] of rowsOf("One by one")) {
    if (here !== "none") continue;
    assert.equal(example, "", name);
    assert.ok(why !== undefined && why.length > 5, name);
  }
});

describe("what stands beside it exists, and its example loads", () => {
  const covered = [...rowsOf("One by one"), ...rowsOf("What Salt has not")].filter(([, here]) => here !== "none");
  for (const [name = "", here, examples] of covered) {
    test(name, () => {
      const types = codes(here);
      assert.ok(types.length > 0);
      for (const type of types) assert.ok(Object.hasOwn(beaconTypes, type), `there is no beacon type "${type}"`);
      const definitions = codes(examples).map((example) => {
        const loaded = loadBeacons("example", example.replace("{", "{name: example, "));
        assert.ok(loaded.ok, loaded.ok ? "" : `${example}: ${loaded.problems.map(problemText).join("\n")}`);
        return loaded.beacons[0]!.definition.type;
      });
      assert.deepEqual(definitions, types);
    });
  }
});
