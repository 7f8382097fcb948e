/** What writer and reader of the store know of its rows. */

/** Of a task, by the index of ids: `/` comes after `.`. */
export const executionsOfTask = "id > ?1 || '.' AND id < ?1 || '/'";

/** What the row is of, which its other columns only repeat in part. */
export function bodyOf<T>(row: Record<string, unknown>): T {
  return JSON.parse(String(row["body"])) as T;
}
