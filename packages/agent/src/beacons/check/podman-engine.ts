/**
 * For tests: a real Podman with storage of its own, and its API on a socket of its own. Its one image holds a static busybox. Never part of the
 * program.
 */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { accessSync, constants, copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { errorText } from "@needfire/shared/errors";

const commands = ["cat", "rm", "sh", "sleep", "tail", "test", "touch"];
const startMsMax = 30_000;
/** Which of them can run here depends on the machine's control groups. */
const runtimes = ["crun", "runc"];

export class PodmanEngine {
  readonly #dir = mkdtempSync(join(tmpdir(), "needfire-podman-"));
  readonly socket = join(this.#dir, "api.sock");
  #runtime = "";
  #service: ChildProcess | undefined;

  /** Makes the image, and tries the runtimes. Gives why no container can run here; undefined: one can. */
  prepare(): string | undefined {
    const busybox = programs("busybox")[0];
    if (process.getuid?.() !== 0) return "needs root";
    if (busybox === undefined || programs("podman").length === 0) return "needs podman and busybox-static";
    const bin = join(this.#dir, "image/bin");
    mkdirSync(bin, { recursive: true });
    copyFileSync(busybox, join(bin, "busybox"));
    for (const name of commands) symlinkSync("busybox", join(bin, name));
    let reason = `needs ${runtimes.join(" or ")}`;
    for (const runtime of runtimes.filter((name) => programs(name).length > 0)) {
      this.#runtime = runtime;
      try {
        const image = execFileSync("tar", ["-C", join(this.#dir, "image"), "-c", "."], { maxBuffer: 64 * 2 ** 20 });
        execFileSync("podman", this.#args("import", "-", "box:1"), { input: image, cwd: this.#dir, stdio: ["pipe", "pipe", "pipe"] });
        this.create("trial", ["test", "-e", "/bin/sh"]);
        this.run("start", "--attach", "trial");
        this.run("rm", "trial");
        return undefined;
      } catch (error) {
        reason = `podman cannot run a container here: ${errorText(error)}`;
        this.#podmanQuietly("rm", "--force", "--all");
      }
    }
    return reason;
  }

  async start(): Promise<void> {
    this.#service = spawn("podman", this.#args("system", "service", "--time", "0", `unix://${this.socket}`), {
      cwd: this.#dir,
      stdio: "ignore",
    });
    const until = performance.now() + startMsMax;
    while (!(await answers(this.socket))) {
      if (performance.now() > until) throw new Error("podman's API did not come up");
      await wait(20);
    }
  }

  async stop(): Promise<void> {
    const service = this.#service;
    this.#service = undefined;
    if (service === undefined || service.exitCode !== null || service.signalCode !== null) return;
    const gone = once(service, "exit");
    service.kill("SIGTERM");
    await gone;
    rmSync(this.socket, { force: true });
  }

  /** Runs `podman`; throws when that fails. */
  run(...argv: string[]): string {
    // conmon leaves a file where it was started.
    return execFileSync("podman", this.#args(...argv), { encoding: "utf8", cwd: this.#dir, stdio: ["ignore", "pipe", "pipe"] });
  }

  /** A container of the image that does not run yet. */
  create(name: string, command: string[], options: string[] = []): void {
    // What Podman would raise them to, not every machine allows.
    const limits = ["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024"];
    this.run("create", "--name", name, "--net", "none", ...limits, ...options, "localhost/box:1", ...command);
  }

  async end(): Promise<void> {
    this.#podmanQuietly("rm", "--force", "--time", "0", "--all");
    await this.stop();
    rmSync(this.#dir, { recursive: true });
  }

  #podmanQuietly(...argv: string[]): void {
    try {
      this.run(...argv);
    } catch {
      // Nothing is there.
    }
  }

  #args(...argv: string[]): string[] {
    const places = ["--root", join(this.#dir, "root"), "--runroot", join(this.#dir, "run"), "--tmpdir", join(this.#dir, "tmp")];
    const ways = ["--cgroup-manager", "cgroupfs", "--events-backend", "file", "--storage-driver", "vfs", "--runtime", this.#runtime];
    return [...places, ...ways, ...argv];
  }
}

function answers(socket: string): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const connection = connect(socket, () => resolve(true)).on("error", () => resolve(false));
  return promise.finally(() => connection.destroy());
}

/** Where a program is. */
function programs(name: string): string[] {
  return (process.env["PATH"] ?? "").split(":").flatMap((folder) => {
    try {
      accessSync(join(folder, name), constants.X_OK);
      return [join(folder, name)];
    } catch {
      return [];
    }
  });
}
