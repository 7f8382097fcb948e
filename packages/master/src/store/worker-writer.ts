/** The thread that writes the store. */
import { StoreWriter } from "./sqlite.ts";

export function open(options: ConstructorParameters<typeof StoreWriter>[0]): StoreWriter {
  return new StoreWriter(options);
}
