/** Answers of the DNS as texts that can be compared: one form for what came and for what is expected. Pure. */
import type { AnyRecord, CaaRecord, MxRecord, SoaRecord, SrvRecord } from "node:dns";
import type { DnsBeacon } from "@needfire/shared/beacons/dns";

export type RecordType = DnsBeacon["record"];

/** What Node gives for a type of record. */
export type Resolved = string[] | string[][] | MxRecord[] | SrvRecord[] | CaaRecord[] | SoaRecord | AnyRecord[];

type Shape = { [T in RecordType]: (found: never) => string[] };

const host = (name: string) => name.toLowerCase().replace(/\.$/, "");
const hosts = (found: string[]) => found.map(host);

const texts: Shape = {
  A: (found: string[]) => found,
  AAAA: (found: string[]) => found.map(ipv6),
  CAA: (found: CaaRecord[]) => found.map(caaText),
  CNAME: hosts,
  MX: (found: MxRecord[]) => found.map(({ priority, exchange }) => `${priority} ${host(exchange)}`),
  NS: hosts,
  PTR: hosts,
  SOA: (found: SoaRecord) => [
    `${host(found.nsname)} ${host(found.hostmaster)} ${found.serial} ${found.refresh} ${found.retry} ${found.expire} ${found.minttl}`,
  ],
  SRV: (found: SrvRecord[]) => found.map(({ priority, weight, port, name }) => `${priority} ${weight} ${port} ${host(name)}`),
  TXT: (found: string[][]) => found.map((pieces) => pieces.join("")),
};

/** Sorted, each once. */
export function answersOf(record: RecordType, found: Resolved): string[] {
  return sorted((texts[record] as (found: Resolved) => string[])(found));
}

/** What somebody wrote in a definition, in the same form. */
export function expectedOf(record: RecordType, written: readonly string[]): string[] {
  if (record === "TXT" || record === "CAA") return sorted(written);
  return sorted(written.map((text) => (record === "AAAA" ? ipv6(text) : host(text))));
}

export function compare(before: readonly string[], after: readonly string[]): { added: string[]; removed: string[] } {
  const [was, is] = [new Set(before), new Set(after)];
  return { added: after.filter((text) => !was.has(text)), removed: before.filter((text) => !is.has(text)) };
}

function sorted(all: readonly string[]): string[] {
  return [...new Set(all)].toSorted((a, b) => (a < b ? -1 : Number(a > b)));
}

/** 2001:DB8:0::1 and 2001:db8::1 are one address. */
function ipv6(text: string): string {
  return URL.parse(`http://[${text}]/`)?.hostname.slice(1, -1) ?? text.toLowerCase();
}

function caaText({ critical, ...tags }: CaaRecord): string {
  const [tag, value] = Object.entries(tags).find(([key]) => key !== "type") ?? ["", ""];
  return `${critical} ${tag} ${String(value)}`;
}
