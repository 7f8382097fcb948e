import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { test, type TestContext } from "node:test";
import type { PackageUpgradable } from "@needfire/shared/beacons/package";
import { definition, Fixture } from "../fixture.ts";
import { packageSource } from "./package-sources.ts";
import { parseApt } from "./package-upgrades.ts";
import { forgetfulStore, type MemoryStore } from "../remembered.ts";

const isRoot = process.getuid?.() === 0;
/** Why a test cannot be made here. */
function needs(...programs: string[]) {
  const missing = programs.filter((program) => !has(program));
  return isRoot && missing.length === 0 ? {} : { skip: isRoot ? `needs ${missing.join(", ")}` : "needs root, to install packages" };
}

function has(program: string): boolean {
  try {
    execFileSync("sh", ["-c", 'command -v "$1"', "sh", program], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

function run(program: string, ...args: string[]): string {
  return execFileSync(program, args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
}

/** A root of its own that dpkg and apt really work on. */
function debian(f: Fixture) {
  const root = f.host("root");
  const built = f.path("built");
  for (const folder of [
    "var/lib/dpkg/updates",
    "var/lib/dpkg/info",
    "etc/apt",
    "var/lib/apt/lists/partial",
    "var/cache/apt/archives/partial",
  ])
    mkdirSync(`${root}/${folder}`, { recursive: true });
  mkdirSync(built);
  writeFileSync(`${root}/var/lib/dpkg/status`, "");
  const build = (name: string, version: string) => {
    const folder = f.path(`build-${name}-${version}`);
    mkdirSync(`${folder}/DEBIAN`, { recursive: true });
    const control = `Package: ${name}\nVersion: ${version}\nArchitecture: all\nMaintainer: A <a@example.org>\nDescription: for a test\n`;
    writeFileSync(`${folder}/DEBIAN/control`, control);
    const file = `${name}_${version}_all.deb`;
    run("dpkg-deb", "-Znone", "--build", folder, `${built}/${file}`);
    return { file, control };
  };
  const dpkg = (...args: string[]) => run("dpkg", `--root=${root}`, "--no-triggers", ...args);
  const install = (...packages: [string, string][]) => {
    const files = packages.map(([name, version]) => `${built}/${build(name, version).file}`);
    dpkg("--install", ...files);
  };
  /** What apt knows of, as security upgrades if that is said. */
  const offer = (packages: [string, string][], label: string) => {
    const index = packages
      .map(([name, version]) => {
        const { file, control } = build(name, version);
        const bytes = readFileSync(`${built}/${file}`);
        return `${control}Filename: ./${file}\nSize: ${bytes.length}\nSHA256: ${sha256(bytes)}\n\n`;
      })
      .join("");
    writeFileSync(`${built}/Packages`, index);
    const release = `Origin: Debian\nLabel: ${label}\nSuite: stable\nCodename: x\nDate: Sun, 01 Mar 2026 10:00:00 UTC\nSHA256:\n`;
    writeFileSync(`${built}/Release`, `${release} ${sha256(index)} ${Buffer.byteLength(index)} Packages\n`);
    writeFileSync(`${root}/etc/apt/sources.list`, `deb [trusted=yes] file:${built} ./\n`);
    run(
      "apt-get",
      "-q",
      "-o",
      `Dir=${root}`,
      "-o",
      `Dir::State::status=${root}/var/lib/dpkg/status`,
      "-o",
      "APT::Sandbox::User=root",
      "update",
    );
  };
  return { root, install, dpkg, offer };
}

function sha256(bytes: Uint8Array | string): string {
  return createHash("sha256").update(bytes).digest("hex");
}

function fixture(t: TestContext, memory?: MemoryStore) {
  const f = new Fixture(memory === undefined ? {} : { memory });
  t.after(() => f.end());
  return f;
}

const watching = (root: string, options: Record<string, unknown> = {}) =>
  definition({ type: "package", root, interval: "100ms", upgrades: false, ...options });

async function seen(f: Fixture, count: number) {
  const events: unknown[] = [];
  while (events.length < count) {
    const { type, subject, data } = await f.next();
    events.push([type, subject, data]);
  }
  return events;
}

const all = { architecture: "all" };

test("dpkg: what is really installed, upgraded, removed and purged is told, once each; what was there is not", needs("dpkg"), async (t) => {
  const f = fixture(t);
  const { root, install, dpkg } = debian(f);
  install(["alpha", "1.0"]);
  await f.beacons.apply([watching(root)]);
  install(["beta", "2.0-1"]);
  assert.deepEqual(await seen(f, 1), [["package.installed", "beta", { name: "beta", ...all, version: "2.0-1" }]]);
  install(["alpha", "1:0.9"]);
  assert.deepEqual(await seen(f, 1), [["package.upgraded", "alpha", { name: "alpha", ...all, version: "1:0.9", before: "1.0" }]]);
  dpkg("--remove", "alpha");
  assert.deepEqual(await seen(f, 1), [["package.removed", "alpha", { name: "alpha", ...all, version: "1:0.9" }]]);
  dpkg("--purge", "beta");
  assert.deepEqual(await seen(f, 1), [["package.removed", "beta", { name: "beta", ...all, version: "2.0-1" }]]);
  assert.equal(f.events.length, 4);
});

test("dpkg: a package that is unpacked and not configured is not installed yet", needs("dpkg"), async (t) => {
  const f = fixture(t);
  const { root, install, dpkg } = debian(f);
  install(["alpha", "1.0"]);
  await f.beacons.apply([watching(root)]);
  install(["beta", "1.0"]);
  await seen(f, 1);
  dpkg("--remove", "beta");
  await seen(f, 1);
  dpkg("--unpack", `${f.path("built")}/beta_1.0_all.deb`);
  install(["gamma", "1.0"]);
  // Gamma comes after beta in the alphabet: beta would have been told before it.
  assert.deepEqual(await seen(f, 1), [["package.installed", "gamma", { name: "gamma", ...all, version: "1.0" }]]);
  dpkg("--configure", "beta");
  assert.deepEqual(await seen(f, 1), [["package.installed", "beta", { name: "beta", ...all, version: "1.0" }]]);
});

test("what changed while the agent was down is told at its start, and nothing twice", needs("dpkg"), async (t) => {
  const memory = forgetfulStore();
  const f = fixture(t, memory);
  const { root, install, dpkg } = debian(f);
  install(["alpha", "1.0"], ["beta", "1.0"]);
  await f.beacons.apply([watching(root)]);
  install(["gamma", "1.0"]);
  await seen(f, 1);
  await f.beacons.stop();
  dpkg("--purge", "alpha");
  install(["beta", "1.1"]);
  const again = fixture(t, memory);
  await again.beacons.apply([watching(root)]);
  assert.deepEqual(await seen(again, 2), [
    ["package.removed", "alpha", { name: "alpha", ...all, version: "1.0" }],
    ["package.upgraded", "beta", { name: "beta", ...all, version: "1.1", before: "1.0" }],
  ]);
  assert.equal(again.events.length, 2);
});

test("with a summary a look that finds many packages is one event", needs("dpkg"), async (t) => {
  const memory = forgetfulStore();
  const f = fixture(t, memory);
  const { root, install } = debian(f);
  install(["alpha", "1.0"]);
  await f.beacons.apply([watching(root, { summary: true })]);
  await f.beacons.stop();
  install(["alpha", "1.1"], ["beta", "1.0"], ["gamma", "1.0"]);
  const again = fixture(t, memory);
  await again.beacons.apply([watching(root, { summary: true })]);
  const [[type, , data]] = (await seen(again, 1)) as [[string, undefined, unknown]];
  assert.equal(type, "package.changed");
  assert.deepEqual(data, {
    installed: [
      { name: "beta", ...all, version: "1.0" },
      { name: "gamma", ...all, version: "1.0" },
    ],
    removed: [],
    upgraded: [{ name: "alpha", ...all, version: "1.1", before: "1.0" }],
    left_out: 0,
  });
});

test("P7: a remedy that changes a package is not told meanwhile, and is the cause when it has ended", needs("dpkg"), async (t) => {
  const f = fixture(t);
  const { root, install } = debian(f);
  install(["alpha", "1.0"], ["beta", "1.0"]);
  await f.beacons.apply([watching(root)]);
  f.remedies.begin("t-1.1", { topic: "package", subject: "alpha" });
  install(["alpha", "1.1"]);
  install(["beta", "1.1"]);
  const foreign = await f.next();
  assert.deepEqual([foreign.subject, foreign.cause], ["beta", undefined]);
  f.remedies.end("t-1.1");
  const own = await f.next();
  assert.deepEqual([own.subject, own.type, own.cause], ["alpha", "package.upgraded", "t-1.1"]);
});

test(
  "apt: upgrades that are pending are told with those for security, once; and that none is any more",
  needs("dpkg", "apt-get"),
  async (t) => {
    const f = fixture(t);
    const { root, install, offer } = debian(f);
    install(["alpha", "1.0"], ["beta", "1.0"]);
    offer(
      [
        ["alpha", "1.1"],
        ["gamma", "1.0"],
      ],
      "Debian-Security",
    );
    await f.beacons.apply([watching(root, { upgrades: true })]);
    const [[type, , data]] = (await seen(f, 1)) as [[string, undefined, PackageUpgradable]];
    assert.equal(type, "package.upgradable");
    const pending = { name: "alpha", ...all, version: "1.0", candidate: "1.1", security: true };
    assert.deepEqual(data, { pending: 1, security: 1, packages: [pending], left_out: 0 });
    install(["alpha", "1.1"]);
    assert.deepEqual(await seen(f, 2), [
      ["package.upgraded", "alpha", { name: "alpha", ...all, version: "1.1", before: "1.0", security: true }],
      ["package.current", undefined, {}],
    ]);
  },
);

test("pending upgrades are remembered: a restart tells only the new ones", needs("dpkg", "apt-get"), async (t) => {
  const memory = forgetfulStore();
  const f = fixture(t, memory);
  const { root, install, offer } = debian(f);
  install(["alpha", "1.0"], ["beta", "1.0"]);
  offer([["alpha", "1.1"]], "Debian");
  const watched = watching(root, { upgrades: true });
  await f.beacons.apply([watched]);
  const [[, , first]] = (await seen(f, 1)) as [[string, undefined, PackageUpgradable]];
  assert.equal(first.security, 0);
  await f.beacons.stop();
  offer(
    [
      ["alpha", "1.1"],
      ["beta", "1.2"],
    ],
    "Debian",
  );
  const again = fixture(t, memory);
  await again.beacons.apply([watched]);
  const [[, , second]] = (await seen(again, 1)) as [[string, undefined, PackageUpgradable]];
  assert.deepEqual([second.pending, second.packages.map(({ name }) => name)], [2, ["beta"]]);
  assert.equal(again.events.length, 1);
});

test("apt's lines are understood: architectures in names, several origins, what is new or only configured", () => {
  const text = `Inst bash [5.2.15-2+b8] (5.2.15-2+b13 Debian:12.15/oldstable [amd64])
Inst libgcrypt20:i386 [1.10.1-3] (1.10.1-3+deb12u1 Debian:12.15/oldstable, Debian-Security:12/oldstable-security [i386]) []
Inst linux-image-6.1.0-40-amd64 (6.1.153-1 Debian-Security:12/oldstable-security [amd64])
Conf bash (5.2.15-2+b13 Debian:12.15/oldstable [amd64])
Remv old [1.0]
`;
  assert.deepEqual(parseApt(text), [
    { name: "bash", architecture: "amd64", version: "5.2.15-2+b8", candidate: "5.2.15-2+b13", security: false },
    { name: "libgcrypt20", architecture: "i386", version: "1.10.1-3", candidate: "1.10.1-3+deb12u1", security: true },
  ]);
});

/** A root of its own that rpm and dnf really work on. */
function redHat(f: Fixture) {
  const root = f.host("root");
  const packages = f.path("packages");
  mkdirSync(`${root}/var/lib/rpm`, { recursive: true });
  // Debian's rpm has its database elsewhere; dnf follows it there.
  mkdirSync(`${root}/root`);
  symlinkSync("../var/lib/rpm", `${root}/root/.rpmdb`);
  mkdirSync(packages);
  const build = (name: string, version: string) => {
    const head = `Name: ${name}\nVersion: ${version}\nRelease: 1\nSummary: s\nLicense: MIT\nBuildArch: noarch\nProvides: system-release = 1\n`;
    writeFileSync(f.path(`${name}.spec`), `${head}%description\nfor a test\n%files\n`);
    run("rpmbuild", "--define", `_topdir ${f.path("rpmbuild")}`, "--define", `_rpmdir ${packages}`, "-bb", f.path(`${name}.spec`));
    return `${packages}/noarch/${name}-${version}-1.noarch.rpm`;
  };
  const rpm = (...args: string[]) => run("rpm", "--root", root, "--dbpath", "/var/lib/rpm", ...args);
  return { root, packages, build, rpm };
}

test(
  "rpm: what is really installed, upgraded and removed is told, two versions side by side as well",
  needs("rpm", "rpmbuild"),
  async (t) => {
    const f = fixture(t);
    const { root, build, rpm } = redHat(f);
    rpm("--install", build("alpha", "1"));
    await f.beacons.apply([watching(root)]);
    const noarch = { architecture: "noarch" };
    rpm("--install", build("kernel", "1"));
    rpm("--install", build("kernel", "2"));
    assert.deepEqual(await seen(f, 2), [
      ["package.installed", "kernel", { name: "kernel", ...noarch, version: "1-1" }],
      ["package.installed", "kernel", { name: "kernel", ...noarch, version: "2-1" }],
    ]);
    rpm("--upgrade", build("alpha", "2"));
    assert.deepEqual(await seen(f, 1), [["package.upgraded", "alpha", { name: "alpha", ...noarch, version: "2-1", before: "1-1" }]]);
    rpm("--erase", "kernel-1-1");
    assert.deepEqual(await seen(f, 1), [["package.removed", "kernel", { name: "kernel", ...noarch, version: "1-1" }]]);
    const { source } = packageSource("auto", root);
    const before = source.stamp();
    await source.read(new AbortController().signal);
    assert.equal(source.stamp(), before, "reading is no change");
  },
);

test("dnf: upgrades that are pending, with those for security", needs("rpmbuild", "dnf", "createrepo_c", "modifyrepo_c"), async (t) => {
  const f = fixture(t);
  const { root, packages, build, rpm } = redHat(f);
  rpm("--install", build("alpha", "1"), build("beta", "1"));
  build("alpha", "2");
  build("beta", "2");
  run("createrepo_c", "-q", packages);
  const fixed = `<package name="beta" version="2" release="1" epoch="0" arch="noarch"><filename>beta-2-1.noarch.rpm</filename></package>`;
  const advisory = `<update from="a@example.org" status="final" type="security" version="1"><id>T-1</id><title>t</title><issued date="2026-03-01 10:00:00"/><severity>Important</severity><description>t</description><pkglist><collection short="t"><name>t</name>${fixed}</collection></pkglist></update>`;
  writeFileSync(f.path("updateinfo.xml"), `<?xml version="1.0" encoding="UTF-8"?>\n<updates>${advisory}</updates>\n`);
  run("modifyrepo_c", f.path("updateinfo.xml"), `${packages}/repodata`);
  for (const folder of ["yum.repos.d", "dnf"]) mkdirSync(`${root}/etc/${folder}`, { recursive: true });
  writeFileSync(`${root}/etc/dnf/dnf.conf`, "[main]\n");
  writeFileSync(`${root}/etc/yum.repos.d/t.repo`, `[t]\nname=t\nbaseurl=file://${packages}\ngpgcheck=0\n`);
  run("dnf", "-q", `--installroot=${root}`, "makecache");
  await f.beacons.apply([watching(root, { upgrades: true })]);
  const [[type, , data]] = (await seen(f, 1)) as [[string, undefined, PackageUpgradable]];
  const each = { architecture: "noarch", version: "1-1", candidate: "2-1" };
  assert.deepEqual(
    [type, data],
    [
      "package.upgradable",
      {
        ...{ pending: 2, security: 1, left_out: 0 },
        packages: [
          { name: "alpha", ...each, security: false },
          { name: "beta", ...each, security: true },
        ],
      },
    ],
  );
});

test("where no upgrades can be asked for, that is said, and packages are watched all the same", needs("dpkg"), async (t) => {
  const f = fixture(t);
  const { root, install } = debian(f);
  install(["alpha", "1.0"]);
  writeFileSync(`${root}/etc/apt/sources.list`, "no such line\n");
  await f.beacons.apply([watching(root, { upgrades: true })]);
  const { type, data } = (await f.next()) as unknown as { type: string; data: { message: string } };
  assert.equal(type, "beacon.degraded");
  assert.match(data.message, /pending upgrades cannot be told: apt-get exited with 100/);
  install(["beta", "1.0"]);
  assert.equal((await f.next()).subject, "beta");
});

test("the packages of this very host are read, and where none are kept that is said", async (t) => {
  const f = fixture(t);
  assert.throws(() => packageSource("auto", f.host("")), /neither dpkg nor rpm keeps packages/);
  const status = statSync("/var/lib/dpkg/status", { throwIfNoEntry: false });
  if (status === undefined) return t.skip("needs a host of Debian's kind");
  const { versions } = await packageSource("auto", "/").source.read(new AbortController().signal);
  const listed = run("dpkg-query", "--show", "--showformat", "${Package} ${Architecture}\\t${Version}\\t${db:Status-Status}\\n")
    .trim()
    .split("\n");
  const installed = listed.map((line) => line.split("\t")).filter(([, , state]) => state === "installed");
  assert.deepEqual(
    [...versions].map(([key, [version]]) => [key, version]).toSorted(([a = ""], [b = ""]) => a.localeCompare(b)),
    installed.map(([key, version]) => [key, version]).toSorted(([a = ""], [b = ""]) => a.localeCompare(b)),
  );
});
