/** The thread that answers questions about the past, with read-only connections of its own to journal and store. */
import type { DecisionView } from "@needfire/shared/api";
import { Compiled, type RuleFiles } from "./compiled.ts";
import { decisionsOn, type Question } from "./explain.ts";
import { SqliteJournalReader } from "./journal/sqlite-reader.ts";
import { SqliteStoreReader } from "./store/sqlite-reader.ts";
import type { CheckedText } from "./versions.ts";

/** What explaining asks of the store is asked in here. */
type Asked = "decisionsOn" | "versionsAt" | "versionText" | "taskOfKey" | "taskWith";

/** A sealed partition of the journal cannot be read. */
export interface HistoryNotice {
  kind: "damaged";
  partition: number;
  reason: string;
}

export interface History extends Omit<SqliteJournalReader, "close">, Omit<SqliteStoreReader, "close" | Asked> {
  /** What is in force now, and is compiled when somebody asks why. */
  setRules(files: RuleFiles): void;
  /** Whether a text would do, of a file of reactors. */
  check(file: string, text: string): CheckedText;
  /** Throws `NOT_FOUND`. */
  explain(question: Question): DecisionView[];
}

/** `nonce`: what makes the marks of secrets this master's own. */
export interface HistoryOptions {
  file: string;
  nonce: string;
}

export function open({ file, nonce }: HistoryOptions, notify: (notice: HistoryNotice) => void): History & { close(): void } {
  const journal = new SqliteJournalReader({ file, onDamaged: (partition, reason) => notify({ kind: "damaged", partition, reason }) });
  const store = new SqliteStoreReader({ file });
  const compiled = new Compiled(nonce);
  return {
    query: (query) => journal.query(query),
    get: (id) => journal.get(id),
    causedBy: (cause, limit, since) => journal.causedBy(cause, limit, since),
    count: () => journal.count(),
    tally: (query) => journal.tally(query),
    missing: (period) => journal.missing(period),
    tasks: (query) => store.tasks(query),
    readTask: (id) => store.readTask(id),
    readCause: (id) => store.readCause(id),
    rollouts: (query) => store.rollouts(query),
    readRollout: (id) => store.readRollout(id),
    rolloutsOfEvent: (event) => store.rolloutsOfEvent(event),
    rolloutHosts: (rollout) => store.rolloutHosts(rollout),
    rolloutHostsToRetry: (rollout, scope) => store.rolloutHostsToRetry(rollout, scope),
    tasksOfEvent: (event) => store.tasksOfEvent(event),
    executions: (task) => store.executions(task),
    countTasks: () => store.countTasks(),
    reactorCounts: () => store.reactorCounts(),
    versionsOf: (reactor) => store.versionsOf(reactor),
    setRules: (files) => compiled.setFiles(files),
    check: (path, text) => compiled.check(path, text),
    explain: (question) => decisionsOn(question, { journal, store, compiled }),
    close: () => {
      journal.close();
      store.close();
    },
  };
}
