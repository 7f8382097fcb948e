/** Changes to the host itself, each of its own and taken away at the end: a small disk, a mount, a pair of interfaces, ports, processes. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { copyFileSync, existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { join } from "node:path";
import { type Driver, interval, ownAddress, type Place } from "./driver.ts";

const diskBytes = 4 * 1_048_576;
/** Below the ports that the kernel gives out by itself. */
const ports = { first: 21_000, count: 1_000 };

export function smallDisk({ folder }: Place): Driver {
  const mount = join(folder, "disk");
  mountTmpfs(mount);
  return {
    options: { mounts: [mount], above: 50, clear_below: 40, for: "0s", readonly: false, interval },
    change(number) {
      const fills = number % 2 === 0;
      if (fills) writeFileSync(join(mount, "ballast"), Buffer.alloc(diskBytes * 0.7));
      else rmSync(join(mount, "ballast"));
      return [`disk.${fills ? "high" : "normal"} ${mount}`];
    },
    stop: () => unmount(mount),
  };
}

export function mountedFolder({ folder }: Place): Driver {
  const mount = join(folder, "data");
  let mounted = true;
  mountTmpfs(mount);
  return {
    // Others mount things on this machine, too.
    options: { expected: [mount], changes: false, interval },
    change(number) {
      mounted = number % 2 === 1;
      if (mounted) mountTmpfs(mount);
      else unmount(mount);
      return [`mount.${mounted ? "present" : "missing"} ${mount}`];
    },
    stop: () => (mounted ? unmount(mount) : undefined),
  };
}

export function addressesOfLink({ tag }: Place): Driver {
  const [link, peer] = [makeLink(`${tag}a`, `${tag}b`), `${tag}b`];
  for (const end of [link, peer]) {
    // The kernel gives an interface an address of its own when its link comes up.
    if (existsSync(`/proc/sys/net/ipv6/conf/${end}`)) writeFileSync(`/proc/sys/net/ipv6/conf/${end}/disable_ipv6`, "1");
    execFileSync("ip", ["link", "set", end, "up"], { stdio: "pipe" });
  }
  return {
    options: { interfaces: [link], exclude: [], interval },
    change(number) {
      const adds = number % 2 === 0;
      const address = `198.51.100.${1 + (Math.floor(number / 2) % 250)}/32`;
      execFileSync("ip", ["address", adds ? "add" : "delete", address, "dev", link], { stdio: "pipe" });
      return [`network.address_${adds ? "added" : "removed"} ${link}`];
    },
    stop: () => removeLink(link),
  };
}

/** A setting that only an interface of our own has. */
export function settingOfLink({ tag }: Place): Driver {
  const link = makeLink(`${tag}c`, `${tag}d`);
  const key = `net.ipv4.conf.${link}.arp_announce`;
  const set = (value: string) => writeFileSync(`/proc/sys/net/ipv4/conf/${link}/arp_announce`, value);
  set("1");
  return {
    options: { settings: { [key]: 1 }, interval },
    change(number) {
      const wrong = number % 2 === 0;
      set(wrong ? "2" : "1");
      return [`sysctl.${wrong ? "changed" : "restored"} ${key}`];
    },
    stop: () => removeLink(link),
  };
}

export function portsListened(): Driver {
  let server: Server | undefined;
  let port = ports.first;
  return {
    options: {
      ...{ watch: ["listening"], protocols: ["tcp"], loopback: true, interval },
      local_addresses: [ownAddress],
      local_ports: [`${ports.first}-${ports.first + ports.count - 1}`],
    },
    keyOf: ({ type, data }) => `${type} ${String(data["local_port"])}`,
    async change(number) {
      if (number % 2 === 0) {
        port = ports.first + ((number / 2) % ports.count);
        server = createServer().listen(port, ownAddress);
        await once(server, "listening");
        return [`port.opened ${port}`];
      }
      await closed(server);
      server = undefined;
      return [`port.closed ${port}`];
    },
    stop: () => closed(server),
  };
}

/** A program of a name that nobody else has: there must be none. */
export function processesByName({ folder, tag }: Place): Driver {
  const program = join(folder, `${tag}-soak`);
  copyFileSync("/bin/sleep", program);
  let running: ChildProcess | undefined;
  const end = async () => {
    if (running === undefined) return;
    running.kill("SIGKILL");
    await once(running, "exit");
    running = undefined;
  };
  return {
    options: { names: [`${tag}-soak`], min: 0, max: 0, for: "0s", interval },
    keyOf: ({ type }) => type,
    async change(number) {
      if (number % 2 === 1) {
        await end();
        return ["process.present"];
      }
      running = spawn(program, ["600"], { stdio: "ignore" });
      await once(running, "spawn");
      return ["process.many"];
    },
    stop: end,
  };
}

function mountTmpfs(mount: string): void {
  mkdirSync(mount, { recursive: true });
  execFileSync("mount", ["-t", "tmpfs", "-o", `size=${diskBytes},mode=0700`, "needfire-soak", mount], { stdio: "pipe" });
}

function unmount(mount: string): void {
  execFileSync("umount", [mount], { stdio: "pipe" });
}

/** One end of a pair that leads nowhere. */
function makeLink(name: string, peer: string): string {
  execFileSync("ip", ["link", "add", name, "type", "veth", "peer", "name", peer], { stdio: "pipe" });
  return name;
}

function removeLink(name: string): void {
  execFileSync("ip", ["link", "delete", name], { stdio: "pipe" });
}

async function closed(server: Server | undefined): Promise<void> {
  if (server === undefined) return;
  server.close();
  await once(server, "close");
}
