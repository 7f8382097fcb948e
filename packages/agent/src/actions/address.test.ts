import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type Network, networkText, overlaps, parseNetwork } from "./address.ts";

function network(text: string): Network {
  const parsed = parseNetwork(text);
  if (typeof parsed === "string") throw new Error(parsed);
  return parsed;
}

test("one address is written in one way, whatever way it came", () => {
  for (const [text, is] of [
    ["192.0.2.7", "192.0.2.7"],
    ["192.0.2.7/32", "192.0.2.7"],
    ["10.0.0.0/8", "10.0.0.0/8"],
    ["0.0.0.0/0", "0.0.0.0/0"],
    ["2001:DB8:0:0::1", "2001:db8::1"],
    ["2001:db8::/48", "2001:db8::/48"],
    ["::", "::"],
    ["::1/128", "::1"],
    ["::ffff:192.0.2.7", "192.0.2.7"],
    ["::ffff:c000:207", "192.0.2.7"],
    ["::ffff:10.0.0.0/104", "10.0.0.0/8"],
  ] as const)
    assert.equal(networkText(network(text)), is);
});

test("what is no address or no beginning of a network is told", () => {
  for (const text of ["", "1.2.3", "1.2.3.4.5", "1.2.3.4/33", "1.2.3.4/-1", "1.2.3.4/08", "1.2.3.4/8/8", "::1::", "2001:db8::/129", "a"])
    assert.equal(typeof parseNetwork(text), "string", text);
  assert.equal(parseNetwork("10.1.2.3/8"), "10.1.2.3/8 is not the beginning of a network: 10.0.0.0/8 is");
});

test("networks overlap when one holds the other", () => {
  assert.ok(overlaps(network("10.0.0.0/8"), network("10.1.2.3")));
  assert.ok(overlaps(network("10.1.2.3"), network("10.0.0.0/8")));
  assert.ok(overlaps(network("::/0"), network("2001:db8::1")));
  assert.ok(!overlaps(network("10.0.0.0/8"), network("11.0.0.0/8")));
  assert.ok(!overlaps(network("0.0.0.0/0"), network("::1")));
});

test("any address reads as it is written", () => {
  const address = fc.oneof(fc.ipV4(), fc.ipV6());
  fc.assert(fc.property(address, (text) => networkText(network(networkText(network(text)))) === networkText(network(text))));
});
