/** The thread that appends to the journal. */
import { JournalWriter } from "./sqlite.ts";

export function open(options: ConstructorParameters<typeof JournalWriter>[0]): JournalWriter {
  return new JournalWriter(options);
}
