/** The thread that copies SQLite's log into the database: see `store/checkpoints.ts`. */
import { Checkpointer } from "./store/checkpoints.ts";
import { startThread, type Thread } from "./thread.ts";

export function open({ database }: { database: string }): Checkpointer {
  return new Checkpointer(database);
}

export function startCheckpointer(database: string): Promise<Thread<Checkpointer>> {
  // Its death fails the question that it was asked, and is told of there.
  return startThread<Checkpointer>({ module: new URL(import.meta.url), options: { database }, onDeath: () => {} });
}
