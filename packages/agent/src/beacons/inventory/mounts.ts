/** What is mounted here, and how: /proc/self/mountinfo (proc(5)), and how /etc/fstab says that it should be. */
import { readFileSync } from "node:fs";

export interface Mount {
  /** The mount point. */
  path: string;
  device: string;
  /** The kernel's number of the file system: the same at every place where it is mounted. */
  disk: string;
  filesystem: string;
  options: string[];
  readonly: boolean;
}

/** More are not looked at; a host of containers has some hundreds. */
const mountsMax = 4_096;

/** What is mounted over something else hides it: of one mount point the last counts. */
export function readMounts(): Map<string, Mount> {
  return parseMounts(readFileSync("/proc/self/mountinfo", "utf8"));
}

export function parseMounts(mountinfo: string): Map<string, Mount> {
  const mounts = new Map<string, Mount>();
  for (const line of mountinfo.split("\n")) {
    // 36 35 98:0 /root /mount/point options [optional fields] - filesystem device super-options
    const fields = line.split(" ");
    const separator = fields.indexOf("-", 6);
    const [disk, path, options, filesystem, device] = [fields[2], fields[4], fields[5], fields[separator + 1], fields[separator + 2]];
    if (separator < 0 || disk === undefined || path === undefined || options === undefined || filesystem === undefined) continue;
    const all = [...new Set([...options.split(","), ...(fields[separator + 3] ?? "").split(",")])];
    // Either says that nothing can be written: the mount, or the file system after an error.
    const mount = { path: unescaped(path), disk, device: unescaped(device ?? ""), filesystem, options: all, readonly: all.includes("ro") };
    mounts.delete(mount.path);
    if (mounts.size < mountsMax) mounts.set(mount.path, mount);
  }
  return mounts;
}

/** File systems whose server may be away, which blocks whoever asks; autofs mounts one when it is asked. */
const networked = new Set(
  "nfs nfs4 cifs smb3 smbfs ceph glusterfs fuse.glusterfs fuse.sshfs fuse.s3fs lustre gpfs beegfs afs davfs autofs".split(" "),
);

/** Whether a path lies on the network, as far as that can be known without asking there: links are not followed. */
export function isOnNetwork(path: string, mounts: ReadonlyMap<string, Mount>): boolean {
  for (let at = path; at !== ""; at = at.slice(0, at.lastIndexOf("/"))) {
    const mount = mounts.get(at);
    if (mount !== undefined) return networked.has(mount.filesystem);
  }
  return networked.has(mounts.get("/")?.filesystem ?? "");
}

export interface FstabEntry {
  device: string;
  /** The mount point. */
  path: string;
  filesystem: string;
  options: string[];
}

/** Without the file: none is known. */
export function readFstab(): FstabEntry[] {
  let text: string;
  try {
    text = readFileSync("/etc/fstab", "utf8");
  } catch {
    return [];
  }
  return parseFstab(text);
}

/** Swap and the like have no mount point, and are left out. */
export function parseFstab(text: string): FstabEntry[] {
  return text.split("\n").flatMap((line) => {
    const [device = "", path = "", filesystem = "", options = ""] = line.trim().split(/\s+/);
    if (device.startsWith("#") || !path.startsWith("/")) return [];
    return [{ device: unescaped(device), path: unescaped(path), filesystem, options: options.split(",") }];
  });
}

/** Mount points that /etc/fstab wants writable. */
export function writableByFstab(entries = readFstab()): Set<string> {
  return new Set(entries.filter(({ options }) => !options.includes("ro")).map(({ path }) => path));
}

/** Blanks and the like stand as octal numbers: \040. */
function unescaped(text: string): string {
  return text.replaceAll(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}
