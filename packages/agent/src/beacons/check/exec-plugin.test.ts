import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { jsonLines } from "./exec-lines.ts";
import { parsePerformance, parsePlugin, stateOf } from "./exec-plugin.ts";
import { type CheckLevel, stepCheck } from "./exec-state.ts";

test("the guidelines' own example of several lines is read as it is meant", () => {
  const text = `DISK OK - free space: / 3326 MB (56%); | /=2643MB;5948;5958;0;5968
/ 15272 MB (77%);
/boot 68 MB (69%);
/home 69357 MB (27%);
/var/log 819 MB (84%); | /boot=68MB;88;93;0;98
/home=69357MB;253404;253409;0;253414
/var/log=818MB;970;975;0;980
`;
  const { output, long_output, performance } = parsePlugin(text);
  assert.equal(output, "DISK OK - free space: / 3326 MB (56%);");
  assert.equal(long_output, "/ 15272 MB (77%);\n/boot 68 MB (69%);\n/home 69357 MB (27%);\n/var/log 819 MB (84%);");
  assert.deepEqual(Object.keys(performance), ["/", "/boot", "/home", "/var/log"]);
  assert.deepEqual(performance["/home"], { value: 69_357, unit: "MB", warning: "253404", critical: "253409", min: 0, max: 253_414 });
});

test("labels in quotes, units, ranges, missing fields and figures that could not be measured are understood", () => {
  assert.deepEqual(parsePerformance("'free space C:\\'=12.5%;@10:20;~:30 'it''s'=U;; time=-0.05s;;;0 load1=.5 rta=1e-3ms;5;10;0;100;"), {
    "free space C:\\": { value: 12.5, unit: "%", warning: "@10:20", critical: "~:30" },
    "it's": { value: null, unit: "" },
    time: { value: -0.05, unit: "s", min: 0 },
    load1: { value: 0.5, unit: "" },
    rta: { value: 0.001, unit: "ms", warning: "5", critical: "10", min: 0, max: 100 },
  });
});

test("what is no performance data is passed over, and what follows is not", () => {
  assert.deepEqual(Object.keys(parsePerformance("no figures a=x b=1;2 'open=3 c=4")), ["b", "c"]);
  assert.deepEqual(parsePerformance(""), {});
  const own = parsePerformance("__proto__=1 constructor=2");
  assert.deepEqual([Object.hasOwn(own, "__proto__"), Object.getPrototypeOf(own) === Object.prototype], [true, true]);
});

test("any text at all is read, in bounds", () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom("'", "=", ";", "|", " ", "\n", "1", ".", "a", "U", "\t"), maxLength: 400 }), (text) => {
      const { output, performance } = parsePlugin(text);
      assert.ok(output.length <= 1_000);
      for (const { value } of Object.values(performance)) assert.ok(value === null || !Number.isNaN(value));
    }),
  );
  const long = parsePlugin(`${"x".repeat(100_000)}|${"' ".repeat(50_000)} ${"a=1 ".repeat(50_000)}`);
  assert.ok(long.output.length <= 1_000 && Object.keys(long.performance).length <= 200);
});

test("exit codes mean what they mean to monitoring plugins; any other is unknown", () => {
  assert.deepEqual([0, 1, 2, 3, 4, 127, 255, null].map(stateOf), [
    ...["ok", "warning", "critical", "unknown"],
    ...["unknown", "unknown", "unknown", "unknown"],
  ]);
});

test("a problem is told after so many attempts, then every other state at once, and that all is well", () => {
  let level: CheckLevel = { told: undefined, wrong: 0 };
  const told: string[] = [];
  for (const [at, found] of (
    [
      "ok",
      "critical",
      "warning",
      "ok",
      "warning",
      "critical",
      "critical",
      "critical",
      "warning",
      "ok",
      "ok",
      "unknown",
      "unknown",
      "unknown",
    ] as const
  ).entries()) {
    const stepped = stepCheck(level, found, 3);
    level = stepped.level;
    if (stepped.tell) told.push(`${at} ${found}`);
  }
  assert.deepEqual(told, ["6 critical", "8 warning", "9 ok", "13 unknown"]);
});

test("lines that are JSON objects are taken, others named, and a cut one left out", () => {
  const output = (text: string, cut = 0) => ({ text, bytes: Buffer.byteLength(text) + cut, keptBytes: Buffer.byteLength(text) });
  assert.deepEqual(jsonLines(output('{"a":1}\n\n {"b":[2]} \n')), { objects: [{ a: 1 }, { b: [2] }], problem: undefined });
  const mixed = jsonLines(output('{"a":1}\n[1]\nno json\n{"c":3}'));
  assert.deepEqual(mixed, { objects: [{ a: 1 }, { c: 3 }], problem: 'line 2 is no JSON object of at most 131072 bytes: "[1]"' });
  const cut = jsonLines(output('{"a":1}\n{"b":', 100));
  assert.deepEqual(cut.objects, [{ a: 1 }]);
  assert.match(cut.problem ?? "", /printed 113 bytes, of which the first 13 are read/);
});
