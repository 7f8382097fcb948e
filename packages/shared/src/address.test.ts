import assert from "node:assert/strict";
import { BlockList, isIP, SocketAddress } from "node:net";
import { test } from "node:test";
import fc from "fast-check";

import { formatAddress, parseAddress, parseRange, rangeHolds } from "./address.ts";

const v6 = fc.oneof(fc.ipV6(), fc.constantFrom("::", "::1", "1::", "fe80::1:0:0:2", "::ffff:192.0.2.1", "2001:db8::192.0.2.33"));

test("addresses come out as the system writes them", () => {
  fc.assert(
    fc.property(fc.ipV4(), (text) => {
      assert.equal(formatAddress(parseAddress(text)!), text);
    }),
  );
  fc.assert(
    fc.property(v6, (text) => {
      const bytes = parseAddress(text)!;
      const address = formatAddress(bytes);
      if (bytes.length === 4) return assert.match(text.toLowerCase(), /ffff/);
      const own = parseAddress(new SocketAddress({ address: text, family: "ipv6" }).address);
      assert.deepEqual(own, bytes);
      assert.equal(isIP(address), 6);
      assert.deepEqual(parseAddress(address), bytes);
      return undefined;
    }),
  );
  assert.equal(formatAddress(parseAddress("2001:0DB8:0:0:1:0:0:1")!), "2001:db8::1:0:0:1");
});

test("what is no address or range is none", () => {
  for (const text of [
    "",
    "1.2.3",
    "1.2.3.256",
    "01.2.3.4",
    "1.2.3.4.5",
    ":",
    ":::",
    "1::2::3",
    "1:2:3:4:5:6:7",
    "1:2:3:4:5:6:7:8:9",
    "g::",
    "::1.2.3.4:5",
  ])
    assert.equal(parseAddress(text), undefined, text);
  for (const text of ["10.0.0.0/33", "10.0.0.0/", "10.0.0.0/8/8", "::/129", "10.0.0.0/-1", "ten/8"])
    assert.equal(parseRange(text), undefined, text);
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom(..."0123456789abcdef:./".split("")) }), (text) => {
      assert.equal(parseAddress(text) !== undefined, isIP(text) !== 0, text);
    }),
    { numRuns: 3_000 },
  );
});

test("a range holds what Node says that it holds", () => {
  const each = (address: fc.Arbitrary<string>, family: "ipv4" | "ipv6", bitsMax: number) =>
    fc.assert(
      fc.property(address, fc.nat(bitsMax), address, fc.nat(bitsMax), (base, bits, other, same) => {
        const list = new BlockList();
        list.addSubnet(base, bits, family);
        const range = parseRange(`${base}/${bits}`)!;
        // Most random addresses differ in their first bits: one that has some in common says more.
        const near = parseAddress(base)!.map((byte, i) => (i * 8 >= same ? byte ^ 1 : byte));
        for (const bytes of [parseAddress(other)!, near])
          assert.equal(rangeHolds(range, bytes), list.check(formatAddress(bytes), bytes.length === 4 ? "ipv4" : "ipv6"));
      }),
    );
  each(fc.ipV4(), "ipv4", 32);
  each(fc.ipV6().filter((text) => parseAddress(text)!.length === 16), "ipv6", 128); // prettier-ignore
});

test("a mapped range is the IPv4 range", () => {
  assert.ok(rangeHolds(parseRange("::ffff:10.0.0.0/104")!, parseAddress("10.200.1.1")!));
  assert.ok(!rangeHolds(parseRange("::/0")!, parseAddress("10.200.1.1")!));
});
