import assert from "node:assert/strict";
import { test } from "node:test";
import { loadFileMap } from "./managed-file.ts";
import { problemText } from "./yaml-file.ts";

function problems(entry: string): string[] {
  const loaded = loadFileMap("files.yaml", `files:\n  - { path: /etc/a, source: a }\n  - ${entry}\n`);
  assert.ok(!loaded.ok, entry);
  return loaded.problems.map(problemText);
}

test("an entry comes with its defaults", () => {
  const loaded = loadFileMap("files.yaml", 'files:\n  - path: /etc/motd\n    source: motd\n    targets: [web1, db*]\n    mode: "4755"\n');
  assert.ok(loaded.ok, JSON.stringify(loaded));
  const [file] = loaded.files;
  assert.deepEqual(file!.entry, {
    path: "/etc/motd",
    source: "motd",
    targets: ["web1", "db*"],
    mode: "4755",
    owner: "root",
    group: "root",
    secret: false,
  });
  assert.ok(file!.test({ id: "db7", labels: {}, facts: {} }));
  assert.equal(problemText(file!.problem("cannot be read")), "files.yaml:3:13: cannot be read");
});

test("a mode that YAML took for a number is refused, and says what to write", () => {
  for (const mode of ["0644", "644", "0o644"]) {
    const [problem] = problems(`{ path: /b, source: b, mode: ${mode} }`);
    assert.match(problem!, /^files\.yaml:3:34: expected a mode in quotes, such as "0644", got \d+$/);
  }
  assert.match(problems('{ path: /b, source: b, mode: "0888" }')[0]!, /expected a mode in quotes/);
});

test("a path goes nowhere else than it says", () => {
  for (const path of ["/etc/../root/x", "/etc/./x", "/..", "/etc//x", "etc/x", "/", "/etc/", '"/etc/a\\0b"']) {
    assert.match(problems(`{ path: ${path}, source: b }`)[0]!, /^files\.yaml:3:13: (a path may not|expected the absolute path)/, path);
  }
  for (const source of ["../secret", "/etc/shadow", "a/../../b", "./a"]) {
    assert.match(problems(`{ path: /b, source: ${source} }`)[0]!, /^files\.yaml:3:25: a source is a path below the file root/, source);
  }
});

test("an owner is a name or number in quotes, not an option of something", () => {
  for (const owner of ["-rf", "a b", "0", "a:b", "../x"])
    assert.match(problems(`{ path: /b, source: b, owner: ${owner} }`)[0]!, /expected a user name or number in quotes/, owner);
});

test("every entry's problems are told at once", () => {
  const loaded = loadFileMap(
    "files.yaml",
    "files:\n  - { path: /a, source: a, targets: 5 }\n  - { path: /b, source: b, targets: 6 }\n  - { path: /c }\n",
  );
  assert.ok(!loaded.ok);
  assert.deepEqual(
    loaded.problems.map(({ line }) => line),
    [2, 3, 4],
  );
});

test("a target that is no CEL is found at its place", () => {
  assert.match(problems("{ path: /b, source: b, targets: agent.labels.role == }")[0]!, /^files\.yaml:3:\d+: /);
});
