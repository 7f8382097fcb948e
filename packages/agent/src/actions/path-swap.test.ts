/**
 * Somebody who owns a directory on the way to a managed file swaps things while a restore runs as root: before each of its calls to the
 * file system in turn, and in a loop beside it. Whatever comes of the restore, what lies outside is never touched.
 */
import assert from "node:assert/strict";
import fs from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { Worker } from "node:worker_threads";
import { Fixture } from "../beacons/fixture.ts";
import { action as fileWrite } from "./file-write.ts";
import { contextOf } from "./fixture.ts";
import { action as fileLine } from "./file-line.ts";
import { action as fileMode } from "./file-mode.ts";
import { action as fileRemove } from "./file-remove.ts";
import { action as fileRestore } from "./file-restore.ts";
import { interleaved } from "./interleaved-fixture.ts";

const rootOnly = { skip: process.getuid?.() === 0 ? false : "only root can play both sides" };
const attacker = 1;
const good = "good\n";

/** `host/dir/m` is managed, `host` and `dir` are the attacker's; `victim/m` is root's. */
async function setting(t: TestContext) {
  const f = new Fixture();
  t.after(() => f.end());
  const dir = f.host("dir");
  const target = join(dir, "m");
  /** Beside it, and not managed. */
  const other = join(dir, "o");
  const victim = f.path("victim");
  const evil = f.path("evil");
  const aside = f.path("aside");
  await f.manage({ [target]: good }, { write: false });
  fs.mkdirSync(victim);
  fs.writeFileSync(join(victim, "m"), good, { mode: 0o600 });
  fs.writeFileSync(join(victim, "junk"), "mine", { mode: 0o600 });
  const { ino } = fs.lstatSync(join(victim, "m"));

  /** As it is before a restore: with a bad file, or one of a wrong mode only. */
  const reset = (content: string, dirIsLink: boolean) => {
    for (const path of [f.host(""), evil, aside, f.path("real")]) fs.rmSync(path, { recursive: true, force: true });
    fs.mkdirSync(f.host(""));
    const real = dirIsLink ? f.path("real") : dir;
    fs.mkdirSync(real);
    fs.writeFileSync(join(real, "m"), content);
    fs.chmodSync(join(real, "m"), 0o666);
    fs.writeFileSync(join(real, "o"), content);
    fs.writeFileSync(join(real, "junk"), "x");
    if (dirIsLink) fs.symlinkSync(real, dir); // root's own
    else fs.chownSync(dir, attacker, attacker);
    fs.chownSync(f.host(""), attacker, attacker);
  };
  const assertUntouched = (when: string) => {
    const stat = fs.lstatSync(join(victim, "m"));
    assert.deepEqual(
      [stat.ino, stat.uid, stat.gid, stat.mode & 0o7777, fs.readFileSync(join(victim, "m"), "utf8"), fs.readdirSync(victim)],
      [ino, 0, 0, 0o600, good, ["junk", "m"]],
      when,
    );
  };
  return { f, dir, target, other, victim, evil, aside, reset, assertUntouched, context: contextOf(f) };
}

type Setting = Awaited<ReturnType<typeof setting>>;
interface Attack {
  prepare(s: Setting): void;
  place(s: Setting, target: string): string;
}

/** What is put in whose place. Links are the attacker's before they are put anywhere. */
const attacks: Record<string, Attack> = {
  "the directory, for a link to another": {
    prepare({ victim, evil }) {
      fs.symlinkSync(victim, evil);
      fs.lchownSync(evil, attacker, attacker);
    },
    place: ({ dir }) => dir,
  },
  "the file, for a link to another": {
    prepare({ victim, evil }) {
      fs.symlinkSync(join(victim, "m"), evil);
      fs.lchownSync(evil, attacker, attacker);
    },
    place: (_, target) => target,
  },
  "the file, for another's second name": {
    prepare: ({ victim, evil }) => fs.linkSync(join(victim, "m"), evil),
    place: (_, target) => target,
  },
};

interface Remedy {
  run(s: Setting): Promise<unknown>;
  contents: string[];
  links: boolean[];
}

/** What stands on one path and changes it. */
const remedies: Record<string, Remedy> = {
  restore: { run: (s) => fileRestore.run({ path: s.target }, s.context), contents: ["bad\n", good], links: [false, true] },
  write: {
    run: (s) => fileWrite.run({ path: s.other, content: "bad\n", mode: "0666" }, s.context),
    contents: [good, "bad\n"],
    links: [false],
  },
  mode: { run: (s) => fileMode.run({ path: s.other, mode: "0777" }, s.context), contents: [good], links: [false] },
  line: {
    run: (s) => fileLine.run({ path: s.other, line: "bad", state: "present", create: false }, s.context),
    contents: [good],
    links: [false],
  },
};

