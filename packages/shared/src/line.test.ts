import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Line } from "./line.ts";

test("whoever comes, leaves or changes places: the first is the one with the lowest rank, of equal ones the one that came first", () => {
  const move = fc.record({ item: fc.nat({ max: 12 }), rank: fc.option(fc.nat({ max: 5 }), { nil: undefined }) });
  fc.assert(
    fc.property(fc.array(move, { maxLength: 400 }), (moves) => {
      const line = new Line<number>();
      let model: { item: number; rank: number }[] = [];
      for (const { item, rank } of moves) {
        assert.equal(rank === undefined && line.delete(item), rank === undefined && model.some((each) => each.item === item));
        model = model.filter((each) => each.item !== item);
        if (rank !== undefined) {
          line.add(item, rank);
          model.push({ item, rank });
        }
        // A sort that is stable: in the order in which they came.
        const order = model.toSorted((a, b) => a.rank - b.rank);
        assert.deepEqual([line.first(), line.size], [order[0]?.item, order.length]);
        for (const each of model) assert.equal(line.before(each.rank), order.filter((other) => other.rank < each.rank).length);
      }
      const rest = Array.from({ length: line.size }, () => line.shift());
      assert.deepEqual(
        rest,
        model.toSorted((a, b) => a.rank - b.rank).map(({ item }) => item),
      );
      assert.equal(line.shift(), undefined);
    }),
  );
});
