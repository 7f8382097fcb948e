/**
 * How the main thread makes its state durable: the engine's `commit`, seen from the other side.
 */
import type { Committed, Writes } from "./store/store.ts";

/** Resolves when the writes are durable; their events reach the journal soon after. Throws `DISK_FULL`, ...: then nothing was taken. */
export type Commit = (writes: Pick<Writes, "marks" | "events" | "keys" | "tokens" | "agents" | "versions">) => Promise<Committed>;
