/**
 * The `connection` beacon: connections that are new or ended, ports that are newly listened on or no more. Compares the kernel's tables of
 * sockets look by look; a socket is gone when two looks in a row have not seen it, since one may miss it.
 */
import { readFileSync } from "node:fs";
import type { ConnectionEventData, PortEventData } from "@needfire/shared/beacons/connection";
import { formatAddress } from "@needfire/shared/address";
import type { BeaconContext, DefinitionOf, RunningBeacon } from "../beacon.ts";
import { connectionFilter, type ConnectionFilter, type SocketFacts, type SocketKind } from "./connection-filter.ts";
import { type Look, polled } from "../polled.ts";
import { type SocketOwner, SocketOwners } from "./socket-owner.ts";
import { endText, type Protocol, protocolOf, readSockets, socketEnds, type SocketOf, type SocketState, tables } from "./socket-table.ts";

/** Sockets that one beacon knows of, whether it tells of them or not: what is more is not seen, and said (P4). */
const socketsMax = 100_000;
/** The row that says what was looked for before. */
const definitionKey = "definition";

type Definition = DefinitionOf<"connection">;
type Whose = Pick<PortEventData, "user" | "process">;

/** A socket that was seen. There may be very many: what its key says is not kept a second time. */
interface Known {
  /** The look that saw it last. */
  look: number;
  isOver: boolean;
  /** Monotonic; undefined: since before this run of the beacon. */
  since: number | undefined;
  /** Undefined: it is none of ours. */
  kind: SocketKind | undefined;
  whose: Whose | undefined;
  /** Whose doing it is that it was not seen. */
  cause?: { cause?: string };
}

/** A socket that was not known. `key`: the protocol and the kernel's key of it. */
interface Fresh extends SocketOf {
  key: string;
  state: SocketState;
}

export function start(definition: Definition, context: BeaconContext, directory = "/proc/net"): RunningBeacon {
  const watch = new SocketWatch(definition, context, directory);
  return polled(context, { interval: definition.interval, topic: "port" }, (look) => watch.look(look));
}

class SocketWatch {
  readonly #definition: Definition;
  readonly #context: BeaconContext;
  readonly #directory: string;
  readonly #filter: ConnectionFilter;
  readonly #owners = new SocketOwners();
  /** By protocol and the kernel's key. */
  readonly #known = new Map<string, Known>();
  readonly #tellsPortsFirst: boolean;
  #looks = 0;

  constructor(definition: Definition, context: BeaconContext, directory: string) {
    this.#definition = definition;
    this.#context = context;
    this.#directory = directory;
    this.#filter = connectionFilter(definition, temporaryPorts());
    const rows = context.memory.take();
    // Another definition has another idea of what is new: it begins anew.
    this.#tellsPortsFirst = rows.get(definitionKey) === this.#idea();
    rows.delete(definitionKey);
    for (const [key, row] of rows) this.#recall(key, row as PortEventData);
  }