for (const [what, remedy] of Object.entries(remedies)) {
  for (const [name, attack] of Object.entries(attacks)) {
    test(`swapping ${name}, at any moment of a ${what} and for any time, touches nothing outside`, rootOnly, async (t) => {
      const s = await setting(t);
      let moments = 0;
      for (const content of remedy.contents) {
        for (const dirIsLink of remedy.links) {
          for (const heldCalls of [1, Infinity]) {
            for (let at = 1, calls = at; at <= calls; at++) {
              s.reset(content, dirIsLink);
              attack.prepare(s);
              const place = attack.place(s, what === "restore" ? s.target : s.other);
              const swap = (from: string, to: string) => {
                try {
                  fs.renameSync(from, to);
                } catch {
                  // The remedy moved first.
                }
              };
              calls = await interleaved(
                t,
                () => remedy.run(s),
                (call) => {
                  if (call === at) {
                    swap(place, s.aside);
                    swap(s.evil, place);
                  } else if (call === at + heldCalls) {
                    swap(place, s.evil);
                    // Taken away: the victim has its one name again.
                    if (name.includes("second name")) fs.rmSync(s.evil, { force: true });
                    swap(s.aside, place);
                  }
                },
              );
              s.assertUntouched(`${JSON.stringify(content)}, link ${dirIsLink}, call ${at} of ${calls}, held for ${heldCalls}`);
              moments++;
            }
          }
        }
      }
      assert.ok(moments > 20 * remedy.contents.length * remedy.links.length, `${moments} moments`);
    });
  }
}

test("swapping the directory at any moment of a remove touches nothing outside", rootOnly, async (t) => {
  const s = await setting(t);
  for (const dirIsLink of [false, true]) {
    for (const heldCalls of [1, Infinity]) {
      for (let at = 1, calls = at; at <= calls; at++) {
        s.reset(good, dirIsLink);
        attacks["the directory, for a link to another"]!.prepare(s);
        calls = await interleaved(
          t,
          () => fileRemove.run({ path: join(s.dir, "junk") }, s.context),
          (call) => {
            if (call === at) {
              fs.renameSync(s.dir, s.aside);
              fs.renameSync(s.evil, s.dir);
            } else if (call === at + heldCalls) {
              fs.renameSync(s.dir, s.evil);
              fs.renameSync(s.aside, s.dir);
            }
          },
        );
        s.assertUntouched(`link ${dirIsLink}, call ${at} of ${calls}`);
      }
    }
  }
});

/** Swaps directory and file back and forth until it is told to stop. */
const swapper = `
  const { workerData } = require("node:worker_threads");
  const fs = require("node:fs");
  const { dir, target, victim, evil, aside, attacker, counts } = workerData;
  const count = new Int32Array(counts);
  const tried = (work) => { try { work(); return 1; } catch { return 0; } };
  const [linkToDirectory, linkToFile] = [evil, evil + "-file"];
  const link = (to, at) => {
    fs.rmSync(at, { recursive: true, force: true });
    fs.symlinkSync(to, at);
    fs.lchownSync(at, attacker, attacker);
  };
  while (Atomics.load(count, 0) === 0) {
    link(victim, linkToDirectory);
    link(victim + "/m", linkToFile);
    fs.rmSync(aside, { recursive: true, force: true });
    const swapped = tried(() => { fs.renameSync(dir, aside); fs.renameSync(linkToDirectory, dir); });
    tried(() => fs.renameSync(dir, linkToDirectory));
    tried(() => fs.renameSync(aside, dir));
    tried(() => { fs.renameSync(linkToFile, target); });
    tried(() => fs.renameSync(target, linkToFile));
    tried(() => fs.writeFileSync(target, "bad\\n", { flag: "wx" }));
    Atomics.add(count, 1, swapped);
  }
`;

test("a loop that swaps directory and file while restores run never gets at what lies outside", rootOnly, async (t) => {
  const s = await setting(t);
  s.reset("bad\n", false);
  const counts = new SharedArrayBuffer(8);
  const count = new Int32Array(counts);
  const worker = new Worker(swapper, {
    eval: true,
    workerData: { dir: s.dir, target: s.target, victim: s.victim, evil: s.evil, aside: s.aside, attacker, counts },
  });
  const ended = new Promise((resolve) => worker.once("exit", resolve));
  const outcomes: Record<string, number> = {};
  try {
    for (let n = 0; n < 1_000 && (n < 200 || Atomics.load(count, 1) < 200); n++) {
      const { outcome } = await fileRestore.run({ path: s.target }, s.context);
      outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
      s.assertUntouched(`restore ${n}`);
    }
  } finally {
    Atomics.store(count, 0, 1);
    await ended;
  }
  assert.ok(Atomics.load(count, 1) > 50, `${Atomics.load(count, 1)} swaps`);
  t.diagnostic(`${JSON.stringify(outcomes)} beside ${Atomics.load(count, 1)} swaps`);
});

test("a path that climbs, is relative or holds a NUL byte reaches nothing", async (t) => {
  const s = await setting(t);
  for (const path of ["/etc/../etc/passwd", `${s.dir}/../../victim/m`, "victim/m", `${s.victim}/m\0`, `${s.dir}//m`, `${s.victim}/./m`]) {
    assert.equal((await fileRestore.run({ path }, s.context)).outcome, "refused", path);
    const removed = await fileRemove.run({ path }, s.context);
    assert.ok(removed.outcome === "refused" || removed.outcome === "failed", path);
  }
  assert.equal(fs.readFileSync(join(s.victim, "m"), "utf8"), good);
});
