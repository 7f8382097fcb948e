/** The table `inet needfire` of nftables: what is in its sets, and changes to them, each in one transaction. Never another table. */
import { systemCode } from "@needfire/shared/errors";
import { isOne, type Network, networkText, parseNetwork } from "./address.ts";
import { type AskOptions, askProgram } from "./on-host.ts";

const tableName = "inet needfire";
const nftMsMax = 30_000;

/** Something that is blocked, or is to be. `key`: as nft writes it. `leftMs` undefined: for ever. */
export interface Element {
  key: string;
  network: Network;
  protocol?: "tcp" | "udp";
  port?: number;
  leftMs?: number | undefined;
}

export interface Table {
  elements: readonly Element[];
  /** All sets and rules are as `changeSet` makes them. */
  isWhole: boolean;
  /** How long it is blocked; undefined: for ever; null: it is not. */
  left(element: Element): number | undefined | null;
}

type Options = Pick<AskOptions, "host" | "signal">;

const families = [4, 6] as const;
const names = families.flatMap((family) =>
  [false, true].flatMap((isWide) =>
    [false, true].map((hasPort) => ({ family, isWide, hasPort, name: setName({ family, isWide, hasPort }) })),
  ),
);
const chains = ["input", "forward"];

function setName({ family, isWide, hasPort }: { family: 4 | 6; isWide: boolean; hasPort: boolean }): string {
  return `${isWide ? "networks" : "addresses"}${family}${hasPort ? "_ports" : ""}`;
}

function setOf({ network, port }: Element): string {
  return setName({ family: network.family, isWide: !isOne(network), hasPort: port !== undefined });
}

/** Adding what is there already changes nothing; the rules are written anew, so that they are whole whatever became of them. */
const structure = [
  `add table ${tableName}`,
  ...names.map(({ family, isWide, hasPort, name }) => {
    const type = `ipv${family}_addr${hasPort ? " . inet_proto . inet_service" : ""}`;
    return `add set ${tableName} ${name} { type ${type}; flags ${isWide ? "interval, " : ""}timeout; }`;
  }),
  ...chains.flatMap((chain) => [
    // Before the usual place of filters (0), so that nobody's "accept" comes first.
    `add chain ${tableName} ${chain} { type filter hook ${chain} priority -10; policy accept; }`,
    `flush chain ${tableName} ${chain}`,
    ...names.map(({ family, hasPort, name }) => {
      const key = `${family === 4 ? "ip" : "ip6"} saddr${hasPort ? " . meta l4proto . th dport" : ""}`;
      return `add rule ${tableName} ${chain} ${key} @${name} drop`;
    }),
  ]),
].join("\n");

/** One transaction: all of it, or nothing. Resolves with what went wrong. */
export async function changeSet({ add, remove }: { add: readonly Element[]; remove: readonly Element[] }, options: Options) {
  const timeoutOf = ({ leftMs }: Element) => (leftMs === undefined ? "" : ` timeout ${Math.ceil(leftMs / 1_000)}s`);
  const lines = [
    structure,
    // One that is not there (any more) must not spoil the rest.
    ...remove.flatMap((each) => [
      `add element ${tableName} ${setOf(each)} { ${each.key} }`,
      `delete element ${tableName} ${setOf(each)} { ${each.key} }`,
    ]),
    ...add.map((each) => `add element ${tableName} ${setOf(each)} { ${each.key}${timeoutOf(each)} }`),
  ];
  const { problem } = await askProgram(["nft", "-f", "-"], { ...options, timeoutMs: nftMsMax, stdin: `${lines.join("\n")}\n` });
  return problem;
}

/** Or why it cannot be read. */
export async function readTable(options: Options): Promise<Table | string> {
  const { problem, stdout, stderr } = await askProgram(["nft", "-j", "list", "table", "inet", "needfire"], {
    ...options,
    timeoutMs: nftMsMax,
  });
  if (problem !== undefined) return /No such file or directory/.test(stderr) ? tableOf([]) : problem;
  try {
    return tableOf((JSON.parse(stdout) as { nftables: Listed[] }).nftables);
  } catch (error) {
    return `what nft says of its table cannot be read (${systemCode(error) ?? "no JSON"})`;
  }
}

/** What `nft -j list table` gives: sets with elements, rules. */
interface Listed {
  set?: { name: string; elem?: unknown[] };
  rule?: { chain: string };
}

function tableOf(listed: readonly Listed[]): Table {
  const elements = listed.flatMap(({ set }) => (set?.elem ?? []).flatMap((each) => elementOf(each) ?? []));
  const rules = listed.filter(({ rule }) => rule !== undefined).length;
  const sets = listed.filter(({ set }) => set !== undefined).length;
  const byKey = new Map(elements.map((each) => [each.key, each]));
  return {
    elements,
    isWhole: rules === chains.length * names.length && sets === names.length,
    left: ({ key }) => {
      const found = byKey.get(key);
      return found === undefined ? null : found.leftMs;
    },
  };
}

/** A value, or one with its time: the whole time and what is left of it, in seconds. */
function elementOf(listed: unknown): Element | undefined {
  const { elem: timed } = Object(listed) as { elem?: { val: unknown; expires?: number; timeout?: number } };
  const value = timed?.val ?? listed;
  const seconds = timed?.expires ?? timed?.timeout;
  const parts = typeof value === "string" ? [value] : ((value as { concat?: unknown[] }).concat ?? [value]);
  const [address, protocol, port] = parts as [unknown, "tcp" | "udp" | undefined, number | undefined];
  const network = parseNetwork(addressText(address));
  if (typeof network === "string") return undefined; // not of our making
  const leftMs = seconds === undefined ? undefined : seconds * 1_000;
  const key = networkText(network);
  if (protocol === undefined || port === undefined) return { key, network, leftMs };
  return { key: `${key} . ${protocol} . ${port}`, network, protocol, port, leftMs };
}

function addressText(value: unknown): string {
  if (typeof value === "string") return value;
  const { prefix } = value as { prefix?: { addr: string; len: number } };
  return prefix === undefined ? "" : `${prefix.addr}/${prefix.len}`;
}