  #idea(): string {
    const { name: _name, description: _description, severity: _severity, rate: _rate, interval: _interval, ...rest } = this.#definition;
    return JSON.stringify(rest);
  }

  #recall(key: string, data: PortEventData): void {
    if (!this.#tellsPortsFirst) return void this.#context.memory.set(key, undefined);
    const { user, process } = data;
    const whose = { ...(user === undefined ? {} : { user }), ...(process === undefined ? {} : { process }) };
    this.#known.set(key, { look: 0, isOver: false, since: undefined, kind: "listening", whose });
  }

  async look(look: Look): Promise<void> {
    this.#looks += 1;
    const { fresh, listening, isCut } = await this.#read(look.signal);
    if (look.signal.aborted) return;
    const mine: Fresh[] = [];
    for (const each of fresh) {
      if (this.#filter.fits(factsOf(each.key, kindOf(each, listening)))) mine.push(each);
      else
        this.#known.set(each.key, {
          look: this.#looks,
          isOver: each.state === "over",
          since: undefined,
          kind: undefined,
          whose: undefined,
        });
    }
    const { owners, isBarred } = this.#definition.owner
      ? await this.#owners.find(new Set(mine.map(({ inode }) => inode)), look.signal)
      : { owners: new Map<number, SocketOwner>(), isBarred: false };
    if (look.signal.aborted) return;
    for (const each of mine) this.#appear(each, { kind: kindOf(each, listening), process: owners.get(each.inode), look });
    this.#vanish(look);
    if (this.#looks === 1) this.#context.memory.set(definitionKey, this.#idea());
    const barred =
      isBarred && owners.size < mine.length ? "cannot see whose sockets these are: the agent may not look at others' processes" : undefined;
    this.#context.degraded(isCut ? `there are more than ${socketsMax} sockets: the others are not seen` : barred);
  }

  /** Notes what is known already, and returns what is not. */
  async #read(signal: AbortSignal) {
    const { watch, protocols } = this.#definition;
    const listeningOnly = watch.every((kind) => kind === "listening");
    const listening: Listening = { tcp: new Set(), udp: new Set() };
    const fresh = new Map<string, Fresh>();
    let isCut = false;
    for (const table of tables) {
      const protocol = protocolOf(table);
      if (!protocols.includes(protocol)) continue;
      await readSockets(this.#directory, { table, listeningOnly, signal }, (line) => {
        if (line.state === "other" || (listeningOnly && line.state !== "listening")) return;
        const key = `${protocol} ${line.key}`;
        if (line.state === "listening") listening[protocol].add(localPort(key));
        const known = this.#known.get(key);
        if (known !== undefined && !(known.isOver && line.state !== "over")) this.#again(key, known, line.state);
        else if (this.#known.size + fresh.size < socketsMax) fresh.set(key, { key, state: line.state, ...line.owner() });
        else isCut = true;
      });
    }
    return { fresh: fresh.values(), listening, isCut };
  }

  #again(key: string, known: Known, state: SocketState): void {
    known.look = this.#looks;
    if (known.isOver || state !== "over") return;
    known.isOver = true;
    this.#close(key, known);
  }

  #appear(fresh: Fresh, { kind, process, look }: { kind: SocketKind; process: SocketOwner | undefined; look: Look }): void {
    const { key, state, user, inode } = fresh;
    const facts = factsOf(key, kind);
    const subject = subjectOf(facts);
    // It is looked at again when the remedy has ended.
    if (kind === "listening" && look.held(subject)) return;
    const fits = this.#filter.fitsProcess(process?.name);
    // Nobody has accepted it yet: whose it is will be seen.
    if (!fits && inode === 0 && state === "open") return;
    const isOver = state === "over";
    const whose = {
      ...(inode === 0 ? {} : { user: this.#context.managed.accounts.users.name(user) }),
      ...(process === undefined ? {} : { process }),
    };
    const known: Known = { look: this.#looks, isOver, since: look.now, kind: fits ? kind : undefined, whose: fits ? whose : undefined };
    this.#known.set(key, known);
    if (!fits) return;
    const data = { ...dataOf(facts), ...whose, ...(isOver ? { is_over: true } : {}) };
    // The first look is the baseline; of ports one that was made before the agent was stopped.
    if (this.#looks > 1 || (kind === "listening" && this.#tellsPortsFirst)) {
      const cause = kind === "listening" ? look.cause(subject) : {};
      this.#context.emit({ type: kind === "listening" ? "port.opened" : "connection.opened", subject, ...cause, data });
      if (isOver) this.#close(key, known);
    }
    if (kind === "listening") this.#context.memory.set(key, data);
  }

  #vanish(look: Look): void {
    for (const [key, known] of this.#known) {
      const missed = this.#looks - known.look;
      if (missed === 0) continue;
      const port = known.kind === "listening" ? subjectOf(factsOf(key, known.kind)) : undefined;
      if (port !== undefined && look.held(port)) continue;
      if (missed === 1) {
        if (port !== undefined) known.cause = look.cause(port);
        continue;
      }
      this.#known.delete(key);
      if (!known.isOver) this.#close(key, known);
      if (port !== undefined) this.#context.memory.set(key, undefined);
    }
  }

  #close(key: string, { kind, whose, since, cause }: Known): void {
    if (kind === undefined) return;
    const facts = factsOf(key, kind);
    const lasted = since === undefined ? {} : { lasted_ms: Math.round(performance.now() - since) };
    const type = kind === "listening" ? "port.closed" : "connection.closed";
    this.#context.emit({ type, subject: subjectOf(facts), ...cause, data: { ...dataOf(facts), ...whose, ...lasted } });
  }
}

function kindOf({ key, state }: Fresh, listening: Listening): SocketKind {
  if (state === "listening") return "listening";
  return listening[protocolIn(key)].has(localPort(key)) ? "inbound" : "outbound";
}

/** Ports that are listened on: a connection to one of them was opened by the other side. */
type Listening = Record<Protocol, Set<number>>;

function factsOf(key: string, kind: SocketKind): SocketFacts {
  return { protocol: protocolIn(key), kind, ...socketEnds(key.slice(key.indexOf(" ") + 1)) };
}

function protocolIn(key: string): Protocol {
  return key.startsWith("tcp") ? "tcp" : "udp";
}

/** The port of the first of both ends. */
function localPort(key: string): number {
  const colon = key.indexOf(":");
  return Number.parseInt(key.slice(colon + 1, colon + 5), 16);
}

function subjectOf({ protocol, kind, local, remote }: SocketFacts): string {
  return kind === "listening" ? `${protocol} ${endText(local)}` : `${protocol} ${endText(local)} ${endText(remote)}`;
}

function dataOf({ protocol, kind, local, remote }: SocketFacts): PortEventData | ConnectionEventData {
  const data = { protocol, local_address: formatAddress(local.address), local_port: local.port };
  if (kind === "listening") return data;
  return { direction: kind, ...data, remote_address: formatAddress(remote.address), remote_port: remote.port };
}

function temporaryPorts(): [number, number] {
  const [from = 32_768, to = 60_999] = readFileSync("/proc/sys/net/ipv4/ip_local_port_range", "latin1").trim().split(/\s+/).map(Number);
  return [from, to];
}
