/**
 * The statements of a connection that only reads, each prepared once. Rows are arrays, in the order of the columns.
 */
import type { DatabaseSync, SQLInputValue, StatementSync } from "node:sqlite";

export class Statements {
  readonly #connection: DatabaseSync;
  readonly #prepared = new Map<string, StatementSync>();

  constructor(connection: DatabaseSync) {
    this.#connection = connection;
  }

  /** The first row; there must be one. */
  get(sql: string, ...values: SQLInputValue[]): unknown[] {
    return this.#statement(sql).get(...values) as unknown as unknown[];
  }

  all(sql: string, ...values: SQLInputValue[]): unknown[][] {
    return this.#statement(sql).all(...values) as unknown as unknown[][];
  }

  /** A statement of its own: several are read side by side. */
  *iterate(sql: string, values: SQLInputValue[]): Generator<unknown[], void> {
    yield* this.#prepare(sql).iterate(...values) as unknown as Iterable<unknown[]>;
  }

  #statement(sql: string): StatementSync {
    let statement = this.#prepared.get(sql);
    if (statement === undefined) this.#prepared.set(sql, (statement = this.#prepare(sql)));
    return statement;
  }

  #prepare(sql: string): StatementSync {
    const statement = this.#connection.prepare(sql);
    statement.setReturnArrays(true);
    return statement;
  }
}
