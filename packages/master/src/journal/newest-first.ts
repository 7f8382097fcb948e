/**
 * Positions from several indexes side by side.
 */

/** Merges streams that each fall. */
export function* newestFirst(streams: Generator<number, void>[]): Generator<number, void> {
  const heads = streams.map((stream) => ({ stream, next: stream.next() })).filter(({ next }) => next.done !== true);
  try {
    while (heads.length > 0) {
      let newest = 0;
      for (let index = 1; index < heads.length; index++)
        if (Number(heads[index]!.next.value) > Number(heads[newest]!.next.value)) newest = index;
      const head = heads[newest]!;
      yield Number(head.next.value);
      head.next = head.stream.next();
      if (head.next.done === true) heads.splice(newest, 1);
    }
  } finally {
    for (const { stream } of heads) stream.return();
  }
}
