/**
 * The `network` beacon: throughput and errors of interfaces over a threshold, links that go down and come up, addresses that come and go.
 * Read from the kernel's tables (/sys/class/net, getifaddrs) at each look.
 */
import { readdirSync, readFileSync } from "node:fs";
import { networkInterfaces } from "node:os";
import { globMatcher } from "@needfire/shared/glob";
import type { BeaconContext, DefinitionOf, RunningBeacon } from "../beacon.ts";
import { polled } from "../polled.ts";
import { KeptLevel } from "../threshold.ts";

/** A host of containers has some hundreds. */
const interfacesMax = 1_000;
const addressesMax = 4_096;
const directions = { received: "rx", sent: "tx" } as const;
const troubles = ["rx_errors", "tx_errors", "rx_dropped", "tx_dropped"] as const;
/** States in which packets pass: drivers of virtual interfaces do not know theirs. */
const linked = new Set(["up", "unknown"]);

type Definition = DefinitionOf<"network">;
type Judged = "received" | "sent" | "errors";
type Causes = (subject: string) => { cause?: string };

export function start(definition: Definition, context: BeaconContext): RunningBeacon {
  const network = new Network(definition, context);
  return polled(context, { interval: definition.interval, topic: "network", restate: () => network.restate() }, (look) =>
    network.look(look.now, look.cause),
  );
}

class Network {
  readonly #definition: Definition;
  readonly #context: BeaconContext;
  readonly #wanted: (name: string) => boolean;
  readonly #known: Map<string, unknown>;
  readonly #interfaces = new Map<string, Interface>();
  /** By interface and address, as they were last seen. Undefined: there was no look yet, and nothing is remembered. */
  #addresses: Map<string, Address> | undefined;
  #first: boolean;

