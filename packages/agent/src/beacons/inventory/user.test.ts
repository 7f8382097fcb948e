import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { appendFileSync, copyFileSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { test, type TestContext } from "node:test";
import { checkBeacon } from "@needfire/shared/beacon";
import type { AccountChangedData, AccountData, AuthorizedKeyData, GroupChangedData, SudoChangedData } from "@needfire/shared/beacons/user";
import { definition, Fixture } from "../fixture.ts";
import { forgetfulStore, type MemoryStore } from "../remembered.ts";
import { parseKeys, parsePasswd, parseShadow, parseSudoers } from "./user-parse.ts";

const canAdd = process.getuid?.() === 0 && existsSync("/usr/sbin/useradd");
const needsUseradd = canAdd ? {} : { skip: "needs root and useradd (Debian's passwd)" };
const needsKeygen = existsSync("/usr/bin/ssh-keygen") ? {} : { skip: "needs ssh-keygen (Debian's openssh-client)" };

function run(program: string, ...args: string[]): string {
  return execFileSync(program, args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
}

/** A root of its own in which the system's own programs make accounts. */
function host(t: TestContext, memory?: MemoryStore) {
  const f = new Fixture(memory === undefined ? {} : { memory });
  t.after(() => f.end());
  const root = f.host("root");
  for (const folder of ["etc/sudoers.d", "etc/skel", "home"]) mkdirSync(`${root}/${folder}`, { recursive: true });
  for (const file of ["passwd", "group", "shadow", "gshadow"]) writeFileSync(`${root}/etc/${file}`, "");
  writeFileSync(`${root}/etc/sudoers`, "root ALL=(ALL:ALL) ALL\n@includedir /etc/sudoers.d\n");
  if (existsSync("/etc/login.defs")) copyFileSync("/etc/login.defs", `${root}/etc/login.defs`);
  return { f, root, as: (program: string, ...args: string[]) => run(program, "-P", root, ...args) };
}

/** As every editor and program that is careful does it. */
function replace(path: string, text: string): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(`${path}.new`, text);
  renameSync(`${path}.new`, path);
}

const watching = (root: string, options: Record<string, unknown> = {}) => definition({ type: "user", root, interval: "100ms", ...options });

async function seen<T>(f: Fixture): Promise<{ type: string; subject: string | undefined; cause: string | undefined; data: T }> {
  const { type, subject, cause, data } = await f.next();
  return { type, subject, cause, data: data as unknown as T };
}

test("real useradd, usermod and userdel: accounts are told as they come, change and go", needsUseradd, async (t) => {
  const { f, root, as } = host(t);
  as("useradd", "before");
  const watched = watching(root, { watch: ["accounts"] });
  await f.beacons.apply([watched]);
  as("useradd", "-m", "-c", "Alice Smith", "-s", "/bin/bash", "-u", "4001", "alice");
  const added = await seen<AccountData>(f);
  assert.deepEqual([added.type, added.subject], ["user.added", "alice"]);
  const { name, uid, home, shell, comment } = added.data;
  assert.deepEqual([name, uid, home, shell, comment], ["alice", 4_001, "/home/alice", "/bin/bash", "Alice Smith"]);
  as("usermod", "-s", "/bin/sh", "alice");
  const changed = await seen<AccountChangedData>(f);
  assert.deepEqual([changed.type, changed.data.changes, changed.data.after.shell], ["user.changed", ["shell"], "/bin/sh"]);
  as("userdel", "alice");
  const removed = await seen<AccountData>(f);
  assert.deepEqual([removed.type, removed.data.uid], ["user.removed", 4_001]);
  assert.equal(f.events.length, 3);
});

test("a password that is set, locked or empty is told; the password and its hash are not, nor kept", needsUseradd, async (t) => {
  const kept: Uint8Array[] = [];
  const store = forgetfulStore();
  const { f, root, as } = host(t, {
    ...store,
    remember(beacon, key, value) {
      if (value !== undefined) kept.push(value);
      store.remember(beacon, key, value);
    },
  });
  as("useradd", "alice");
  await f.beacons.apply([watching(root)]);
  const hash = "$6$saltsalt$veryverysecrethash";
  as("usermod", "-p", hash, "alice");
  const set = await seen<AccountChangedData>(f);
  assert.deepEqual([set.data.changes, set.data.after.locked], [["locked", "password"], false]);
  as("usermod", "-L", "alice");
  const locked = await seen<AccountChangedData>(f);
  assert.deepEqual([locked.data.changes, locked.data.after.locked], [["locked"], true]);
  as("usermod", "-U", "alice");
  assert.deepEqual((await seen<AccountChangedData>(f)).data.changes, ["locked"]);
  as("usermod", "-p", `${hash}2`, "alice");
  assert.deepEqual((await seen<AccountChangedData>(f)).data.changes, ["password"]);
  replace(`${root}/etc/shadow`, readFileSync(`${root}/etc/shadow`, "utf8").replace(/^alice:[^:]*/m, "alice:"));
  const empty = await seen<AccountChangedData>(f);
  assert.deepEqual([empty.data.changes, empty.data.after.passwordless], [["passwordless", "password"], true]);
  const everything = JSON.stringify(f.events) + kept.map((bytes) => Buffer.from(bytes).toString("latin1")).join();
  assert.ok(!everything.includes("saltsalt") && !everything.includes("secrethash"));
});

test("groups, and who joins and leaves them", needsUseradd, async (t) => {
  const { f, root, as } = host(t);
  as("useradd", "alice");
  await f.beacons.apply([watching(root, { watch: ["groups"] })]);
  as("groupadd", "-g", "5000", "operators");
  const added = await seen(f);
  assert.deepEqual([added.type, added.data], ["group.added", { name: "operators", gid: 5_000, members: [] }]);
  as("usermod", "-a", "-G", "operators", "alice");
  const joined = await seen<GroupChangedData>(f);
  assert.deepEqual([joined.type, joined.data.changes, joined.data.joined, joined.data.left], ["group.changed", ["members"], ["alice"], []]);
  as("groupmod", "-g", "5001", "operators");
  const moved = await seen<GroupChangedData>(f);
  assert.deepEqual([moved.data.changes, moved.data.gid_before, moved.data.gid], [["gid"], 5_000, 5_001]);
  as("usermod", "-G", "", "alice");
  assert.deepEqual((await seen<GroupChangedData>(f)).data.left, ["alice"]);
  as("groupdel", "operators");
  assert.equal((await seen(f)).type, "group.removed");
});

test("rules of sudo are told by their lines, whatever the file; comments are no rules", async (t) => {
  const { f, root } = host(t);
  await f.beacons.apply([watching(root, { watch: ["sudo"] })]);
  const file = "/etc/sudoers.d/operators";
  replace(`${root}${file}`, "# who may\n%operators ALL=(root)  NOPASSWD: \\\n   /usr/bin/systemctl # all of it\n");
  const created = await seen<SudoChangedData>(f);
  assert.deepEqual([created.type, created.subject], ["user.sudo_changed", file]);
  assert.deepEqual(created.data, { path: file, added: ["%operators ALL=(root) NOPASSWD: /usr/bin/systemctl"], removed: [], left_out: 0 });
  replace(`${root}${file}`, "# another comment\n%operators ALL=(root) NOPASSWD: /usr/bin/systemctl\n");
  replace(`${root}/etc/sudoers.d/not.read`, "mallory ALL=(ALL) NOPASSWD: ALL\n");
  replace(`${root}/etc/sudoers`, "root ALL=(ALL:ALL) ALL\n@includedir /etc/sudoers.d\nmallory ALL=(ALL) NOPASSWD: ALL\n");
  const changed = await seen<SudoChangedData>(f);
  assert.deepEqual(
    [changed.data.path, changed.data.added, changed.data.removed],
    ["/etc/sudoers", ["mallory ALL=(ALL) NOPASSWD: ALL"], []],
  );
  rmSync(`${root}${file}`);
  const removed = await seen<SudoChangedData>(f);
  assert.deepEqual([removed.data.path, removed.data.added, removed.data.removed.length], [file, [], 1]);
});

test("keys are told with the fingerprint that ssh-keygen shows, of new accounts as well", needsKeygen, async (t) => {
  const { f, root } = host(t);
  const keyOf = (type: string, comment: string) => {
    const file = f.path(comment);
    run("ssh-keygen", "-q", "-t", type, "-N", "", "-C", comment, "-f", file);
    return { line: readFileSync(`${file}.pub`, "utf8").trim(), shown: run("ssh-keygen", "-l", "-f", `${file}.pub`).split(" ")[1]! };
  };
  const [first, second] = [keyOf("ed25519", "alice@laptop"), keyOf("ecdsa", "backup")];
  replace(`${root}/etc/passwd`, "alice:x:4001:4001::/home/alice:/bin/sh\n");
  const keys = "/home/alice/.ssh/authorized_keys";
  replace(`${root}${keys}`, `${first.line}\n`);
  await f.beacons.apply([watching(root)]);
  appendFileSync(`${root}${keys}`, `# the backup\nfrom="10.0.0.0/8",command="rsync --server \\"x y\\"" ${second.line}\nno key at all\n`);
  const added = await seen<AuthorizedKeyData>(f);
  assert.deepEqual([added.type, added.subject], ["user.key_added", "alice"]);
  const options = 'from="10.0.0.0/8",command="rsync --server \\"x y\\""';
  const key = { user: "alice", path: keys, fingerprint: second.shown, key_type: "ecdsa-sha2-nistp256", comment: "backup", options };
  assert.deepEqual(added.data, key);
  replace(`${root}${keys}`, `${first.line}\n${second.line}\n`);
  const [gone, back] = [await seen<AuthorizedKeyData>(f), await seen<AuthorizedKeyData>(f)];
  assert.deepEqual([gone.type, gone.data.options, back.type, back.data.options], ["user.key_removed", options, "user.key_added", ""]);
  rmSync(`${root}${keys}`);
  const removed = [await seen<AuthorizedKeyData>(f), await seen<AuthorizedKeyData>(f)].map(
    ({ type, data }) => `${type} ${data.fingerprint}`,
  );
  assert.deepEqual(removed.toSorted(), [`user.key_removed ${first.shown}`, `user.key_removed ${second.shown}`].toSorted());
  replace(`${root}/home/bob/.ssh/authorized_keys2`, first.line);
  replace(`${root}/etc/passwd`, "alice:x:4001:4001::/home/alice:/bin/sh\nbob:x:4002:4002::/home/bob:/bin/sh\n");
  assert.deepEqual([(await seen(f)).type, (await seen<AuthorizedKeyData>(f)).data.user], ["user.added", "bob"]);
});

test("keys of all accounts in one directory, as sshd's AuthorizedKeysFile may say", async (t) => {
  const { f, root } = host(t);
  replace(`${root}/etc/passwd`, "alice:x:4001:4001::/home/alice:/bin/sh\n");
  await f.beacons.apply([watching(root, { authorized_keys: ["/etc/ssh/keys/%u", "%h/keys"] })]);
  replace(`${root}/etc/ssh/keys/alice`, "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA== a\n");
  assert.equal((await seen<AuthorizedKeyData>(f)).data.path, "/etc/ssh/keys/alice");
  replace(`${root}/home/alice/keys`, "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB== b\n");
  assert.equal((await seen<AuthorizedKeyData>(f)).data.path, "/home/alice/keys");
});

test("what somebody puts in place of their keys neither blocks nor leaks: a pipe, a device, another's file", async (t) => {
  const { f, root } = host(t);
  const lines = ["pipe", "device", "link"].map((name, at) => `${name}:x:${4_001 + at}:4001::/home/${name}:/bin/sh\n`);
  replace(`${root}/etc/passwd`, lines.join(""));
  for (const name of ["pipe", "device", "link"]) mkdirSync(`${root}/home/${name}/.ssh`, { recursive: true });
  execFileSync("mkfifo", [`${root}/home/pipe/.ssh/authorized_keys`]);
  symlinkSync("/dev/zero", `${root}/home/device/.ssh/authorized_keys`);
  writeFileSync(f.path("secret"), "root:$6$verysecret:1:2\n");
  symlinkSync(f.path("secret"), `${root}/home/link/.ssh/authorized_keys`);
  await f.beacons.apply([watching(root)]);
  const { type, data } = await seen<{ message: string }>(f);
  assert.equal(type, "beacon.degraded");
  assert.match(data.message, /pipe.*it is no file; .*device.*it is no file/);
  replace(`${root}/etc/passwd`, `${lines.join("")}alice:x:4009:4001::/home/alice:/bin/sh\n`);
  await f.until(() => f.events.some((event) => event.type === "user.added"), "the next account");
  assert.ok(!JSON.stringify(f.events).includes("verysecret"));
});

test("what changed while the agent was down is told at its start, and nothing twice", needsUseradd, async (t) => {
  const memory = forgetfulStore();
  const { f, root, as } = host(t, memory);
  as("useradd", "alice");
  as("groupadd", "operators");
  await f.beacons.apply([watching(root)]);
  as("useradd", "-N", "bob");
  assert.equal((await seen(f)).type, "user.added");
  await f.beacons.stop();
  as("usermod", "-s", "/bin/false", "alice");
  replace(`${root}/etc/sudoers.d/bob`, "bob ALL=(ALL) ALL\n");
  const again = new Fixture({ memory });
  t.after(() => again.end());
  await again.beacons.apply([watching(root)]);
  assert.deepEqual(
    again.events.map(({ type, subject }) => [type, subject]),
    [
      ["user.changed", "alice"],
      ["user.sudo_changed", "/etc/sudoers.d/bob"],
    ],
  );
});

test("P7: an account that a remedy changes is judged when that has ended, with the remedy as its cause", needsUseradd, async (t) => {
  const { f, root, as } = host(t);
  as("useradd", "-N", "alice");
  as("useradd", "-N", "bob");
  await f.beacons.apply([watching(root)]);
  f.remedies.begin("t-1.1", { topic: "user", subject: "alice" });
  as("usermod", "-s", "/bin/false", "alice");
  as("usermod", "-s", "/bin/false", "bob");
  const foreign = await seen(f);
  assert.deepEqual([foreign.subject, foreign.cause], ["bob", undefined]);
  f.remedies.end("t-1.1");
  const own = await seen(f);
  assert.deepEqual([own.subject, own.cause], ["alice", "t-1.1"]);
});

test("accounts that are left out are not told", needsUseradd, async (t) => {
  const { f, root, as } = host(t);
  await f.beacons.apply([watching(root, { watch: ["accounts"], exclude: ["build-*"] })]);
  as("useradd", "-N", "build-1");
  as("useradd", "-N", "alice");
  assert.equal((await seen(f)).subject, "alice");
});

test("the files of this very host are understood", () => {
  const accounts = parsePasswd(readFileSync("/etc/passwd", "utf8"));
  assert.equal(accounts.get("root")?.uid, 0);
  assert.equal(
    accounts.size,
    new Set(
      run("getent", "-s", "files", "passwd")
        .trim()
        .split("\n")
        .map((line) => line.split(":")[0]),
    ).size,
  );
});

test("lines that are none are passed over", () => {
  assert.deepEqual([...parsePasswd("+::::::\n\n# x\na:x:0:0\nb:x:1:2:c:/h:/s\nb:x:9:9::/:\nc:x:-1:2::/:/s\n").keys()], ["b"]);
  assert.deepEqual(
    [...parseShadow("a:*:1::::::\nb\nc::1\n").entries()].map(([name, { locked, passwordless }]) => [name, locked, passwordless]),
    [
      ["a", true, false],
      ["c", false, true],
    ],
  );
  assert.deepEqual(parseSudoers("#1000 ALL=ALL\n#include /x\n#comment\nDefaults  env_reset # yes\n"), [
    "#1000 ALL=ALL",
    "#include /x",
    "Defaults env_reset",
  ]);
  assert.deepEqual(parseKeys('command="ssh-rsa AAAA ssh-rsa x\nssh-rsa\nssh-rsa !!!\n# ssh-rsa AAAA\n'), []);
});

test("tokens that sshd has and this has not are refused", () => {
  const checked = checkBeacon({ name: "a", type: "user", authorized_keys: ["/keys/%U"] });
  assert.ok(!checked.ok);
  assert.match(checked.message, /only %u, %h/);
});
