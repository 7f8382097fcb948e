/**
 * `firewall.block` and `firewall.unblock`: addresses in sets of a table of our own, `inet needfire`, which drops what comes from them before
 * anybody else's rules are asked. Other tables are never touched. A block with a time ends in the kernel, by itself. Sets are of two kinds:
 * of addresses, in which each stands for itself, and of networks, which must not overlap (the kernel refuses that).
 */
import { lookup } from "node:dns/promises";
import { networkInterfaces } from "node:os";
import type { ActionArgs, ActionResult } from "@needfire/shared/action";
import { durationMs } from "@needfire/shared/duration";
import { errorText } from "@needfire/shared/errors";
import { type Action, type ActionContext, type Ending, failed, refused, would } from "./action.ts";
import { isOne, type Network, networkText, overlaps, parseNetwork } from "./address.ts";
import { changeSet, type Element, readTable, type Table } from "./nftables.ts";
import { type Host, thisHost } from "./on-host.ts";

export const block: Action<"firewall.block"> = { run: (args, context) => blockAddress(args, context), scope };
export const unblock: Action<"firewall.unblock"> = { run: (args, context) => unblockAddress(args, context), scope };

/** A block that has this part of its time left, and less than that, is given its time anew. */
const freshPart = 0.9;

function scope({ address }: { address: string }) {
  return { topic: "firewall", subject: address };
}

/** `host`: another than this one, for tests. */
export async function blockAddress(
  args: ActionArgs<"firewall.block">,
  context: ActionContext,
  host: Host = thisHost,
): Promise<Ending<ActionResult<"firewall.block">>> {
  const network = parseNetwork(args.address);
  if (typeof network === "string") return refused(network);
  const reason = args.force ? undefined : await precious(network, context.self.masterAddress);
  if (reason !== undefined) return refused(`${reason}: give force to block it`);
  const ms = args.for === undefined ? undefined : Math.max(1_000, durationMs(args.for));
  const wanted = elementsOf(network, args).map((element) => ({ ...element, leftMs: ms }));
  const text = `${networkText(network)}${portsText(args.ports)}`;
  const options = { host, signal: context.signal };
  const table = await readTable(options);
  if (typeof table === "string") return failed(table);
  const clash = isOne(network) ? undefined : overlapping(table, wanted);
  if (clash !== undefined) return failed(`${networkText(clash)} is blocked already, and overlaps: unblock it first`);
  const missing = wanted.filter((element) => !isFresh(table, element));
  const result = { address: networkText(network), ...(args.ports === undefined ? {} : { ports: args.ports }) };
  if (missing.length === 0 && table.isWhole) {
    const left = Math.min(...wanted.map((element) => table.left(element) ?? Infinity));
    return { outcome: "succeeded", changed: false, result: { ...result, ...(left === Infinity ? {} : { left_ms: left }) } };
  }
  if (context.dryRun) return would(`block ${text}${args.for === undefined ? "" : ` for ${args.for}`}`);
  const problem = await changeSet({ add: missing, remove: missing.filter((element) => table.left(element) !== null) }, options);
  if (problem !== undefined) return failed(problem);
  return { outcome: "succeeded", changed: true, result: { ...result, ...(ms === undefined ? {} : { left_ms: ms }) } };
}

/** `host`: another than this one, for tests. */
export async function unblockAddress(
  args: ActionArgs<"firewall.unblock">,
  context: ActionContext,
  host: Host = thisHost,
): Promise<Ending<ActionResult<"firewall.unblock">>> {
  const network = parseNetwork(args.address);
  if (typeof network === "string") return refused(network);
  const options = { host, signal: context.signal };
  const table = await readTable(options);
  if (typeof table === "string") return failed(table);
  const there = elementsOf(network, args).filter((element) => table.left(element) !== null);
  const result = { address: networkText(network), ...(args.ports === undefined ? {} : { ports: args.ports }) };
  const others = table.elements.filter((element) => overlaps(element.network, network) && !there.some((each) => each.key === element.key));
  const still = others.map(
    (element) => `${networkText(element.network)}${portsText(element.port === undefined ? undefined : [element.port])}`,
  );
  const note = still.length === 0 ? {} : { message: `still blocked: ${[...new Set(still)].slice(0, 10).join(", ")}` };
  if (there.length === 0) return { outcome: "succeeded", changed: false, ...note, result };
  if (context.dryRun) return would(`unblock ${networkText(network)}${portsText(args.ports)}`);
  const problem = await changeSet({ add: [], remove: there }, options);
  if (problem !== undefined) return failed(problem);
  return { outcome: "succeeded", changed: true, ...note, result };
}

function elementsOf(network: Network, { ports, protocols }: Pick<ActionArgs<"firewall.block">, "ports" | "protocols">): Element[] {
  const address = networkText(network);
  if (ports === undefined) return [{ key: address, network }];
  return [...new Set(protocols)].flatMap((protocol) =>
    [...new Set(ports)].map((port) => ({ key: `${address} . ${protocol} . ${port}`, network, protocol, port })),
  );
}

function portsText(ports: readonly number[] | undefined): string {
  return ports === undefined ? "" : ` to port ${ports.join(", ")}`;
}

function isFresh(table: Table, element: Element): boolean {
  const left = table.left(element);
  if (left === null) return false;
  return left === undefined || (element.leftMs !== undefined && left >= element.leftMs * freshPart);
}

function overlapping(table: Table, wanted: readonly Element[]): Network | undefined {
  return table.elements.find(
    (there) =>
      !isOne(there.network) &&
      wanted.some(
        (each) =>
          each.key !== there.key && each.port === there.port && each.protocol === there.protocol && overlaps(there.network, each.network),
      ),
  )?.network;
}

const loopbacks = ["127.0.0.0/8", "::1"].map((text) => parseNetwork(text) as Network);

/** Why the host would cut itself off. */
async function precious(network: Network, masterAddress: string): Promise<string | undefined> {
  const text = networkText(network);
  if (loopbacks.some((each) => overlaps(each, network))) return `${text} is this host's loopback`;
  const own = Object.values(networkInterfaces()).flatMap((each) => each ?? []);
  if (own.some(({ address }) => isIn(address, network))) return `${text} is this host's own address, or holds it`;
  const name = masterAddress.replace(/:[0-9]+$/, "").replace(/^\[(.*)\]$/, "$1");
  try {
    const addresses = await lookup(name, { all: true });
    return addresses.some(({ address }) => isIn(address, network)) ? `${text} is the master's address, or holds it` : undefined;
  } catch (error) {
    return `whether ${text} is the master's address cannot be told (${errorText(error)})`;
  }
}

function isIn(address: string, network: Network): boolean {
  const parsed = parseNetwork(address.replace(/%.*$/, ""));
  return typeof parsed !== "string" && overlaps(parsed, network);
}