  constructor(definition: Definition, context: BeaconContext) {
    this.#definition = definition;
    this.#context = context;
    this.#known = context.memory.take();
    this.#first = !this.#known.has("seen");
    const within = globMatcher(definition.interfaces);
    const excluded = globMatcher(definition.exclude);
    this.#wanted = (name) => within(name) && !excluded(name);
    if (!this.#first) this.#addresses = rememberedAddresses(this.#known);
  }

  look(now: number, cause: Causes): void {
    const names = readdirSync("/sys/class/net").filter((name) => this.#wanted(name));
    const over = names.length - interfacesMax;
    this.#context.degraded(over > 0 ? `${over} interfaces more than ${interfacesMax} are not looked at` : undefined);
    for (const name of names.slice(0, interfacesMax)) this.#interface(name).look(now, cause);
    for (const [name, gone] of this.#interfaces) if (!names.includes(name)) this.#gone(name, gone, cause);
    if (this.#definition.addresses) this.#lookAtAddresses(cause);
    if (this.#first) this.#context.memory.set("seen", true);
    this.#first = false;
  }

  restate(): void {
    for (const each of this.#interfaces.values()) each.restate();
  }

  #interface(name: string): Interface {
    let known = this.#interfaces.get(name);
    if (known === undefined) {
      known = new Interface(name, this.#definition, { context: this.#context, known: this.#known, isNew: !this.#first });
      this.#interfaces.set(name, known);
    }
    return known;
  }

  #gone(name: string, gone: Interface, cause: Causes): void {
    this.#interfaces.delete(name);
    gone.end(cause);
  }

  #lookAtAddresses(cause: Causes): void {
    const now = addressesNow(this.#wanted);
    const before = this.#addresses ?? now;
    this.#addresses = now;
    const told = (type: string, address: Address) =>
      this.#context.emit({ type, subject: address.interface, ...cause(address.interface), data: { ...address } });
    for (const [key, address] of now) {
      if (before.has(key) && !this.#first) continue;
      if (!this.#first) told("network.address_added", address);
      this.#context.memory.set(key, address);
    }
    for (const [key, address] of before) {
      if (now.has(key)) continue;
      told("network.address_removed", address);
      this.#context.memory.set(key, undefined);
    }
  }
}

interface Address {
  interface: string;
  address: string;
  family: "IPv4" | "IPv6";
}

function addressesNow(wanted: (name: string) => boolean): Map<string, Address> {
  const all = Object.entries(networkInterfaces()).flatMap(([name, addresses]) =>
    wanted(name) ? (addresses ?? []).map(({ cidr, address, family }) => ({ interface: name, address: cidr ?? address, family })) : [],
  );
  return new Map(all.slice(0, addressesMax).map((each) => [`address ${each.interface} ${each.address}`, each]));
}

function rememberedAddresses(known: Map<string, unknown>): Map<string, Address> {
  return new Map([...known].filter(([key]) => key.startsWith("address ")) as [string, Address][]);
}

interface Counters {
  at: number;
  counts: Record<string, number>;
}

class Interface {
  readonly #name: string;
  readonly #definition: Definition;
  readonly #context: BeaconContext;
  readonly #levels: Partial<Record<Judged, KeptLevel>> = {};
  #before: Counters | undefined;
  /** Undefined: not seen yet. */
  #state: string | undefined;
  #again = false;

  /** `isNew`: it was not there when the beacon last looked, unless it is remembered. */
  constructor(name: string, definition: Definition, from: { context: BeaconContext; known: Map<string, unknown>; isNew: boolean }) {
    this.#name = name;
    this.#definition = definition;
    this.#context = from.context;
    const state = from.known.get(this.#key("link"));
    this.#state = typeof state === "string" ? state : from.isNew ? "absent" : undefined;
    from.known.delete(this.#key("link"));
    const level = (what: string, above: number, clearBelow?: number) =>
      new KeptLevel({ above, clear_below: clearBelow, for: definition.for }, from.context, { key: this.#key(what), known: from.known });
    const { above, clear_below: clearBelow, errors_above: errorsAbove } = definition;
    if (above !== undefined)
      for (const direction of ["received", "sent"] as const) this.#levels[direction] = level(direction, above, clearBelow);
    if (errorsAbove !== undefined) this.#levels.errors = level("errors", errorsAbove);
  }

  look(now: number, cause: Causes): void {
    if (this.#definition.link) this.#judgeLink(this.#read("operstate") ?? "absent", cause);
    if (Object.keys(this.#levels).length > 0) this.#judgeCounters(now);
    this.#again = false;
  }

  restate(): void {
    for (const level of Object.values(this.#levels)) level.restate();
    this.#again = true;
  }

  /** There is no such interface any more. */
  end(cause: Causes): void {
    if (this.#definition.link) this.#judgeLink("absent", cause);
    for (const level of Object.values(this.#levels)) level.forget();
    this.#context.memory.set(this.#key("link"), undefined);
  }

  #judgeLink(state: string, cause: Causes): void {
    const before = this.#state;
    this.#state = state;
    const lost = !linked.has(state);
    const again = this.#again && lost;
    if (state === before && !again) return;
    // As it was found: how it was before is not known. A change from one state without a link to another is none of its link.
    const changed = before !== undefined && linked.has(before) === lost;
    if (changed || again) {
      const speed = Number(this.#read("speed"));
      this.#context.emit({
        type: lost ? "network.down" : "network.up",
        subject: this.#name,
        ...cause(this.#name),
        data: {
          interface: this.#name,
          state,
          before: before ?? state,
          ...this.#hardware(),
          ...(speed > 0 ? { link_mbit_per_s: speed } : {}),
        },
      });
    }
    this.#context.memory.set(this.#key("link"), state);
  }

  #judgeCounters(now: number): void {
    const counts: Record<string, number> = {};
    for (const counter of ["rx_bytes", "tx_bytes", "rx_packets", "tx_packets", ...troubles])
      counts[counter] = Number(this.#read(`statistics/${counter}`) ?? 0);
    const before = this.#before;
    this.#before = { at: now, counts };
    if (before === undefined || now <= before.at) return;
    // A counter that went back belongs to an interface that was made anew.
    const perSecond = (counter: string) => (Math.max(0, counts[counter]! - before.counts[counter]!) / (now - before.at)) * 1_000;
    for (const [direction, prefix] of Object.entries(directions) as ["received" | "sent", "rx" | "tx"][]) {
      const mbit = (perSecond(`${prefix}_bytes`) * 8) / 1e6;
      const speed = Number(this.#read("speed"));
      this.#judge(direction, { value: mbit, now }, ["network.high", "network.normal"], {
        direction,
        mbit_per_s: rounded(mbit),
        packets_per_s: rounded(perSecond(`${prefix}_packets`)),
        ...(speed > 0 ? { link_mbit_per_s: speed } : {}),
      });
    }
    const failed = troubles.reduce((sum, counter) => sum + perSecond(counter), 0);
    this.#judge("errors", { value: failed, now }, ["network.errors", "network.clean"], {
      errors_per_s: rounded(failed),
      counters: Object.fromEntries(troubles.map((counter) => [counter, counts[counter]])),
    });
  }

  #judge(
    what: Judged,
    { value, now }: { value: number; now: number },
    [high, normal]: [string, string],
    data: Record<string, unknown>,
  ): void {
    const level = this.#levels[what];
    const crossing = level?.step(value, now);
    if (level === undefined || crossing === undefined) return;
    level.tell(crossing.turned === "high" ? high : normal, { subject: this.#name }, { interface: this.#name, ...data, ...crossing.data });
  }

  #hardware(): { hardware_address?: string } {
    const address = this.#read("address");
    return address === undefined || address === "" ? {} : { hardware_address: address };
  }

  /** Undefined: the driver does not say, or the interface is gone. */
  #read(file: string): string | undefined {
    try {
      return readFileSync(`/sys/class/net/${this.#name}/${file}`, "latin1").trim();
    } catch {
      return undefined;
    }
  }

  #key(what: string): string {
    return `${what} ${this.#name}`;
  }
}

function rounded(value: number): number {
  return Math.round(value * 10) / 10;
}
