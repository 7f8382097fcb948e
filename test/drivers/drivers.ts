/** One row for each beacon type, by its name. */
import { existsSync } from "node:fs";
import { noSystemdHost } from "../../packages/agent/src/beacons/process/systemd-host.ts";
import type { DriverRow } from "./driver.ts";
import { certificateFile, filesInFolder, logWithRotation, packagesInRoot, sessionsInRecords, usersInRoot } from "./files.ts";
import { addressesOfLink, mountedFolder, processesByName, portsListened, settingOfLink, smallDisk } from "./host.ts";
import { killsForMemory, noKills } from "./kernel.ts";
import { busyCores, coresWaitedFor, manyRunnable, memoryTaken, noPressure, noSwap, swapTaken, tooLittleMemory } from "./machine.ts";
import {
  answersOfName,
  checkThatFlips,
  containersOfEngine,
  everyMinute,
  portThatCloses,
  serverThatFails,
  serviceOfSystemd,
} from "./services.ts";

/** What each changes is its own: every event about it can be counted, whatever else happens on this machine. */
export const drivers: Readonly<Record<string, DriverRow>> = {
  certificate: { missing: () => program("openssl"), make: certificateFile },
  connection: { make: portsListened },
  container: { make: containersOfEngine },
  disk: { missing: root, make: smallDisk },
  dns: { make: answersOfName },
  exec: { make: checkThatFlips },
  file: { make: filesInFolder },
  http: { make: serverThatFails },
  kernel: { missing: noKills, make: killsForMemory },
  log: { make: logWithRotation },
  login: { missing: () => program("utmpdump"), make: sessionsInRecords },
  mount: { missing: root, make: mountedFolder },
  network: { missing: () => root() ?? program("ip"), make: addressesOfLink },
  package: { make: packagesInRoot },
  process: { make: processesByName },
  schedule: { make: everyMinute },
  sysctl: { missing: () => root() ?? program("ip"), make: settingOfLink },
  tcp: { make: portThatCloses },
  user: { make: usersInRoot },
};

/** Those change what the whole machine has, as others do, or are on a host of their own: for a look at one of them, not for a count. */
export const machineDrivers: Readonly<Record<string, DriverRow>> = {
  cpu: { make: busyCores },
  load: { make: manyRunnable },
  memory: { missing: tooLittleMemory, make: memoryTaken },
  pressure: { missing: noPressure, make: coresWaitedFor },
  service: { missing: () => noSystemdHost() || undefined, make: serviceOfSystemd },
  swap: { missing: noSwap, make: swapTaken },
};

function root(): string | undefined {
  return process.getuid?.() === 0 ? undefined : "needs root";
}

function program(name: string): string | undefined {
  const folders = (process.env["PATH"] ?? "").split(":");
  return folders.some((folder) => existsSync(`${folder}/${name}`)) ? undefined : `needs the program ${name}`;
}
