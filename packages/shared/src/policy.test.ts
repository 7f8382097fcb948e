import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { commandFits, wildcardFits } from "./policy-command.ts";
import { type Policy, policySchema, refusal, refusesName, refusesPath, refusesSomeCommands, notAllowed } from "./policy.ts";
import { checker, problemsText } from "./schema.ts";

const check = checker(policySchema);

function policy(written: object = {}): Policy {
  const checked = check(structuredClone(written));
  if (!checked.ok) throw new Error(problemsText(checked.problems));
  return checked.value;
}

const run = (argv: string[], more: object = {}) => ({ argv, shell: false, env: {}, ...more });

/** Parts of paths with everything that a file name may hold, and what is special in globs and regular expressions. */
const part = fc
  .string({ unit: fc.constantFrom("a", "b", ".", " ", "\n", "*", "[", "\\", "(", "$", "ü", "-"), minLength: 1, maxLength: 5 })
  .filter((name) => name !== "." && name !== "..");
const path = fc.array(part, { minLength: 1, maxLength: 5 }).map((parts) => `/${parts.join("/")}`);
const plainPart = fc.string({ unit: fc.constantFrom("a", "b", "c"), minLength: 1, maxLength: 3 });

test("without a word in the configuration everything is obeyed but commands", () => {
  const standard = policy();
  assert.equal(refusal(standard, "file.remove", { path: "/etc/passwd" }), undefined);
  assert.match(refusal(standard, "command.run", run(["true"])) ?? "", /needs allow\.commands/);
  assert.ok(refusesSomeCommands(standard));
  const any = policy({ allow: { commands: "any" } });
  assert.equal(refusal(any, "command.run", run(["true"], { env: { LD_PRELOAD: "/x" } })), undefined);
  assert.ok(!refusesSomeCommands(any));
});

test("every refusal names its rule", () => {
  const strict = policy({
    allow: { actions: ["file.*", "command.run"], paths: ["/etc/**"], commands: ["nginx -t"], env: ["TZ"] },
    deny: { actions: ["file.remove"], paths: ["/etc/shadow"], commands: ["rm **"] },
    only: { "file.ch*": ["/etc/app/**"] },
  });
  const cases: [string, Record<string, unknown>, string | undefined][] = [
    ["file.remove", { path: "/etc/a" }, 'policy: deny.actions "file.remove" forbids file.remove'],
    ["event.emit", {}, "policy: allow.actions does not name event.emit"],
    ["file.restore", { path: "/etc/shadow" }, 'policy: deny.paths "/etc/shadow" forbids /etc/shadow'],
    ["file.restore", { path: "/srv/a" }, "policy: allow.paths does not name /srv/a"],
    ["file.check", { path: "/etc/a" }, 'policy: only "file.ch*" does not name /etc/a'],
    ["file.check", { path: "/etc/app/a" }, undefined],
    ["file.restore", { path: "/etc/a" }, undefined],
    ["command.run", run(["/bin/rm", "-r"]), 'policy: deny.commands "rm **" forbids ["/bin/rm","-r"]'],
    ["command.run", run(["nginx", "-s"]), 'policy: no pattern of allow.commands fits ["nginx","-s"]'],
    ["command.run", run(["nginx", "-t"], { env: { TZ: "UTC", PATH: "/tmp" } }), "policy: allow.env does not name PATH"],
    ["command.run", run(["nginx", "-t"], { env: { TZ: "UTC" } }), undefined],
    ["command.run", run(["nginx -t"], { shell: true }), 'policy: no pattern of allow.commands fits ["/bin/sh","-c","nginx -t","sh"]'],
  ];
  for (const [action, args, reason] of cases) assert.equal(refusal(strict, action, args), reason, `${action} ${JSON.stringify(args)}`);
});

test("deny wins: what a deny names, itself or from above, no allow brings back", () => {
  fc.assert(
    fc.property(fc.array(plainPart, { minLength: 1, maxLength: 3 }), fc.array(part, { maxLength: 4 }), path, (denied, below, other) => {
      const top = `/${denied.join("/")}`;
      const target = [top, ...below].join("/");
      const given = policy({ allow: { paths: ["/**", target, other] }, deny: { paths: [top] }, only: { "*": ["/**"] } });
      assert.match(refusesPath(given, "file.remove", target) ?? "", /deny\.paths/);
    }),
  );
});

test("a path is allowed only as a whole: not by its beginning, its end or its middle", () => {
  fc.assert(
    fc.property(path, path, plainPart, (allowed, other, name) => {
      const literal = /[*?[\](){}\\!+@|^$]/.test(allowed) ? `/${name}` : allowed;
      const given = policy({ allow: { paths: [literal] } });
      assert.equal(refusesPath(given, "file.remove", literal), undefined);
      for (const near of [
        `${literal}${other}`,
        `${other}${literal}`,
        `${literal}x`,
        `/x${literal}`,
        `${literal}\n`,
        `${literal}\n${other}`,
      ])
        assert.match(refusesPath(given, "file.remove", near) ?? "", /allow\.paths/, near);
    }),
  );
});

