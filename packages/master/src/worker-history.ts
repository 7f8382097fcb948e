/** The thread that answers questions about the past, with read-only connections of its own to journal and store. */
import { SqliteJournalReader } from "./journal/sqlite-reader.ts";
import { SqliteStoreReader } from "./store/sqlite.ts";

export type History = Omit<SqliteJournalReader, "close"> & Omit<SqliteStoreReader, "close">;

export function open({ file }: { file: string }): History & { close(): void } {
  const journal = new SqliteJournalReader({ file });
  const store = new SqliteStoreReader({ file });
  return {
    query: (query) => journal.query(query),
    get: (id) => journal.get(id),
    causedBy: (cause, limit) => journal.causedBy(cause, limit),
    count: () => journal.count(),
    tasks: (query) => store.tasks(query),
    readTask: (id) => store.readTask(id),
    tasksOfEvent: (event) => store.tasksOfEvent(event),
    executions: (task) => store.executions(task),
    countTasks: () => store.countTasks(),
    firings: () => store.firings(),
    close: () => {
      journal.close();
      store.close();
    },
  };
}
