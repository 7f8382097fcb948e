/** Changes to files: those that are watched as such, and those in which a host keeps something. */
import { execFileSync } from "node:child_process";
import { appendFileSync, copyFileSync, mkdirSync, renameSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Driver, firstLook, interval, type Place } from "./driver.ts";

/** So many at once, as an unpacked archive makes them. */
const burst = 5;
const rotateEvery = 10;

export function filesInFolder({ folder }: Place): Driver {
  mkdirSync(join(folder, "watched"));
  const paths = (number: number) =>
    Array.from({ length: burst }, (_, index) => join(folder, "watched", `${Math.floor(number / 4)}-${index}`));
  const steps = [
    ["file.created", (path: string) => writeFileSync(path, "first\n")],
    ["file.changed", (path: string) => writeFileSync(path, "second\n")],
    ["file.changed", (path: string) => appendFileSync(path, "third\n")],
    ["file.removed", (path: string) => rmSync(path)],
  ] as const;
  return {
    options: { paths: [join(folder, "watched")] },
    change(number) {
      const [type, make] = steps[number % steps.length]!;
      for (const path of paths(number)) make(path);
      return paths(number).map((path) => `${type} ${path}`);
    },
  };
}

/** Lines with numbers; every now and then the log is rotated, once by renaming, once by copying and truncating. */
export function logWithRotation({ folder }: Place): Driver {
  const log = join(folder, "soak.log");
  writeFileSync(log, "");
  const lineOf = (name: string) => `2026-03-01 soak says number ${name} of something\n`;
  const write = (name: string) => {
    appendFileSync(log, lineOf(name));
    return `log.matched ${name}`;
  };
  return {
    options: { paths: [log], patterns: [{ match: "says number (?<number>[0-9.]+)" }] },
    hears: true,
    keyOf: ({ type, data }) => `${type} ${(data["fields"] as Record<string, string> | undefined)?.["number"]}`,
    change(number) {
      const turn = number % (2 * rotateEvery);
      // What was written before has been read by now: so truncating loses nothing.
      if (turn === rotateEvery) {
        // Another file than the one that was renamed before: as logrotate does it, which moves that on.
        rmSync(`${log}.1`, { force: true });
        copyFileSync(log, `${log}.1`);
        truncateSync(log);
      }
      if (turn !== 0 || number === 0) return [write(`${number}.1`), write(`${number}.2`)];
      const before = write(`${number}.1`);
      renameSync(log, `${log}.1`);
      // By who still has the old one open.
      appendFileSync(`${log}.1`, lineOf(`${number}.2`));
      writeFileSync(log, "");
      return [before, `log.matched ${number}.2`, write(`${number}.3`)];
    },
  };
}

/** Sessions in a wtmp of its own, as glibc lays its records out. */
export function sessionsInRecords({ folder }: Place): Driver {
  const wtmp = join(folder, "wtmp");
  writeFileSync(wtmp, "");
  const add = (kind: 7 | 8, name: string, number: number) => {
    const time = new Date().toISOString().replace("Z", "000+00:00").replace(".", ",");
    const line = `[${kind}] [04711] [${`s${number % 100}`.padEnd(4)}] [${name.padEnd(8)}] [${`pts/${number % 100}`.padEnd(12)}] [${" ".repeat(20)}] [0.0.0.0        ] [${time}]\n`;
    appendFileSync(wtmp, execFileSync("utmpdump", ["-r"], { input: line, stdio: ["pipe", "pipe", "ignore"] }));
  };
  return {
    options: { wtmp, btmp: join(folder, "none"), logs: [], journald: "never", interval },
    hears: true,
    keyOf: ({ type, data }) => `${type} ${String(data["user"])}`,
    change(number) {
      const session = Math.floor(number / 2);
      const opens = number % 2 === 0;
      add(opens ? 7 : 8, opens ? `soak${session}` : "", session);
      return [`login.${opens ? "opened" : "closed"} soak${session}`];
    },
  };
}

/** Two certificates for one name, of which one lasts longer. */
export function certificateFile({ folder }: Place): Driver {
  const file = join(folder, "server.pem");
  const made = [100, 200].map((days) => {
    const path = join(folder, `${days}.pem`);
    const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", join(folder, `${days}.key`)];
    execFileSync("openssl", ["req", "-x509", ...key, "-subj", "/CN=soak", "-days", String(days), "-out", path], { stdio: "ignore" });
    return path;
  });
  copyFileSync(made[0]!, file);
  return {
    options: { files: [file], days: [1], interval },
    begin: firstLook,
    change(number) {
      copyFileSync(made[(number + 1) % 2]!, `${file}~`);
      renameSync(`${file}~`, file);
      return [`certificate.${number % 2 === 0 ? "renewed" : "changed"} ${file}`];
    },
  };
}

/** dpkg's own list in a scratch root; it is written as dpkg does it. */
export function packagesInRoot({ folder }: Place): Driver {
  const status = join(folder, "var/lib/dpkg/status");
  mkdirSync(join(folder, "var/lib/dpkg/updates"), { recursive: true });
  const stanza = (name: string) =>
    `Package: ${name}\nStatus: install ok installed\nArchitecture: all\nVersion: 1.0\nMaintainer: A <a@example.org>\nDescription: one\n\n`;
  const put = (...names: string[]) => {
    writeFileSync(`${status}-new`, names.map(stanza).join(""));
    renameSync(`${status}-new`, status);
  };
  put("base");
  return {
    options: { root: folder, manager: "dpkg", upgrades: false, interval },
    change(number) {
      const name = `soak${Math.floor(number / 2)}`;
      const installs = number % 2 === 0;
      put("base", ...(installs ? [name] : []));
      return [`package.${installs ? "installed" : "removed"} ${name}`];
    },
  };
}

/** Accounts in a scratch root. */
export function usersInRoot({ folder }: Place): Driver {
  const base = "root:x:0:0:root:/root:/bin/sh\n";
  mkdirSync(join(folder, "etc"));
  writeFileSync(join(folder, "etc/group"), "root:x:0:\n");
  const put = (more: string) => {
    writeFileSync(join(folder, "etc/passwd+"), `${base}${more}`);
    renameSync(join(folder, "etc/passwd+"), join(folder, "etc/passwd"));
  };
  put("");
  return {
    options: { root: folder, watch: ["accounts"], interval },
    change(number) {
      const name = `soak${Math.floor(number / 2)}`;
      const adds = number % 2 === 0;
      put(adds ? `${name}:x:5000:5000::/nowhere:/bin/sh\n` : "");
      return [`user.${adds ? "added" : "removed"} ${name}`];
    },
  };
}
