import assert from "node:assert/strict";
import { test } from "node:test";
import { type AuditedChange, AuditRecords } from "./audit-records.ts";

const read = (...lines: string[]): AuditedChange[] => {
  const records = new AuditRecords();
  return lines.flatMap((line) => records.take(line) ?? []);
};

/** As auditd 3.0.9 wrote them on Debian 12, `log_format = ENRICHED`. */
const who = `ppid=12932 pid=13084 auid=1000 uid=0 gid=0 euid=0 suid=0 fsuid=0 egid=0 sgid=0 fsgid=0 tty=pts0 ses=7`;
const added = `\u001dARCH=x86_64 SYSCALL=openat AUID="alice" UID="root" GID="root" EUID="root" SUID="root" FSUID="root" EGID="root" SGID="root" FSGID="root"`;
const syscall = (id: number, number: number, { success = "yes", args = "a0=ffffff9c a1=55d890891bb0 a2=241 a3=1b6" } = {}) =>
  `type=SYSCALL msg=audit(1795354284.877:${id}): arch=c000003e syscall=${number} success=${success} exit=3 ${args} items=2 ${who} comm="bash" exe="/usr/bin/bash" key="needfire"${added}`;
const cwd = (id: number, path = `"/tmp/fa"`) => `type=CWD msg=audit(1795354284.877:${id}): cwd=${path}`;
const path = (id: number, name: string, nametype = "NORMAL") =>
  `type=PATH msg=audit(1795354284.877:${id}): item=1 name=${name} inode=2187216 dev=fe:00 mode=0100644 ouid=0 ogid=0 rdev=00:00 nametype=${nametype} cap_fp=0 cap_fi=0 cap_fe=0 cap_fver=0 cap_frootid=0\u001dOUID="root" OGID="root"`;
const title = (id: number) => `type=PROCTITLE msg=audit(1795354284.877:${id}): proctitle=62617368002F6465762F66642F33`;

test("a write, by whom, from which login, and where: its directory is not what changed", () => {
  const found = read(syscall(13, 257), cwd(13), path(13, `"/tmp/fa/w/"`, "PARENT"), path(13, `"/tmp/fa/w/plain"`, "CREATE"), title(13));
  assert.deepEqual(found, [
    {
      time: 1_795_354_284_877,
      uid: 0,
      loginUid: 1_000,
      session: 7,
      pid: 13_084,
      executable: "/usr/bin/bash",
      path: "/tmp/fa/w/plain",
      file: "65024:2187216",
    },
  ]);
});

test("a rename is a change of both its paths", () => {
  const args = { args: "a0=ffffff9c a1=7ffdf86d2a15 a2=ffffff9c a3=7ffdf86d2a25" };
  const found = read(syscall(14, 316, args), cwd(14), path(14, `"/tmp/fa/w/plain"`, "DELETE"), path(14, `"/tmp/fa/w/q"`, "CREATE"));
  assert.deepEqual(
    found.map((change) => change.path),
    ["/tmp/fa/w/plain", "/tmp/fa/w/q"],
  );
});

test("names in hexadecimal are read, relative ones seen from the process's directory", () => {
  const found = read(
    ...[syscall(12, 257), cwd(12), path(12, "2F746D702F66612F772F612062")],
    ...[syscall(20, 257), cwd(20, "2F746D702F66612F7720C3BC"), path(20, "642FC3BC"), path(20, `"../w/./plain"`)],
  );
  assert.deepEqual(
    found.map((change) => change.path),
    ["/tmp/fa/w/a b", "/tmp/fa/w ü/d/ü", "/tmp/fa/w/plain"],
  );
});

test("a name seen from a directory that only the process had open is none, but its file is known", () => {
  // As `rm -r` does it.
  const [change] = read(syscall(21, 263, { args: "a0=4 a1=55e a2=0 a3=0" }), cwd(21), path(21, `"plain"`, "DELETE"));
  assert.deepEqual([change?.path, change?.file], [undefined, "65024:2187216"]);
});

test("what failed, only looked, or is no change of a path is passed over", () => {
  const opened = (flags: string) => ({ args: `a0=ffffff9c a1=55d890891bb0 a2=${flags} a3=0` });
  assert.deepEqual(
    read(
      ...[syscall(1, 257, { success: "no" }), cwd(1), path(1, `"/etc/shadow"`)],
      ...[syscall(2, 257, opened("80000")), cwd(2), path(2, `"/etc/shadow"`)],
      ...[syscall(3, 59), cwd(3), path(3, `"/usr/bin/bash"`)],
      ...[cwd(4), path(4, `"/etc/shadow"`)],
      `type=USER_CMD msg=audit(1795354284.877:5): pid=1 uid=0 auid=0 ses=1 msg='cwd="/" cmd="type=SYSCALL" terminal=pts/0 res=success'`,
      `type=PATH msg=audit(1795354284.877`,
      "",
    ),
    [],
  );
  assert.equal(read(syscall(6, 257, opened("80002")), cwd(6), path(6, `"/f"`)).length, 1);
});

test("records of two calls may come mixed, and calls without an end do not pile up", () => {
  const found = read(syscall(1, 257), syscall(2, 87), cwd(2), cwd(1), path(2, `"b"`, "DELETE"), path(1, `"a"`));
  assert.deepEqual(
    found.map((change) => change.path),
    ["/tmp/fa/b", "/tmp/fa/a"],
  );
  const records = new AuditRecords();
  for (let id = 0; id < 5_000; id++) records.take(syscall(id, 257));
  assert.equal(records.take(path(1, `"/old"`)), undefined);
  assert.equal(records.take(path(4_999, `"/new"`))?.path, "/new");
});

test("other processors, other hosts' names and daemons without a login", () => {
  const daemon = (arch: string, number: number) =>
    `node=web1 type=SYSCALL msg=audit(1795354284.001:9): arch=${arch} syscall=${number} success=yes exit=0 a0=ffffffffffffff9c a1=0 a2=0 a3=0 items=2 ppid=1 pid=9 auid=4294967295 uid=33 ses=4294967295 comm="x" exe=2F62696E2F7820 key=(null)`;
  const place = `node=web1 type=PATH msg=audit(1795354284.001:9): item=0 name="/f" inode=1 dev=08:101 nametype=DELETE`;
  for (const [arch, number] of [
    ["c000003e", 263],
    ["c00000b7", 35],
    ["40000003", 301],
  ] as const) {
    const [change] = read(daemon(arch, number), place);
    assert.deepEqual([change?.uid, change?.loginUid, change?.session, change?.executable], [33, undefined, undefined, "/bin/x "]);
    assert.equal(change?.file, `${(8 << 8) | 0x01 | (0x100 << 12)}:1`);
  }
  assert.deepEqual(read(daemon("c0000015", 10), place), [], "what the number means there is not known");
});
