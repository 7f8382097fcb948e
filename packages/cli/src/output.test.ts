import assert from "node:assert/strict";
import { test } from "node:test";
import { msBetween, Output, Table } from "./output.ts";
import { codeFrame } from "./problems.ts";

const now = Date.parse("2026-01-02T12:00:00Z");
const plain = new Output({ json: false, colour: false, width: 30, now: () => now });

test("a table fits the terminal: the widest column that may shrink gives way, an id never does", () => {
  const columns = [{ title: "TYPE" }, { title: "SUBJECT", shrinkTo: 5 }, { title: "ID" }];
  const rows = [["file.changed", "/etc/nginx/nginx.conf", "web1:1:42"]];
  const table = new Table(plain, columns, { rows });
  assert.equal(table.header(), "TYPE          SUBJ…  ID");
  assert.equal(table.row(rows[0]!), "file.changed  /e…nf  web1:1:42");
});

test("without a terminal nothing is cut", () => {
  const out = new Output({ json: false, colour: false, width: undefined, now: () => now });
  const rows = [["x".repeat(300), "end"]];
  const table = new Table(out, [{ title: "A", shrinkTo: 3 }, { title: "B" }], { rows });
  assert.equal(table.row(rows[0]!), `${"x".repeat(300)}  end`);
});

test("a cell cannot break out of its line or its colour", () => {
  const out = new Output({ json: false, colour: true, width: undefined, now: () => now });
  const table = new Table(out, [{ title: "A" }, { title: "B" }]);
  assert.equal(table.row([{ text: "a\x1b[0m\nb", style: "red" }, "c"]), "\x1b[31ma\\x1b[0m\\nb\x1b[0m  c");
});

test("a time of today is shown without its date, an older one with it", () => {
  const time = (iso: string) => plain.time(iso).replace(/\d\d:\d\d/, "hh:mm");
  assert.equal(time("2026-01-02T12:00:01.234567Z"), "hh:mm:01.234");
  assert.match(time("2025-12-24T12:00:01.234567Z"), /^2025-12-2\d hh:mm$/);
  assert.equal(plain.time(undefined), "-");
});

test("hops of under a millisecond can be told apart", () => {
  assert.ok(Math.abs(msBetween("2026-01-02T03:04:05.678901Z", "2026-01-02T03:04:05.679151Z") - 0.25) < 1e-9);
});

test("the frame around a mistake fits the terminal, and its caret stands under it", () => {
  const out = new Output({ json: false, colour: false, width: 60, now: () => now });
  const text = `when: ${"event.data.n > 1 && ".repeat(6)}event.data.m > 1`;
  const column = text.indexOf(".m") + 2;
  const [line, caret] = codeFrame(out, { file: "r.yaml", line: 1, column, message: "" }, text);
  assert.ok(line!.length <= 60, line);
  assert.equal(line![caret!.indexOf("^")], "m");
});