test("a path with .., with . or with // is refused, wherever it leads", () => {
  fc.assert(
    fc.property(
      fc.array(part, { maxLength: 4 }),
      fc.constantFrom("..", ".", ""),
      fc.array(part, { maxLength: 4 }),
      (before, odd, after) => {
        const target = `/${[...before, odd, ...after].join("/")}`;
        fc.pre(target !== "/");
        assert.match(refusesPath(policy(), "file.remove", target) ?? "", /not a plain absolute path/);
      },
    ),
  );
  for (const odd of ["etc", "", "/a\0b", "/a/"]) assert.match(refusesPath(policy(), "file.remove", odd) ?? "", /not a plain absolute path/);
});

const word = fc.string({ unit: fc.constantFrom("a", "b", "-", "/", " ", "\n", "$", "'", "*", "?"), maxLength: 5 });

test("a command is allowed word for word: nothing before, after or within a word is left out", () => {
  fc.assert(
    fc.property(
      fc.array(
        word.map((text) => text.replaceAll(/[*?]/g, "x")),
        { minLength: 1, maxLength: 4 },
      ),
      word,
      (argv, more) => {
        assert.ok(commandFits(argv, argv, "allow"));
        for (const other of [[...argv, more], [more, ...argv], argv.slice(1), [argv.join(" "), more], [`${argv[0]}\n`, ...argv.slice(1)]])
          if (other.join("\0") !== argv.join("\0")) assert.ok(!commandFits(argv, other, "allow"), JSON.stringify(other));
      },
    ),
  );
});

test("a wildcard allows no option, an open end anything; a program is denied in every directory", () => {
  const fits = (pattern: string, ...argv: string[]) => commandFits(pattern, argv, "allow");
  assert.ok(fits("systemctl reload *", "systemctl", "reload", "nginx"));
  assert.ok(!fits("systemctl reload *", "systemctl", "reload", "--root=/tmp"));
  assert.ok(!fits("systemctl reload *", "systemctl", "reload", "a", "b"));
  assert.ok(!fits("systemctl reload *", "systemctl", "reload"));
  assert.ok(fits("dmesg **", "dmesg", "-T", "x"));
  assert.ok(fits("dmesg **", "dmesg"));
  assert.ok(!fits("nginx -t", "/tmp/nginx", "-t"));
  assert.ok(commandFits("rm *", ["/tmp/../bin/rm", "-rf"], "deny"));
  assert.ok(!commandFits("/bin/rm *", ["/usr/bin/rm", "-rf"], "deny"));
});

test("wildcards fit as a regular expression that is anchored at both ends, and in no more than linear time for each star", () => {
  const symbols = fc.string({ unit: fc.constantFrom("a", "b", "*", "?", "\n", "."), maxLength: 8 });
  fc.assert(
    fc.property(symbols, symbols, (pattern, text) => {
      const source = pattern
        .split("")
        .map((each) => (each === "*" ? "[^]*" : each === "?" ? "[^]" : each === "." ? "\\." : each))
        .join("");
      assert.equal(wildcardFits(pattern, text), new RegExp(`^${source}$`).test(text));
    }),
  );
  assert.ok(!wildcardFits(`${"*a".repeat(50)}b`, "a".repeat(100_000)));
});

test("a service and a package are judged by what they are, not by how they are written", () => {
  const given = policy({ deny: { units: ["sshd", "systemd-*.service"], packages: ["openssh-*"] }, allow: { users: ["app?"] } });
  for (const unit of ["sshd", "sshd.service", "systemd-logind"])
    assert.match(refusesName(given, "units", unit) ?? "", /^policy: deny\.units/);
  for (const name of ["openssh-server", "openssh-server:amd64", "openssh-client=1:9"])
    assert.match(refusesName(given, "packages", name) ?? "", /^policy: deny\.packages/);
  assert.equal(refusesName(given, "units", "nginx.service"), undefined);
  assert.equal(refusesName(given, "users", "app1"), undefined);
  assert.equal(refusesName(given, "users", "root"), "policy: allow.users does not name root");
});

test("where nothing is allowed, the refusal says what to write and where", () => {
  const at = { file: "master.yaml", commands: "commands_local", env: "commands_local_env" };
  const asked = { action: "command.local", argv: ["scale", "out"], env: ["TZ"] };
  assert.equal(
    notAllowed(asked, { commands: [], env: [], at }),
    "policy: command.local needs commands_local in master.yaml: a pattern that fits, or any",
  );
  assert.equal(notAllowed(asked, { commands: ["scale *"], env: [], at }), "policy: commands_local_env does not name TZ");
  assert.equal(notAllowed(asked, { commands: ["scale *"], env: ["TZ"], at }), undefined);
  assert.equal(notAllowed(asked, { commands: "any", env: [], at }), undefined);
});
