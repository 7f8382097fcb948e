/**
 * For tests: a host of its own with a real systemd as its first process, in namespaces, from what scripts/systemd-base.sh has built. It
 * never touches this machine's own root, network or init. Never part of the program.
 */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";

const base = "/var/cache/needfire-test/systemd-base";
const bootMsMax = 60_000;
/** SIGRTMIN+4: systemd shuts the host down. */
const shutDown = 38;
const controllers = [".", "unified", "systemd", "pids", "memory", "devices"].map((name) => join("/sys/fs/cgroup", name));

/** Why there can be none here; false when there can. */
export function noSystemdHost(): string | false {
  if (process.getuid?.() !== 0) return "needs root";
  if (!["/usr/bin/systemd-nspawn", "/bin/systemd-nspawn"].some((path) => existsSync(path)))
    return "needs systemd-nspawn (systemd-container)";
  return existsSync(join(base, ".complete")) ? false : `needs ${base}: scripts/systemd-base.sh builds it`;
}

/** systemd-nspawn ends so when the host in it has asked to be started again. */
const askedToRestart = 133;

export interface SystemdHostOptions {
  /** Directories of this machine that it sees, too: `PATH` or `PATH:PLACE` each. */
  shared?: readonly string[];
  /** A network namespace for it; else it has one with nothing but a loopback. */
  network?: string;
}

export class SystemdHost {
  readonly #dir = mkdtempSync(join(tmpdir(), "needfire-systemd-"));
  readonly #name = basename(this.#dir);
  readonly #options: SystemdHostOptions;
  #nspawn: ChildProcess | undefined;
  #leader = 0;
  #said = "";
  #boots = 0;
  #isEnding = false;

  constructor(options: SystemdHostOptions = {}) {
    this.#options = options;
  }

  /** From then on it is started again whenever it asks for that. */
  async boot(): Promise<void> {
    this.#mount();
    this.#start();
    await this.up();
  }

  /** Resolves when its message bus answers. */
  async up(): Promise<void> {
    const until = performance.now() + bootMsMax;
    while (!this.#isUp()) {
      if (this.#nspawn?.exitCode !== null || performance.now() > until) throw new Error(`systemd did not boot: ${this.#said}`);
      await wait(20);
    }
  }

  /** How often it was started. */
  get boots(): number {
    return this.#boots;
  }

  /** Its root directory, as seen from here. */
  get root(): string {
    return `/proc/${this.#leader}/root`;
  }

  /** Runs a program in the host; its exit code does not matter. */
  run(...argv: string[]): string {
    try {
      return execFileSync("nsenter", ["-t", String(this.#leader), "-a", ...argv], { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
    } catch (error) {
      return String((error as { stdout?: string }).stdout);
    }
  }

  /** What starts a program of this machine that sees the files of the host, and its message bus; processes and network are this machine's. */
  seen(): string[] {
    const proc = 'mount -t proc proc /proc && exec "$@"';
    return ["nsenter", "-t", String(this.#leader), "-m", "unshare", "--mount", "--propagation", "private", "sh", "-c", proc, "sh"];
  }

  /** Puts a unit there, and lets systemd know. */
  unit(name: string, content: string): void {
    writeFileSync(join(this.root, "/etc/systemd/system", name), content);
    this.run("systemctl", "daemon-reload");
  }

  async end(): Promise<void> {
    this.#isEnding = true;
    const program = this.#nspawn;
    if (program !== undefined && program.exitCode === null && program.signalCode === null) {
      const gone = once(program, "exit");
      // Never SIGKILL: what runs in it would go on without it.
      const leader = this.#findLeader();
      if (leader === undefined) program.kill("SIGTERM");
      else process.kill(leader, shutDown);
      await gone;
    }
    for (const path of ["mounted/root", "mounted"]) execFileSync("umount", ["-l", join(this.#dir, path)]);
    const groups = () => controllers.map((controller) => join(controller, this.#name)).filter((path) => existsSync(path));
    // Its last processes may still be ending.
    for (let i = 0; i < 100 && groups().length > 0; i++) {
      for (const path of groups()) removeGroup(path);
      await wait(20);
    }
    rmSync(this.#dir, { recursive: true });
  }

  #mount(): void {
    const mounted = join(this.#dir, "mounted");
    mkdirSync(mounted);
    // Upper and work directories on one file system that overlayfs takes whatever the machine's is.
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=256m", this.#name, mounted]);
    for (const name of ["upper", "work", "root"]) mkdirSync(join(mounted, name));
    const layers = `lowerdir=${base},upperdir=${mounted}/upper,workdir=${mounted}/work`;
    execFileSync("mount", ["-t", "overlay", "overlay", "-o", layers, join(mounted, "root")]);
  }

  #start(): void {
    const { shared = [], network } = this.#options;
    // Control groups of its own, or all hosts and this machine share one tree.
    const script = `for c in ${controllers.join(" ")}; do
        test -e $c/cgroup.procs && mkdir -p $c/$0 && echo $$ >$c/$0/cgroup.procs
      done
      root=$1; shift
      exec setpriv --pdeathsig TERM systemd-nspawn --register=no --keep-unit -q -D "$root" --machine="$0" -b --link-journal=no --resolv-conf=off \
        --timezone=off --console=read-only "$@"`;
    const options = [
      network === undefined ? "--private-network" : `--network-namespace-path=${network}`,
      ...shared.map((each) => `--bind=${each}`),
    ];
    const program = spawn("sh", ["-c", script, this.#name, join(this.#dir, "mounted/root"), ...options], {
      stdio: ["ignore", "ignore", "pipe"],
    });
    this.#nspawn = program;
    this.#boots++;
    program.stderr.on("data", (chunk: Buffer) => (this.#said = (this.#said + chunk.toString()).slice(-2_000)));
    program.once("exit", (code) => {
      if (code === askedToRestart && !this.#isEnding) this.#start();
    });
  }

  #isUp(): boolean {
    const leader = this.#findLeader();
    if (leader === undefined) return false;
    this.#leader = leader;
    return (
      existsSync(join(this.root, "/run/dbus/system_bus_socket")) && this.run("systemctl", "is-active", "dbus.socket").trim() === "active"
    );
  }

  /** Its first process, as this machine numbers it; another one after each start. */
  #findLeader(): number | undefined {
    const { pid } = this.#nspawn ?? {};
    const children = pid === undefined ? "" : readIfThere(`/proc/${pid}/task/${pid}/children`);
    const leader = children.split(" ").find((child) => child !== "" && readIfThere(`/proc/${child}/comm`).trim() === "systemd");
    return leader === undefined ? undefined : Number(leader);
  }
}

function readIfThere(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return ""; // not yet
  }
}

/** With the groups below it, which are left when a host has ended. */
function removeGroup(path: string): void {
  for (const entry of readdirSync(path, { withFileTypes: true })) if (entry.isDirectory()) removeGroup(join(path, entry.name));
  try {
    rmdirSync(path);
  } catch {
    // Something is in it, still.
  }
}
