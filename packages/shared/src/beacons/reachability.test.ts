import assert from "node:assert/strict";
import { test } from "node:test";
import { checkBeacon } from "../beacon.ts";

const http = { type: "http", urls: ["https://a.example/"] };
const tcp = { type: "tcp", addresses: ["a.example:1"] };
const dns = { type: "dns", names: ["a.example"] };

function refusal(definition: Record<string, unknown>): string {
  const checked = checkBeacon(structuredClone({ name: "a", ...definition }));
  return checked.ok ? "" : checked.message;
}

for (const [what, definition, expected] of [
  ["a URL of another protocol", { ...http, urls: ["ftp://a.example/"] }, /got "ftp:/],
  ["what is no URL", { ...http, urls: ["http://a.example:99999/"] }, /is no URL/],
  ["a password in a URL", { ...http, urls: ["https://a:b@a.example/"] }, /into a header from a file/],
  ["a URL twice", { ...http, urls: ["https://a.example/", "https://a.example/"] }, /stands here twice/],
  ["a line break in a header", { ...http, headers: { a: "b\r\nc: d" } }, /headers/],
  ["a header of a strange name", { ...http, headers: { "a b": "c" } }, /headers/],
  ["an empty range", { ...http, status: ["299-200"] }, /empty range/],
  ["an expression that is none", { ...http, match: "(" }, /expected a regular expression of RE2/],
  ["an expression that could run away", { ...http, exclude: "(a)\\1" }, /expected a regular expression of RE2/],
  ["a look at a body that never comes", { ...http, method: "HEAD", contains: "ok" }, /has no body/],
  ["a body that is not sent", { ...http, body: "x" }, /GET sends no body/],
  ["slow that comes after the timeout", { ...http, slow_above: "10s" }, /nothing would ever be slow/],
  ["slow that never ends", { ...http, slow_above: "1s", clear_below: "2s" }, /it would never stay slow/],
  ["an end of slow without slow", { ...tcp, clear_below: "2s" }, /needs slow_above/],
  ["a timeout without end", { ...tcp, timeout: "1h" }, /a timeout is 1ms to 5m/],
  ["a port that is none", { ...tcp, addresses: ["a.example:70000"] }, /a port is 1 to 65535/],
  ["an address without a port", { ...tcp, addresses: ["a.example"] }, /host:port/],
  ["IPv6 without brackets", { ...tcp, addresses: ["2001:db8::1:25"] }, /brackets/],
  ["a name server by name", { ...dns, servers: ["ns.example"] }, /IP address/],
  ["an IPv4 address that is none", { ...dns, servers: ["192.0.2.256"] }, /is no IP address/],
  ["an IPv6 address that is none", { ...dns, servers: ["1::2::3"] }, /is no IP address/],
  ["a name server's port that is none", { ...dns, servers: ["[2001:db8::1]:0"] }, /a port is 1 to 65535/],
  ["more questions than one beacon may ask", { ...dns, names: names(600), servers: ["192.0.2.1", "192.0.2.2"] }, /more than 1000/],
] as const) {
  test(`${what} is refused`, () => assert.match(refusal(definition), expected));
}

test("what is in order is taken", () => {
  for (const definition of [
    { ...http, status: [200, "300-399"], headers: { authorization: { file: "/run/token" }, a: "b" } },
    { ...tcp, addresses: ["[2001:db8::1]:25", "192.0.2.1:25", "mail:587"], tls: {} },
    {
      ...dns,
      names: ["a.example.", "_imap._tcp.a.example", "localhost"],
      servers: ["192.0.2.1:53", "2001:db8::1", "[2001:db8::1]:53", "::1"],
    },
  ])
    assert.equal(refusal(definition), "");
});

function names(count: number): string[] {
  return Array.from({ length: count }, (_, at) => `a${at}.example`);
}
