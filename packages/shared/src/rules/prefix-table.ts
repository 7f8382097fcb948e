/**
 * Values by the beginning of a text: which of thousands of prefixes a text has is found in the time of a binary search, however long
 * text and prefixes are.
 */
export class PrefixTable<V> {
  /** In order. */
  readonly #prefixes: readonly string[];
  readonly #values: readonly V[];
  /** For each the longest other prefix that it begins with itself; -1 when there is none. */
  readonly #parents: Int32Array;

  constructor(byPrefix: ReadonlyMap<string, V>) {
    // By code units, as `<` compares; not by a language's order.
    const entries = [...byPrefix].toSorted(([a], [b]) => (a < b ? -1 : 1));
    this.#prefixes = entries.map(([prefix]) => prefix);
    this.#values = entries.map(([, value]) => value);
    this.#parents = new Int32Array(entries.length);
    for (const [index, prefix] of this.#prefixes.entries()) this.#parents[index] = this.#upTo(prefix, index - 1);
  }

  /** Calls `visit` with the value of each prefix of `text`, the longest first. */
  each(text: string, visit: (value: V) => void): void {
    let low = 0;
    let high = this.#prefixes.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#prefixes[middle]! <= text) low = middle + 1;
      else high = middle;
    }
    for (let at = this.#upTo(text, low - 1); at >= 0; at = this.#parents[at]!) visit(this.#values[at]!);
  }

  /**
   * What lies in order between a prefix of a text and the text begins with that prefix. So all prefixes of `text` are found from the last
   * one before it (`at`) on, going from parent to parent.
   */
  #upTo(text: string, at: number): number {
    let here = at;
    while (here >= 0 && !text.startsWith(this.#prefixes[here]!)) here = this.#parents[here]!;
    return here;
  }
}
