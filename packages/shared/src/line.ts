/**
 * Those who wait for their turn, by their ranks, of equal ones in the order in which they came. Whoever comes or leaves costs the logarithm of
 * those who are there: a place that was left is passed over when its turn comes, and all such are swept when they are too many.
 */
import TinyQueue from "tinyqueue";

interface Place<T> {
  item: T;
  rank: number;
  /** In which order they came. */
  number: number;
}

/** Places that were left, beyond those that are taken, before the line is made anew. */
const leftMax = 64;

export class Line<T> {
  readonly #places = new Map<T, Place<T>>();
  #order = inOrder<T>([]);
  #came = 0;

  get size(): number {
    return this.#places.size;
  }

  /** Who is there already gets another place, behind those of the same rank. */
  add(item: T, rank: number): void {
    const place = { item, rank, number: this.#came++ };
    this.#places.set(item, place);
    this.#order.push(place);
    if (this.#order.length > 2 * this.#places.size + leftMax) this.#order = inOrder([...this.#places.values()]);
  }

  delete(item: T): boolean {
    return this.#places.delete(item);
  }

  /** Who has the lowest rank. */
  first(): T | undefined {
    for (let place = this.#order.peek(); place !== undefined; place = this.#order.peek()) {
      if (this.#places.get(place.item) === place) return place.item;
      this.#order.pop();
    }
    return undefined;
  }

  shift(): T | undefined {
    const item = this.first();
    if (item !== undefined) this.delete(item);
    return item;
  }

  rankOf(item: T): number | undefined {
    return this.#places.get(item)?.rank;
  }

  /** How many have a lower rank. Looks at all: for people who ask, not for each turn. */
  before(rank: number): number {
    let count = 0;
    for (const place of this.#places.values()) if (place.rank < rank) count++;
    return count;
  }

  /** In no order. */
  values(): MapIterator<T> {
    return this.#places.keys();
  }

  clear(): void {
    this.#places.clear();
    this.#order = inOrder([]);
  }
}

function inOrder<T>(places: Place<T>[]): TinyQueue<Place<T>> {
  return new TinyQueue(places, byRank);
}

/** One for all lines: there are two for each host. */
function byRank(a: Omit<Place<unknown>, "item">, b: Omit<Place<unknown>, "item">): number {
  return a.rank - b.rank || a.number - b.number;
}
