import assert from "node:assert/strict";
import { test } from "node:test";
import { isOnNetwork, parseFstab, parseMounts, readMounts, writableByFstab } from "./mounts.ts";

test("mount points with blanks, of several mounts the last, read-only by mount or by file system", () => {
  const mounts = parseMounts(
    [
      String.raw`36 35 98:0 / /mnt/a\040disk rw,noatime shared:1 master:2 - ext4 /dev/sda1 rw,errors=remount-ro`,
      "37 35 98:1 / /data rw - xfs /dev/sdb ro",
      "38 35 0:44 / /data ro,nosuid - tmpfs tmpfs rw",
      "not a mount",
      "",
    ].join("\n"),
  );
  assert.deepEqual(
    [...mounts.values()].map(({ path, disk, device, filesystem, readonly }) => [path, disk, device, filesystem, readonly]),
    [
      ["/mnt/a disk", "98:0", "/dev/sda1", "ext4", false],
      ["/data", "0:44", "tmpfs", "tmpfs", true],
    ],
  );
});

test("this host has a root", () => {
  assert.equal(readMounts().get("/")?.path, "/");
});

test("what /etc/fstab wants writable", () => {
  const fstab =
    "# <file system> <mount point>\nUUID=1 / ext4 errors=remount-ro 0 1\n/dev/sr0\t/media/cd iso9660 ro,noauto\nUUID=2 none swap sw\nUUID=3 /with\\040blank xfs defaults\n";
  assert.deepEqual([...writableByFstab(parseFstab(fstab))], ["/", "/with blank"]);
});

test("a path lies where the innermost mount above it is", () => {
  const line = (path: string, filesystem: string) => `36 35 98:0 / ${path} rw - ${filesystem} device rw\n`;
  const mounts = parseMounts(line("/", "ext4") + line("/home", "nfs4") + line("/home/local", "xfs") + line("/net", "autofs"));
  const on = (path: string) => isOnNetwork(path, mounts);
  assert.deepEqual(
    [on("/home/alice/.ssh/x"), on("/home/local/bob"), on("/homes"), on("/"), on("/net/x")],
    [true, false, false, false, true],
  );
});
