/**
 * First in, first out, at a constant cost: an array's own `shift` moves everything that is left.
 */
export class Queue<T> {
  #items: T[] = [];
  #at = 0;

  get length(): number {
    return this.#items.length - this.#at;
  }

  push(item: T): void {
    this.#items.push(item);
  }

  clear(): void {
    this.#items = [];
    this.#at = 0;
  }

  /** The item `index` places behind the first. */
  peek(index = 0): T | undefined {
    return this.#items[this.#at + index];
  }

  shift(): T | undefined {
    const item = this.#items[this.#at];
    if (item === undefined) return undefined;
    this.#at++;
    // Half of it is empty: what is left moves once.
    if (this.#at > 1_024 && this.#at * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#at);
      this.#at = 0;
    }
    return item;
  }
}
