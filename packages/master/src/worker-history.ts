/** The thread that answers questions about the past, with read-only connections of its own to journal and store. */
import { SqliteJournalReader } from "./journal/sqlite-reader.ts";
import { SqliteStoreReader } from "./store/sqlite.ts";

export type History = Omit<SqliteJournalReader, "close"> & Omit<SqliteStoreReader, "close">;

/** A sealed partition of the journal cannot be read. */
export interface HistoryNotice {
  kind: "damaged";
  partition: number;
  reason: string;
}

export function open({ file }: { file: string }, notify: (notice: HistoryNotice) => void): History & { close(): void } {
  const journal = new SqliteJournalReader({ file, onDamaged: (partition, reason) => notify({ kind: "damaged", partition, reason }) });
  const store = new SqliteStoreReader({ file });
  return {
    query: (query) => journal.query(query),
    get: (id) => journal.get(id),
    causedBy: (cause, limit, since) => journal.causedBy(cause, limit, since),
    count: () => journal.count(),
    tally: (query) => journal.tally(query),
    missing: (period) => journal.missing(period),
    tasks: (query) => store.tasks(query),
    readTask: (id) => store.readTask(id),
    tasksOfEvent: (event) => store.tasksOfEvent(event),
    executions: (task) => store.executions(task),
    countTasks: () => store.countTasks(),
    decisionsOn: (event) => store.decisionsOn(event),
    reactorCounts: () => store.reactorCounts(),
    versionsOf: (reactor) => store.versionsOf(reactor),
    versionsAt: (time) => store.versionsAt(time),
    versionText: (number) => store.versionText(number),
    taskOfKey: (reactor, key, until) => store.taskOfKey(reactor, key, until),
    taskWith: (reactor, event, from) => store.taskWith(reactor, event, from),
    close: () => {
      journal.close();
      store.close();
    },
  };
}
