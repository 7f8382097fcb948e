/**
 * Completes `package-lock.json`: adds an entry for every optional package that some package names and npm left out. npm leaves out what
 * the registry of the day does not have (a mirror may lack the binaries of other platforms), and then refuses its own lock file with
 * "Missing: ... from lock file" (docs/decisions/0001-runtime-as-a-dependency.md). To be run after `npm install`.
 *
 *     npm run lock [-- --check]
 *
 * An added entry has no digest; only a machine of that platform would ever fetch it.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { parseArgs } from "node:util";

interface Entry {
  version?: string;
  cpu?: string[];
  dev?: boolean;
  libc?: string[];
  optional?: boolean;
  optionalDependencies?: Record<string, string>;
  os?: string[];
}

const systems = ["aix", "android", "darwin", "freebsd", "linux", "netbsd", "openbsd", "openharmony", "sunos", "win32"];
const processors = ["arm", "arm64", "ia32", "loong64", "mips64el", "ppc64", "riscv64", "s390x", "wasm32", "x64"];

const file = join(dirname(import.meta.dirname), "package-lock.json");
const { values } = parseArgs({ options: { check: { type: "boolean", default: false } } });
const lock = JSON.parse(readFileSync(file, "utf8")) as { packages: Record<string, Entry> };
const missing = missingEntries(lock.packages);
if (missing.length === 0) process.stdout.write("package-lock.json is complete\n");
else if (values.check) {
  process.stdout.write(`npm ci would refuse package-lock.json: npm run lock\n${missing.map(([path]) => `  no ${path}\n`).join("")}`);
  process.exitCode = 1;
} else {
  lock.packages = Object.fromEntries([...Object.entries(lock.packages), ...missing].toSorted(([a], [b]) => a.localeCompare(b, "en")));
  writeFileSync(file, `${JSON.stringify(lock, undefined, 2)}\n`);
  process.stdout.write(`package-lock.json: ${missing.length} added\n`);
}

function missingEntries(packages: Record<string, Entry>): [string, Entry][] {
  return Object.entries(packages).flatMap(([path, entry]) =>
    Object.entries(entry.optionalDependencies ?? {})
      .filter(([name]) => packages[`node_modules/${name}`] === undefined && packages[`${path}/node_modules/${name}`] === undefined)
      .map(([name, version]): [string, Entry] => [`node_modules/${name}`, entryOf(name, version, entry.dev ?? false)]),
  );
}

/** For which machine a binary is, told by its name, as those who publish them do: `@oxlint/binding-linux-x64-musl`. */
function entryOf(name: string, version: string, dev: boolean): Entry {
  const words = name.split(/[/-]/);
  const cpu = processors.filter((processor) => words.includes(processor));
  const os = systems.filter((system) => words.includes(system));
  if (cpu.length !== 1 || os.length !== 1)
    throw new Error(`${name}: its name does not say for which platform it is; add it to package-lock.json by hand`);
  const libc = words.includes("musl") ? ["musl"] : os[0] === "linux" && words.includes("gnu") ? ["glibc"] : undefined;
  return { version, cpu, ...(dev ? { dev } : {}), ...(libc === undefined ? {} : { libc }), optional: true, os };
}
