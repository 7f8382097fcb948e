/**
 * The thread that seals partitions of the journal: reading a table and writing a file, beside the one that appends. One partition follows the other as
 * a rule, so it is kept for a while. It can wait, and gives way to the threads that take events.
 */
import { giveWay } from "./give-way.ts";
import type { Partition } from "./journal/partition.ts";
import { seal, type SealedFile } from "./journal/seal.ts";
import { startThread } from "./thread.ts";
import { ThreadOnDemand } from "./thread-on-demand.ts";

interface Served {
  seal(partition: Partition): SealedFile;
}

export function open({ database }: { database: string }): Served {
  giveWay();
  return { seal: (partition) => seal({ database, partition }) };
}

export class Sealer {
  readonly #thread: ThreadOnDemand<Served>;

  constructor(database: string) {
    // Its death fails the question that it was asked, and is told of there.
    const start = () => startThread<Served>({ module: new URL(import.meta.url), options: { database }, onDeath: () => {} });
    this.#thread = new ThreadOnDemand({ start });
  }

  /** Throws what sealing throws, and `THREAD_DIED`. */
  seal(partition: Partition): Promise<SealedFile> {
    return this.#thread.use((remote) => remote.seal(partition));
  }

  stop(): Promise<void> {
    return this.#thread.stop();
  }
}
