/** The thread that answers questions about the past, with read-only connections of its own to journal and store. */
import { logTo, type LogNotice } from "./engine-log.ts";
import { SqliteJournalReader } from "./journal/sqlite-reader.ts";
import { SqliteStoreReader } from "./store/sqlite.ts";

export type History = Omit<SqliteJournalReader, "close"> & Omit<SqliteStoreReader, "close">;

export function open({ file }: { file: string }, notify: (notice: LogNotice) => void): History & { close(): void } {
  const log = logTo(notify);
  const onDamaged = (partition: number, reason: string) =>
    log.error({ partition, reason }, "a sealed partition of the journal cannot be read: answers are without its events");
  const journal = new SqliteJournalReader({ file, onDamaged });
  const store = new SqliteStoreReader({ file });
  return {
    query: (query) => journal.query(query),
    get: (id) => journal.get(id),
    causedBy: (cause, limit, since) => journal.causedBy(cause, limit, since),
    count: () => journal.count(),
    tally: (query) => journal.tally(query),
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
