/**
 * Addresses of names, asked of the system for every check (nothing is kept here). While one name is asked for, others who want it wait for that: with a
 * name server that does not answer the questions of every check would pile up in the system's few threads for it.
 */
import { type LookupAddress, lookup } from "node:dns";
import { isIP, type LookupFunction } from "node:net";

export type Family = "any" | "4" | "6";

export const familyNumber = { any: 0, "4": 4, "6": 6 } as const satisfies Record<Family, number>;

type Callback = Parameters<LookupFunction>[2];

export function sharedLookup(family: Family): LookupFunction {
  const waiting = new Map<string, { all: boolean; callback: Callback }[]>();
  return (name, { all = false }, callback) => {
    const others = waiting.get(name);
    if (others !== undefined) return void others.push({ all, callback });
    const mine = [{ all, callback }];
    waiting.set(name, mine);
    lookup(name, { all: true, family: familyNumber[family] }, (error, addresses) => {
      waiting.delete(name);
      for (const each of mine) answer(each, error, addresses);
    });
  };
}

function answer({ all, callback }: { all: boolean; callback: Callback }, error: NodeJS.ErrnoException | null, addresses: LookupAddress[]) {
  if (error !== null) callback(error, "");
  else if (all) callback(null, addresses);
  else callback(null, addresses[0]!.address, addresses[0]!.family);
}

/** `host:port` in parts. An IPv6 address stands in brackets. */
export function hostAndPort(address: string): { host: string; port: number } {
  const at = address.lastIndexOf(":");
  return { host: address.slice(0, at).replace(/^\[|\]$/g, ""), port: Number(address.slice(at + 1)) };
}

/** The name to ask for in TLS: none for a bare address. */
export function serverName(host: string): string | undefined {
  return isIP(host) === 0 ? host : undefined;
}
