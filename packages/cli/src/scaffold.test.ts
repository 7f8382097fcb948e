import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { scaffold } from "./scaffold.ts";

test("whatever a host put into an event, what is made of it passes its own test", () => {
  const hostile = fc.oneof(
    fc.string({ unit: "binary", maxLength: 30 }),
    fc.constantFrom(
      '"',
      "${{ event.id }}",
      "a\nb: c\n---\n",
      "'; --",
      "\ud800",
      "*x",
      "&x",
      "!!js",
      "- ",
      "#",
      "\\u0000",
      "null",
      "0644",
      "\r\n",
    ),
  );
  const anyEvent = fc.record({
    type: fc.constantFrom("app.ended", "file.changed", "task.escalated"),
    agent: fc.constantFrom("web1", "master"),
    subject: fc.option(hostile, { nil: undefined }),
    severity: fc.constantFrom("high", "low"),
    data: fc.dictionary(
      fc.oneof(hostile, fc.constantFrom("path", "in", "code")),
      fc.oneof(hostile, fc.integer(), fc.double(), fc.boolean(), fc.array(hostile)),
    ),
  });
  fc.assert(
    fc.property(anyEvent, (event) => {
      // It throws when what it made does not compile, or its tests fail.
      const made = scaffold("mine", JSON.parse(JSON.stringify(event)) as typeof event, { recorded: true });
      assert.match(made.reactor, /^name: mine\n/);
    }),
    { numRuns: 300 },
  );
});
