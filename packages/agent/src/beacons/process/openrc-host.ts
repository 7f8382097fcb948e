/**
 * For tests: a root directory in which a real OpenRC runs services, from what scripts/systemd-base.sh and scripts/openrc-layer.sh have built. Its
 * processes are this machine's, and are ended with it. Never part of the program.
 */
import { execFileSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";

const cache = "/var/cache/needfire-test";
const layers = [join(cache, "openrc-layer"), join(cache, "systemd-base")];

/** Why there can be none here; false when there can. */
export function noOpenRcHost(): string | false {
  if (process.getuid?.() !== 0) return "needs root";
  return layers.every((layer) => existsSync(join(layer, ".complete"))) ? false : `needs ${layers[0]}: scripts/openrc-layer.sh builds it`;
}

export class OpenRcHost {
  readonly #dir = mkdtempSync(join(tmpdir(), "needfire-openrc-"));
  readonly root = join(this.#dir, "mounted/root");
  /** What stands before a program's argv. */
  readonly enter = ["chroot", this.root];

  /** In its default runlevel, with no service of its own. */
  boot(): void {
    const mounted = join(this.#dir, "mounted");
    mkdirSync(mounted);
    mount("-t", "tmpfs", "-o", "size=64m", basename(this.#dir), mounted);
    for (const name of ["upper", "work", "root"]) mkdirSync(join(mounted, name));
    const options = `lowerdir=${layers.join(":")},upperdir=${mounted}/upper,workdir=${mounted}/work`;
    mount("-t", "overlay", "overlay", "-o", options, this.root);
    mount("-t", "proc", "proc", join(this.root, "proc"));
    mount("-t", "tmpfs", "tmpfs", join(this.root, "run"));
    rmSync(join(this.root, "etc/init.d"), { recursive: true });
    mkdirSync(join(this.root, "etc/init.d"));
    this.run("openrc", "default");
  }

  /** Runs a program in it; its exit code does not matter. */
  run(...argv: string[]): string {
    try {
      return execFileSync("chroot", [this.root, ...argv], { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
    } catch (error) {
      return String((error as { stdout?: string }).stdout);
    }
  }

  service(name: string, script: string): void {
    const path = join(this.root, "etc/init.d", name);
    writeFileSync(path, `#!/sbin/openrc-run\n${script}`);
    chmodSync(path, 0o755);
  }

  end(): void {
    for (const pid of this.#processes()) process.kill(pid, "SIGKILL");
    for (const path of ["root/run", "root/proc", "root", ""]) execFileSync("umount", ["-l", join(this.#dir, "mounted", path)]);
    rmSync(this.#dir, { recursive: true });
  }

  #processes(): number[] {
    return readdirSync("/proc").flatMap((name) => {
      try {
        return /^\d+$/.test(name) && readlinkSync(`/proc/${name}/root`) === this.root ? [Number(name)] : [];
      } catch {
        return []; // it has ended
      }
    });
  }
}

function mount(...args: string[]): void {
  execFileSync("mount", args, { stdio: "pipe" });
}
