/** On a real account of a whole Debian, with the programs that it has: usermod, and su, which asks PAM. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { Accounts } from "../accounts.ts";
import { Fixture } from "../beacons/fixture.ts";
import { noSystemdHost, SystemdHost } from "../beacons/process/systemd-host.ts";
import type { ActionContext } from "./action.ts";
import { contextOf, runner } from "./fixture.ts";
import { lock, lockUser, unlock, unlockUser } from "./user.ts";

test("accounts of a real host", { skip: noSystemdHost(), timeout: 110_000 }, async (t) => {
  const machine = new SystemdHost();
  t.after(() => machine.end());
  await machine.boot();
  const { root } = machine;
  const f = new Fixture();
  t.after(() => f.end());
  const host = { root, enter: ["chroot", root] };
  const id = 54_000 + (process.pid % 1_000);
  machine.run("useradd", "-m", "-u", String(id), "ada");
  machine.run("useradd", "nopass");
  machine.run("sh", "-c", "echo ada:secret | chpasswd");
  const shadow = (user: string) =>
    readFileSync(join(root, "etc/shadow"), "utf8")
      .split("\n")
      .find((line) => line.startsWith(`${user}:`))
      ?.split(":") ?? [];
  const canEnter = () => machine.run("su", "ada", "-c", "echo in").trim() === "in";
  const accounts = new Accounts({ passwd: join(root, "etc/passwd"), group: join(root, "etc/group") });
  const managed = Object.assign(Object.create(f.managed) as ActionContext["managed"], {});
  Object.defineProperty(managed, "accounts", { value: accounts });
  const context = contextOf(f, { managed });
  const locking = runner("user.lock", { ...lock, run: (args: never, given: ActionContext) => lockUser(args, given, host) }, context);
  const unlocking = runner(
    "user.unlock",
    { ...unlock, run: (args: never, given: ActionContext) => unlockUser(args, given, host) },
    context,
  );

  await t.test("a locked account lets nobody in, an unlocked one does, and a second time changes nothing", async () => {
    assert.equal(canEnter(), true);
    assert.equal((await locking.dry({ user: "ada" })).message, "would lock ada");
    assert.equal(canEnter(), true);
    const ending = await locking.run({ user: "ada" });
    assert.deepEqual(
      [ending.outcome, ending.changed, ending.result],
      ["succeeded", true, { user: "ada", before: { locked: false }, after: { locked: true, expires: "1970-01-02" } }],
    );
    assert.equal(canEnter(), false);
    assert.equal((await locking.run({ user: "ada" })).changed, false);
    assert.equal((await unlocking.run({ user: "ada" })).changed, true);
    assert.equal(canEnter(), true);
    assert.match(shadow("ada")[1] ?? "", /^\$/);
    assert.equal((await unlocking.run({ user: "ada" })).changed, false);
  });

  await t.test("an expiry that somebody has set is told when it is lost, and is set again when given", async () => {
    await unlocking.run({ user: "ada", expires: "2099-12-31" });
    assert.equal((await locking.run({ user: "ada" })).message, "it was to expire on 2099-12-31: user.unlock takes that as expires");
    const { result } = await unlocking.run({ user: "ada", expires: "2099-12-31" });
    assert.deepEqual(result?.after, { locked: false, expires: "2099-12-31" });
    assert.equal((await unlocking.run({ user: "ada" })).changed, false);
    assert.equal((await unlocking.run({ user: "ada", expires: "2099-02-31" })).outcome, "refused");
    await locking.run({ user: "ada", expire: false });
    assert.deepEqual([shadow("ada")[1]?.slice(0, 2), shadow("ada")[7]], ["!$", "47481"]);
    await unlocking.run({ user: "ada" });
  });

  await t.test("an account without a password never gets an empty one", async () => {
    await locking.run({ user: "nopass" });
    const ending = await unlocking.run({ user: "nopass" });
    assert.deepEqual([ending.outcome, ending.message], ["succeeded", "nopass has no password to unlock"]);
    assert.equal(shadow("nopass")[1], "!");
  });

  await t.test("the user's processes are ended when that is asked for", async () => {
    const program = spawn("setpriv", ["--reuid", String(id), "--clear-groups", "sh", "-c", "echo ready; exec sleep 1000"], {
      stdio: ["ignore", "pipe", "ignore"],
    });
    const gone = once(program, "exit");
    await once(program.stdout, "data");
    const { result } = await locking.run({ user: "ada", end_sessions: true });
    assert.equal(result?.sessions_ended, 1);
    assert.equal((await gone)[1], "SIGKILL");
    await unlocking.run({ user: "ada" });
  });

  await t.test("root is left alone unless forced, and what is no account is said", async () => {
    assert.equal((await locking.run({ user: "root" })).outcome, "refused");
    assert.equal((await unlocking.run({ user: "root" })).outcome, "refused");
    assert.equal((await locking.run({ user: "root", force: true, expire: false })).outcome, "succeeded");
    assert.match((await locking.run({ user: "nobody-at-all" })).message ?? "", /there is no account/);
    for (const user of ["-L", "--root=/", "a b", "$(id)", "a\nb", "'", '"', "a:b", ""])
      assert.throws(() => locking.run({ user }), /user/, user);
  });
});
