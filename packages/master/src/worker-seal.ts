/**
 * The thread that seals a partition of the journal: reading a table and writing a file, beside the one that appends. It is started for
 * each, which takes some 50 ms of a second, and takes no memory in between.
 */
import type { Partition } from "./journal/partition.ts";
import { seal, type SealedFile } from "./journal/seal.ts";
import { startThread } from "./thread.ts";

interface Sealer {
  seal(partition: Partition): SealedFile;
}

export function open({ database }: { database: string }): Sealer {
  return { seal: (partition) => seal({ database, partition }) };
}

/** The same in a thread of its own. Throws what sealing throws, and `THREAD_DIED`. */
export async function sealInThread(database: string, partition: Partition): Promise<SealedFile> {
  // Its death fails the question that it was asked, and is told of there.
  const thread = await startThread<Sealer>({ module: new URL(import.meta.url), options: { database }, onDeath: () => {} });
  try {
    return await thread.remote.seal(partition);
  } finally {
    await thread.stop();
  }
}
