/** What the store's tables look like, step by step: each is numbered by its place and never edited once it has been out. */
import { recordMigration } from "./record.ts";
import { combinedMigration, rolloutMigration } from "./rollouts.ts";

export const migrations = [
  `CREATE TABLE setting (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
   CREATE TABLE task (
     id TEXT PRIMARY KEY, reactor TEXT NOT NULL, event TEXT NOT NULL, agent TEXT NOT NULL, state TEXT NOT NULL,
     created REAL NOT NULL, updated REAL NOT NULL, body TEXT NOT NULL
   ) STRICT;
   CREATE UNIQUE INDEX task_firing ON task (reactor, event);
   CREATE INDEX task_event ON task (event);
   CREATE INDEX task_created ON task (created);
   CREATE INDEX task_open ON task (state) WHERE state IN ('running', 'verifying');
   CREATE TABLE execution (
     id TEXT PRIMARY KEY, task TEXT NOT NULL, agent TEXT NOT NULL, state TEXT NOT NULL,
     sent REAL, body TEXT NOT NULL, report TEXT
   ) STRICT;
   CREATE INDEX execution_task ON execution (task);
   CREATE INDEX execution_open ON execution (state) WHERE report IS NULL;
   CREATE TABLE outbox (sequence INTEGER PRIMARY KEY AUTOINCREMENT, body TEXT NOT NULL) STRICT;
   CREATE TABLE key (public_key TEXT PRIMARY KEY, body TEXT NOT NULL) STRICT;
   CREATE TABLE token (hash TEXT PRIMARY KEY, body TEXT NOT NULL) STRICT;
   CREATE TABLE agent (id TEXT PRIMARY KEY, body TEXT NOT NULL) STRICT;`,
  `UPDATE agent SET body = json_set(body, '$.presence', json_object('state', 'present', 'since', json_extract(body, '$.lastSeen')));
   UPDATE execution SET body = json_set(body, '$.priority',
     (SELECT json_extract(task.body, '$.priority') FROM task WHERE task.id = execution.task));`,
  `CREATE TABLE rule_state (
     reactor TEXT NOT NULL, key TEXT NOT NULL, shape TEXT NOT NULL, due REAL, body BLOB NOT NULL, PRIMARY KEY (reactor, key)
   ) STRICT;
   UPDATE task SET body = json_patch(
     json_object('branch', 'do', 'labels', json('{}'), 'key', json('[]'), 'events', json_array(event), 'count', 1, 'root', event), body);`,
  recordMigration,
  "ALTER TABLE execution ADD COLUMN epoch TEXT",
  // Tasks with rungs: what there was becomes a ladder of one.
  `ALTER TABLE task ADD COLUMN due REAL;
   ALTER TABLE task ADD COLUMN join_key TEXT;
   ALTER TABLE execution ADD COLUMN stopped INTEGER NOT NULL DEFAULT 0;
   CREATE INDEX task_due ON task (due) WHERE due IS NOT NULL;
   CREATE INDEX task_join ON task (reactor, join_key) WHERE join_key IS NOT NULL;
   DROP INDEX task_open;
   CREATE INDEX task_open ON task (state) WHERE state IN ('running', 'verifying', 'retrying', 'undoing');
   UPDATE execution SET body = json_set(body, '$.rung', 0, '$.attempt', 1),
     stopped = report IS NULL AND task IN (SELECT id FROM task WHERE state = 'cancelled');
   UPDATE task SET body = json_remove(json_set(body,
     '$.rungs', json_array(json_object('steps', json_extract(body, '$.steps'), 'attempts', 1)),
     '$.otherwise', json('[]'), '$.joined', 0, '$.rung', 0, '$.attempt', 1, '$.begun', json_extract(body, '$.started'),
     '$.heard', json('false'), '$.called', 0, '$.attempts', 1, '$.history', json('[]'), '$.leases', json('[]'),
     '$.open', json((SELECT json_group_array(json_object('id', id, 'action', json_extract(execution.body, '$.action')))
       FROM execution WHERE execution.task = task.id AND report IS NULL))), '$.steps');
   UPDATE task SET body = json_set(body, '$.status', json_object('state', 'verifying',
     'verifying', json_object('by', 'action', 'execution', json_extract(body, '$.status.execution')))) WHERE state = 'verifying';
   UPDATE task SET body = json_remove(body, '$.status.execution') WHERE state = 'cancelled';`,
  // Tasks that wait for somebody's word are open.
  `DROP INDEX IF EXISTS task_open;
   CREATE INDEX task_open ON task (state) WHERE state IN ('waiting', 'running', 'verifying', 'retrying', 'undoing');`,
  rolloutMigration,
  "CREATE TABLE breaker (reactor TEXT NOT NULL, key TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (reactor, key)) STRICT",
  // An execution's id begins with its task's; and what is open stays in the index as it is while it goes on.
  `DROP INDEX IF EXISTS execution_task;
   DROP INDEX IF EXISTS execution_open;
   CREATE INDEX execution_open ON execution (task) WHERE report IS NULL;`,
  // Hosts on which a rollout never began were counted as failed.
  "UPDATE rollout SET body = json_set(body, '$.expired', 0, '$.verified', 0)",
  combinedMigration,
] as const;
