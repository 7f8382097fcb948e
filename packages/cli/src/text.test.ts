import assert from "node:assert/strict";
import { test } from "node:test";
import { displayWidth, fit, jsonText, pad, visible, visibleLine, wrapped } from "./text.ts";

test("nothing that a terminal acts on comes through", () => {
  assert.equal(visible("a\x1b[2Jb"), "a\\x1b[2Jb");
  assert.equal(visible("\u009b31m \x07 \x7f"), "\\x9b31m \\x07 \\x7f");
  assert.equal(visible("one\ntwo\r\tthree"), "one\\ntwo\\r\\tthree");
  assert.equal(visible("\u202e\u2066\u200b\ufeff\u2028\u061c"), "\\u202e\\u2066\\u200b\\ufeff\\u2028\\u061c");
  assert.equal(visible("\ud800 \u{e0041}"), "\\ud800 \\u{e0041}");
  for (let code = 0; code < 0x3000; code++) {
    const shown = visible(String.fromCodePoint(code));
    assert.ok(!/[\p{Cc}\u200b-\u200f\u2028-\u202e\u2060-\u206f]/u.test(shown), code.toString(16));
  }
});

test("ordinary text of any language stays as it is", () => {
  for (const text of ["/etc/nginx/nginx.conf", "Grüße, 世界 🔥 שלום", "a\\b"]) assert.equal(visible(text), text);
});

test("a tab in a file's line stays a tab", () => {
  assert.equal(visibleLine("\tkey:\tvalue\x1b"), "\tkey:\tvalue\\x1b");
});

test("JSON is escaped for a terminal and still the same value", () => {
  const value = { "\u202ename": "\u009b2J \x1b[2J \u{e0041} 🔥 \n" };
  const text = jsonText(value);
  assert.ok(!/[\p{Cc}\u202e]/u.test(text) && !text.includes("\u{e0041}"));
  assert.ok(text.includes("🔥"));
  assert.deepEqual(JSON.parse(text), value);
});

test("width counts what the terminal shows", () => {
  assert.equal(displayWidth("abc"), 3);
  assert.equal(displayWidth("世界"), 4);
  assert.equal(displayWidth("e\u0301"), 1);
  assert.equal(pad("世", 4), "世  ");
  assert.equal(pad("7", 3, "right"), "  7");
});

test("what is too wide loses its end, a path its middle", () => {
  assert.equal(fit("abcdef", 4), "abc…");
  assert.equal(fit("/etc/nginx/sites/nginx.conf", 16), "/etc/…nginx.conf");
  assert.equal(fit("世界世界", 5), "世界…");
  assert.equal(fit("abc", 3), "abc");
});

test("a sentence is broken at its spaces, and an id never is", () => {
  assert.deepEqual(wrapped("throttled until 12:00, task t-0123456789abcdef now", 16), [
    "throttled until",
    "12:00, task",
    "t-0123456789abcdef",
    "now",
  ]);
  assert.deepEqual(wrapped("one line", Number.POSITIVE_INFINITY), ["one line"]);
});
