/**
 * Hosts of their own for the processes of a round: one network namespace each, on a bridge in a namespace that plays the switch. Links are
 * cut without a word (the port goes down, packets vanish) or with one (a blackhole route: connecting fails at once). Needs root and `ip`.
 */
import { execFileSync } from "node:child_process";
import { errorText } from "@needfire/shared/errors";

const subnet = "10.88.0";
let networks = 0;

export class Network {
  readonly #prefix = `needfire-${process.pid}-${++networks}`;
  readonly #switch = `${this.#prefix}-switch`;
  readonly #hosts: string[];
  #made: string[] = [];

  constructor(hosts: string[]) {
    this.#hosts = hosts;
  }

  /** Why there can be none here; undefined when there can. */
  static unavailable(): string | undefined {
    if (process.getuid?.() !== 0) return "network namespaces need root";
    const trial = new Network(["trial"]);
    try {
      trial.make();
      return undefined;
    } catch (error) {
      return `no network namespaces: ${errorText(error).trim()}`;
    } finally {
      trial.remove();
    }
  }

  make(): void {
    this.#add(this.#switch);
    ip("-n", this.#switch, "link", "add", "bridge", "type", "bridge");
    ip("-n", this.#switch, "link", "set", "bridge", "up");
    for (const host of this.#hosts) {
      const namespace = this.#name(host);
      this.#add(namespace);
      ip("-n", namespace, "link", "add", "eth0", "type", "veth", "peer", "name", this.#port(host), "netns", this.#switch);
      ip("-n", namespace, "address", "add", `${this.address(host)}/24`, "dev", "eth0");
      ip("-n", namespace, "link", "set", "lo", "up");
      ip("-n", namespace, "link", "set", "eth0", "up");
      ip("-n", this.#switch, "link", "set", this.#port(host), "master", "bridge", "up");
    }
  }

  address(host: string): string {
    return `${subnet}.${this.#hosts.indexOf(host) + 1}`;
  }

  /** The command that starts another one on a host. */
  through(host: string): string[] {
    return ["nsenter", `--net=${this.namespace(host)}`];
  }

  /** Where the kernel shows a host's network. */
  namespace(host: string): string {
    return `/run/netns/${this.#name(host)}`;
  }

  setPort(host: string, state: "up" | "down"): void {
    ip("-n", this.#switch, "link", "set", this.#port(host), state);
  }

  setBlackhole(host: string, to: string, verb: "add" | "del"): void {
    ip("-n", this.#name(host), "route", verb, "blackhole", `${this.address(to)}/32`);
  }

  remove(): void {
    for (const namespace of this.#made.splice(0)) ip("netns", "delete", namespace);
  }

  #name(host: string): string {
    return `${this.#prefix}-${host}`;
  }

  #port(host: string): string {
    return `port${this.#hosts.indexOf(host) + 1}`;
  }

  #add(namespace: string): void {
    ip("netns", "add", namespace);
    this.#made.push(namespace);
  }
}

function ip(...args: string[]): void {
  execFileSync("ip", args, { stdio: ["ignore", "ignore", "pipe"] });
}
