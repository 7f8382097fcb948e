/**
 * What a beacon knows across restarts: rows of a key and a value. They go to disk with the events of the same turn, in one transaction (P1):
 * a crash never leaves an event told twice, or what it tells of known and not told.
 */
import { pack, unpack } from "@needfire/shared/pack";

/** Rows that one beacon may keep, and the bytes of one: what is more is not kept, and `set` says so (P4). */
const memoryRowsMax = 200_000;
const memoryRowBytesMax = 262_144;

/** Where the rows are kept: the spool. */
export interface MemoryStore {
  /** Rows that were ever set of one beacon and not forgotten since. */
  recall(beacon: string): { key: string; value: Uint8Array }[];
  /** With the next transaction. Undefined: the row goes. */
  remember(beacon: string, key: string, value: Uint8Array | undefined): void;
  /** All rows of all beacons but these go. */
  forgetOthers(beacons: ReadonlySet<string>): void;
}

/** The rows of one beacon. Values are anything that MessagePack carries. */
export class BeaconMemory {
  readonly #store: MemoryStore;
  readonly #beacon: string;
  readonly #keys = new Set<string>();
  readonly #rows: { key: string; value: unknown }[];

  /** `beacon`: its type and name, so that another type of the same name begins with nothing. */
  constructor(store: MemoryStore, beacon: string) {
    this.#store = store;
    this.#beacon = beacon;
    this.#rows = store.recall(beacon).map(({ key, value }) => ({ key, value: unpack(value) as unknown }));
    for (const { key } of this.#rows) this.#keys.add(key);
  }

  /** What was known when the beacon was started, for it to take over and check; given once. Empty: it has never watched, or all is lost. */
  take(): Map<string, unknown> {
    return new Map(this.#rows.splice(0).map(({ key, value }) => [key, value]));
  }

  /** Keeps a row; undefined takes it away. False: there is no room for it, so a restart will not know of it. */
  set(key: string, value: unknown): boolean {
    if (value === undefined) {
      if (this.#keys.delete(key)) this.#store.remember(this.#beacon, key, undefined);
      return true;
    }
    const packed = pack(value);
    const fits = packed.length <= memoryRowBytesMax && (this.#keys.has(key) || this.#keys.size < memoryRowsMax);
    if (!fits) {
      // What is older than what is known now would be told as a change at the next start.
      if (this.#keys.delete(key)) this.#store.remember(this.#beacon, key, undefined);
      return false;
    }
    this.#keys.add(key);
    this.#store.remember(this.#beacon, key, packed);
    return true;
  }
}

/** Keeps nothing beyond the process: for tests and for trying a beacon out. */
export function forgetfulStore(): MemoryStore {
  const rows = new Map<string, Map<string, Uint8Array>>();
  return {
    recall: (beacon) => [...(rows.get(beacon) ?? [])].map(([key, value]) => ({ key, value })),
    remember(beacon, key, value) {
      const own = rows.get(beacon) ?? new Map<string, Uint8Array>();
      rows.set(beacon, own);
      if (value === undefined) own.delete(key);
      else own.set(key, value);
    },
    forgetOthers(beacons) {
      for (const beacon of rows.keys()) if (!beacons.has(beacon)) rows.delete(beacon);
    },
  };
}
