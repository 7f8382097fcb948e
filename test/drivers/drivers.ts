/** One row for each beacon type that can be driven without harm, by its name. Others watch what nobody may change for a test. */
import { existsSync } from "node:fs";
import type { DriverRow } from "./driver.ts";
import { certificateFile, filesInFolder, logWithRotation, packagesInRoot, sessionsInRecords, usersInRoot } from "./files.ts";
import { addressesOfLink, mountedFolder, processesByName, portsListened, settingOfLink, smallDisk } from "./host.ts";
import { answersOfName, checkThatFlips, containersOfEngine, everyMinute, portThatCloses, serverThatFails } from "./services.ts";

export const drivers: Readonly<Record<string, DriverRow>> = {
  certificate: { missing: () => program("openssl"), make: certificateFile },
  connection: { make: portsListened },
  container: { make: containersOfEngine },
  disk: { missing: root, make: smallDisk },
  dns: { make: answersOfName },
  exec: { make: checkThatFlips },
  file: { make: filesInFolder },
  http: { make: serverThatFails },
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

function root(): string | undefined {
  return process.getuid?.() === 0 ? undefined : "needs root";
}

function program(name: string): string | undefined {
  const folders = (process.env["PATH"] ?? "").split(":");
  return folders.some((folder) => existsSync(`${folder}/${name}`)) ? undefined : `needs the program ${name}`;
}
