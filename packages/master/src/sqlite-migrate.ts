/**
 * Numbered migrations, shared by the journal and the store in SQLite: applied once each, in order, never edited.
 */

/** What it needs of a database: `DatabaseSync` of node:sqlite, which only the journal and the store may import. */
interface Migratable {
  exec(sql: string): void;
  prepare(sql: string): { get(): Record<string, unknown> | undefined };
}

export function migrate(database: Migratable, migrations: readonly string[]): void {
  const done = Number(database.prepare("PRAGMA user_version").get()?.["user_version"]);
  for (const [index, sql] of migrations.entries()) {
    if (index >= done) database.exec(`BEGIN; ${sql}; PRAGMA user_version = ${index + 1}; COMMIT`);
  }
}
