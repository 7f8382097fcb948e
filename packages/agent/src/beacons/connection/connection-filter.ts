/** Which sockets a `connection` beacon is about. Pure. */
import { type AddressRange, parseRange, rangeHolds } from "@needfire/shared/address";
import { type ConnectionBeacon, portRange } from "@needfire/shared/beacons/connection";
import { globMatcher } from "@needfire/shared/glob";
import type { Protocol, SocketEnd } from "./socket-table.ts";

export type SocketKind = "listening" | "inbound" | "outbound";

export interface SocketFacts {
  protocol: Protocol;
  kind: SocketKind;
  local: SocketEnd;
  remote: SocketEnd;
}

export interface ConnectionFilter {
  /** All but whose it is. */
  fits(facts: SocketFacts): boolean;
  /** `name`: of its process; undefined: not known. */
  fitsProcess(name: string | undefined): boolean;
}

const loopback = ["127.0.0.0/8", "::1"].map((text) => parseRange(text)!);

/** `temporaryPorts`: what the kernel gives to sockets that did not ask for a port. */
export function connectionFilter(definition: ConnectionBeacon, temporaryPorts: [number, number]): ConnectionFilter {
  const { watch, protocols, local_ports: localPorts } = definition;
  const tests: ((facts: SocketFacts) => boolean)[] = [
    ({ kind, protocol }) => watch.includes(kind) && protocols.includes(protocol),
    ({ local, remote }) => definition.loopback || !(isIn(loopback, local) || isIn(loopback, remote)),
    // A program that asks something by UDP looks like one that is listening.
    ({ kind, protocol, local }) =>
      kind !== "listening" || protocol !== "udp" || localPorts !== undefined || !within(temporaryPorts, local.port),
    onPort(localPorts, ({ local }) => local.port),
    not(onPort(definition.exclude_local_ports, ({ local }) => local.port, false)),
    inRanges(definition.local_addresses, ({ local }) => local),
    ofConnection(onPort(definition.remote_ports, ({ remote }) => remote.port)),
    ofConnection(not(onPort(definition.exclude_remote_ports, ({ remote }) => remote.port, false))),
    ofConnection(inRanges(definition.remote_addresses, ({ remote }) => remote)),
    ofConnection(not(inRanges(definition.exclude_remote_addresses, ({ remote }) => remote, false))),
  ];
  const wanted = definition.processes === undefined ? undefined : globMatcher(definition.processes);
  const unwanted = definition.exclude_processes === undefined ? undefined : globMatcher(definition.exclude_processes);
  return {
    fits: (facts) => tests.every((test) => test(facts)),
    fitsProcess: (name) =>
      (wanted === undefined || (name !== undefined && wanted(name))) && !(name !== undefined && unwanted?.(name) === true),
  };
}

type Test = (facts: SocketFacts) => boolean;

function ofConnection(test: Test): Test {
  return (facts) => facts.kind === "listening" || test(facts);
}

function not(test: Test): Test {
  return (facts) => !test(facts);
}

function within([from, to]: [number, number], port: number): boolean {
  return port >= from && port <= to;
}

/** `otherwise`: the answer when nothing is asked for. */
function onPort(ports: readonly (number | string)[] | undefined, of: (facts: SocketFacts) => number, otherwise = true): Test {
  if (ports === undefined) return () => otherwise;
  const ranges = ports.flatMap((port) => [portRange(port) ?? []].filter((range): range is [number, number] => range.length === 2));
  return (facts) => ranges.some((range) => within(range, of(facts)));
}

function inRanges(texts: readonly string[] | undefined, of: (facts: SocketFacts) => SocketEnd, otherwise = true): Test {
  if (texts === undefined) return () => otherwise;
  const ranges = texts.flatMap((text) => parseRange(text) ?? []);
  return (facts) => isIn(ranges, of(facts)) || (facts.kind === "listening" && isEverywhere(of(facts)));
}

function isIn(ranges: readonly AddressRange[], { address }: SocketEnd): boolean {
  return ranges.some((range) => rangeHolds(range, address));
}

/** 0.0.0.0 and ::, all addresses of the host. */
function isEverywhere({ address }: SocketEnd): boolean {
  return address.every((byte) => byte === 0);
}
